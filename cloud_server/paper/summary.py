"""From similarities of pairs to the tables' shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from cloud_server.paper.bench import Result, Settings
from cloud_server.paper.cloaks import CONTROL
from cloud_server.paper.datasets import Dataset
from cloud_server.paper.equation import attack_success, best_threshold
from cloud_server.paper.journal import Journal
from cloud_server.paper.runner import Job
from cloud_server.paper.table2 import CONDITIONS

__all__ = ["Thresholds", "summarise"]

_LOOKS = ("psnr", "ssim", "levels")


@dataclass(frozen=True)
class Thresholds:
    """Similarities from which on two faces match: the card's, and that of best accuracy where it is known."""

    far: float
    best: float | None


def summarise(
    settings: Settings,
    datasets: Mapping[str, Dataset],
    cards: Mapping[str, float],
    jobs: Sequence[Job],
    journal: Journal,
) -> dict[str, Any]:
    """Shares by set and recogniser.

    Args:
        settings: of the run.
        datasets: the sets.
        cards: each recogniser's threshold, as a similarity.
        jobs: the run's pairs.
        journal: their results.

    Returns:
        by set: `pairs`, `missing` (no face found), `recognisers`, each with `thresholds` and the table's
        rows.
    """
    found: dict[str, Any] = {}
    for name in datasets:
        mine = [job for job in jobs if job.dataset == name]
        results = [journal[job.key] for job in mine if not job.tuning]
        known = [result for result in results if "missing" not in result]
        thresholds = {net: _thresholds(net, value, mine, journal) for net, value in cards.items()}
        found[name] = {
            "pairs": len(known),
            "missing": len(results) - len(known),
            "recognisers": {
                net: {"thresholds": asdict(thresholds[net]), **_rows(settings, net, known, thresholds)}
                for net in settings.networks
                if known
            },
        }
    return found


def _thresholds(net: str, far: float, jobs: Sequence[Job], journal: Journal) -> Thresholds:
    seen = [(job.pair.same, journal[job.key]) for job in jobs if job.tuning]
    scores = {kind: [r[net] for same, r in seen if same is kind and net in r] for kind in (True, False)}
    best = best_threshold(scores[True], scores[False]) if all(scores.values()) else None
    return Thresholds(far, best)


def _rows(
    settings: Settings, net: str, known: Sequence[Result], thresholds: Mapping[str, Thresholds]
) -> dict[str, Any]:
    if settings.table == "table1":
        return _attacks(settings, [result[net] for result in known], thresholds[net])
    return _makeup(settings, net, known, thresholds)


def _attacks(settings: Settings, known: Sequence[Result], at: Thresholds) -> dict[str, Any]:
    wanted = [("", CONTROL), *((anchor, name) for anchor in settings.anchors for name in settings.attacks)]
    rows: dict[str, Any] = {}
    for anchor, name in wanted:
        entries = [result["rows"][anchor][name] for result in known]
        shares = _shares([r["clean"] for r in known], [e["after"] for e in entries], at)
        rows.setdefault(anchor, {})[name] = {**shares, **_mean_looks(entries)}
    return {"rows": rows}


def _makeup(
    settings: Settings, net: str, known: Sequence[Result], thresholds: Mapping[str, Thresholds]
) -> dict[str, Any]:
    clean = [result[net]["clean"] for result in known]
    white = {
        name: {
            **_shares(clean, [result[net]["white"][name] for result in known], thresholds[net]),
            **_mean_looks([result[net]["looks"][name] for result in known]),
        }
        for name in CONDITIONS
    }
    on_top = _mean_looks([result[net]["looks"]["adversarial part of both"] for result in known])
    transfer = {
        other: {
            name: _shares(clean, [r[net]["transfer"][other][name] for r in known], thresholds[net])
            for name in ("adversarial", "makeup_adversarial")
        }
        for other in settings.networks
        if other != net
    }
    return {"rows": white, "attack on top of makeup": on_top, "transfer from": transfer}


def _shares(clean: Sequence[float], after: Sequence[float], at: Thresholds) -> dict[str, Any]:
    def asr(value: float) -> dict[str, Any]:
        return asdict(attack_success([s >= value for s in clean], [s >= value for s in after]))

    return {"far": asr(at.far), "best": None if at.best is None else asr(at.best)}


def _mean_looks(entries: Sequence[Mapping[str, float]]) -> dict[str, float]:
    rules: dict[str, Callable[[Sequence[float]], float]] = {"levels": max}
    return {key: float(rules.get(key, fmean)([entry[key] for entry in entries])) for key in _LOOKS}
