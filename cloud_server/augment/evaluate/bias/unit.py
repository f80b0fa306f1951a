"""One training against a bias: one arm, one seed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from cloud_server.augment.engine import Engine
from cloud_server.augment.evaluate.bias.arms import BiasArm
from cloud_server.augment.evaluate.bias.crossing import coupled
from cloud_server.augment.evaluate.bias.planted import Grouped
from cloud_server.augment.evaluate.bias.work import BiasWork
from cloud_server.augment.evaluate.pools import Pool, pool_batches
from cloud_server.augment.plan import plan
from cloud_server.augment.recipes import Recipe
from cloud_server.augment.rows import Rows, Unencoded, scale_of
from cloud_server.augment.surrogate import Surrogate, as_surrogate
from cloud_server.augment.types import Draw
from models.vision.training import Batch, Images, Labels, fit, predict

__all__ = ["made_samples", "train_bias_arm"]

_PART = 64


def train_bias_arm(work: BiasWork, arm: BiasArm) -> Labels:
    """Train the arm; what its network says of the test images, N."""
    network, data = work.build(len(work.train.classes), work.seed), _originals(work, arm)
    if arm.coupled is None:
        batches = _drawn(work, arm, data)
    else:
        batches = coupled(work, arm.coupled, _drawn(work, arm, data))
    batches = _named(batches, len(data.group_names))
    fit(network, data.images, data.labels, work.training, seed=work.seed, batches=batches)
    return np.asarray(predict(network, work.test.images).argmax(axis=1), np.int64)


def _originals(work: BiasWork, arm: BiasArm) -> Grouped:
    if arm.draws != "least":
        return work.train
    rng, cells = np.random.default_rng([work.seed, 51]), work.train.cells
    members = [np.flatnonzero(cells == cell) for cell in np.unique(cells)]
    least = min(len(rows) for rows in members)
    kept = [rng.choice(rows, size=least, replace=False) for rows in members]
    return work.train.take(np.sort(np.concatenate(kept)))


def _drawn(work: BiasWork, arm: BiasArm, data: Grouped) -> Iterator[Batch]:
    """Batches whose labels are cells."""
    pool = Pool.of(data.images, data.cells)
    if arm.samples is not None:
        pool = pool.joined(*made_samples(work, arm.samples))
    weights = _cell_weights(data) if arm.weighted else None
    return pool_batches(
        lambda _: pool,
        work.training.batch,
        seed=work.seed,
        balanced=arm.draws == "cells",
        mix=arm.mix,
        weights=lambda _: weights,
    )


def _named(batches: Iterator[Batch], groups: int) -> Iterator[Batch]:
    """Batches of classes, of batches of cells."""
    return (Batch(batch.images, batch.labels // groups, batch.weights) for batch in batches)


def _cell_weights(data: Grouped) -> npt.NDArray[np.float32]:
    counts = np.bincount(data.cells, minlength=len(data.classes) * len(data.group_names))
    weights = len(data.labels) / np.maximum(counts, 1) / np.count_nonzero(counts)
    return np.where(counts > 0, weights, 0.0).astype(np.float32)


def made_samples(work: BiasWork, recipe: Recipe) -> tuple[Images, Labels]:
    """Samples and their cells; a control makes one of each image."""
    data = work.train
    x = np.ascontiguousarray(data.images.transpose(0, 2, 3, 1))
    source = Rows(x, scale_of(x, None), data.labels, data.classes, data.groups, data.group_names)
    surrogate = _group_surrogate(work) if recipe.bias else None
    engine = Engine(
        recipe, surrogate, codec=Unencoded(x.shape[1:]), seed=work.seed, batch=_PART, shape=work.shape
    )
    draws = _draws(data, recipe, work.seed)
    samples = [sample for part in _parts(draws) for sample in engine.make(part, source)]
    groups = _sample_groups(data, recipe, [sample.draw for sample in samples], [s.parent for s in samples])
    labels = np.array([sample.draw.label for sample in samples], np.int64)
    images = np.stack([sample.picture for sample in samples]).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(images), labels * len(data.group_names) + groups


def _draws(data: Grouped, recipe: Recipe, seed: int) -> tuple[Draw, ...]:
    if recipe.bias:
        return plan(data.labels, classes=data.classes, recipe=recipe, seed=seed, groups=data.groups)
    return tuple(Draw(i, int(label), int(label), (i,)) for i, label in enumerate(data.labels))


def _sample_groups(data: Grouped, recipe: Recipe, draws: list[Draw], parents: list[int]) -> Labels:
    return np.array([draw.target for draw in draws], np.int64) if recipe.bias else data.groups[parents]


def _parts(draws: tuple[Draw, ...]) -> Iterator[tuple[Draw, ...]]:
    return (draws[start : start + _PART] for start in range(0, len(draws), _PART))


def _group_surrogate(work: BiasWork) -> Surrogate:
    """Tells groups apart; groups are drawn alike."""
    if not work.known:
        work.known.append(_trained_surrogate(work))
    return work.known[0]


def _trained_surrogate(work: BiasWork) -> Surrogate:
    data, network, seed = work.train, work.build_judge(), work.judge_seed
    pool = Pool.of(data.images, data.groups)
    batches = pool_batches(lambda _: pool, work.training.batch, seed=seed, balanced=True)
    fit(network, data.images, data.groups, work.training, seed=seed, batches=batches)
    return as_surrogate(network, classes=data.group_names, shape=work.shape)
