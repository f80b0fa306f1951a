"""Accuracy and fairness of answers about images with groups, with intervals."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from cloud_server.augment.evaluate.statistics import Interval
from models.vision.training import Labels

__all__ = ["METRICS", "Rates", "by_group", "differences", "measured", "rates_of"]

# Of a positive answer, ... D 2 G: for each class its share in each group.
Rates = npt.NDArray[np.float64]
METRICS = ("accuracy", "worst", "equalized_odds", "equal_opportunity")
_DRAWS = 2000


def by_group(labels: Labels, groups: Labels, predicted: Labels) -> dict[str, float]:
    """The four metrics by fairlearn, for two classes, of which the second is the positive one.

    Accuracy; the least accuracy of a class in a group; the equalized odds difference; the difference of true
    positive rates (equal opportunity). All in [0,1].
    """
    from fairlearn.metrics import MetricFrame, equal_opportunity_difference, equalized_odds_difference

    def accuracy(truth: npt.ArrayLike, answers: npt.ArrayLike) -> float:
        return float(np.mean(np.asarray(truth) == np.asarray(answers)))

    cells = labels * (int(groups.max()) + 1) + groups
    frame = MetricFrame(metrics=accuracy, y_true=labels, y_pred=predicted, sensitive_features=cells)
    given = {"y_true": labels, "y_pred": predicted, "sensitive_features": groups}
    return {
        "accuracy": float(frame.overall),
        "worst": float(frame.group_min()),
        "equalized_odds": float(equalized_odds_difference(**given)),
        "equal_opportunity": float(equal_opportunity_difference(**given)),
    }


def rates_of(
    labels: Labels, groups: Labels, predicted: Labels, *, seed: int = 0, draws: int = _DRAWS
) -> tuple[Rates, Rates]:
    """Rates of positive answers as they are (S 2 G), and under draws of test images anew (D S 2 G).

    Images are drawn within class and group; the same seed draws the same images for every arm.

    Args:
        labels: N.
        groups: N.
        predicted: S N, for S seeds.
        seed: of the bootstrap.
        draws: D.
    """
    rng = np.random.default_rng([seed, 41])
    count = int(groups.max()) + 1
    plain, drawn = np.zeros((len(predicted), 2, count)), np.zeros((draws, len(predicted), 2, count))
    for k in range(2):
        for g in range(count):
            cell = (predicted[:, (labels == k) & (groups == g)] == 1).astype(np.float64)
            size = cell.shape[1]
            times = rng.multinomial(size, np.full(size, 1.0 / size), size=draws)
            plain[:, k, g], drawn[:, :, k, g] = cell.mean(axis=1), times @ cell.T / size
    return plain, drawn


def measured(rates: Rates, shares: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.float64]]:
    """The metrics of rates ... 2 G; `shares` (2 G) of the test images weight the accuracy."""
    right = np.stack([1.0 - rates[..., 0, :], rates[..., 1, :]], axis=-2)
    gaps = rates.max(axis=-1) - rates.min(axis=-1)
    return {
        "accuracy": (right * shares).sum(axis=(-2, -1)),
        "worst": right.min(axis=(-2, -1)),
        "equalized_odds": gaps.max(axis=-1),
        "equal_opportunity": gaps[..., 1],
    }


def differences(
    labels: Labels,
    groups: Labels,
    predicted: Labels,
    other: Labels | None = None,
    *,
    seed: int = 0,
) -> Mapping[str, Interval]:
    """The metrics with 95 % intervals, or the differences from another arm's.

    Seeds are drawn again, and test images within class and group.

    Args:
        labels: N.
        groups: N.
        predicted: S N.
        other: S N of the same seeds; None for the metrics themselves.
        seed: of the bootstrap.
    """
    shares = np.zeros((2, int(groups.max()) + 1))
    np.add.at(shares, (labels, groups), 1.0 / len(labels))
    chosen = np.random.default_rng([seed, 42]).integers(0, len(predicted), (_DRAWS, len(predicted)))
    plain, drawn = (measured(rates, shares) for rates in rates_of(labels, groups, predicted, seed=seed))
    if other is not None:
        base = tuple(measured(rates, shares) for rates in rates_of(labels, groups, other, seed=seed))
        plain = {name: plain[name] - base[0][name] for name in METRICS}
        drawn = {name: drawn[name] - base[1][name] for name in METRICS}
    return {name: _interval(plain[name], np.take_along_axis(drawn[name], chosen, 1)) for name in METRICS}


def _interval(plain: npt.NDArray[np.float64], drawn: npt.NDArray[np.float64]) -> Interval:
    low, high = np.quantile(drawn.mean(axis=1), [0.025, 0.975])
    return Interval(float(plain.mean()), float(low), float(high))
