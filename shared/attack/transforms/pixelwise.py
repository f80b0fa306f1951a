"""Transforms that leave pixels where they are, or only turn the image round: noise, mirror."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shared.attack.arrays import Array, like, namespace
from shared.attack.keys import Keys
from shared.attack.transforms.base import Params, Shape

__all__ = ["Mirror", "Noise"]


@dataclass(frozen=True)
class Noise:
    """Adds Gaussian noise of a random strength; does not clip.

    Args:
        low: smallest standard deviation, in levels.
        high: largest; one draw an image, uniform.
    """

    low: float = 0.0
    high: float = 4.0

    def draw(self, keys: Keys, shape: Shape) -> Params:
        """The noise itself, N C H W."""
        noise = []
        for i in range(len(keys.ids)):
            rng = keys.rng(i)
            level = rng.uniform(self.low, self.high) / 255.0
            noise.append(rng.standard_normal(shape[1:], dtype=np.float32) * np.float32(level))
        return np.stack(noise)

    def apply(self, x: Array, params: Params) -> Array:
        """Images plus noise."""
        return x + like(params, x)

    def adjoint(self, gradient: Array, x: Array, params: Params) -> Array:
        """The gradient itself: a constant was added."""
        return gradient


@dataclass(frozen=True)
class Mirror:
    """Left and right exchanged with probability `p`. Linear; its own adjoint."""

    p: float = 0.5

    def draw(self, keys: Keys, shape: Shape) -> Params:
        """A coin an image."""
        return [keys.rng(i).random() < self.p for i in range(len(keys.ids))]

    def apply(self, x: Array, params: Params) -> Array:
        """Mirrored where the coin says so."""
        xp = namespace(x)
        return xp.stack([xp.flip(x[i, ...], axis=-1) if coin else x[i, ...] for i, coin in enumerate(params)])

    def adjoint(self, gradient: Array, x: Array, params: Params) -> Array:
        """Mirrored back."""
        return self.apply(gradient, params)
