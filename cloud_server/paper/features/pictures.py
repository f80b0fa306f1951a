"""Pictures of figure 3, observation II and table 3."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cloud_server.paper.features.figure3 import Figure3
    from models.vision.training import Images

__all__ = ["draw_bars", "draw_figure3", "draw_table3"]


def draw_figure3(found: Figure3, images: Images) -> bytes:
    """PNG: the perturbations of the largest budget, a held-out image with each, and the curve over budgets.

    Args:
        found: the figures.
        images: uint8 N C H W, of which the first is shown.
    """
    from matplotlib.figure import Figure

    levels = max(found.levels)
    patterns, count = found.patterns[levels], len(found.classes)
    figure = Figure(figsize=(1.25 * count, 5.6), layout="constrained")
    grid = figure.add_gridspec(3, count, height_ratios=(1, 1, 1.6))
    for k, name in enumerate(found.classes):
        top, below = (figure.add_subplot(grid[row, k]) for row in (0, 1))
        top.imshow(
            np.clip(0.5 + patterns[k] * 255 / (2 * levels), 0, 1).transpose(1, 2, 0).squeeze(), cmap="gray"
        )
        top.set_title(name, fontsize=9)
        moved = np.clip(images[0] / 255 + patterns[k], 0, 1).transpose(1, 2, 0).squeeze()
        below.imshow(moved, cmap="gray", vmin=0, vmax=1)
        below.set_title(f"{found.success[levels][k]:.1%}", fontsize=8)
        for axes in (top, below):
            axes.set_axis_off()
    half = count // 2
    curve, blank = figure.add_subplot(grid[2, :half]), figure.add_subplot(grid[2, half:])
    for k, name in enumerate(found.classes):
        curve.plot(found.levels, [found.success[x][k] for x in found.levels], marker="o", label=name, lw=1)
        blank.plot(found.levels, [found.blank[x]["grey"][k] for x in found.levels], marker="o", lw=1)
    curve.plot(found.levels, [np.mean(found.noise[x]) for x in found.levels], "k--", label="random signs")
    for axes, title in ((curve, "held-out images named as the target"), (blank, "confidence on blank grey")):
        axes.set(title=title, xlabel="levels of 8 bits", ylim=(-0.03, 1.03))
        axes.title.set_fontsize(9)
    curve.legend(fontsize=6, ncols=2)
    return _png(figure)


def draw_bars(found: Mapping[str, float], paper: Mapping[str, float], *, chance: float) -> bytes:
    """PNG: accuracy of each network, here and in the paper, and chance."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(found))
    axes.bar(places - 0.2, list(found.values()), 0.4, label="here")
    known = [(k, paper[name]) for k, name in enumerate(found) if name in paper]
    axes.bar([k + 0.2 for k, _ in known], [value for _, value in known], 0.4, label="paper")
    axes.axhline(chance, color="black", ls=":", label="chance")
    axes.set_xticks(places, list(found))
    axes.set(ylabel="accuracy on original test images", ylim=(0, 1))
    axes.legend()
    return _png(figure)


def draw_table3(by_class: Mapping[str, Mapping[str, float]], rare: Sequence[str]) -> bytes:
    """PNG: accuracy of the rare classes by arm."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.add_subplot()
    width = 0.8 / len(by_class)
    for place, (arm, accuracy) in enumerate(by_class.items()):
        axes.bar(np.arange(len(rare)) + place * width, [accuracy[name] for name in rare], width, label=arm)
    axes.set_xticks(np.arange(len(rare)) + 0.4 - width / 2, list(rare))
    axes.set(ylabel="accuracy", ylim=(0, 1))
    axes.legend(fontsize=7, ncols=3)
    return _png(figure)


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()
