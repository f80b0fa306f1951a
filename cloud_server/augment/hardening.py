"""Hardening: rare rows of a batch are moved a little away from their class, and keep their label.

What a network has seen often enough it knows by heart, and rare images are seen often. Moved against the
network as it is at that update, they are never the same twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from torch import nn

from cloud_server.augment.engine import Engine
from cloud_server.augment.recipes import RECIPES, Recipe
from cloud_server.augment.rows import Unencoded
from cloud_server.augment.surrogate import Shape, Surrogate

__all__ = ["HARDENING", "Hardener"]

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]

# One step, since the network is another at the next update. Larger moves cost the frequent classes more: on
# the seed that chose, with 200 rare images beside 2,000, L2 0.5 gained 4.8 points on rare classes and cost
# 1.4 on the others, L2 0.25 gained 2.7 and cost nothing. On three other seeds L2 0.25 gained 4.0 and cost
# 1.0 (CIFAR-10, beside balanced sampling).
HARDENING = RECIPES["paper"].with_(radius=0.25, steps=1, step=0.25)

# Rows that the network gets at once: about as many as are rare in a batch of 128.
_AT_ONCE = 32


class Hardener:
    """Moves rows of training batches toward other classes.

    Args:
        network: images N C H W in [0,1] to logits N K, while it is trained; it is put into evaluation mode
            for the moment of the attack and left as it was.
        classes: names of its outputs, K.
        shape: C H W of the images.
        rare: outputs whose rows are moved.
        share: of these rows, in [0,1].
        recipe: its attack and budget; target and gate do not matter.
        seed: of everything random.

    Raises:
        ValueError: for a class that is no output, or a share outside of [0,1].
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        classes: Sequence[str],
        shape: Shape,
        rare: Iterable[int],
        share: float = 0.5,
        recipe: Recipe = HARDENING,
        seed: int = 0,
    ) -> None:
        self._rare = np.array(sorted(set(rare)), np.int64)
        if len(self._rare) == 0 or self._rare[0] < 0 or self._rare[-1] >= len(classes):
            raise ValueError(f"rare: needs outputs from 0 to {len(classes) - 1}, got {self._rare.tolist()}")
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"share: must lie in 0 to 1, got {share!r}")
        surrogate = Surrogate(network, tuple(classes), shape)
        self._engine = Engine(recipe, surrogate, codec=Unencoded(shape), seed=seed, batch=_AT_ONCE)
        self._rng = np.random.default_rng([seed, 13])
        self._share, self._classes, self._shape, self._seen = share, len(classes), tuple(shape), 0

    def __call__(self, images: Images, labels: Labels) -> Images:
        """The batch with some rows moved; the given one stays as it is.

        Args:
            images: uint8 N C H W, before any other augmentation.
            labels: N, outputs.

        Raises:
            ValueError: for images of another type or shape, or another number of labels.
        """
        if images.dtype != np.uint8 or images.shape[1:] != self._shape:
            got = f"{images.dtype} of shape {images.shape}"
            raise ValueError(f"images: needs uint8 of shape N x {self._shape}, got {got}")
        if labels.shape != (len(images),):
            raise ValueError(f"labels: needs one for each of {len(images)} images, got {labels.shape}")
        chosen = np.isin(labels, self._rare) & (self._rng.random(len(labels)) < self._share)
        rows = np.flatnonzero(chosen)
        first, self._seen = self._seen, self._seen + len(labels)
        if len(rows) == 0:
            return images
        origins = labels[rows]
        targets = (origins + self._rng.integers(1, self._classes, len(rows))) % self._classes
        out = images.copy()
        out[rows] = self._engine.perturb(images[rows], origins, targets, (first + rows).tolist()).images
        return out
