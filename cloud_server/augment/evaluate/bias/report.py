"""What an evaluation against a bias says: figures, intervals, and plainly whether anything was gained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cloud_server.augment.evaluate.bias.metrics import METRICS, by_group, differences
from cloud_server.augment.evaluate.bias.runner import BiasResults
from cloud_server.augment.evaluate.statistics import Interval, Verdict
from shared.files import storage_errors, write_atomically

__all__ = ["BiasRow", "BiasSummary", "bias_markdown", "bias_verdict", "summarise_bias", "write_bias_report"]


@dataclass(frozen=True)
class BiasRow:
    """One arm.

    Args:
        arm: its name.
        about: what it is.
        control: whether recipes have to beat it.
        metrics: by fairlearn, the mean over seeds, in [0,1].
        intervals: of the same.
        difference: to the best control; None for that control itself.
        verdict: None for controls.
    """

    arm: str
    about: str
    control: bool
    metrics: dict[str, float]
    intervals: Mapping[str, Interval]
    difference: Mapping[str, Interval] | None
    verdict: Verdict | None


@dataclass(frozen=True)
class BiasSummary:
    """An evaluation. best: the control with the smallest equalized odds difference."""

    best: str
    rows: tuple[BiasRow, ...]

    @property
    def verdict(self) -> str:
        """Plainly, whether anything was gained."""
        helped = [row.arm for row in self.rows if row.verdict is Verdict.HELPED]
        traded = [row.arm for row in self.rows if row.verdict is Verdict.TRADED]
        if helped:
            return f"Augmentation helped: {', '.join(helped)} closed the gap further than {self.best}."
        if traded:
            return f"Augmentation only traded: {', '.join(traded)} closed the gap further and lost accuracy."
        return f"The augmentation did not help: no recipe closed the gap further than {self.best}."


def bias_verdict(gap: Interval, accuracy: Interval) -> Verdict:
    """What differences to the best control say: of the equalized odds gap, less is better, and accuracy."""
    if gap.low > 0.0:
        return Verdict.HARMED
    if gap.high >= 0.0:
        return Verdict.NOT_HELPED
    return Verdict.TRADED if accuracy.high < 0.0 else Verdict.HELPED


def summarise_bias(results: BiasResults) -> BiasSummary:
    """Metrics, intervals, differences to the best control, and verdicts.

    Raises:
        ValueError: when no arm is a control, or there are more than two classes.
    """
    test, controls = results.test, [arm.name for arm in results.plan.arms if arm.control]
    if not controls:
        raise ValueError("arms: give at least one control; without one nothing can be said")
    if len(test.classes) != 2:
        raise ValueError(f"bias: the metrics need two classes, got {', '.join(test.classes)}")
    metrics = {name: _mean_metrics(results, name) for name in results.predicted}
    best = min(controls, key=lambda name: metrics[name]["equalized_odds"])
    rows = []
    for arm in results.plan.arms:
        own, other = results.predicted[arm.name], results.predicted[best]
        gaps = None if arm.name == best else differences(test.labels, test.groups, own, other)
        judged = arm.control or gaps is None
        said = None if judged or gaps is None else bias_verdict(gaps["equalized_odds"], gaps["accuracy"])
        intervals = differences(test.labels, test.groups, own)
        rows.append(BiasRow(arm.name, arm.about, arm.control, metrics[arm.name], intervals, gaps, said))
    return BiasSummary(best, tuple(rows))


def _mean_metrics(results: BiasResults, name: str) -> dict[str, float]:
    test = results.test
    found = [by_group(test.labels, test.groups, one) for one in results.predicted[name]]
    return {metric: float(np.mean([one[metric] for one in found])) for metric in METRICS}


def write_bias_report(results: BiasResults, summary: BiasSummary, *, note: str = "") -> tuple[Path, Path]:
    """Write `bias-NAME.json` and `bias-NAME.md` to the plan's folder.

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
    paths = (plan.out / f"bias-{plan.name}.json", plan.out / f"bias-{plan.name}.md")
    with storage_errors(plan.out, setting="--out"):
        write_atomically(paths[0], (json.dumps(content, indent=1) + "\n").encode())
        write_atomically(paths[1], bias_markdown(results, summary, note=note).encode())
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
    return "\n".join([*lines, "", *(f"- {row.arm}: {row.about}" for row in summary.rows)]) + "\n"


def _line(row: BiasRow) -> str:
    shares = [_share(row.intervals[metric]) for metric in METRICS]
    gaps = ["", ""]
    if row.difference is not None:
        gaps = [str(row.difference["equalized_odds"]), str(row.difference["accuracy"])]
    return "| " + " | ".join([row.arm, *shares, *gaps, "control" if row.control else str(row.verdict)]) + " |"


def _share(one: Interval) -> str:
    return f"{100 * one.value:.1f} [{100 * one.low:.1f}, {100 * one.high:.1f}]"
