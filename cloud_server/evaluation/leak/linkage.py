"""Linkage: guesses at embeddings from payloads, from one call or many, against photos and each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cloud_server.evaluation.leak.gate import SHUFFLED, Tried
from cloud_server.evaluation.leak.harvest import Report
from cloud_server.evaluation.leak.networks import Draw, train_linkage
from cloud_server.evaluation.leak.payloads import Calls, Kind, mirrored
from cloud_server.evaluation.leak.recognisers import unit
from cloud_server.evaluation.leak.scores import measure
from cloud_server.evaluation.leak.setting import (
    Setting,
    calls_in_words,
    draw_of,
    gallery_of,
    named,
    train_rows,
)

__all__ = ["by_linkage"]

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]


def by_linkage(kind: Kind, setting: Setting, report: Report) -> Iterator[Tried]:
    """Train on a kind of payload, and try calls about one photo, about many, and two payloads."""
    trained = _linkage_attacker(kind, setting, report)
    yield from _linkage(trained)
    if not kind.cloaked:
        yield _many_photos(trained)
        yield _two_payloads(trained)


@dataclass(frozen=True, eq=False)
class _Trained:
    """A linkage attacker on one kind of payload, by the number of calls that it looks at together."""

    kind: Kind
    setting: Setting
    predict: dict[int, Callable[[Floats], Floats]]

    def guesses(self, rows: Rows, *, calls: int = 1, redraw: int = 0) -> Floats:
        """Unit guesses at the embedding of each row's face from so many calls, N D."""
        rng = np.random.default_rng([self.setting.seed, calls, redraw])
        make, test = self.kind.make, self.setting.test
        if self.kind.together:
            return self.predict[calls](make(test, rows, Calls(calls, redraw), rng))
        total = sum(self.predict[1](make(test, rows, Calls(1, redraw + at), rng)) for at in range(calls))
        return unit(np.asarray(total, np.float32))


def _linkage_attacker(kind: Kind, setting: Setting, report: Report) -> _Trained:
    rows = train_rows(kind, setting)
    targets = setting.centred(setting.known[rows])
    found = {}
    for calls in kind.calls if kind.together else (1,):
        name = f"{kind.name}: linkage, {calls_in_words(calls)}"
        draw = _either_way(draw_of(kind, setting, rows, calls))
        found[calls] = train_linkage(draw, targets, setting.schedule, named(report, name))
    return _Trained(kind, setting, found)


def _linkage(trained: _Trained) -> Iterator[Tried]:
    setting, kind = trained.setting, trained.kind
    gallery = gallery_of(setting)
    for calls in kind.calls:
        rows = setting.rows_of(kind, setting.trial.all_probes if calls == 1 else setting.trial.probes)
        scores, owner = _scores(trained, rows, gallery, calls)
        yield Tried("linkage", calls_in_words(calls), measure(scores, owner))
        if calls == 1:
            # Chance: each payload counts as that of the next person.
            given_away = (owner + 1) % setting.trial.people
            yield Tried(SHUFFLED, calls_in_words(1), measure(scores, given_away), names=False)


def _scores(trained: _Trained, rows: Rows, gallery: Floats, calls: int) -> tuple[Floats, Rows]:
    repeats = trained.setting.repeats(trained.kind)
    parts = [trained.guesses(rows, calls=calls, redraw=at) @ gallery.T for at in range(repeats)]
    return np.concatenate(parts), np.tile(trained.setting.trial.owner[rows], repeats)


def _many_photos(trained: _Trained) -> Tried:
    """One call about each photo of a person that is not enrolled, from one address: guesses are averaged."""
    setting = trained.setting
    rows, repeats = setting.trial.all_probes, setting.repeats(trained.kind)
    owner, parts, gallery = setting.trial.owner[rows], [], gallery_of(setting)
    for redraw in range(repeats):
        total = np.zeros((setting.trial.people, setting.known.shape[1]), np.float32)
        np.add.at(total, owner, trained.guesses(rows, redraw=redraw))
        parts.append(unit(total) @ gallery.T)
    people = np.tile(np.arange(setting.trial.people), repeats)
    return Tried("linkage", "many photos", measure(np.concatenate(parts), people))


def _two_payloads(trained: _Trained) -> Tried:
    """Whether payloads of two photos of one person are told from those of two people."""
    trial, parts = trained.setting.trial, []
    repeats = trained.setting.repeats(trained.kind)
    for redraw in range(repeats):
        other = trained.guesses(trial.gallery, redraw=trained.setting.redraws + redraw)
        parts.append(trained.guesses(trial.probes, redraw=redraw) @ other.T)
    people = np.tile(np.arange(trial.people), repeats)
    return Tried("two payloads", "1 call each", measure(np.concatenate(parts), people))


def _either_way(draw: Draw) -> Draw:
    """Half of all batches of maps mirrored: a mirrored face has nearly the same embedding."""

    def drawn(chosen: npt.NDArray[np.intp], rng: np.random.Generator) -> Floats:
        payloads = draw(chosen, rng)
        return mirrored(payloads) if payloads.ndim == 4 and rng.random() < 0.5 else payloads

    return drawn
