"""What the units of an evaluation add up to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cloud_server.augment.evaluate.runner import Results
from cloud_server.augment.evaluate.statistics import Interval, Verdict, paired_difference, verdict

__all__ = ["Row", "Summary", "summarise"]

_PARTS = ("rare", "frequent", "overall")


@dataclass(frozen=True)
class Row:
    """One arm.

    Args:
        arm: its name.
        about: what it is.
        control: whether recipes have to beat it.
        accuracy: by 'rare', 'frequent' and 'overall', the mean over seeds, in [0,1].
        seeds: the same for each seed.
        by_class: accuracy by the class' name.
        difference: to the best control, by the same three; None for that control itself.
        verdict: None for controls.
        accepted: share of its samples that reached their target, in [0,1].
        seconds: of one unit.
    """

    arm: str
    about: str
    control: bool
    accuracy: dict[str, float]
    seeds: dict[str, list[float]]
    by_class: dict[str, float]
    difference: dict[str, Interval] | None
    verdict: Verdict | None
    accepted: float
    seconds: float


@dataclass(frozen=True)
class Summary:
    """An evaluation. best: the control with the highest accuracy on the rare classes."""

    best: str
    rare: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def verdict(self) -> str:
        """Plainly, whether anything was gained."""
        helped = [row.arm for row in self.rows if row.verdict is Verdict.HELPED]
        traded = [row.arm for row in self.rows if row.verdict is Verdict.TRADED]
        if helped:
            return f"Augmentation helped: {', '.join(helped)} beat the best control ({self.best})."
        if traded:
            names = ", ".join(traded)
            return (
                f"Augmentation only traded: {names} beat {self.best} on rare classes and lost on the others."
            )
        elsewhere = [row.arm for row in self.rows if row.verdict is Verdict.ELSEWHERE]
        if elsewhere:
            return (
                f"No recipe certainly beat the best control ({self.best}) on rare classes; as good there and "
                f"better on the others: {', '.join(elsewhere)}."
            )
        return (
            f"The augmentation did not help: no recipe beat the best control ({self.best}) on rare classes."
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        rows = [asdict(row) for row in self.rows]
        return {"verdict": self.verdict, "best_control": self.best, "rare": list(self.rare), "rows": rows}


def summarise(results: Results) -> Summary:
    """Accuracies, differences to the best control with their intervals, and verdicts.

    Raises:
        ValueError: when no arm is a control.
    """
    right = {name: predicted == results.labels for name, predicted in results.predicted.items()}
    is_rare = np.isin(results.labels, results.rare)
    masks = {"rare": is_rare, "frequent": ~is_rare, "overall": np.ones_like(is_rare)}
    controls = [arm.name for arm in results.plan.arms if arm.control]
    if not controls:
        raise ValueError("arms: give at least one control; without one nothing can be said")
    best = max(controls, key=lambda name: right[name][:, is_rare].mean())
    rows = tuple(_row(results, i, right, best, masks) for i in range(len(results.plan.arms)))
    return Summary(best, tuple(results.classes[k] for k in results.rare), rows)


def _row(
    results: Results,
    index: int,
    right: dict[str, npt.NDArray[np.bool_]],
    best: str,
    masks: dict[str, npt.NDArray[np.bool_]],
) -> Row:
    arm = results.plan.arms[index]
    own, difference = right[arm.name], None
    if arm.name != best:
        difference = {
            part: paired_difference(own[:, mask], right[best][:, mask], results.labels[mask])
            for part, mask in masks.items()
        }
    said = None if arm.control or difference is None else verdict(difference["rare"], difference["frequent"])
    return Row(
        arm.name,
        arm.about,
        arm.control,
        {part: float(own[:, mask].mean()) for part, mask in masks.items()},
        {part: [float(one[mask].mean()) for one in own] for part, mask in masks.items()},
        {name: float(own[:, results.labels == k].mean()) for k, name in enumerate(results.classes)},
        difference,
        said,
        results.accepted[arm.name],
        results.seconds[arm.name] / len(results.plan.seeds),
    )
