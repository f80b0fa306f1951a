"""The paper's equation 1 with an interval, and thresholds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cloud_server.intervals import wilson

__all__ = ["Asr", "attack_success", "best_threshold"]

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Asr:
    """Equation 1 and what it is made of; shares in [0,1].

    n_without, n_with: pairs that match without and with the perturbation. total: pairs. value: equation 1.
    low, high: its 95 % interval. clean_tar: n_without / total. protection: of the pairs that matched before,
    the share that no longer match (NaN when none did).
    """

    n_without: int
    n_with: int
    total: int
    value: float
    low: float
    high: float
    clean_tar: float
    protection: float


def attack_success(without: Sequence[bool] | Bools, with_: Sequence[bool] | Bools) -> Asr:
    """(N_without - N_with) / N_total over positive pairs.

    Args:
        without: whether each pair matches without the perturbation.
        with_: whether it matches with it, in the same order.

    Raises:
        ValueError: for none, or for different lengths.

    Source:
        The paper's equation 1. Interval: Newcombe 1998 (Statistics in Medicine 17:2635), method 8 for the
        difference of paired shares, which is no zero width where every pair agrees.
    """
    before, after = np.asarray(without, bool), np.asarray(with_, bool)
    if before.shape != after.shape or before.ndim != 1 or before.size == 0:
        raise ValueError(f"expected two equally long lists, not empty, got {before.shape} and {after.shape}")
    n, first, second = before.size, int(before.sum()), int(after.sum())
    low, high = _paired_interval(before, after)
    lost = int((before & ~after).sum())
    return Asr(
        n_without=first,
        n_with=second,
        total=n,
        value=(first - second) / n,
        low=low,
        high=high,
        clean_tar=first / n,
        protection=lost / first if first else math.nan,
    )


def _paired_interval(before: Bools, after: Bools) -> tuple[float, float]:
    n = before.size
    both, lost = int((before & after).sum()), int((before & ~after).sum())
    gained, neither = int((~before & after).sum()), int((~before & ~after).sum())
    p, q = before.mean(), after.mean()
    (p_low, p_high), (q_low, q_high) = wilson(both + lost, n), wilson(both + gained, n)
    product = float(both + lost) * (gained + neither) * (both + gained) * (lost + neither)
    phi = 0.0 if product == 0 else (both * neither - lost * gained) / math.sqrt(product)
    down, up = p - p_low, q_high - q
    low = p - q - math.sqrt(max(down * down - 2 * phi * down * up + up * up, 0.0))
    down, up = q - q_low, p_high - p
    high = p - q + math.sqrt(max(down * down - 2 * phi * down * up + up * up, 0.0))
    return float(max(low, -1.0)), float(min(high, 1.0))


def best_threshold(same: npt.ArrayLike, different: npt.ArrayLike) -> float:
    """The threshold of the highest accuracy: pairs of one person at or above it, those of two below.

    Args:
        same: similarities of pairs of one person.
        different: of pairs of two.

    Returns:
        the middle between the two similarities around the best cut, the lowest of equally good ones.

    Raises:
        ValueError: when either is empty.
    """
    one, two = np.sort(np.asarray(same, float)), np.sort(np.asarray(different, float))
    if one.size == 0 or two.size == 0:
        raise ValueError("best_threshold: expected similarities of both kinds")
    cuts = np.unique(np.concatenate([one, two]))
    # For each cut: accepted of one person, refused of two.
    right = (one.size - np.searchsorted(one, cuts)) + np.searchsorted(two, cuts)
    best = int(np.argmax(right))
    below = cuts[best - 1] if best else cuts[best]
    return float((cuts[best] + below) / 2)
