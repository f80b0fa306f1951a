"""Accuracy and gaps of each arm with their intervals, as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence

from cloud_server.augment.evaluate.bias.summary import BiasRow

__all__ = ["bias_picture"]

_PANELS = {
    "accuracy": "accuracy, % (right is better)",
    "worst": "worst class in a group, % (right is better)",
    "equal_opportunity": "equal opportunity difference, % (left is better)",
}


def bias_picture(rows: Sequence[BiasRow], *, title: str) -> bytes:
    """A PNG: a line an arm, a panel a metric; controls are grey."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.0, 1.4 + 0.34 * len(rows)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(_PANELS), sharey=True)
    for axes, (metric, said) in zip(panels, _PANELS.items(), strict=True):
        for place, row in enumerate(reversed(rows)):
            one, colour = row.intervals[metric], "tab:gray" if row.control else "tab:blue"
            axes.plot([100 * one.low, 100 * one.high], [place, place], "-", c=colour, lw=2)
            axes.plot(100 * one.value, place, "o", c=colour, ms=5)
        axes.set_xlabel(said)
        axes.grid(axis="x", lw=0.4)
    panels[0].set_yticks(range(len(rows)), [row.arm for row in reversed(rows)])
    figure.suptitle(title)
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()
