"""What an evaluation against a bias says: figures, intervals, and plainly whether anything was gained."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cloud_server.augment.evaluate.bias.metrics import METRICS
from cloud_server.augment.evaluate.bias.picture import bias_picture
from cloud_server.augment.evaluate.bias.runner import BiasResults
from cloud_server.augment.evaluate.bias.summary import BiasRow, BiasSummary
from cloud_server.augment.evaluate.statistics import Interval
from shared.files import storage_errors, write_atomically

__all__ = ["bias_markdown", "write_bias_report"]


def write_bias_report(results: BiasResults, summary: BiasSummary, *, note: str = "") -> tuple[Path, ...]:
    """Write `bias-NAME.json`, `bias-NAME.md` and `bias-NAME.png` to the plan's folder.

    Raises:
        GoodnoiseError: when the folder cannot be written.
    """
    plan = results.plan
    content: dict[str, Any] = {
        "data": plan.name,
        "note": note,
        "train_cells": results.train_cells.tolist(),
        "network": plan.network,
        "updates": plan.training.updates,
        "batch": plan.training.batch,
        "seeds": list(plan.seeds),
        "verdict": summary.verdict,
        "best_control": summary.best,
        "rows": [asdict(row) for row in summary.rows],
    }
    paths = tuple(plan.out / f"bias-{plan.name}.{suffix}" for suffix in ("json", "md", "png"))
    title = f"{plan.name}, {plan.training.updates} updates, {len(plan.seeds)} seeds"
    with storage_errors(plan.out, setting="--out"):
        write_atomically(paths[0], (json.dumps(content, indent=1) + "\n").encode())
        write_atomically(paths[1], bias_markdown(results, summary, note=note).encode())
        write_atomically(paths[2], bias_picture(summary.rows, title=title))
    return paths


def bias_markdown(results: BiasResults, summary: BiasSummary, *, note: str = "") -> str:
    """The report as a page."""
    plan, names = results.plan, results.test
    cells = "; ".join(
        f"{name}: " + ", ".join(f"{n} {g}" for n, g in zip(row, names.group_names, strict=True))
        for name, row in zip(names.classes, results.train_cells, strict=True)
    )
    what = (
        f"Training images: {cells}. Every arm: network {plan.network!r}, {plan.training.updates} updates of "
        f"{plan.training.batch} images, {len(plan.seeds)} seeds. {note}"
    )
    how = (
        f"In %, with 95 % intervals over seeds and test images; differences to the control with the smallest "
        f"gap ({summary.best}) are paired. Gap: equalized odds difference; opportunity: that of true "
        "positive rates; worst: least accuracy of a class in a group. All by fairlearn; test groups are even."
    )
    head = ("arm", "accuracy", "worst", "gap", "opportunity", "gap to best", "accuracy to best", "verdict")
    lines = [f"# Against a bias: {plan.name}", "", f"**{summary.verdict}**", "", what.rstrip(), "", how, ""]
    lines += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *(_line(row) for row in summary.rows)]
    lines += ["", *(f"- {row.arm}: {row.about}" for row in summary.rows), "", *_beside(summary)]
    return "\n".join(lines) + "\n"


def _beside(summary: BiasSummary) -> Iterator[str]:
    """Each recipe's difference to each control, so that none is picked out."""
    yield "Differences of the recipes to each control, paired, in points:"
    yield ""
    yield "| recipe | control | accuracy | worst | gap | opportunity |"
    yield "|---|---|---|---|---|---|"
    for row in summary.rows:
        for name, found in row.beside.items():
            yield "| " + " | ".join([row.arm, name, *(str(found[metric]) for metric in METRICS)]) + " |"


def _line(row: BiasRow) -> str:
    shares = [_share(row.intervals[metric]) for metric in METRICS]
    gaps = ["", ""]
    if row.difference is not None:
        gaps = [str(row.difference["equalized_odds"]), str(row.difference["accuracy"])]
    return "| " + " | ".join([row.arm, *shares, *gaps, "control" if row.control else str(row.verdict)]) + " |"


def _share(one: Interval) -> str:
    return f"{100 * one.value:.1f} [{100 * one.low:.1f}, {100 * one.high:.1f}]"
