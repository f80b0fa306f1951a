"""Perturbing batches of images by a recipe, and judging what came of it. Batches have one size, always.

The last bits of a network's output depend on how many images it is given, so what is missing of a batch is
filled up with its first image, and the same images in the same places give the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cloud_server.augment.oracle import TargetOracle
from cloud_server.augment.pixels import Planes
from cloud_server.augment.recipes import Recipe
from cloud_server.augment.surrogate import Surrogate, evaluating
from cloud_server.augment.types import Kind
from shared.attack.attack import Attack, begin, run
from shared.attack.keys import Keys

__all__ = ["Crafter", "Judged", "Universal"]

# Perturbations in the units of [0,1], C H W, by the surrogate's outputs.
Universal = Mapping[int, npt.NDArray[np.float32]]
Indices = npt.NDArray[np.int64]

_NOISE = Attack("noise", "control", "a random perturbation of the whole radius", random_start=1.0)
_NOISE_L2 = Attack("noise", "control", "a random direction of the whole radius", rule="l2", random_start=1.0)


class Judged(NamedTuple):
    """What the surrogate says of images: its confidence in the target, in [0,1], and whether that will do."""

    confidence: npt.NDArray[np.float32]
    accepted: npt.NDArray[np.bool_]


class Crafter:
    """A recipe with its networks, ready for images.

    Args:
        recipe: the settings.
        surrogate: what is attacked; None for a control.
        seed: of everything random.
        universal: one perturbation for each target, for recipes that add them.
        batch: images that the network gets at once.
        second: whose evidence for the origin is held down; None is the surrogate.

    Raises:
        ValueError: when a part is missing that the recipe needs.
    """

    def __init__(
        self,
        recipe: Recipe,
        surrogate: Surrogate | None,
        *,
        seed: int,
        universal: Universal | None = None,
        batch: int = 64,
        second: Surrogate | None = None,
    ) -> None:
        if recipe.surrogate and surrogate is None:
            raise ValueError(f"recipe {recipe.name!r} attacks a surrogate: give one")
        if recipe.universal and universal is None:
            raise ValueError(f"recipe {recipe.name!r} adds universal perturbations: train them first")
        if batch < 1:
            raise ValueError(f"batch must be 1 or more, got {batch}")
        if surrogate is not None and second is not None and surrogate.classes != second.classes:
            raise ValueError("second: its classes must be the surrogate's, in the same order")
        self.recipe, self.surrogate, self.seed, self.batch = recipe, surrogate, seed, batch
        self._universal = universal or {}
        self._second = second

    def perturb(self, images: Planes, origins: Indices, targets: Indices, ids: Sequence[int]) -> Planes:
        """Perturbed images that keep the budget.

        Args:
            images: N C H W.
            origins: N, what the surrogate should no longer see; used by recipes that suppress it.
            targets: N, what it is to see.
            ids: N, of which randomness depends, beside the seed.
        """
        if self.recipe.budget.radius == 0:
            return images.copy()
        out = np.empty_like(images)
        for part, rows in self._batches(len(images)):
            keys = [ids[i] for i in rows]
            out[part] = self._perturb(images[rows], origins[rows], targets[rows], keys)[: len(out[part])]
        return out

    def judge(self, images: Planes, targets: Indices) -> Judged:
        """What the surrogate says of images N C H W; without one all are accepted, at confidence 0."""
        if self.surrogate is None:
            return Judged(np.zeros(len(images), np.float32), np.ones(len(images), np.bool_))
        confidence = np.empty(len(images), np.float32)
        first = np.empty(len(images), np.bool_)
        for part, rows in self._batches(len(images)):
            chances = self._chances(self.surrogate, images[rows])
            picked = chances[np.arange(len(rows)), targets[rows]]
            count = len(confidence[part])
            confidence[part], first[part] = picked[:count], (picked >= chances.max(axis=1))[:count]
        return Judged(confidence, first & (confidence >= self.recipe.confidence))

    def _batches(self, count: int) -> Iterator[tuple[slice, Indices]]:
        """Where the results of a batch belong, and which images it holds."""
        for start in range(0, count, self.batch):
            rows = np.arange(start, start + self.batch)
            yield slice(start, min(start + self.batch, count)), np.where(rows < count, rows, start)

    def _perturb(self, images: Planes, origins: Indices, targets: Indices, ids: Sequence[int]) -> Planes:
        budget = self.recipe.budget.budget(_shape(images))
        x = _floats(images)
        if self.recipe.control is Kind.NOISE:
            noise = _NOISE if self.recipe.budget.norm == "linf" else _NOISE_L2
            moved = x + begin(noise, x, budget, Keys(self.seed, tuple(ids))).delta
        elif self.recipe.universal:
            moved = x + torch.from_numpy(np.stack([self._pattern(int(t)) for t in targets]))
        else:
            moved = self._attacked(x, origins, targets, ids)
        return budget.quantise(moved, x)

    def _pattern(self, target: int) -> npt.NDArray[np.float32]:
        if target not in self._universal:
            raise ValueError(f"universal: there is no perturbation for target {target}; train it first")
        return self._universal[target]

    def _attacked(self, x: Tensor, origins: Indices, targets: Indices, ids: Sequence[int]) -> Tensor:
        recipe, surrogate, second = self.recipe, self.surrogate, self._second
        if recipe.attack is None or surrogate is None:
            return x
        network = surrogate.network
        other = None if second is None else second.network
        wanted, left = torch.from_numpy(targets), torch.from_numpy(origins)
        oracle = TargetOracle(network, wanted, recipe.loss, left, recipe.suppress, other)
        budget = recipe.budget.budget(surrogate.shape)
        with evaluating(*(n for n in (network, other) if n is not None)):
            done = run(recipe.attack, oracle, x, budget, seed=self.seed, ids=ids)
        return torch.as_tensor(done.images)

    def _chances(self, surrogate: Surrogate, images: Planes) -> npt.NDArray[np.float32]:
        with evaluating(surrogate.network), torch.no_grad():
            logits = surrogate.network(_floats(images))
        return np.asarray(torch.softmax(logits, dim=1).numpy(), dtype=np.float32)


def _floats(images: Planes) -> Tensor:
    return torch.from_numpy(images).to(torch.float32) / 255.0


def _shape(images: Planes) -> tuple[int, int, int]:
    return (int(images.shape[1]), int(images.shape[2]), int(images.shape[3]))
