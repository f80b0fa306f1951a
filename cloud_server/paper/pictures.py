"""Pictures of the tables: shares with their intervals, and faces as in the paper's figure 2."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from cloud_server.paper.bench import to_pixels
from cloud_server.paper.cloaks import CONTROL
from cloud_server.paper.table2 import Variants

__all__ = ["COLUMNS", "chart", "sheet"]

Pixels = npt.NDArray[np.uint8]

COLUMNS = ("original", "makeup", "adversarial", "makeup_adversarial", "perturbation x 10")
# Twice the size of the crops, so that each pixel of a perturbation stays a square.
_CELL, _HEAD, _GAP = 224, 20, 4


def chart(summary: Mapping[str, Any], table: str) -> bytes:
    """Bars of equation 1 at FAR 1e-3 with their intervals, a panel a set; a PNG."""
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6 * len(summary)), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (name, entry) in enumerate(summary.items(), start=1):
        axes = figure.add_subplot(len(summary), 1, place)
        # The usual ten colours are fewer than the rows of table 1.
        axes.set_prop_cycle(color=colormaps["tab20"](range(20)))
        nets = list(entry["recognisers"].items())
        series = [_series(net, table) for _, net in nets]
        for number, label in enumerate(series[0] if series else ()):
            asrs = [part[label] for part in series]
            where = np.arange(len(nets)) + (number - len(series[0]) / 2 + 0.5) * 0.85 / len(series[0])
            values = np.array([100 * a["value"] for a in asrs])
            ends = np.array([[100 * a["low"], 100 * a["high"]] for a in asrs]).T
            errors = np.maximum([values - ends[0], ends[1] - values], 0)
            axes.bar(where, values, 0.8 / len(series[0]), yerr=errors, capsize=2, label=label)
        axes.set_xticks(
            range(len(nets)), [f"{n}\nclean TAR {100 * _tar(e, table):.1f} %" for n, e in nets], fontsize=8
        )
        axes.set(title=f"{name}, {entry['pairs']} pairs, FAR 1e-3", ylabel="ASR, %", ylim=(-5, 105))
        axes.grid(axis="y", alpha=0.3)
        if place == 1:
            figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", fontsize=7)
    stream = io.BytesIO()
    figure.savefig(stream, dpi=100, metadata={"Software": ""})
    return stream.getvalue()


def _series(net: Mapping[str, Any], table: str) -> dict[str, Mapping[str, Any]]:
    if table == "table2":
        return {name: row["far"] for name, row in net["rows"].items()}
    return {
        f"{attack}, anchor {anchor}" if anchor else attack: row["far"]
        for anchor, attacks in net["rows"].items()
        for attack, row in attacks.items()
    }


def _tar(net: Mapping[str, Any], table: str) -> float:
    row = net["rows"]["makeup"] if table == "table2" else net["rows"][""][CONTROL]
    return float(row["far"]["clean_tar"])


def sheet(faces: Sequence[Variants]) -> bytes:
    """A line a face, columns as in the paper's figure 2 and the perturbation tenfold around grey; a PNG."""
    size = (len(COLUMNS) * (_CELL + _GAP), _HEAD + len(faces) * (_CELL + _GAP))
    page = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(page)
    for column, title in enumerate(COLUMNS):
        place = (column * (_CELL + _GAP) + 2, 3)
        draw.text(place, title, fill="black", font=ImageFont.load_default(12))
    for line, variants in enumerate(faces):
        for column, pixels in enumerate(_cells(variants)):
            exact = column == len(COLUMNS) - 1
            how = Image.Resampling.NEAREST if exact else Image.Resampling.LANCZOS
            cell = Image.fromarray(pixels).resize((_CELL, _CELL), how)
            page.paste(cell, (column * (_CELL + _GAP), _HEAD + line * (_CELL + _GAP)))
    stream = io.BytesIO()
    page.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _cells(variants: Variants) -> list[Pixels]:
    faces = (variants.plain, variants.painted, variants.adversarial, variants.both)
    difference = 10 * (variants.both - variants.painted)
    tenfold = np.clip(0.5 + difference, 0, 1).astype(np.float32)
    return [to_pixels(face) for face in (*faces, tenfold)]
