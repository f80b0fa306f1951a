"""One kind of payload after the other: train its attackers, try them, keep what was measured."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cloud_server.evaluation.leak.gate import Tried
from cloud_server.evaluation.leak.networks import Draw, Schedule, train_inverter, train_linkage
from cloud_server.evaluation.leak.payloads import Calls, Kind, Seen, mirrored, shuffled_back, unshuffled
from cloud_server.evaluation.leak.people import Trial
from cloud_server.evaluation.leak.recognisers import Recogniser, unit
from cloud_server.evaluation.leak.scores import measure, measured_from
from shared.files import write_atomically

__all__ = ["Setting", "experiments_of", "tried_from"]

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]
# Called with what is being done, how much is done, and of how much. May raise to stop.
Report = Callable[[str, int, int], None]
_LEVELS = 8
# Faces that a payload is added to.
_PUBLIC = 4


@dataclass(frozen=True, eq=False)
class Setting:
    """What all experiments share.

    Args:
        train: sources of payloads of the people that attackers learn from.
        known: their clean faces' embeddings by `linked`.
        test: sources of payloads of the trial's rows.
        expected: of the published photos of `test.cloaked`, what their payloads are on average.
        trial: the people attackers are tried on.
        surrogate: the device's network, which the attackers have.
        linked: the recogniser whose embeddings linkage predicts.
        judges: recognisers that are in no training; they say whom an inverted face shows.
        schedule: of training.
        redraws: how often noise is drawn anew for each probe, so that chance has a narrow interval.
        seed: of noise in what is tried.
    """

    train: Seen
    known: Floats
    test: Seen
    expected: dict[str, npt.NDArray[Any]]
    trial: Trial
    surrogate: Recogniser
    linked: Recogniser
    judges: tuple[Recogniser, ...]
    schedule: Schedule
    redraws: int
    seed: int

    def rows_of(self, kind: Kind, rows: Rows) -> Rows:
        """Those rows of the trial that a kind is there for."""
        return np.intersect1d(rows, self.test.cloaked) if kind.cloaked else rows

    def centred(self, embeddings: Floats) -> Floats:
        """Embeddings by `linked` less the mean face of training, which tells nobody apart."""
        return unit(embeddings - self.known.mean(axis=0))

    def repeats(self, kind: Kind) -> int:
        """How often a kind is drawn for each probe: once where nothing in it is random."""
        return self.redraws if kind.noise and kind.level in ("cluster", "sketch") else 1


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


def experiments_of(kind: Kind, setting: Setting, folder: Path, report: Report) -> dict[str, Any]:
    """All that is measured on one kind, `cells` and `seconds`; read back where an earlier run finished it."""
    path = folder / f"kind-{''.join(letter if letter.isalnum() else '-' for letter in kind.name)}.json"
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    begun = time.monotonic()
    cells = [_to_json(tried) for tried in _tried(kind, setting, report)]
    results = {"cells": cells, "seconds": round(time.monotonic() - begun, 1)}
    write_atomically(path, (json.dumps(results, indent=1) + "\n").encode())
    return results


def tried_from(raw: dict[str, Any]) -> Tried:
    """A stored cell."""
    return Tried(raw["attacker"], raw["given"], measured_from(raw["measured"]), raw["names"])


def _to_json(tried: Tried) -> dict[str, Any]:
    return {
        "attacker": tried.attacker,
        "given": tried.given,
        "names": tried.names,
        "measured": tried.measured.to_json(),
    }


def _tried(kind: Kind, setting: Setting, report: Report) -> Iterator[Tried]:
    trained = _linkage_attacker(kind, setting, report)
    yield from _linkage(trained)
    if not kind.cloaked:
        yield _many_photos(trained)
        yield _two_payloads(trained)
    if kind.direction:
        yield _through_surrogate(kind, setting)
    yield from _inversion(kind, setting, report)
    if kind.level:
        yield from _published(kind, setting)


def _linkage_attacker(kind: Kind, setting: Setting, report: Report) -> _Trained:
    rows = _train_rows(kind, setting)
    targets = setting.centred(setting.known[rows])
    found = {}
    for calls in kind.calls if kind.together else (1,):
        name = f"{kind.name}: linkage, {_calls(calls)}"
        draw = _either_way(_draw(kind, setting, rows, calls))
        found[calls] = train_linkage(draw, targets, setting.schedule, _named(report, name))
    return _Trained(kind, setting, found)


def _linkage(trained: _Trained) -> Iterator[Tried]:
    setting, kind = trained.setting, trained.kind
    gallery = _gallery(setting)
    for calls in kind.calls:
        rows = setting.rows_of(kind, setting.trial.all_probes if calls == 1 else setting.trial.probes)
        scores, owner = _scores(trained, rows, gallery, calls)
        yield Tried("linkage", _calls(calls), measure(scores, owner))
        if calls == 1:
            # Chance: each payload counts as that of the next person.
            given_away = (owner + 1) % setting.trial.people
            yield Tried("shuffled between people", _calls(1), measure(scores, given_away), names=False)


def _scores(trained: _Trained, rows: Rows, gallery: Floats, calls: int) -> tuple[Floats, Rows]:
    repeats = trained.setting.repeats(trained.kind)
    parts = [trained.guesses(rows, calls=calls, redraw=at) @ gallery.T for at in range(repeats)]
    return np.concatenate(parts), np.tile(trained.setting.trial.owner[rows], repeats)


def _many_photos(trained: _Trained) -> Tried:
    """One call about each photo of a person that is not enrolled, from one address: guesses are averaged."""
    setting = trained.setting
    rows, repeats = setting.trial.all_probes, setting.repeats(trained.kind)
    owner, parts = setting.trial.owner[rows], []
    for redraw in range(repeats):
        total = np.zeros((setting.trial.people, setting.known.shape[1]), np.float32)
        np.add.at(total, owner, trained.guesses(rows, redraw=redraw))
        parts.append(unit(total) @ _gallery(setting).T)
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


def _through_surrogate(kind: Kind, setting: Setting) -> Tried:
    """Public faces moved along the payload: away from whom does the surrogate see them go? Untrained.

    A direction that takes a photo away from its person takes other aligned faces away from them too.
    """
    rng = np.random.default_rng([setting.seed, 11])
    rows, trial = setting.rows_of(kind, setting.trial.probes), setting.trial
    payloads = kind.make(setting.test, rows, Calls(), rng)
    moves = np.clip(shuffled_back(payloads), -1, 1) * np.float32(_LEVELS / 255)
    embed, known = setting.surrogate.embed, setting.train.faces
    public = known.images(rng.permutation(len(known))[:_PUBLIC])
    away = np.mean([embed(np.clip(face + moves, 0, 1)) - embed(face[None]) for face in public], axis=0)
    gallery = embed(trial.faces.images(trial.gallery))
    scores = -unit(away - away.mean(axis=0)) @ unit(gallery - gallery.mean(axis=0)).T
    return Tried("through the surrogate", _calls(1), measure(scores, trial.owner[rows]))


def _inversion(kind: Kind, setting: Setting, report: Report) -> Iterator[Tried]:
    """Faces drawn from payloads, and whom recognisers in no training see in them."""
    rows = _train_rows(kind, setting)
    faces = setting.train.faces.images(rows)
    probes = setting.rows_of(kind, setting.trial.probes)
    for calls in sorted({1, kind.calls[-1]}) if kind.together else (1,):
        draw = _draw(kind, setting, rows, calls)
        name = f"{kind.name}: inversion, {_calls(calls)}"
        reconstruct = train_inverter(draw, faces, setting.schedule, _named(report, name))
        repeats = min(2, setting.repeats(kind))
        drawn = []
        for redraw in range(repeats):
            rng = np.random.default_rng([setting.seed, calls, 7, redraw])
            drawn.append(reconstruct(kind.make(setting.test, probes, Calls(calls, redraw), rng)))
        owner = np.tile(setting.trial.owner[probes], repeats)
        for judge in setting.judges:
            scores = _seen_by(judge, np.concatenate(drawn), setting)
            yield Tried(f"inversion, seen by {judge.name}", _calls(calls), measure(scores, owner))


def _seen_by(judge: Recogniser, drawn: Floats, setting: Setting) -> Floats:
    # What all drawn faces share, and all real ones, says nothing of a person.
    found, known = (
        judge.embed(np.clip(drawn, 0, 1)),
        judge.embed(setting.trial.faces.images(setting.trial.gallery)),
    )
    return unit(found - found.mean(axis=0)) @ unit(known - known.mean(axis=0)).T


def _published(kind: Kind, setting: Setting) -> Iterator[Tried]:
    """Whether stored payloads tell which published photo a call was about.

    The published photo is the clean crop with a cloak of 8 levels. The attacker computes what it would send
    on average and looks for the photo that fits best.
    """
    rows = setting.test.cloaked
    expected = _expected(kind, setting)
    expected = unit(expected - expected.mean(axis=0))
    frames = len(setting.test.fresh) if kind.noise and kind.level in ("sketch", "sign") else 1
    for calls in kind.calls if kind.together else (1,):
        repeats = max(frames, setting.repeats(kind))
        parts = []
        for redraw in range(repeats):
            rng = np.random.default_rng([setting.seed, calls, 9, redraw])
            sent = kind.make(setting.test, rows, Calls(calls, redraw), rng).reshape(len(rows), -1)
            parts.append(unit(sent) @ expected.T)
        owner = np.tile(np.arange(len(rows)), repeats)
        yield Tried("published photo", _calls(calls), measure(np.concatenate(parts), owner), names=False)


def _expected(kind: Kind, setting: Setting) -> Floats:
    if kind.level == "cluster":
        return np.eye(16, dtype=np.float32)[setting.test.clusters[setting.test.cloaked]]
    if kind.level == "sketch":
        return np.asarray(setting.expected["bits"], np.float32)
    return unshuffled(setting.expected["signs"].astype(np.float32)).reshape(len(setting.test.cloaked), -1)


def _gallery(setting: Setting) -> Floats:
    return setting.centred(setting.linked.embed(setting.trial.faces.images(setting.trial.gallery)))


def _train_rows(kind: Kind, setting: Setting) -> Rows:
    return setting.train.cloaked if kind.cloaked else np.arange(len(setting.train.faces))


def _draw(kind: Kind, setting: Setting, rows: Rows, calls: int) -> Draw:
    def draw(chosen: npt.NDArray[np.intp], rng: np.random.Generator) -> Floats:
        first = int(rng.integers(len(setting.train.fresh)))
        return kind.make(setting.train, rows[chosen], Calls(calls, first), rng)

    return draw


def _either_way(draw: Draw) -> Draw:
    """Half of all batches of maps mirrored: a mirrored face has nearly the same embedding."""

    def drawn(chosen: npt.NDArray[np.intp], rng: np.random.Generator) -> Floats:
        payloads = draw(chosen, rng)
        return mirrored(payloads) if payloads.ndim == 4 and rng.random() < 0.5 else payloads

    return drawn


def _named(report: Report, name: str) -> Callable[[int, int], None]:
    return lambda done, total: report(name, done, total)


def _calls(count: int) -> str:
    return f"{count} call" if count == 1 else f"{count} calls"
