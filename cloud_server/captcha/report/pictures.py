"""The report's pictures: a contact sheet to look at, and the learning curve."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cloud_server.captcha.challenges.fonts import installed_fonts
from cloud_server.captcha.challenges.types import HEIGHT, WIDTH
from cloud_server.captcha.report.readings import Readings
from cloud_server.captcha.report.rows import Row
from cloud_server.captcha.report.sample import Condition, Sample
from cloud_server.captcha.report.solvers import Solver
from cloud_server.captcha.report.verdicts import MOST_ADAPTIVE

__all__ = ["contact_sheet", "learning_curve"]

_SCALE, _GAP, _LINE, _HEAD = 2, 16, 17, 34
_RIGHT, _WRONG = (0, 110, 40), (150, 60, 60)
_TITLES = {
    Condition.CLEAN: "without the attack",
    Condition.NOISE: "random noise of equal size",
    Condition.ATTACKED: "as issued",
}


def contact_sheet(
    sample: Sample, readers: Sequence[tuple[Solver, Row]], readings: Readings, *, count: int = 12
) -> bytes:
    """A PNG: some images in the three conditions, twice as large, with what each solver reads below.

    Args:
        sample: the images.
        readers: solvers and their rows; each reads at its best preprocessing of the condition.
        readings: of these.
        count: of images at most.
    """
    count = min(count, len(sample.issued))
    cell = (WIDTH * _SCALE + _GAP, HEIGHT * _SCALE + _LINE * len(readers) + _GAP)
    sheet = Image.new("RGB", (cell[0] * 3 + _GAP, cell[1] * count + _HEAD + _GAP), "white")
    draw, font = ImageDraw.Draw(sheet), _font()
    for column, condition in enumerate(Condition):
        left = _GAP + column * cell[0]
        draw.text((left, _GAP // 2), _TITLES[condition], fill="black", font=font)
        for number in range(count):
            top = _HEAD + number * cell[1]
            image = Image.fromarray(sample.image(number, condition))
            sheet.paste(
                image.resize((WIDTH * _SCALE, HEIGHT * _SCALE), Image.Resampling.NEAREST), (left, top)
            )
            for place, (solver, row) in enumerate(readers):
                text = readings.of(solver, condition, row.conditions[condition].preprocessing)[number]
                right = text == sample.texts[number]
                words = f"{solver.name}: {text or '(nothing)'}"
                below = top + HEIGHT * _SCALE + place * _LINE
                draw.text((left, below), words, fill=_RIGHT if right else _WRONG, font=font)
    return _png(sheet)


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    # The plainest of what is there: O and 0 look different in it.
    fonts = sorted(installed_fonts(), key=lambda font: "Mono" not in font.name)
    return ImageFont.truetype(fonts[0].path, 13) if fonts[0].path else ImageFont.load_default(13)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def learning_curve(points: Sequence[Mapping[str, Any]]) -> bytes:
    """A PNG: what the adaptive solver reads against how many images it learnt from.

    Args:
        points: as a report holds them.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    images = [point["images"] for point in points]
    for name, colour in (("clean", "#7f7f7f"), ("attacked", "#b04030")):
        ends = np.array([[point[name][end] for end in ("value", "low", "high")] for point in points]) * 100
        spread = np.abs(ends[:, 1:] - ends[:, :1]).T
        axes.errorbar(images, ends[:, 0], yerr=spread, marker="o", capsize=3, color=colour, label=name)
    axes.axhline(100 * MOST_ADAPTIVE, color="black", linestyle="--", linewidth=1, label="goal")
    axes.set_xscale("log", base=2)
    axes.set_xticks(images, [f"{count:,}" for count in images])
    axes.minorticks_off()
    axes.set_ylim(0, 102)
    axes.set_xlabel("images of the service that it learnt from")
    axes.set_ylabel("whole texts read, %")
    axes.legend()
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return stream.getvalue()
