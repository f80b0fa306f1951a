"""Attackers beside linkage: through the surrogate, by inversion, and from published photos."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from cloud_server.evaluation.leak.gate import Tried
from cloud_server.evaluation.leak.harvest import Report
from cloud_server.evaluation.leak.networks import train_inverter, train_linkage
from cloud_server.evaluation.leak.payloads import Calls, Kind, Seen, shuffled_back, unshuffled
from cloud_server.evaluation.leak.recognisers import Recogniser, unit
from cloud_server.evaluation.leak.scores import measure
from cloud_server.evaluation.leak.setting import (
    Setting,
    calls_in_words,
    draw_of,
    gallery_of,
    named,
    train_rows,
)

__all__ = ["by_inversion", "by_published_photos", "through_surrogate"]

Floats = npt.NDArray[np.float32]
_LEVELS = 8
# Faces that a payload is added to.
_PUBLIC = 4
# Training faces whose payloads are looked at in this way.
_LEARNT = 1000
_BATCH = 16


def through_surrogate(kind: Kind, setting: Setting, report: Report) -> Iterator[Tried]:
    """Public faces moved along the payload: away from whom does the surrogate see them go?

    A direction that takes a photo away from its person takes other aligned faces away from them too. Once
    nothing is trained, and once a linkage attacker learns from where the faces went.
    """
    probes, trial = setting.rows_of(kind, setting.trial.probes), setting.trial
    rng = np.random.default_rng([setting.seed, 11])
    public = setting.train.faces.images(rng.permutation(len(setting.train.faces))[:_PUBLIC])
    learnt = train_rows(kind, setting)[:_LEARNT]
    name = f"{kind.name}: through the surrogate"
    taught = _moved(kind, setting, setting.train, learnt, public, named(report, f"{name}, training"))
    found = _moved(kind, setting, setting.test, probes, public, named(report, name))
    middle = taught.mean(axis=0)
    gallery = setting.enrolled[setting.surrogate.name]
    untrained = -unit(found - middle) @ unit(gallery - gallery.mean(axis=0)).T
    yield Tried("through the surrogate", calls_in_words(1), measure(untrained, trial.owner[probes]))

    features = unit(taught - middle)
    predict = train_linkage(
        lambda rows, _: features[rows],
        setting.centred(setting.known[learnt]),
        replace(setting.schedule, bit_epochs=2 * setting.schedule.bit_epochs),
        named(report, f"{kind.name}: linkage through the surrogate"),
    )
    scores = predict(unit(found - middle)) @ gallery_of(setting).T
    yield Tried("linkage through the surrogate", calls_in_words(1), measure(scores, trial.owner[probes]))


def _moved(
    kind: Kind,
    setting: Setting,
    seen: Seen,
    rows: npt.NDArray[np.intp],
    public: Floats,
    report: Callable[[int, int], None],
) -> Floats:
    """How the surrogate sees public faces move along each row's payload, N D: the mean over faces."""
    embed, still = setting.surrogate.embed, setting.surrogate.embed(public)
    rng, found = np.random.default_rng([setting.seed, 13]), []
    for start in range(0, len(rows), _BATCH):
        payloads = kind.make(seen, rows[start : start + _BATCH], Calls(), rng)
        moves = np.clip(shuffled_back(payloads), -1, 1) * np.float32(_LEVELS / 255)
        away = [embed(np.clip(face + moves, 0, 1)) - at for face, at in zip(public, still, strict=True)]
        found.append(np.mean(away, axis=0))
        report(min(start + _BATCH, len(rows)), len(rows))
    return np.concatenate(found)


def by_inversion(kind: Kind, setting: Setting, report: Report) -> Iterator[Tried]:
    """Faces drawn from payloads, and whom recognisers in no training see in them."""
    rows = train_rows(kind, setting)
    faces = setting.train.faces.images(rows)
    probes = setting.rows_of(kind, setting.trial.probes)
    for calls in sorted({1, kind.calls[-1]}) if kind.together else (1,):
        draw = draw_of(kind, setting, rows, calls)
        name = f"{kind.name}: inversion, {calls_in_words(calls)}"
        reconstruct = train_inverter(draw, faces, setting.schedule, named(report, name))
        repeats = min(2, setting.repeats(kind))
        drawn = []
        for redraw in range(repeats):
            rng = np.random.default_rng([setting.seed, calls, 7, redraw])
            drawn.append(reconstruct(kind.make(setting.test, probes, Calls(calls, redraw), rng)))
        owner = np.tile(setting.trial.owner[probes], repeats)
        for judge in setting.judges:
            scores = _seen_by(judge, np.concatenate(drawn), setting)
            yield Tried(f"inversion, seen by {judge.name}", calls_in_words(calls), measure(scores, owner))


def _seen_by(judge: Recogniser, drawn: Floats, setting: Setting) -> Floats:
    # What all drawn faces share, and all real ones, says nothing of a person.
    found, known = judge.embed(np.clip(drawn, 0, 1)), setting.enrolled[judge.name]
    return unit(found - found.mean(axis=0)) @ unit(known - known.mean(axis=0)).T


def by_published_photos(kind: Kind, setting: Setting) -> Iterator[Tried]:
    """Whether stored payloads tell which published photo a call was about.

    The published photo is the clean crop with a cloak of 8 levels. The attacker computes what it would send
    on average and looks for the photo that fits best, or least: a cloak turns gradients round. An attacker
    learns which of the two tells more on photos of his own; here it is what does so on those that are tried,
    by the area under the curve, which favours him a little.
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
        scores = np.concatenate(parts)
        found = max((measure(scores, owner), measure(-scores, owner)), key=lambda item: item.auc)
        yield Tried("published photo", calls_in_words(calls), found, names=False)


def _expected(kind: Kind, setting: Setting) -> Floats:
    if kind.level == "cluster":
        return np.eye(16, dtype=np.float32)[setting.test.clusters[setting.test.cloaked]]
    if kind.level == "sketch":
        return np.asarray(setting.expected["bits"], np.float32)
    return unshuffled(setting.expected["signs"].astype(np.float32)).reshape(len(setting.test.cloaked), -1)
