"""Accuracy beside the gap of each arm, with intervals: what lies lower right is better in both."""

from __future__ import annotations

import io
from collections.abc import Sequence

from cloud_server.augment.evaluate.bias.summary import BiasRow
from cloud_server.augment.evaluate.statistics import Interval

__all__ = ["bias_picture"]


def bias_picture(rows: Sequence[BiasRow], *, title: str) -> bytes:
    """A PNG: accuracy to the right, the equal opportunity gap upwards, both in %; controls are grey."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 5.5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for number, row in enumerate(rows):
        x, y = row.intervals["accuracy"], row.intervals["equal_opportunity"]
        colour, mark = ("gray", "s") if row.control else (f"C{number}", "o")
        axes.errorbar(
            100 * x.value,
            100 * y.value,
            xerr=_reach(x),
            yerr=_reach(y),
            fmt=mark,
            color=colour,
            ms=5,
            lw=1,
        )
        axes.annotate(row.arm, (100 * x.value, 100 * y.value), xytext=(6, 6), textcoords="offset points")
    axes.set_xlabel("accuracy over even groups, % (right is better)")
    axes.set_ylabel("equal opportunity difference, % (down is better)")
    axes.set_title(title)
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()


def _reach(one: Interval) -> list[list[float]]:
    # A bootstrap's interval need not hold the value itself when nothing is as good as no gap.
    return [[100 * max(one.value - one.low, 0.0)], [100 * max(one.high - one.value, 0.0)]]
