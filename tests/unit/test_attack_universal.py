from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch

from shared.attack.budgets import L2, Linf
from shared.attack.keys import Keys
from shared.attack.oracles import Linear, LossGradient, Oracle
from shared.attack.table import ATTACKS
from shared.attack.transforms import Noise
from shared.attack.universal import Batch, pack, train_universal, unpack

Images = npt.NDArray[np.float32]
UAP = replace(ATTACKS["uap"], steps=30, step_size=0.1)
WEIGHT = np.random.default_rng(3).standard_normal((3, 7, 7)).astype(np.float32)


def _stream(batches: int, *, first: int = 0, size: int = 4) -> Iterator[Batch]:
    for number in range(first, first + batches):
        images = np.random.default_rng(number).random((size, 3, 7, 7)).astype(np.float32)
        yield Batch(images, tuple(range(number * size, (number + 1) * size)))


def _linear(batch: Batch) -> Oracle:
    return Linear(WEIGHT)


def _curved(batch: Batch) -> Oracle:
    def oracle(images: Images, keys: Keys, /) -> LossGradient:
        phase = (images * WEIGHT).sum(axis=(1, 2, 3)) * 2.0
        return LossGradient(np.sin(phase), np.cos(phase)[:, None, None, None] * WEIGHT * np.float32(2.0))

    return oracle


def test_on_a_linear_loss_it_is_the_corner() -> None:
    state = train_universal(_linear, _stream(30), UAP, Linf(8))
    assert state.delta.shape == (1, 3, 7, 7)
    np.testing.assert_allclose(state.delta[0], np.sign(WEIGHT) * 8 / 255, atol=1e-6)


def test_one_perturbation_raises_the_loss_of_images_not_seen() -> None:
    mild = next(_stream(1, first=99, size=64))

    def hinge(batch: Batch) -> Oracle:
        def oracle(images: Images, keys: Keys, /) -> LossGradient:
            score = (images * WEIGHT).sum(axis=(1, 2, 3))
            return LossGradient(np.tanh(score), (1 - np.tanh(score) ** 2)[:, None, None, None] * WEIGHT)

        return oracle

    delta = train_universal(hinge, _stream(30), UAP, Linf(8)).delta
    keys = Keys(0, mild.ids)
    before = hinge(mild)(mild.images, keys).loss.mean()
    after = hinge(mild)(np.clip(mild.images + delta, 0, 1), keys).loss.mean()
    assert after > before + 0.05


@pytest.mark.parametrize("name", ["uap", "mi-fgsm", "vmi"])
def test_a_resumed_run_ends_where_an_unbroken_one_does(name: str) -> None:
    attack = replace(ATTACKS[name], steps=12, step_size=0.2, transform=Noise())
    whole = train_universal(_curved, _stream(12), attack, Linf(8), seed=5)
    half = train_universal(_curved, _stream(5), attack, Linf(8), seed=5)
    file = io.BytesIO()
    np.savez(file, **pack(half))
    file.seek(0)
    restored = unpack(dict(np.load(file)), half.delta)
    assert restored.step == 5

    resumed = train_universal(_curved, _stream(7, first=5), attack, Linf(8), seed=5, state=restored)
    np.testing.assert_allclose(resumed.delta, whole.delta, atol=1e-6)
    assert resumed.step == 12


def test_it_stops_after_its_steps_and_reports_each() -> None:
    seen: list[int] = []
    state = train_universal(_linear, _stream(50), UAP, Linf(8), on_batch=lambda step, _: seen.append(step))
    assert seen == list(range(30))
    assert state.step == 30


def test_an_l2_budget_holds() -> None:
    state = train_universal(_curved, _stream(30), replace(UAP, rule="l2"), L2(40.0, 8.0))
    grey = np.full_like(state.delta, 0.5)
    size = L2(40.0, 8.0).measure(grey + state.delta, grey)
    assert size.psnr[0] >= 40.0 - 1e-3
    assert size.levels[0] <= 8.0 + 1e-3


def test_pixels_that_the_range_cuts_off_do_not_pull() -> None:
    white = [Batch(np.ones((2, 3, 7, 7), np.float32), (0, 1)) for _ in range(5)]
    up = Linear(np.abs(WEIGHT))
    state = train_universal(lambda batch: up, iter(white), UAP, Linf(8))
    # The first step leads out of the range; from there nothing is gained by going on.
    np.testing.assert_allclose(state.delta, 0.8 / 255, atol=1e-6)


@pytest.mark.torch
def test_torch_trains_the_same() -> None:
    ours = train_universal(_linear, _stream(10), UAP, Linf(8))
    tensors = (Batch(torch.tensor(images), ids) for images, ids in _stream(10))
    theirs = train_universal(lambda batch: Linear(torch.tensor(WEIGHT)), tensors, UAP, Linf(8))
    np.testing.assert_allclose(theirs.delta.numpy(), ours.delta, atol=1e-6)


def test_a_caller_s_mistake_is_named() -> None:
    with pytest.raises(ValueError, match="stream"):
        train_universal(_linear, iter(()), UAP, Linf(8))
    state = train_universal(_linear, _stream(1), UAP, Linf(8))
    wider = [Batch(np.zeros((1, 3, 8, 8), np.float32), (0,))]
    with pytest.raises(ValueError, match="state"):
        train_universal(_linear, iter(wider), UAP, Linf(8), state=state)
    with pytest.raises(ValueError, match="delta"):
        unpack({"step": np.array(1, np.float32)}, WEIGHT)
