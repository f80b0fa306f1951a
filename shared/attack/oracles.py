"""Oracles: what returns loss and gradient for a batch of images, and what oracles are made of.

An attack ascends the loss. Oracles that hold a network live elsewhere (ONNX Runtime on the device, torch in
the zoo); here are the protocol, the keys of randomness and the combinators.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from shared.attack.arrays import Array, divide_by_mean_size, energy, namespace, per_image
from shared.attack.keys import Keys
from shared.attack.transforms.base import Transform, pull_back

__all__ = [
    "Alternating",
    "Ensemble",
    "Expectation",
    "Keys",
    "Linear",
    "LossGradient",
    "Negated",
    "Normalise",
    "Oracle",
    "ScaleCopies",
    "Scaled",
    "unit",
]


class LossGradient(NamedTuple):
    """What an oracle returns: loss of shape N, gradient of the images' shape N C H W."""

    loss: Array
    gradient: Array


class Oracle(Protocol):
    """Loss and gradient of a batch of images; attacks ascend the loss."""

    def __call__(self, images: Array, keys: Keys, /) -> LossGradient:
        """Loss (N) and gradient (N C H W).

        Args:
            images: floating N C H W in [0,1]; must not be changed.
            keys: for what is random, one id an image.
        """


@dataclass(frozen=True)
class Linear:
    """<weight, x> + bias: the oracle whose attacks have a known answer.

    Args:
        weight: broadcasts to N C H W.
        bias: a number.
    """

    weight: Array
    bias: float = 0.0

    def __call__(self, images: Array, keys: Keys, /) -> LossGradient:
        """Loss and the constant gradient."""
        xp = namespace(images)
        gradient = xp.zeros_like(images) + self.weight
        return LossGradient(xp.sum(images * gradient, axis=(1, 2, 3)) + self.bias, gradient)


@dataclass(frozen=True)
class Scaled:
    """An oracle times a number."""

    oracle: Oracle
    factor: float

    def __call__(self, images: Array, keys: Keys, /) -> LossGradient:
        """Loss and gradient times the factor."""
        loss, gradient = self.oracle(images, keys)
        return LossGradient(loss * self.factor, gradient * self.factor)


@dataclass(frozen=True)
class Negated:
    """An oracle with its sign changed: ascending it descends the loss, which makes an attack targeted."""

    oracle: Oracle

    def __call__(self, images: Array, keys: Keys, /) -> LossGradient:
        """Minus loss, minus gradient."""
        loss, gradient = self.oracle(images, keys)
        return LossGradient(-loss, -gradient)


Normalise = Literal["none", "l1", "l2"]


@dataclass(frozen=True)
class Ensemble:
    """The weighted sum of several oracles.

    Args:
        oracles: one or more; each gets the same keys, so that equal members give equal answers.
        weights: one a member; None shares 1 among all. A member of weight 0 is not called.
        normalise: 'none' sums gradients as they are (the gradient of the summed loss). 'l2' and 'l1' first
            divide each member's gradient, image by image, by its norm (L2, or mean absolute value), so that
            members of different scale count equally; the losses are summed as they are.
    """

    oracles: Sequence[Oracle]
    weights: Sequence[float] | None = None
    normalise: Normalise = "none"

    def __post_init__(self) -> None:
        if not self.oracles:
            raise ValueError("Ensemble: expected one oracle or more, got none")
        if self.weights is not None and len(self.weights) != len(self.oracles):
            raise ValueError(f"Ensemble: {len(self.oracles)} oracles but {len(self.weights)} weights")
        if self.weights is not None and not any(self.weights):
            raise ValueError("Ensemble: every weight is 0; give one member a weight")

    def __call__(self, images: Array, keys: Keys, /) -> LossGradient:
        """The weighted sums."""
        weights = self.weights if self.weights is not None else [1.0 / len(self.oracles)] * len(self.oracles)
        total: LossGradient | None = None
        for oracle, weight in zip(self.oracles, weights, strict=True):
            if weight == 0:
                continue
            loss, gradient = oracle(images, keys)
            part = LossGradient(loss * weight, unit(gradient, self.normalise) * weight)
            total = part if total is None else _add(total, part)
        if total is None:  # excluded above
            raise ValueError("Ensemble: every weight is 0; give one member a weight")
        return total


