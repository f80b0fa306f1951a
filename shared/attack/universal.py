"""Universal perturbations: one for all images, trained over a stream of batches by the same loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from shared.attack.arrays import Array, check_images, doubles, like, namespace
from shared.attack.attack import Attack, Loop, OnStep, State, begin, dress
from shared.attack.budgets import Budget
from shared.attack.keys import Keys
from shared.attack.oracles import LossGradient, Oracle

__all__ = ["Batch", "OracleForBatch", "pack", "train_universal", "unpack"]

# The perturbation lies on this grey, so that [0,1] does not cut it and the loop sees an ordinary image.
_GREY = 0.5


class Batch(NamedTuple):
    """Images N C H W in [0,1] and one id an image."""

    images: Array
    ids: tuple[int, ...]


# Anchors differ from batch to batch, so the oracle may too.
OracleForBatch = Callable[[Batch], Oracle]


def train_universal(
    oracle_for_batch: OracleForBatch,
    stream: Iterable[Batch],
    attack: Attack,
    budget: Budget,
    *,
    seed: int = 0,
    state: State | None = None,
    on_batch: OnStep | None = None,
) -> State:
    """One step of the attack for each batch, along the mean gradient of its images.

    Args:
        oracle_for_batch: whose loss to ascend on a batch. The gradient passes where adding the perturbation
            does not leave [0,1].
        stream: batches of one image shape; ends training early when it ends. After a resume, the batches that
            follow.
        attack: as many batches as its steps are used.
        budget: of the perturbation, at most 127 levels.
        seed: of everything random.
        state: where an earlier call ended, to go on from there; None begins at the attack's start.
        on_batch: called after each step with its number and the mean loss (shape 1); may raise to cancel.

    Returns:
        The state after the last step; its `delta` is the perturbation, 1 C H W.

    Raises:
        ValueError: when the stream is empty and there is no state, or shapes do not agree.
    """
    source = _OnBatch(oracle_for_batch, attack)
    loop: Loop | None = None
    for batch in stream:
        check_images(batch.images, "batch")
        if loop is None:
            carrier = _carrier(batch.images)
            keys = Keys(seed, (0,))
            plain = replace(attack, transform=None, scale_copies=1)
            state = begin(plain, carrier, budget, keys) if state is None else _agreeing(state, carrier)
            loop = Loop(plain, source, carrier, budget, keys)
        if state is None or state.step >= attack.steps:
            break
        source.batch = batch
        state, loss = loop.advance(state)
        if on_batch is not None:
            on_batch(state.step - 1, loss)
    if state is None:
        raise ValueError("stream: expected one batch or more, got none")
    return state


class _OnBatch:
    """The current batch's oracle as one of the grey carrier: mean loss (1) and mean gradient (1 C H W)."""

    def __init__(self, oracle_for_batch: OracleForBatch, attack: Attack) -> None:
        self.batch: Batch | None = None
        self._oracle_for_batch = oracle_for_batch
        self._attack = attack

    def __call__(self, images: Array, keys: Keys, /) -> LossGradient:
        if self.batch is None:
            raise ValueError("stream: a gradient was asked for before the first batch")
        xp = namespace(images)
        raw = self.batch.images + (images - _GREY)
        oracle = dress(self._attack, self._oracle_for_batch(self.batch))
        loss, gradient = oracle(xp.clip(raw, 0.0, 1.0), replace(keys, ids=self.batch.ids))
        gradient = xp.where((raw >= 0.0) & (raw <= 1.0), gradient, xp.zeros_like(gradient))
        return LossGradient(xp.mean(loss, axis=0, keepdims=True), xp.mean(gradient, axis=0, keepdims=True))


def pack(state: State) -> dict[str, npt.NDArray[np.float32]]:
    """The state as NumPy arrays, for `numpy.savez`; absent parts are left out."""
    arrays = {"delta": state.delta, "momentum": state.momentum, "variance": state.variance}
    packed = {name: doubles(a).astype(np.float32) for name, a in arrays.items() if a is not None}
    return {**packed, "step": np.array(state.step, dtype=np.float32)}


def unpack(arrays: Mapping[str, npt.NDArray[np.float32]], template: Array) -> State:
    """What `pack` made, as arrays of the library and type of `template`.

    Raises:
        ValueError: when an array is missing or unknown.
    """
    if not {"delta", "step"} <= set(arrays) <= {"delta", "momentum", "variance", "step"}:
        raise ValueError(f"state: expected delta, step and maybe momentum, variance; got {sorted(arrays)}")
    found = {name: like(values, template) for name, values in arrays.items() if name != "step"}
    return State(**found, step=int(arrays["step"]))


def _carrier(images: Array) -> Array:
    xp = namespace(images)
    return xp.full_like(images[:1, ...], _GREY)


def _agreeing(state: State, carrier: Array) -> State:
    if tuple(state.delta.shape) != tuple(carrier.shape):
        expected = tuple(carrier.shape)
        raise ValueError(f"state: expected a delta of shape {expected}, got {tuple(state.delta.shape)}")
    return state
