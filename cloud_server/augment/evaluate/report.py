"""A summary as JSON, Markdown and a picture."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from cloud_server.augment.evaluate.runner import Plan
from cloud_server.augment.evaluate.statistics import Interval
from cloud_server.augment.evaluate.summary import Row, Summary
from shared.files import storage_errors, write_atomically

__all__ = ["facts", "markdown", "write_report"]

_HEAD = (
    "arm",
    "rare %",
    "frequent %",
    "overall %",
    "difference: rare",
    "frequent",
    "overall",
    "verdict",
)


def write_report(plan: Plan, summary: Summary, *, note: str = "") -> tuple[Path, Path, Path]:
    """Write `evaluation.json`, `evaluation.md` and `evaluation.png` to the plan's folder.

    Args:
        plan: what was run.
        summary: what came of it.
        note: on the data, for example what they were encoded with.

    Raises:
        GoodnoiseError: when the folder cannot be written.
    """
    paths = tuple(plan.out / f"evaluation.{suffix}" for suffix in ("json", "md", "png"))
    content = {**facts(plan, note), **summary.as_json()}
    with storage_errors(plan.out, setting="--out"):
        write_atomically(paths[0], (json.dumps(content, indent=1) + "\n").encode())
        write_atomically(paths[1], markdown(plan, summary, note=note).encode())
        write_atomically(paths[2], _picture(summary))
    return paths[0], paths[1], paths[2]


def facts(plan: Plan, note: str = "") -> dict[str, Any]:
    """What was run, as plain values."""
    protocol, training = plan.protocol, plan.protocol.training
    return {
        "note": note,
        "frequent_images": protocol.frequent,
        "rare_images": protocol.rare,
        "tailed": protocol.tailed,
        "network": protocol.network,
        "updates": training.updates,
        "batch": training.batch,
        "augment": training.augment,
        "precision": training.precision,
        "seeds": list(plan.seeds),
    }


def markdown(plan: Plan, summary: Summary, *, note: str = "") -> str:
    """The report as a page."""
    known = facts(plan)
    tail = " (long tail)" if known["tailed"] else ""
    what = (
        f"Rare classes: {', '.join(summary.rare)}, {known['rare_images']} images each beside "
        f"{known['frequent_images']} of a frequent one{tail}. Every arm: network {known['network']!r}, "
        f"{known['updates']} updates of {known['batch']} images ({known['precision']}), "
        f"{len(plan.seeds)} seeds. {note}"
    )
    how = (
        f"Differences are to the control that is best on rare classes ({summary.best}), in percentage points "
        "with 95 % intervals of a paired bootstrap over seeds and test images."
    )
    lines = [
        "# What the augmentation was worth",
        "",
        f"**{summary.verdict}**",
        "",
        what.rstrip(),
        "",
        how,
        "",
        "| " + " | ".join(_HEAD) + " |",
        "|" + "---|" * len(_HEAD),
        *(_line(row) for row in summary.rows),
        "",
        *(f"- {row.arm}: {row.about}{_accepted(row)}" for row in summary.rows),
    ]
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    parts = ("rare", "frequent", "overall")
    shares = [f"{100 * row.accuracy[part]:.1f}" for part in parts]
    gaps = [_gap(row, part) for part in parts]
    said = "control" if row.control else str(row.verdict)
    return "| " + " | ".join([row.arm, *shares, *gaps, said]) + " |"


def _gap(row: Row, part: str) -> str:
    return "" if row.difference is None else str(row.difference[part])


def _accepted(row: Row) -> str:
    return f" ({100 * row.accepted:.0f} % of its samples reached their target)" if row.accepted else ""


def _picture(summary: Summary) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 1.4 + 0.34 * len(summary.rows)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2, sharey=True)
    for place, row in enumerate(reversed(summary.rows)):
        colour = "tab:gray" if row.control else "tab:blue"
        axes[0].plot(
            [100 * v for v in row.seeds["rare"]], [place] * len(row.seeds["rare"]), "o", c=colour, ms=3
        )
        axes[0].plot(100 * row.accuracy["rare"], place, "|", c=colour, ms=14, mew=2)
        for part, shift, shade in (("rare", 0.15, "tab:red"), ("frequent", -0.15, "tab:green")):
            _bar(axes[1], row.difference, part, place + shift, shade)
    axes[0].set_yticks(range(len(summary.rows)), [row.arm for row in reversed(summary.rows)])
    axes[0].set_xlabel("accuracy on rare classes, % (dots: seeds)")
    axes[1].axvline(0.0, color="black", lw=0.8)
    axes[1].set_xlabel(f"difference to {summary.best}, points: red rare, green frequent")
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()


def _bar(axes: Any, difference: dict[str, Interval] | None, part: str, place: float, colour: str) -> None:  # noqa: ANN401 - matplotlib's
    if difference is not None:
        one = difference[part]
        axes.plot([100 * one.low, 100 * one.high], [place, place], "-", c=colour)
        axes.plot(100 * one.value, place, "o", c=colour, ms=4)
