"""Rank-1 and TAR at FAR 1e-2 of scores between probes and a gallery, with 95 % intervals over people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cloud_server.intervals import wilson

__all__ = ["FAR", "Measured", "Share", "area_under_curve", "measure", "measured_from"]

Floats = npt.NDArray[np.float32]
FAR = 1e-2
_DRAWS = 2000
# Fewer people than this among the hits, and the bootstrap's interval is too narrow.
_FEW = 5


@dataclass(frozen=True)
class Share:
    """A share in [0,1] with its 95 % interval (bootstrap over people) and what chance gives."""

    value: float
    low: float
    high: float
    chance: float


@dataclass(frozen=True)
class Measured:
    """What an attacker reached.

    Args:
        people: in the gallery.
        probes: that were tried; each draw of noise counts.
        rank1: how often the right person scored highest.
        tar: how often the right person was accepted at FAR 1e-2.
        auc: how often a true pair scored above a false one.
    """

    people: int
    probes: int
    rank1: Share
    tar: Share
    auc: float

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def measured_from(raw: Mapping[str, Any]) -> Measured:
    """What `to_json` gave."""
    shares = {"rank1": Share(**raw["rank1"]), "tar": Share(**raw["tar"])}
    return Measured(people=raw["people"], probes=raw["probes"], auc=raw["auc"], **shares)


def measure(scores: Floats, owner: npt.NDArray[np.intp] | None = None, *, seed: int = 0) -> Measured:
    """From scores of N probes against the photos of P people.

    Equal scores count as the share of their order that would be right, so that an attacker who answers the
    same for all is exactly at chance.

    Args:
        scores: N P.
        owner: column of each probe's person; None where probe i is of person i.
        seed: of the bootstrap, which draws people and not probes.

    Raises:
        ValueError: for fewer than two people.
    """
    count, people = scores.shape
    if people < 2:
        raise ValueError(f"scores are of {people} people, expected two or more")
    of = np.arange(count) if owner is None else owner
    own = scores[np.arange(count), of]
    mask = np.ones(scores.shape, bool)
    mask[np.arange(count), of] = False
    others = scores[mask]
    rank1 = np.where((scores > own[:, None]).any(axis=1), 0.0, 1.0 / (scores == own[:, None]).sum(axis=1))
    return Measured(
        people,
        count,
        _share(rank1, of, 1.0 / people, seed=seed),
        _share(_accepted(others, own), of, FAR, seed=seed),
        area_under_curve(own, others),
    )


def area_under_curve(own: Floats, others: Floats) -> float:
    """How often a true pair scores above a false one; equal scores count half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, own, side="left") + np.searchsorted(ordered, own, side="right")
    return float(below.mean() / (2 * len(ordered)))


def _accepted(others: Floats, own: Floats) -> npt.NDArray[np.float64]:
    """How far each true pair is accepted at FAR 1e-2; ties at the threshold count in part."""
    at = max(1, int(FAR * len(others)))
    threshold = np.partition(others, len(others) - at)[len(others) - at]
    over, equal = float(np.mean(others > threshold)), float(np.mean(others == threshold))
    part = min(1.0, max(0.0, (FAR - over) / equal))
    return np.where(own > threshold, 1.0, np.where(own == threshold, part, 0.0))


def _share(hits: npt.NDArray[np.float64], owner: npt.NDArray[np.intp], chance: float, *, seed: int) -> Share:
    people, at = np.unique(owner, return_inverse=True)
    sums, counts = np.bincount(at, hits), np.bincount(at)
    drawn = np.random.default_rng(seed).multinomial(
        len(people), np.full(len(people), 1 / len(people)), _DRAWS
    )
    shares = (drawn @ sums) / (drawn @ counts)
    low, high = (float(np.quantile(shares, q)) for q in (0.025, 0.975))
    whole = float(hits.mean())
    if min(int((sums > 0).sum()), int((sums < counts).sum())) < _FEW:
        wide = wilson(whole * len(people), len(people))
        low, high = min(low, wide[0]), max(high, wide[1])
    # Means of equal numbers differ in their last digit.
    return Share(whole, min(low, whole), max(high, whole), chance)
