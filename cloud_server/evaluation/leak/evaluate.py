"""The whole gate: payloads once, every kind's attackers, verdicts, and the report's numbers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cloud_server.evaluation.leak.experiments import experiments_of, to_json, tried_from, upper_bound
from cloud_server.evaluation.leak.gate import SHUFFLED, Tried, judge
from cloud_server.evaluation.leak.harvest import Arrays, Device, Report, Rows, stored
from cloud_server.evaluation.leak.networks import Schedule
from cloud_server.evaluation.leak.options import LeakOptions
from cloud_server.evaluation.leak.payloads import KINDS, Seen, true_clusters
from cloud_server.evaluation.leak.people import Trial, some_faces, trial_of
from cloud_server.evaluation.leak.recognisers import Recogniser, load_recogniser
from cloud_server.evaluation.leak.scores import measure
from cloud_server.evaluation.leak.setting import Setting
from cloud_server.hints.data import FaceSet
from cloud_server.hints.nets import Net, load_net
from models.store import Store
from shared.bundle import sha256_hex
from shared.errors import Code, GoodnoiseError
from shared.files import write_atomically
from shared.levels.cluster import CLUSTER_EPSILON
from shared.levels.sketch import SKETCH_BITS, SKETCH_EPSILON

__all__ = ["EPSILON", "evaluate_leak"]

LEVELS = ("pull", "cluster", "sketch", "sign")
# Of one call about one photo; `sign` sends what it has as it is.
EPSILON: Mapping[str, float | None] = {
    "pull": 0.0,
    "cluster": CLUSTER_EPSILON,
    "sketch": SKETCH_BITS * SKETCH_EPSILON,
    "sign": None,
}


@dataclass(frozen=True, eq=False)
class _Cast:
    """The networks of a run."""

    surrogate: Net
    own: Recogniser
    linked: Recogniser
    judges: tuple[Recogniser, ...]
    known: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class _Harvest:
    """Stores arrays in the run's folder, and how long each took in all runs."""

    folder: Path
    report: Report

    def __call__(self, name: str, count: int, compute: Callable[[Rows], Arrays]) -> Arrays:
        begun = time.monotonic()
        try:
            return stored(self.folder, name, count, compute, self.report)
        finally:
            path = self.folder / "seconds.json"
            spent: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
            spent[name] = round(spent.get(name, 0.0) + time.monotonic() - begun, 1)
            write_atomically(path, json.dumps(spent).encode())


def evaluate_leak(
    learn: FaceSet, candidates: FaceSet, options: LeakOptions, store: Store, folder: Path, report: Report
) -> dict[str, Any]:
    """Run every experiment that `folder` does not hold yet, and give the report as JSON values.

    Args:
        learn: faces that attackers learn from.
        candidates: faces they are tried on, of other people.
        options: see `LeakOptions`.
        store: the zoo.
        folder: keeps payloads and finished experiments.
        report: called with progress; may raise to stop.

    Raises:
        GoodnoiseError: PRECONDITION when the sets share a person, there are too few, or the folder is of
            another run.
    """
    learnt = some_faces(learn, options.train_faces, options.seed)
    trial = trial_of(
        candidates,
        trained_on=learn.people,
        people=options.people,
        photos=options.photos,
        seed=options.seed,
    )
    cast = _cast(options, store)
    folder.mkdir(parents=True, exist_ok=True)
    _same_run(folder, learnt, trial, options, cast)
    harvest = _Harvest(folder, report)
    setting = _setting(learnt, trial, options, cast, harvest)
    kinds = {"pull": _pull(trial), "clean crop, recognisers": upper_bound(setting, folder)}
    kinds |= {kind.name: experiments_of(kind, setting, folder, report) for kind in KINDS}
    return {
        "format": 1,
        "options": asdict(options),
        "networks": dict(cast.known),
        "data": {
            "learnt_from": {"faces": len(learnt), "people": len(set(learnt.people))},
            "tried_on": {
                "people": trial.people,
                "photos": len(trial.faces),
                "cloaked": len(setting.test.cloaked),
            },
        },
        "kinds": kinds,
        "verdicts": {level: _verdict(level, kinds, trial, learnt) for level in LEVELS},
        "seconds": {
            "payloads": json.loads((folder / "seconds.json").read_text()),
            "attackers": {name: found["seconds"] for name, found in kinds.items()},
        },
    }


def _cast(options: LeakOptions, store: Store) -> _Cast:
    own = load_recogniser(options.surrogate, store)
    linked = load_recogniser(options.linked, store)
    judges = tuple(load_recogniser(name, store) for name in options.judges)
    taught = {options.surrogate, options.linked} & set(options.judges)
    if taught:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{sorted(taught)[0]} is attacked or learnt from, so it cannot be a judge"
        )
    return _Cast(
        load_net(options.surrogate, store),
        own,
        linked,
        judges,
        {net.name: net.sha256 for net in (own, linked, *judges)},
    )


