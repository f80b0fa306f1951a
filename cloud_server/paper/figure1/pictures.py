"""The figure: (a), (b) example images at each level, (c), (d) accuracy by level; and accuracy over RMSE."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cloud_server.paper.figure1.settings import SIDE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Curve", "curves_over_rmse", "figure", "strip"]

Levels = npt.NDArray[np.uint8]
# A curve's accuracies with their ends, by level.
Curve = Sequence[Mapping[str, Any]]

_COLOURS = {"clean": "tab:red", "noise": "tab:blue", "heavy": "tab:green"}
_LINES = {"lstm": "-", "cnn": "--"}
_OTHERS = {
    "tesseract": ("tab:brown", "-."),
    "ddddocr": ("tab:purple", "-."),
    "ppocr-v6-rec": ("tab:pink", "-."),
}


def figure(
    summary: Mapping[str, Any],
    examples: Mapping[str, Sequence[Levels]],
    people: Mapping[str, Curve] | None = None,
) -> bytes:
    """Four panels as in the paper; a PNG.

    Args:
        summary: of `summarise`.
        examples: rows of images at levels 0 and up, uint8 1+L S S each, for 'fgsm' and 'gaussian'.
        people: their curves by distortion, where a study was made.
    """
    drawn = _figure(13, 10.5)
    top, bottom = drawn.subfigures(2, 1, squeeze=False, height_ratios=(0.42, 0.58))[:, 0]
    left, right = top.subplots(1, 2)
    _examples(left, examples["fgsm"], "(a) FGSM steps on lstm-noise, by level")
    _examples(right, examples["gaussian"], "(b) Gaussian noise, by level")
    left, right = bottom.subplots(1, 2, sharey=True)
    _by_level(left, "(c) adversarial: own gradients; public readers: lstm-noise's", _adversarial(summary))
    _by_level(right, "(d) Gaussian noise, clipped at each addition", _curves(summary["units"]["gaussian"]))
    for axes, name in ((left, "fgsm"), (right, "gaussian")):
        if people and name in people:
            seen = [level for level, share in enumerate(people[name]) if share["value"] is not None]
            _plot(axes, seen, [people[name][level] for level in seen], "people (study)", "black", "-")
    bottom.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize=8)
    return _png(drawn)


def curves_over_rmse(summary: Mapping[str, Any], nets: Sequence[str]) -> bytes:
    """Accuracy over the RMSE of the distortion, a panel a recogniser; a PNG.

    Args:
        summary: of `summarise`.
        nets: recognisers trained here; each panel holds noise, its own gradients, and those of another body.
    """
    drawn = _figure(13, 8)
    panels = drawn.subplots(2, (len(nets) + 1) // 2, sharex=True, sharey=True)
    for axes, net in zip(panels.flat, nets, strict=False):
        for label, unit, colour in _over(summary["units"], net):
            _plot(axes, unit["rmse"], unit["read"][net], label, colour, "-")
        gaussian = summary["units"]["gaussian"]
        _plot(axes, gaussian["rmse"], gaussian["observer"], "observer (proxy), Gaussian", "0.6", ":")
        own = summary["units"][f"fgsm of {net}"]
        _plot(axes, own["rmse"], own["observer"], "observer (proxy), own FGSM", "black", ":")
        axes.set(title=f"read by {net}", xlabel="RMSE of the distortion, share of the range")
        axes.grid(alpha=0.3)
    for axes in panels[:, 0]:
        axes.set(ylabel="letters read, %", ylim=(-3, 103))
    drawn.legend(*panels.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    return _png(drawn)


def strip(images: Levels) -> Levels:
    """Images 1+L S S side by side with white between them."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)), constant_values=255)
    return np.concatenate(list(padded), axis=1)


def _over(units: Mapping[str, Any], net: str) -> list[tuple[str, Mapping[str, Any], str]]:
    body, noise = net.split("-")
    other = f"{'cnn' if body == 'lstm' else 'lstm'}-{noise}"
    return [
        ("Gaussian noise", units["gaussian"], "tab:blue"),
        ("Gaussian noise, clipped once", units["gaussian-sum"], "tab:green"),
        ("random signs (control)", units["signs"], "tab:cyan"),
        ("own FGSM, gradient at each step", units[f"fgsm of {net}"], "tab:red"),
        ("own FGSM, gradient once", units[f"fgsm-once of {net}"], "tab:orange"),
        ("FGSM of the other body", units[f"fgsm of {other}"], "tab:purple"),
    ]


def _adversarial(summary: Mapping[str, Any]) -> dict[str, Curve]:
    shown = summary["units"]["fgsm of lstm-noise"]
    found = _curves(shown)
    return {
        name: summary["units"].get(f"fgsm of {name}", {"read": {name: curve}})["read"].get(name, curve)
        for name, curve in found.items()
    }


def _curves(unit: Mapping[str, Any]) -> dict[str, Curve]:
    return {**unit["read"], "observer (proxy)": unit["observer"]}


def _by_level(axes: Axes, title: str, curves: Mapping[str, Curve]) -> None:
    for name, shares in curves.items():
        body, _, noise = name.partition("-")
        if body in _LINES and noise in _COLOURS:
            _plot(axes, range(len(shares)), shares, name, _COLOURS[noise], _LINES[body])
        else:
            _plot(axes, range(len(shares)), shares, name, *_OTHERS.get(name, ("0.5", ":")))
    axes.set(title=title, xlabel="level", ylabel="letters read, %", ylim=(-3, 103))
    axes.grid(alpha=0.3)


def _plot(axes: Axes, at: Sequence[float], shares: Curve, label: str, colour: str, line: str) -> None:
    values = [100 * share["value"] for share in shares]
    axes.plot(at, values, line, color=colour, label=label, marker="o", markersize=3, linewidth=1.3)
    low, high = ([100 * share[end] for share in shares] for end in ("low", "high"))
    axes.fill_between(at, low, high, color=colour, alpha=0.12, linewidth=0)


def _examples(axes: Axes, rows: Sequence[Levels], title: str) -> None:
    page = np.concatenate([strip(row) for row in rows], axis=0)
    axes.imshow(page, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    cell = SIDE + 2
    axes.set_xticks(
        [cell * (level + 0.5) for level in range(len(rows[0]))],
        [str(level) for level in range(len(rows[0]))],
        fontsize=8,
    )
    axes.set_yticks([])
    axes.set_title(title, fontsize=10)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(drawn)
    return drawn


def _png(drawn: Figure) -> bytes:
    stream = io.BytesIO()
    drawn.savefig(stream, dpi=100, metadata={"Software": ""})
    # A palette is enough for curves and grey letters, and a third of the size.
    palette = Image.open(stream).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small = io.BytesIO()
    palette.save(small, "PNG", optimize=True)
    return small.getvalue()
