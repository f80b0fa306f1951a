"""AEDA online: rows cross over to other groups, against a classifier that learns of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import nn

from cloud_server.augment.engine import Engine
from cloud_server.augment.evaluate.bias.planted import Grouped
from cloud_server.augment.evaluate.bias.work import BiasWork
from cloud_server.augment.recipes import Recipe
from cloud_server.augment.rows import Unencoded
from cloud_server.augment.surrogate import Surrogate
from models.vision.training import Batch, Images, Labels

__all__ = ["coupled", "flow"]

_RATE = 0.05


def coupled(work: BiasWork, recipe: Recipe, batches: Iterator[Batch]) -> Iterator[Batch]:
    """Batches of cells in which rows crossed over to other groups.

    For 'rare' targets rows of a large group do, so that groups come out even; otherwise half of all rows. The
    classifier of groups learns from the same rows with the groups that they came from: what crosses
    over today has to do more tomorrow.
    """
    data, groups = work.train, len(work.train.group_names)
    network = work.build_judge()
    optimiser = torch.optim.SGD(network.parameters(), lr=_RATE, momentum=0.9)
    surrogate = Surrogate(network, data.group_names, work.shape)
    engine = Engine(recipe, surrogate, codec=Unencoded(work.shape), seed=work.seed, batch=32)
    rng, chances = np.random.default_rng([work.seed, 53]), _chances(data, recipe)
    for number, batch in enumerate(batches):
        was = batch.labels % groups
        wanted = np.array([rng.choice(groups, p=chances[cell]) for cell in batch.labels])
        rows, images = np.flatnonzero(wanted != was), batch.images.copy()
        if len(rows):
            ids = [number * len(was) + int(row) for row in rows]
            images[rows] = engine.perturb(batch.images[rows], was[rows], wanted[rows], ids).images
        _learn(network, optimiser, images, was)
        yield Batch(images, batch.labels - was + wanted, batch.weights)


def _chances(data: Grouped, recipe: Recipe) -> npt.NDArray[np.float64]:
    if recipe.targets == "rare":
        return flow(data)
    groups = len(data.group_names)
    leaving = (1.0 - np.eye(groups)) / max(groups - 1, 1)
    return np.tile((np.eye(groups) + leaving) / 2.0, (len(data.classes), 1))


def flow(data: Grouped) -> npt.NDArray[np.float64]:
    """For each cell, the chances of the group (G) that its rows are moved to."""
    groups = len(data.group_names)
    counts = np.bincount(data.cells, minlength=len(data.classes) * groups).reshape(-1, groups)
    even = counts.mean(axis=1, keepdims=True)
    lacking = np.maximum(even - counts, 0.0)
    lacking /= np.maximum(lacking.sum(axis=1, keepdims=True), 1e-12)
    leaving = np.where(counts > even, 1.0 - even / np.maximum(counts, 1), 0.0)
    return np.asarray(
        (leaving[:, :, None] * lacking[:, None, :] + (1.0 - leaving)[:, :, None] * np.eye(groups)).reshape(
            -1, groups
        )
    )


def _learn(network: nn.Module, optimiser: torch.optim.Optimizer, images: Images, groups: Labels) -> None:
    network.train()
    loss = F.cross_entropy(network(torch.from_numpy(images).float() / 255.0), torch.from_numpy(groups))
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
