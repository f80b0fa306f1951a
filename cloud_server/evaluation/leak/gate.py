"""The gate: which levels may be a default, from what attackers reached with and without the noise.

A level passes when the upper end of the 95 % interval of rank-1 and of TAR at FAR 1e-2 lies within 2 points
of chance for every attacker and every number of calls, and the attack is proven: with the level's noise
switched off, at least one attacker that names people (linkage, inversion, two payloads) reaches three times
chance or more, with the whole interval more than 2 points above chance. Where no attacker works without the
noise, that all fail with it shows nothing: the level is 'not proven', which is not a pass. So is one whose
intervals are too wide to tell a leak from chance; it is 'failed' where a whole interval is above chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from cloud_server.evaluation.leak.scores import Measured, Share

__all__ = ["MARGIN", "SHUFFLED", "Tried", "Verdict", "far_above_chance", "judge", "verdicts"]

# How far above chance the upper end of an interval may lie.
MARGIN = 0.02
# Not an attacker, but what chance looks like.
SHUFFLED = "shuffled between people"
_TIMES = 3.0

Word = Literal["passed", "failed", "not proven", "by construction"]


@dataclass(frozen=True)
class Tried:
    """One attacker on one level.

    Args:
        attacker: 'linkage', 'inversion' and so on.
        given: what it was given, such as '10 calls'.
        measured: what it reached.
        names: whether it tells who is in the photo, not only which photo a call was about.
    """

    attacker: str
    given: str
    measured: Measured
    names: bool = True


@dataclass(frozen=True)
class Verdict:
    """The gate's word on a level, the cell that was worst, a sentence, and who was proven without noise."""

    word: Word
    worst: Tried | None
    reason: str
    proven: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        worst = self.worst
        return {
            "verdict": self.word,
            "attacker": worst.attacker if worst else None,
            "k": worst.given if worst else None,
            "rank1": asdict(worst.measured.rank1) if worst else None,
            "tar": asdict(worst.measured.tar) if worst else None,
            "proven": list(self.proven),
            "reason": self.reason,
        }


def judge(level: str, tried: Sequence[Tried], noise_off: Sequence[Tried]) -> Verdict:
    """The verdict on a level.

    Args:
        level: its name; `pull` passes by construction.
        tried: every attacker and number of calls, with the level's noise.
        noise_off: attackers on the level's twin without noise.

    Raises:
        ValueError: for another level than `pull` on which nothing was tried.
    """
    if level == "pull":
        return Verdict(
            "by construction",
            None,
            "passes by construction: nothing that is made from a photo is sent, so all photos look alike",
        )
    if not tried:
        raise ValueError(f"level {level!r}: no attacker was tried")
    worst = max(tried, key=lambda item: _excess(item.measured))
    leaks = [item for item in tried if _excess(item.measured) > MARGIN and _above_chance(item.measured)]
    proven = tuple(sorted({item.attacker for item in noise_off if item.names and far_above_chance(item)}))
    if leaks:
        worst = max(leaks, key=lambda item: _excess(item.measured))
        return Verdict("failed", worst, f"failed: {_sentence(worst)}", proven)
    if _excess(worst.measured) > MARGIN:
        reason = f"not proven: too few people to tell a leak from chance; {_sentence(worst)}"
        return Verdict("not proven", worst, reason, proven)
    if not proven:
        best = max(noise_off, key=lambda item: _excess(item.measured), default=None)
        shown = "was not tried" if best is None else f"is near chance too ({_sentence(best)})"
        reason = f"not proven: the same attack with the noise off {shown}, so that it fails here shows little"
        return Verdict("not proven", worst, reason)
    return Verdict("passed", worst, f"passed: at most {_sentence(worst)}", proven)


def far_above_chance(tried: Tried) -> bool:
    """Whether rank-1 or TAR is three times chance or more, and its interval beyond the gate's margin."""
    shares = (tried.measured.rank1, tried.measured.tar)
    return any(s.value >= _TIMES * s.chance and s.low > s.chance + MARGIN for s in shares)


def _excess(measured: Measured) -> float:
    return max(share.high - share.chance for share in (measured.rank1, measured.tar))


def _above_chance(measured: Measured) -> bool:
    """Whether more than chance is found, beyond doubt, where the gate's margin is left."""
    shares = (measured.rank1, measured.tar)
    return any(share.low > share.chance and share.high > share.chance + MARGIN for share in shares)


def _sentence(tried: Tried) -> str:
    one, two = tried.measured.rank1, tried.measured.tar
    return (
        f"{tried.attacker}, {tried.given}, reaches rank-1 {_words(one)} among {tried.measured.people} people "
        f"and TAR {_words(two)} at FAR 1 %"
    )


def _words(share: Share) -> str:
    return (
        f"{100 * share.value:.1f} % ({100 * share.low:.1f} to {100 * share.high:.1f}, "
        f"chance {100 * share.chance:.1f})"
    )


def verdicts(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What a bundle's manifest carries as `scores["leak"]`: the gate's word on each level, and its figures.

    Args:
        report: as in `leak.json`.

    Raises:
        ValueError: for values that are no such report.
    """
    try:
        return {level: _carried(raw) for level, raw in report["verdicts"].items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"no report of the leak gate: {error!r}") from error


def _carried(raw: Mapping[str, Any]) -> dict[str, Any]:
    shares = {key: _triple(raw[key]) for key in ("rank1", "tar")}
    chance = {key: raw[key] and round(raw[key]["chance"], 4) for key in ("rank1", "tar")}
    kept = {key: raw[key] for key in ("verdict", "attacker", "k", "epsilon", "data", "reason")}
    return {**kept, **shares, "chance": chance}


def _triple(share: Mapping[str, float] | None) -> list[float] | None:
    return None if share is None else [round(share[key], 4) for key in ("value", "low", "high")]
