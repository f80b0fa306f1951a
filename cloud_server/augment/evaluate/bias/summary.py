"""What an evaluation against a bias comes to: metrics, differences to controls, and verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from cloud_server.augment.evaluate.bias.arms import BiasArm
from cloud_server.augment.evaluate.bias.metrics import METRICS, by_group, differences
from cloud_server.augment.evaluate.bias.runner import BiasResults
from cloud_server.augment.evaluate.statistics import Interval, Verdict

__all__ = ["BiasRow", "BiasSummary", "bias_verdict", "summarise_bias"]


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
        beside: for a recipe, the differences to each control by its name.
    """

    arm: str
    about: str
    control: bool
    metrics: dict[str, float]
    intervals: Mapping[str, Interval]
    difference: Mapping[str, Interval] | None
    verdict: Verdict | None
    beside: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)


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
    rows = tuple(_row(results, arm, metrics[arm.name], best, controls) for arm in results.plan.arms)
    return BiasSummary(best, rows)


def _row(
    results: BiasResults, arm: BiasArm, metrics: dict[str, float], best: str, controls: list[str]
) -> BiasRow:
    others = [name for name in ([best] if arm.control else controls) if name != arm.name]
    gaps = {name: _differences(results, arm.name, name) for name in others}
    to_best = gaps.get(best)
    said = None
    if not arm.control and to_best is not None:
        said = bias_verdict(to_best["equalized_odds"], to_best["accuracy"])
    beside = {} if arm.control else gaps
    return BiasRow(
        arm.name,
        arm.about,
        arm.control,
        metrics,
        _differences(results, arm.name, None),
        to_best,
        said,
        beside,
    )


def _differences(results: BiasResults, name: str, other: str | None) -> Mapping[str, Interval]:
    test, theirs = results.test, None if other is None else results.predicted[other]
    return differences(test.labels, test.groups, results.predicted[name], theirs)


def _mean_metrics(results: BiasResults, name: str) -> dict[str, float]:
    test = results.test
    found = [by_group(test.labels, test.groups, one) for one in results.predicted[name]]
    return {metric: float(np.mean([one[metric] for one in found])) for metric in METRICS}