@dataclass(frozen=True)
class Alternating:
    """One oracle of several a step, drawn anew: an ensemble at the price of one.

    Args:
        oracles: one or more.
        weights: how often each is drawn, relative to the others; None for all alike.
    """

    oracles: Sequence[Oracle]
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if not self.oracles:
            raise ValueError("Alternating: expected one oracle or more, got none")
        if self.weights is not None and len(self.weights) != len(self.oracles):
            raise ValueError(f"Alternating: {len(self.oracles)} oracles but {len(self.weights)} weights")
        if self.weights is not None and not any(self.weights):
            raise ValueError("Alternating: every weight is 0; give one a weight")

    def __call__(self, images: Array, keys: Keys, /) -> LossGradient:
        """Loss and gradient of the one whose turn it is, the same for all images of a step."""
        weights = self.weights or [1.0] * len(self.oracles)
        total = sum(weights)
        chosen = keys.shared().choice(len(self.oracles), p=[weight / total for weight in weights])
        return self.oracles[int(chosen)](images, keys.fork(0))


@dataclass(frozen=True)
class Expectation:
    """The mean of an oracle over random transforms of its input (Athalye et al., arXiv 1707.07397).

    Args:
        oracle: called once a copy, on transformed images.
        transform: drawn anew for each copy.
        copies: how many draws a call.
    """

    oracle: Oracle
    transform: Transform
    copies: int = 1

    def __post_init__(self) -> None:
        if self.copies < 1:
            raise ValueError(f"Expectation: copies must be 1 or more, got {self.copies}")

    def __call__(self, images: Array, keys: Keys, /) -> LossGradient:
        """Mean loss and mean gradient with respect to the untransformed images."""
        total = self._copy(images, keys.fork(0))
        for copy in range(1, self.copies):
            total = _add(total, self._copy(images, keys.fork(copy)))
        if self.copies == 1:
            return total
        return LossGradient(total.loss / self.copies, total.gradient / self.copies)

    def _copy(self, images: Array, keys: Keys) -> LossGradient:
        # One fork for the draw, another for the oracle, which may hold an expectation of its own.
        params = self.transform.draw(keys.fork(0), tuple(images.shape))
        changed, pull = pull_back(self.transform, images, params)
        loss, gradient = self.oracle(changed, keys.fork(1))
        return LossGradient(loss, pull(gradient))


@dataclass(frozen=True)
class ScaleCopies:
    """The mean of an oracle over images x / 2^i, i < copies (SI, Lin et al., arXiv 1908.06281, equation 8).

    The gradient is with respect to the unscaled image, as in the authors' code, so copy i counts 1 / 2^i.
    """

    oracle: Oracle
    copies: int = 5

    def __call__(self, images: Array, keys: Keys, /) -> LossGradient:
        """Mean loss and mean gradient."""
        total: LossGradient | None = None
        for power in range(self.copies):
            factor = 0.5**power
            loss, gradient = self.oracle(images * factor, keys)
            part = LossGradient(loss, gradient * factor)
            total = part if total is None else _add(total, part)
        if total is None:
            raise ValueError(f"ScaleCopies: copies must be 1 or more, got {self.copies}")
        return LossGradient(total.loss / self.copies, total.gradient / self.copies)


def unit(gradient: Array, norm: Normalise) -> Array:
    """Each image's gradient over its norm; zero stays zero. A new array unless `norm` is 'none'."""
    if norm == "none":
        return gradient
    if norm == "l1":
        return divide_by_mean_size(gradient)
    xp = namespace(gradient)
    size = xp.sqrt(energy(gradient))
    return gradient / per_image(xp.where(size > 0, size, 1.0))


def _add(a: LossGradient, b: LossGradient) -> LossGradient:
    return LossGradient(a.loss + b.loss, a.gradient + b.gradient)
