"""Distillation: what is learnt of an image is its label and what a surrogate says of it.

Where rare images are few, labels tell little of where their class ends, and a surrogate's second and third
class tell more. With samples of a recipe it did best of all that was measured on few rare images. Frequent
rows that are moved into rare classes meanwhile gain there and cost elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from cloud_server.augment.engine import Engine
from cloud_server.augment.recipes import RECIPES, Recipe
from cloud_server.augment.rows import Unencoded
from cloud_server.augment.surrogate import Surrogate, evaluating

__all__ = ["MOVING", "Distiller", "Taught"]

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

# Few steps, for each costs a pass forward and back. On a seed of its own (CIFAR-10, 100 rare images beside
# 1,000) L2 2 cost the frequent classes less than L2 1.
MOVING = RECIPES["paper"].with_(radius=2.0, steps=3, step=1.0)

# Rows that the surrogate gets at once: about as many as move in a batch of 128.
_AT_ONCE = 16


class Taught(NamedTuple):
    """What a network is to learn. images: uint8 N C H W. targets: shares of the classes, N K."""

    images: Images
    targets: npt.NDArray[np.float32]


class Distiller:
    """Gives each row the surrogate's answer beside its label, and may move frequent rows into rare classes.

    Distillation is that of arXiv 1503.02531. Moved rows are after arXiv 1805.05532 (attacked images near the
    decision boundary), changed: they move toward rare classes only, into them where they get so far, and what
    is learnt of those is the surrogate's answer alone.

    Args:
        surrogate: who answers and is attacked. Train it on the same data as well as you can: deferred
            re-weighting made a better one than classes drawn alike.
        rare: outputs that rows are moved to; rows of these stay where they are.
        share: of the rows of other classes that are moved, in [0,1]; 0.15 was measured.
        recipe: attack and budget; target and gate do not matter.
        weight: of the surrogate's answer beside the label in rows that stay, in [0,1].
        temperature: logits are divided by it, so that the answer tells of second and third classes.
        seed: of everything random.

    Raises:
        ValueError: for a class that is no output, for rare classes only, and for a share, a weight or a
            temperature outside of its bounds.
    """

    def __init__(
        self,
        surrogate: Surrogate,
        *,
        rare: Iterable[int],
        share: float = 0.0,
        recipe: Recipe = MOVING,
        weight: float = 0.5,
        temperature: float = 2.0,
        seed: int = 0,
    ) -> None:
        classes = len(surrogate.classes)
        self._rare = np.array(sorted(set(rare)), np.int64)
        if not 0 < len(self._rare) < classes or self._rare[0] < 0 or self._rare[-1] >= classes:
            got = self._rare.tolist()
            raise ValueError(f"rare: needs some outputs from 0 to {classes - 1}, and not all, got {got}")
        for name, value in (("share", share), ("weight", weight)):
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name}: must lie in 0 to 1, got {value!r}")
        if not temperature > 0.0:
            raise ValueError(f"temperature: must be above 0, got {temperature!r}")
        codec = Unencoded(surrogate.shape)
        self._engine = Engine(recipe, surrogate, codec=codec, seed=seed, batch=_AT_ONCE)
        self._rng = np.random.default_rng([seed, 19])
        self._surrogate, self._share, self._weight = surrogate, share, weight
        self._temperature, self._seen = temperature, 0

    def __call__(self, images: Images, labels: Labels) -> Taught:
        """The batch with some rows moved, and what to learn of each; the given one stays as it is.

        Args:
            images: uint8 N C H W, after any other augmentation: the answers are about these very pixels.
            labels: N, outputs.

        Raises:
            ValueError: for images of another type or shape, labels that are no outputs, or another number.
        """
        self._check(images, labels)
        moves = ~np.isin(labels, self._rare) & (self._rng.random(len(labels)) < self._share)
        rows = np.flatnonzero(moves)
        first, self._seen = self._seen, self._seen + len(labels)
        if len(rows):
            wanted = self._rng.choice(self._rare, len(rows))
            moved = self._engine.perturb(images[rows], labels[rows], wanted, (first + rows).tolist())
            images = images.copy()
            images[rows] = moved.images
        weights = np.where(moves, 1.0, self._weight).astype(np.float32)[:, None]
        known = np.eye(len(self._surrogate.classes), dtype=np.float32)[labels]
        return Taught(images, (1.0 - weights) * known + weights * self._answers(images))

    def _answers(self, images: Images) -> npt.NDArray[np.float32]:
        network = self._surrogate.network
        with evaluating(network), torch.inference_mode():
            logits = network(torch.from_numpy(images).to(torch.float32) / 255.0)
        shares: npt.NDArray[np.float32] = torch.softmax(logits / self._temperature, dim=1).numpy()
        return shares

    def _check(self, images: Images, labels: Labels) -> None:
        if images.dtype != np.uint8 or images.shape[1:] != self._surrogate.shape:
            got = f"{images.dtype} of shape {images.shape}"
            raise ValueError(f"images: needs uint8 of shape N x {self._surrogate.shape}, got {got}")
        if labels.shape != (len(images),):
            raise ValueError(f"labels: needs one for each of {len(images)} images, got {labels.shape}")
        last = len(self._surrogate.classes) - 1
        if len(labels) and not 0 <= labels.min() <= labels.max() <= last:
            raise ValueError(f"labels: need outputs from 0 to {last}, got {labels.min()} to {labels.max()}")