def _same_run(folder: Path, learn: FaceSet, trial: Trial, options: LeakOptions, cast: _Cast) -> None:
    parts = [sha256_hex(faces.levels.tobytes()) for faces in (learn, trial.faces)]
    run = sha256_hex(json.dumps([parts, asdict(options), dict(cast.known)], sort_keys=True).encode())
    path = folder / "run"
    if not path.exists():
        write_atomically(path, run.encode())
    elif path.read_text(encoding="ascii") != run:
        raise GoodnoiseError(
            Code.PRECONDITION,
            f"{folder} holds a run with other faces, networks or settings; give the same, or another --out",
        )


def _setting(learn: FaceSet, trial: Trial, options: LeakOptions, cast: _Cast, harvest: _Harvest) -> Setting:
    # Noise of its own: no start or frame of training comes again.
    learning = _device("learn", learn, cast, harvest, options.seed + 1_000_003)
    trying = _device("try", trial.faces, cast, harvest, options.seed)
    learn_counts = [len(learn)] * options.train_frames
    test_counts = [len(trial.faces)] + [trial.people] * (options.frames - 1)
    test = _seen("try", trying, test_counts, min(options.cloaks, trial.people), harvest)

    def expected(rows: Rows) -> Arrays:
        cloak = test.cloak[rows].astype(np.float32) / np.float32(255)
        shown = np.clip(trial.faces.images(rows) + cloak, 0, 1)
        return trying.expected(rows, shown=shown, anchors=cast.own.embed(shown))

    return Setting(
        train=_seen("learn", learning, learn_counts, min(options.train_cloaks, len(learn)), harvest),
        known=_embedded("learn-known", learn, cast.linked, harvest),
        test=test,
        expected=harvest("try-expected", len(test.cloaked), expected),
        trial=trial,
        surrogate=cast.own,
        linked=cast.linked,
        judges=cast.judges,
        schedule=Schedule(
            map_epochs=options.map_epochs,
            bit_epochs=options.bit_epochs,
            drawing_epochs=options.drawing_epochs,
            seed=options.seed,
        ),
        redraws=options.redraws,
        enrolled={
            net.name: _embedded(f"enrolled-{net.name}", trial.faces.pick(trial.gallery), net, harvest)
            for net in (cast.own, cast.linked, *cast.judges)
        },
        seed=options.seed,
    )


def _device(name: str, faces: FaceSet, cast: _Cast, harvest: _Harvest, seed: int) -> Device:
    return Device(cast.surrogate, faces, _embedded(f"{name}-anchor", faces, cast.own, harvest), seed)


def _embedded(name: str, faces: FaceSet, net: Recogniser, harvest: _Harvest) -> npt.NDArray[np.float32]:
    found = harvest(name, len(faces), lambda rows: {"embedding": net.embed(faces.images(rows))})
    return np.asarray(found["embedding"], np.float32)


def _seen(name: str, device: Device, counts: list[int], cloaks: int, harvest: _Harvest) -> Seen:
    fresh = tuple(
        harvest(f"{name}-call-{call:02d}", count, partial(device.fresh, call=call))
        for call, count in enumerate(counts)
    )
    fixed = harvest(f"{name}-fixed", len(device.faces), device.fixed)
    cloak = harvest(f"{name}-cloak", cloaks, device.cloak)
    clusters = true_clusters(device.faces)
    return Seen(device.faces, fresh, fixed, cloak["cloak"], np.arange(cloaks), clusters)


def _pull(trial: Trial) -> dict[str, Any]:
    """All photos send the same request, so any attacker gives all people one score."""
    measured = measure(np.zeros((trial.people, trial.people), np.float32))
    return {"cells": [to_json(Tried("any", "any number of calls", measured))], "seconds": 0.0}


def _verdict(level: str, kinds: Mapping[str, Any], trial: Trial, learn: FaceSet) -> dict[str, Any]:
    cells = [tried_from(raw) for raw in kinds[level]["cells"]]
    twin = kinds.get(f"{level}, noise off", kinds[level])
    counted = [cell for cell in cells if cell.attacker != SHUFFLED]
    off = [tried_from(raw) for raw in twin["cells"]]
    data = f"tried on {trial.people} people, learnt from {len(set(learn.people))} others"
    verdict = judge(level, counted, off).to_json()
    return {**verdict, "epsilon": EPSILON[level], "data": data}
