"""What a transform is, and transforms made of transforms.

A transform draws its parameters per image, applies them, and carries its adjoint, so that it works with an
oracle that has no autograd. For a linear transform the adjoint is exact: <A x, y> = <x, A* y>.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from shared.attack.arrays import Array, namespace
from shared.attack.keys import Keys

__all__ = ["Chain", "Identity", "Maybe", "OneOf", "Params", "Shape", "Transform", "pull_back"]

# What one draw holds; each transform knows its own.
Params = Any
Shape = tuple[int, ...]


@runtime_checkable
class Transform(Protocol):
    """A random change of images, N C H W to N C H' W'."""

    def draw(self, keys: Keys, shape: Shape) -> Params:
        """Parameters for images of this shape; image i depends on `keys.rng(i)` alone."""

    def apply(self, x: Array, params: Params) -> Array:
        """The changed images; never changes its input."""

    def adjoint(self, gradient: Array, x: Array, params: Params) -> Array:
        """The gradient with respect to `x`, from the gradient with respect to `apply(x, params)`."""


@runtime_checkable
class _KeepsTheWay(Protocol):
    # A transform whose adjoint needs what applying it computes, and that can hand both out at once.
    def pull_back(self, x: Array, params: Params) -> tuple[Array, Callable[[Array], Array]]: ...


def pull_back(transform: Transform, x: Array, params: Params) -> tuple[Array, Callable[[Array], Array]]:
    """The changed images, and the function that carries a gradient on them back to `x`."""
    if isinstance(transform, _KeepsTheWay):
        return transform.pull_back(x, params)
    return transform.apply(x, params), lambda gradient: transform.adjoint(gradient, x, params)


@dataclass(frozen=True)
class Identity:
    """Changes nothing."""

    def draw(self, keys: Keys, shape: Shape) -> Params:
        """Nothing to draw."""
        return None

    def apply(self, x: Array, params: Params) -> Array:
        """The images themselves."""
        return x

    def adjoint(self, gradient: Array, x: Array, params: Params) -> Array:
        """The gradient itself."""
        return gradient


@dataclass(frozen=True)
class Chain:
    """Transforms one after the other, the first in the list first."""

    transforms: Sequence[Transform]

    def draw(self, keys: Keys, shape: Shape) -> Params:
        """Parameters of each part, from a fork of the keys each."""
        drawn = []
        for place, transform in enumerate(self.transforms):
            drawn.append(transform.draw(keys.fork(place), shape))
            shape = out_shape(transform, drawn[-1], shape)
        return tuple(drawn)

    def apply(self, x: Array, params: Params) -> Array:
        """The images after every part."""
        for transform, drawn in zip(self.transforms, params, strict=True):
            x = transform.apply(x, drawn)
        return x

    def adjoint(self, gradient: Array, x: Array, params: Params) -> Array:
        """Back through every part; computes the images between them anew (`pull_back` keeps them)."""
        return self.pull_back(x, params)[1](gradient)

    def pull_back(self, x: Array, params: Params) -> tuple[Array, Callable[[Array], Array]]:
        """As the function of the same name, keeping the images between the parts."""
        pulls: list[Callable[[Array], Array]] = []
        for transform, drawn in zip(self.transforms, params, strict=True):
            x, pull = pull_back(transform, x, drawn)
            pulls.append(pull)

        def back(gradient: Array) -> Array:
            for pull in reversed(pulls):
                gradient = pull(gradient)
            return gradient

        return x, back


def out_shape(transform: Transform, params: Params, shape: Shape) -> Shape:
    """The shape after a transform; one that changes shapes says so by a method `out_shape(params, shape)`."""
    method = getattr(transform, "out_shape", None)
    return shape if method is None else tuple(method(params, shape))


@dataclass(frozen=True)
class Maybe:
    """A transform that is applied to an image with probability `p`; it must keep the shape."""

    transform: Transform
    p: float = 0.5

    def draw(self, keys: Keys, shape: Shape) -> Params:
        """A coin an image, and the parameters of the transform."""
        coins = np.array([keys.rng(i).random() < self.p for i in range(len(keys.ids))], dtype=bool)
        params = self.transform.draw(keys.fork(0), shape) if coins.any() else None
        if params is not None and out_shape(self.transform, params, shape) != shape:
            raise ValueError(
                f"Maybe: {self.transform!r} changes the shape {shape}, so that a batch could not mix"
            )
        return coins, params

    def apply(self, x: Array, params: Params) -> Array:
        """Changed images where the coin says so."""
        coins, inner = params
        if not coins.any():
            return x
        return _where(coins, self.transform.apply(x, inner), x)

    def adjoint(self, gradient: Array, x: Array, params: Params) -> Array:
        """Back through the transform where the coin said so."""
        coins, inner = params
        if not coins.any():
            return gradient
        return _where(coins, self.transform.adjoint(gradient, x, inner), gradient)


@dataclass(frozen=True)
class OneOf:
    """One of several transforms, the same for all images of a step, so that a batch is worked on as one.

    Args:
        transforms: one or more.
        weights: how likely each is, relative to the others; None for all alike.
    """

    transforms: Sequence[Transform]
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if not self.transforms:
            raise ValueError("OneOf: expected one transform or more, got none")
        if self.weights is not None and len(self.weights) != len(self.transforms):
            raise ValueError(f"OneOf: {len(self.transforms)} transforms but {len(self.weights)} weights")
        if self.weights is not None and not any(self.weights):
            raise ValueError("OneOf: every weight is 0; give one a weight")

    def draw(self, keys: Keys, shape: Shape) -> Params:
        """Which one, and its parameters."""
        weights = np.ones(len(self.transforms)) if self.weights is None else np.asarray(self.weights, float)
        choice = int(keys.shared().choice(len(self.transforms), p=weights / weights.sum()))
        return choice, self.transforms[choice].draw(keys.fork(choice), shape)

    def out_shape(self, params: Params, shape: Shape) -> Shape:
        """As of the one that was chosen."""
        choice, inner = params
        return out_shape(self.transforms[choice], inner, shape)

    def apply(self, x: Array, params: Params) -> Array:
        """The images after the one that was chosen."""
        choice, inner = params
        return self.transforms[choice].apply(x, inner)

    def adjoint(self, gradient: Array, x: Array, params: Params) -> Array:
        """Back through the one that was chosen."""
        choice, inner = params
        return self.transforms[choice].adjoint(gradient, x, inner)


def _where(coins: np.ndarray[Any, np.dtype[np.bool_]], yes: Array, no: Array) -> Array:
    if coins.all():
        return yes
    xp = namespace(no)
    parts = [yes[i, ...] if coin else no[i, ...] for i, coin in enumerate(coins)]
    return xp.stack(parts)
