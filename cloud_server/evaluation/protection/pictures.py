"""Pictures of a run: protection against looks, and a contact sheet of originals and results at 100 %."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from shared.faces.detect import Face
from shared.files import write_atomically

__all__ = ["contact_sheet", "curve", "save_png"]

Pixels = npt.NDArray[np.uint8]

SIDE = 200
_HEAD = 34
# Of a recogniser's role.
_MARKERS = {"judge": "o", "grey": "^", "white": "s", "checker": "D"}


def save_png(path: Path, pixels: Pixels) -> None:
    """Write uint8 H W 3 without loss, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    write_atomically(path, stream.getvalue())


def contact_sheet(path: Path, faces: Sequence[tuple[Face, Mapping[str, Pixels]]]) -> None:
    """A line for each face: its surroundings of 200 x 200 pixels in each picture, untouched, titles above.

    Args:
        path: the PNG.
        faces: where the face is, and pictures of one size by title.
    """
    columns = max(len(pictures) for _, pictures in faces)
    sheet = Image.new("RGB", (columns * (SIDE + 4), len(faces) * (SIDE + _HEAD)), "white")
    draw = ImageDraw.Draw(sheet)
    for line, (face, pictures) in enumerate(faces):
        for column, (title, pixels) in enumerate(pictures.items()):
            left, top = column * (SIDE + 4), line * (SIDE + _HEAD)
            for number, part in enumerate(_wrapped(title)):
                draw.text(
                    (left + 2, top + 2 + 15 * number), part, fill="black", font=ImageFont.load_default(11)
                )
            sheet.paste(Image.fromarray(_surroundings(pixels, face)), (left, top + _HEAD))
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    write_atomically(path, stream.getvalue())


def _wrapped(title: str, width: int = 36) -> list[str]:
    """Two lines at most."""
    if len(title) <= width:
        return [title]
    cut = title.rfind(" ", 0, width)
    cut = width if cut <= 0 else cut
    return [title[:cut], title[cut:].strip()[:width]]


def _surroundings(pixels: Pixels, face: Face) -> Pixels:
    left, top, width, height = face.box
    side_y, side_x = min(SIDE, pixels.shape[0]), min(SIDE, pixels.shape[1])
    x = int(np.clip(left + width / 2 - side_x / 2, 0, pixels.shape[1] - side_x))
    y = int(np.clip(top + height / 2 - side_y / 2, 0, pixels.shape[0] - side_y))
    return np.ascontiguousarray(pixels[y : y + side_y, x : x + side_x])


def curve(path: Path, rows: Mapping[str, Mapping[str, Any]], *, condition: str = "shared") -> None:
    """Protection against PSNR, one panel a recogniser; a line joins rows that differ in the budget only.

    Args:
        path: the PNG.
        rows: of `summary.summarise`, by name.
        condition: whose protection is shown.
    """
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    names, colours = list(next(iter(rows.values()))["recognisers"]), colormaps["tab20"]
    series, lines = _series(rows), (len(names) + 1) // 2
    size = (6.2 * min(len(names), 2), 4.4 * lines + 0.12 * len(series) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    for number, name in enumerate(names):
        axes = figure.add_subplot(lines, min(len(names), 2), number + 1)
        for colour, members in enumerate(series.values()):
            _line(axes, colours(colour % 20), members, name, condition)
        axes.set(title=name, xlabel="PSNR over the face box, dB", ylabel=f"protection, {condition}, %")
        axes.set_ylim(-3, 103)
        axes.grid(alpha=0.3)
    handles = [Line2D([], [], color=colours(i % 20), label=label) for i, label in enumerate(series)]
    handles += [Line2D([], [], color="0.4", marker=m, linestyle="", label=r) for r, m in _MARKERS.items()]
    figure.legend(handles=handles, fontsize=7, loc="outside lower center", ncols=2)
    stream = io.BytesIO()
    figure.savefig(stream, dpi=110)
    write_atomically(path, stream.getvalue())


def _series(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Rows by everything but their budget's size."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for name, entry in rows.items():
        row = entry["row"]
        budget = str(row["budget"])
        rule = "auto" if budget in ("auto", "strong") else "L2" if budget.lower().endswith("db") else "sign"
        label = f"{' + '.join(row['surrogates'])}, {rule}"
        label += f"{', album' if row['album'] else ''}{'' if row['hints'] else ', no hints'}"
        label += "" if row["level"] in ("off", "pull") else f", level {row['level']}"
        found.setdefault(label if row["kind"] == "device" else name, []).append(entry)
    return found


def _line(axes: Any, colour: Any, members: Sequence[Mapping[str, Any]], name: str, condition: str) -> None:  # noqa: ANN401 - matplotlib's
    chosen = sorted((m for m in members if m["psnr"] is not None), key=lambda member: float(member["psnr"]))
    found = [member["recognisers"][name]["conditions"][condition] for member in chosen]
    share = np.array([100 * entry["protection"] for entry in found])
    ends = np.array([[100 * end for end in entry["interval"]] for entry in found]).reshape(-1, 2)
    errors = np.maximum([share - ends[:, 0], ends[:, 1] - share], 0)
    looks = [member["psnr"] for member in chosen]
    role = members[0]["recognisers"][name]["role"].partition(" ")[0]
    axes.errorbar(looks, share, yerr=errors, marker=_MARKERS[role], color=colour, capsize=2)
    for member, x, y in zip(chosen, looks, share, strict=True):
        place = {"xytext": (3, 3), "textcoords": "offset points"}
        axes.annotate(member["row"]["budget"], (x, y), fontsize=7, **place)
