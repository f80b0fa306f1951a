"""From results of pairs to figures: protection rate, ASR, clean TAR, intervals, a hint's quality."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from cloud_server.evaluation.protection.conditions import CONDITIONS
from cloud_server.evaluation.protection.recognisers import Recogniser
from cloud_server.evaluation.protection.rows import Row, role_of
from cloud_server.intervals import wilson

__all__ = ["Results", "hint_quality", "rates", "summarise"]

# By the pair's name: what `run` writes into the journal.
Results = Mapping[str, Mapping[str, Any]]

_DRAWS = 4000


def rates(results: Results, name: str, threshold: float) -> dict[str, Any]:
    """One recogniser's figures over pairs in which both faces were found.

    Returns:
        `clean_tar` with `clean_interval`, and by condition `protection` (of the pairs that matched before,
        the share that no longer match) with `interval`, and `asr` (equation 1 of the paper: matches lost over
        all pairs, those won by the change subtracted).
    """
    kept = [result for result in results.values() if "missing" not in result]
    matched = [result for result in kept if result["before"][name] >= threshold]
    conditions = {}
    for condition in CONDITIONS:
        lost = sum(result["after"][condition][name] < threshold for result in matched)
        still = sum(result["after"][condition][name] >= threshold for result in kept)
        conditions[condition] = {
            "protection": lost / max(len(matched), 1),
            "interval": _interval(lost, len(matched)),
            "asr": (len(matched) - still) / max(len(kept), 1),
        }
    return {
        "threshold": threshold,
        "matched_before": len(matched),
        "clean_tar": len(matched) / max(len(kept), 1),
        "clean_interval": _interval(len(matched), len(kept)),
        "conditions": conditions,
    }


def _interval(hits: int, total: int) -> tuple[float, float]:
    """Nothing is known of none."""
    return wilson(hits, total) if total else (0.0, 1.0)


def summarise(
    row: Row, results: Results, recognisers: Sequence[Recogniser], *, bytes_down: int
) -> dict[str, Any]:
    """A row's entry in the table.

    Args:
        row: its settings.
        results: of one pair or more, not all of them missing.
        recognisers: who was asked.
        bytes_down: size of the bundle.
    """
    kept = [result for result in results.values() if "missing" not in result]
    asked = {
        r.name: {"role": role_of(r.name, row), **rates(results, r.name, r.threshold)} for r in recognisers
    }
    return {
        "row": asdict(row),
        "pairs": len(kept),
        "missing": len(results) - len(kept),
        "recognisers": asked,
        **{key: _mean([result.get(key) for result in kept]) for key in ("psnr", "ssim", "seconds", "calls")},
        "levels": max(result["levels"] for result in kept),
        "device_says_protected": _mean([result.get("protected") for result in kept]),
        "bytes_down": bytes_down,
        "profile": row.profile if bytes_down else None,
        "hints": dict(Counter(result["hint"] for result in kept if "hint" in result)),
        "bytes_up": _mean([result.get("bytes_up") for result in kept]),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [float(value) for value in values if value is not None]
    return float(np.mean(known)) if known else None


def hint_quality(
    alone: Results, hint: Results, ensemble: Results, judge: Recogniser, *, condition: str, seed: int = 0
) -> dict[str, Any]:
    """(hint - surrogates alone) / (ensemble with the raw image - surrogates alone) on one judge.

    Args:
        alone: the row of the surrogates alone.
        hint: the row with the hint.
        ensemble: the row with the ensemble's member on the device.
        judge: a recogniser in none of the three.
        condition: of the protection rates.
        seed: of the bootstrap.

    Returns:
        `quality` with its 95 % `interval` (bootstrap over the pairs that all three rows have and that matched
        before), the three protection rates, `pairs`; quality and interval are None where the ensemble gains
        nothing over the surrogates alone (interval: in more than 2.5 % of the draws).
    """
    lost = np.array(
        [
            [rows[pair]["after"][condition][judge.name] < judge.threshold for rows in (alone, hint, ensemble)]
            for pair in sorted(set(alone) & set(hint) & set(ensemble))
            if not any("missing" in rows[pair] for rows in (alone, hint, ensemble))
            and alone[pair]["before"][judge.name] >= judge.threshold
        ],
        dtype=float,
    ).reshape(-1, 3)
    shares = lost.mean(axis=0) if len(lost) else np.full(3, np.nan)
    return {
        "condition": condition,
        "pairs": len(lost),
        "alone": _number(shares[0]),
        "hint": _number(shares[1]),
        "ensemble": _number(shares[2]),
        "quality": _number(_ratio(shares)),
        "interval": _bootstrap(lost, seed),
    }


def _ratio(shares: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    gain = shares[2] - shares[0]
    return float((shares[1] - shares[0]) / gain) if gain > 0 else math.nan


def _bootstrap(lost: np.ndarray[Any, np.dtype[np.float64]], seed: int) -> list[float] | None:
    if not len(lost):
        return None
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(lost), (_DRAWS, len(lost)))
    found = np.array([_ratio(lost[rows].mean(axis=0)) for rows in draws])
    if np.isnan(found).mean() > 0.025:
        return None
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return [float(low), float(high)]


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
