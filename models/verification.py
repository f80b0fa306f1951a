"""Verification: thresholds at a false accept rate, and accuracy on labelled pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.lfw import Pair
from shared.cards import Card, Metric, Threshold
from shared.errors import Code, GoodnoiseError

__all__ = ["CALIBRATION_SETS", "Accuracy", "accuracy", "measure_threshold"]

Floats = npt.NDArray[np.float32]

# Of LFW's sets; 1 to 3 are for reporting and never decide anything.
CALIBRATION_SETS = (4, 5, 6)
_BLOCK = 512


@dataclass(frozen=True)
class Accuracy:
    """Verification figures on labelled pairs, shares in [0,1].

    `best` is the mean over folds, each judged by the threshold that is best on the other folds (NaN for one
    fold); `tar` and `far` are at the card's threshold; `skipped` counts pairs with a photo in which no face
    was found.
    """

    pairs: int
    skipped: int
    best: float
    tar: float
    far: float


def measure_threshold(
    vectors: Floats,
    people: Sequence[str],
    metric: Metric,
    *,
    far: float,
    data: str,
    same: Sequence[tuple[int, int]] = (),
) -> Threshold:
    """The threshold at which at most `far` of all pairs of different people match.

    Args:
        vectors: embeddings, n D; rows of NaN are left out.
        people: the person of each row.
        metric: how vectors are compared.
        far: false accept rate, in (0, 1).
        data: what the photos are, for the card.
        same: pairs of rows to take the true accept rate from; all pairs of one person when empty.

    Raises:
        GoodnoiseError: PRECONDITION when there are fewer than 10 / far pairs of different people.
    """
    kept = np.flatnonzero(~np.isnan(vectors).any(axis=1))
    _, identity = np.unique(np.asarray(people)[kept], return_inverse=True)
    impostors, genuine = _all_scores(vectors[kept], identity, metric)
    if impostors.size < 10 / far:
        raise GoodnoiseError(
            Code.PRECONDITION,
            f"{impostors.size} pairs of different people are too few for a false accept rate of {far:g}; "
            f"give photos for {round(10 / far)} or more",
        )
    accepted = int(far * impostors.size)
    value = float(np.partition(impostors, -accepted)[-accepted])
    if same:
        chosen = np.array(same)
        genuine = _scores(vectors[chosen[:, 0]], vectors[chosen[:, 1]], metric)
        genuine = genuine[~np.isnan(genuine)]
    tar = float(np.mean(genuine >= value)) if genuine.size else float("nan")
    text = f"{data}: {impostors.size} pairs of different people, TAR over {genuine.size} pairs of one person"
    return Threshold(value if metric == "cosine" else -value, far, tar, text)


def _all_scores(vectors: Floats, identity: npt.NDArray[np.intp], metric: Metric) -> tuple[Floats, Floats]:
    """Scores (higher is nearer) of all pairs, of different people and of one."""
    different, equal = [], []
    columns = np.arange(len(vectors))
    for start in range(0, len(vectors), _BLOCK):
        rows = columns[start : start + _BLOCK]
        scores = _cross_scores(vectors[rows], vectors, metric)
        later = columns[None, :] > rows[:, None]
        one_person = identity[rows][:, None] == identity[None, :]
        different.append(scores[later & ~one_person])
        equal.append(scores[later & one_person])
    return np.concatenate(different), np.concatenate(equal)


def _cross_scores(a: Floats, b: Floats, metric: Metric) -> Floats:
    products = a @ b.T
    if metric == "cosine":
        return np.asarray(products, np.float32)
    squares = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None, :] - 2 * products
    return np.asarray(-np.sqrt(np.maximum(squares, 0)), np.float32)


def _scores(a: Floats, b: Floats, metric: Metric) -> Floats:
    # As in `_cross_scores`: higher is nearer, so distances are negative.
    if metric == "cosine":
        return np.asarray((a * b).sum(axis=1))
    return np.asarray(-np.sqrt(((a - b) ** 2).sum(axis=1)))


def accuracy(vectors: Floats, keys: Sequence[str], pairs: Sequence[Pair], card: Card) -> Accuracy:
    """Verification accuracy of a network on labelled pairs."""
    row = {key: index for index, key in enumerate(keys)}
    first = vectors[[row[pair.first] for pair in pairs]]
    second = vectors[[row[pair.second] for pair in pairs]]
    scores = _scores(first, second, card.metric)
    usable = ~np.isnan(scores)
    scores = scores[usable]
    same = np.array([pair.same for pair in pairs])[usable]
    folds = np.array([pair.fold for pair in pairs])[usable]
    matched = np.full(len(scores), np.nan)
    if card.threshold is not None:
        sign = 1.0 if card.metric == "cosine" else -1.0
        matched = (scores >= sign * card.threshold.value).astype(float)
    return Accuracy(
        pairs=len(scores),
        skipped=int((~usable).sum()),
        best=_cross_validated(scores, same, folds),
        tar=float(matched[same].mean()),
        far=float(matched[~same].mean()),
    )


def _cross_validated(scores: Floats, same: npt.NDArray[np.bool_], folds: npt.NDArray[np.int_]) -> float:
    if len(np.unique(folds)) < 2:
        return float("nan")
    right = []
    for fold in np.unique(folds):
        held = folds == fold
        value = _best_threshold(scores[~held], same[~held])
        right.append(float(np.mean((scores[held] >= value) == same[held])))
    return float(np.mean(right))


def _best_threshold(scores: Floats, same: npt.NDArray[np.bool_]) -> float:
    order = np.argsort(-scores, kind="stable")
    # Accepting the i nearest pairs: those of one person among them are right, and those of two behind them.
    accepted = np.concatenate([[0], np.cumsum(same[order])])
    rejected = (~same).sum() - np.concatenate([[0], np.cumsum(~same[order])])
    best = int(np.argmax(accepted + rejected))
    ranked = np.concatenate([[np.inf], scores[order]])
    after = ranked[best + 1] if best + 1 < len(ranked) else -np.inf
    return float(ranked[best]) if not np.isfinite(after) or best == 0 else float((ranked[best] + after) / 2)
