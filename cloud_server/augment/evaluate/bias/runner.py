"""All trainings against a bias: what the journal knows stays, the rest is trained."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cloud_server.augment.evaluate.bias.arms import BiasArm
from cloud_server.augment.evaluate.bias.planted import Cells, Grouped, coloured_digits, tinted
from cloud_server.augment.evaluate.bias.work import BiasWork
from cloud_server.paper.journal import Journal
from models.vision.cifar import Labelled
from models.vision.training import Labels, Training

__all__ = ["BiasPlan", "BiasResults", "Makes", "cells_of", "digits", "run_bias", "tints"]

# Training and test images of a seed.
Makes = Callable[[int], tuple[Grouped, Grouped]]


@dataclass(frozen=True)
class BiasPlan:
    """What an evaluation against a bias consists of.

    Args:
        name: of the dataset, in the report.
        out: folder of the journal and the results; a run goes on from there.
        arms: rows of the table.
        seeds: of data and training.
        network: of `models.vision.networks`.
        training: of every arm.
    """

    name: str
    out: Path
    arms: tuple[BiasArm, ...]
    seeds: tuple[int, ...]
    network: str
    training: Training


@dataclass(frozen=True, eq=False)
class BiasResults:
    """What all trainings left.

    Args:
        plan: what was run.
        test: the test images' labels, groups and names, alike for all seeds.
        train_cells: images of each class and group in training, K G.
        predicted: by arm, S N.
    """

    plan: BiasPlan
    test: Grouped
    train_cells: Cells
    predicted: dict[str, Labels]


def cells_of(each: int, share: float) -> Cells:
    """Counts 2 2: `each` images of a class, of which a share lies in the group that goes with it."""
    large = round(each * share)
    return np.array([[large, each - large], [each - large, large]], np.int64)


def digits(each: int, share: float, test: int) -> Makes:
    """Coloured digits: `each` training images of a class, `test` test images of each class and colour."""
    even = np.full((2, 2), test, np.int64)
    held_out = coloured_digits(even, seed=1 << 20)
    return lambda seed: (coloured_digits(cells_of(each, share), seed=seed), held_out)


def tints(
    pair: tuple[Labelled, Labelled], names: tuple[str, str], each: int, share: float, test: int
) -> Makes:
    """Two classes of a dataset with tints; arguments as `digits`."""
    even = np.full((2, 2), test, np.int64)
    held_out = tinted(pair[1], names, even, seed=1 << 20)
    return lambda seed: (tinted(pair[0], names, cells_of(each, share), seed=seed), held_out)


def run_bias(
    plan: BiasPlan, makes: Makes, *, on_progress: Callable[[int, int], None] = lambda _done, _total: None
) -> BiasResults:
    """Train what the journal does not know yet.

    Args:
        plan: what to run.
        makes: gives the images of a seed; the test images must be the same for all.
        on_progress: called with trainings done and trainings in all.
    """
    journal, done, total = Journal(plan.out / "bias.jsonl"), 0, len(plan.arms) * len(plan.seeds)
    predicted: dict[str, list[Labels]] = {arm.name: [] for arm in plan.arms}
    on_progress(done, total)
    for seed in plan.seeds:
        train, test = makes(seed)
        digest, work = _digest(train, test), BiasWork(train, test, plan.network, plan.training, seed)
        for arm in plan.arms:
            key = _key(plan, arm, seed, digest)
            if key not in journal:
                journal.add(key, _pack(_trained(work, arm)))
            predicted[arm.name].append(_unpack(journal[key]))
            done += 1
            on_progress(done, total)
    counts = np.bincount(train.cells, minlength=len(train.classes) * len(train.group_names))
    return BiasResults(
        plan,
        test,
        counts.reshape(len(train.classes), -1),
        {name: np.stack(rows) for name, rows in predicted.items()},
    )


def _trained(work: BiasWork, arm: BiasArm) -> Labels:
    from cloud_server.augment.evaluate.bias.unit import train_bias_arm
    from cloud_server.augment.surrogate import evaluating

    with evaluating():
        return train_bias_arm(work, arm)


def _key(plan: BiasPlan, arm: BiasArm, seed: int, digest: str) -> str:
    settings = hashlib.sha256(f"{plan.network} {plan.training} {arm} {digest}".encode()).hexdigest()[:16]
    return f"{plan.name} {arm.name} {seed} {settings}"


def _digest(*parts: Grouped) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr((part.classes, part.group_names, part.images.shape)).encode())
        digest.update(part.cells.tobytes() + np.ascontiguousarray(part.images).tobytes())
    return digest.hexdigest()


def _pack(labels: Labels) -> str:
    return base64.b64encode(zlib.compress(labels.astype(np.uint16).tobytes(), 9)).decode()


def _unpack(text: str) -> Labels:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint16).astype(np.int64)
