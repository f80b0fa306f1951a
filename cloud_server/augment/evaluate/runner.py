"""All units of an evaluation: what is known stays, the rest is trained, two at a time if there are cores."""

from __future__ import annotations

import base64
import hashlib
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cloud_server.augment.evaluate.arms import Arm
from cloud_server.augment.evaluate.datasets import load_pair
from cloud_server.augment.evaluate.protocols import Protocol, imbalanced, rare_classes
from cloud_server.paper.journal import Journal
from cloud_server.pools import spawned_pool
from models.vision.cifar import Labelled
from models.vision.training import Labels

__all__ = ["Plan", "Results", "run_plan"]


@dataclass(frozen=True)
class Plan:
    """What an evaluation consists of.

    Args:
        data: see `datasets.load_pair`.
        out: folder of the journal and the results; a run goes on from there.
        protocol: see there.
        arms: rows of the table.
        seeds: of data and training.
        rare: names of the classes that are made rare; empty for the protocol's own.
        workers: processes of one thread each.
    """

    data: Path
    out: Path
    protocol: Protocol
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    rare: tuple[str, ...] = ()
    workers: int = 1

    @property
    def work(self) -> Path:
        """Folder of what units share."""
        return self.out / "work"

    def pair(self) -> tuple[Labelled, Labelled]:
        """The images; decoded once."""
        return load_pair(self.data, cache=self.work)


@dataclass(frozen=True, eq=False)
class Results:
    """What all units left.

    Args:
        plan: what was run.
        labels: of the test images, N.
        classes: their names.
        rare: indices of the rare ones.
        predicted: by arm, S N in the order of the plan's seeds.
        accepted: by arm, the share of its samples that reached their target, in [0,1].
        seconds: by arm, of all its units.
    """

    plan: Plan
    labels: Labels
    classes: tuple[str, ...]
    rare: Labels
    predicted: dict[str, Labels]
    accepted: dict[str, float]
    seconds: dict[str, float]


def run_plan(plan: Plan, *, on_progress: Callable[[int, int], None] = lambda _done, _total: None) -> Results:
    """Run what the journal does not know yet.

    Args:
        plan: what to run.
        on_progress: called with units done and units in all.

    Raises:
        GoodnoiseError: for data that will not do.
    """
    train, test = plan.pair()
    rare = rare_classes(train.classes, plan.rare)
    for seed in plan.seeds:
        imbalanced(train, plan.protocol, rare, seed=seed)
    digest = _digest(train, test)
    journal = Journal(plan.out / "journal.jsonl")
    keys = {(arm.name, seed): _key(plan, arm, seed, digest) for arm in plan.arms for seed in plan.seeds}
    # Seed after seed within an arm: neighbours do not wait for the same surrogate.
    missing = [(arm, seed) for arm in plan.arms for seed in plan.seeds if keys[arm.name, seed] not in journal]
    done = len(keys) - len(missing)
    on_progress(done, len(keys))
    for arm, seed, result in _results(plan, missing):
        journal.add(keys[arm.name, seed], result)
        done += 1
        on_progress(done, len(keys))
    found = {arm.name: [journal[keys[arm.name, seed]] for seed in plan.seeds] for arm in plan.arms}
    return Results(
        plan,
        test.labels,
        train.classes,
        rare,
        {name: np.stack([_unpack(r["predicted"]) for r in rows]) for name, rows in found.items()},
        {name: float(np.mean([r["accepted"] for r in rows])) for name, rows in found.items()},
        {name: float(np.sum([r["seconds"] for r in rows])) for name, rows in found.items()},
    )


def _results(plan: Plan, missing: Sequence[tuple[Arm, int]]) -> Iterator[tuple[Arm, int, dict[str, Any]]]:
    if plan.workers == 1 or len(missing) < 2:
        for arm, seed in missing:
            yield arm, seed, _run_unit(plan, arm, seed)
        return
    with spawned_pool(plan.workers) as pool:
        futures: dict[Future[dict[str, Any]], tuple[Arm, int]] = {
            pool.submit(_run_unit, plan, arm, seed): (arm, seed) for arm, seed in missing
        }
        try:
            for future in as_completed(futures):
                yield *futures[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _run_unit(plan: Plan, arm: Arm, seed: int) -> dict[str, Any]:
    import torch

    from cloud_server.augment.evaluate.unit import Work, train_arm

    threads, begun = torch.get_num_threads(), time.monotonic()
    torch.set_num_threads(1)
    try:
        train, test = plan.pair()
        rare = rare_classes(train.classes, plan.rare)
        data = imbalanced(train, plan.protocol, rare, seed=seed)
        unit = train_arm(Work(data, test, rare, plan.protocol, seed, plan.work), arm)
    finally:
        torch.set_num_threads(threads)
    return {
        "predicted": _pack(unit.predicted),
        "accepted": unit.accepted,
        "seconds": time.monotonic() - begun,
    }


def _key(plan: Plan, arm: Arm, seed: int, digest: str) -> str:
    settings = hashlib.sha256(f"{plan.protocol} {arm} {plan.rare} {digest}".encode()).hexdigest()[:16]
    return f"{arm.name} {seed} {settings}"


def _digest(*parts: Labelled) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr((part.classes, part.images.shape)).encode())
        digest.update(part.labels.tobytes())
        digest.update(np.ascontiguousarray(part.images).data)
    return digest.hexdigest()


def _pack(labels: npt.NDArray[np.int64]) -> str:
    return base64.b64encode(zlib.compress(labels.astype(np.uint16).tobytes(), 9)).decode()


def _unpack(text: str) -> npt.NDArray[np.int64]:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint16).astype(np.int64)
