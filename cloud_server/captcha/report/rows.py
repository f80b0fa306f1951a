"""A solver's row of the report: what it reads in each condition, at the best preprocessing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from limits import parse

from cloud_server.captcha.report.preprocess import PREPROCESSINGS, STRETCHINGS
from cloud_server.captcha.report.readings import Readings
from cloud_server.captcha.report.sample import Condition, Sample
from cloud_server.captcha.report.scores import Share, characters, relative_drop, whole, within
from cloud_server.captcha.report.solvers import Solver
from cloud_server.captcha.settings import LimitSettings

__all__ = ["Row", "Seen", "Tries", "measure", "tries_of"]


@dataclass(frozen=True)
class Seen:
    """What a solver reads in one condition.

    Args:
        whole: share of texts read without an error, at the best preprocessing.
        characters: share of characters there.
        preprocessing: which one is best.
        by_preprocessing: share of whole texts at each.
    """

    whole: Share
    characters: Share
    preprocessing: str
    by_preprocessing: dict[str, float]


@dataclass(frozen=True)
class Tries:
    """How often somebody may answer.

    Args:
        who: `address` or `subnet`.
        limit: as it is set, such as `20/minute`.
        tries: k.
    """

    who: str
    limit: str
    tries: int


@dataclass(frozen=True)
class Row:
    """A solver's figures.

    Args:
        name: of the solver.
        version: of it.
        seen: whether the images were made against it.
        adaptive: whether it learnt from the service's images.
        conditions: what it reads in each.
        stretched: what it reads of issued images whose dark tones were stretched first; beside the suite.
    """

    name: str
    version: str
    seen: bool
    adaptive: bool
    conditions: dict[Condition, Seen]
    stretched: Seen

    @property
    def clean(self) -> Share:
        """Whole texts without the attack."""
        return self.conditions[Condition.CLEAN].whole

    @property
    def attacked(self) -> Share:
        """Whole texts as issued."""
        return self.conditions[Condition.ATTACKED].whole

    def as_dict(self, tries: Sequence[Tries]) -> dict[str, Any]:
        """The row as a report holds it."""
        return {
            "solver": self.name,
            "version": self.version,
            "seen": self.seen,
            "adaptive": self.adaptive,
            **{str(condition): asdict(seen) for condition, seen in self.conditions.items()},
            "stretched": asdict(self.stretched),
            "relative_drop": relative_drop(self.clean.value, self.attacked.value),
            "success_within": [{**asdict(k), **asdict(within(self.attacked, k.tries))} for k in tries],
        }


def measure(solver: Solver, sample: Sample, readings: Readings, *, adaptive: bool = False) -> Row:
    """A solver's row.

    The best preprocessing of each condition is chosen on the images that it is scored on, so figures lean a
    little towards the solver, and do so in every condition.

    Args:
        solver: whom.
        sample: the images.
        readings: of these, old ones and new.
        adaptive: whether it learnt from the service's images.
    """
    suite = tuple(PREPROCESSINGS)
    conditions = {condition: _seen(solver, condition, sample, readings, suite) for condition in Condition}
    stretched = _seen(solver, Condition.ATTACKED, sample, readings, tuple(STRETCHINGS))
    return Row(solver.name, solver.version, solver.seen, adaptive, conditions, stretched)


def _seen(
    solver: Solver, condition: Condition, sample: Sample, readings: Readings, names: Sequence[str]
) -> Seen:
    found = {name: readings.of(solver, condition, name) for name in names}
    shares = {name: whole(sample.texts, texts) for name, texts in found.items()}
    in_part = {name: characters(sample.texts, texts) for name, texts in found.items()}
    best = max(found, key=lambda name: (shares[name].value, in_part[name].value))
    by_name = {name: shares[name].value for name in found}
    return Seen(shares[best], in_part[best], best, by_name)


def tries_of(limits: LimitSettings) -> tuple[Tries, ...]:
    """How often an address and a subnet may be wrong before the service limits them."""
    found = []
    for rates in (limits.answer, limits.unsolved):
        for who in ("address", "subnet"):
            limit = getattr(rates, who)
            if limit:
                found.append(Tries(who, limit, parse(limit).amount))
    return tuple(sorted(found, key=lambda row: row.tries))
