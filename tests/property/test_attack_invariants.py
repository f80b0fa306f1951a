"""What holds for every attack of the table, whatever the oracle, the images and the budget."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.attack.attack import Attack, run
from shared.attack.budgets import L2, Budget, Linf, measure
from shared.attack.keys import Keys
from shared.attack.oracles import Ensemble, Linear, LossGradient, Negated, Oracle, Scaled
from shared.attack.steps import Smoothing
from shared.attack.table import ATTACKS
from shared.attack.transforms import Jpeg, Noise, Pad

Images = npt.NDArray[np.float32]
SIDE = 12
ROWS = [row for row in ATTACKS.values() if row.name != "uap"]
NAMES = [row.name for row in ROWS]


def _images(seed: int, count: int, side: int = SIDE) -> Images:
    levels = np.random.default_rng(seed).integers(0, 256, (count, 3, side, side))
    return levels.astype(np.float32) / np.float32(255)


def _curved(seed: int = 0, side: int = SIDE) -> Oracle:
    """A smooth, non-linear loss with cheap exact gradients: a sum of sines along random directions."""
    directions = np.random.default_rng(seed).standard_normal((6, 3 * side * side)).astype(np.float32)

    def oracle(images: Images, keys: Keys, /) -> LossGradient:
        flat = images.reshape(len(images), -1)
        phase = np.stack([row @ directions.T for row in flat]) * np.float32(0.6)
        gradient = np.stack([row @ directions for row in np.cos(phase)]).reshape(images.shape)
        return LossGradient(np.sin(phase).sum(axis=1), gradient.astype(images.dtype) * np.float32(0.6))

    return oracle


def _weight(seed: int) -> npt.NDArray[np.float64]:
    weight = np.random.default_rng(seed).random((1, 1, SIDE, SIDE))
    weight[..., : SIDE // 2, :] = 0.0
    return weight


def _light(row: Attack) -> Attack:
    # The same row with fewer copies, so that the suite stays quick.
    variance = None if row.variance is None else replace(row.variance, copies=2)
    return replace(row, steps=min(row.steps, 6), draws=min(row.draws, 2), variance=variance)


@pytest.mark.parametrize("rule", ["sign", "l2"])
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    levels=st.sampled_from([0.0, 1.0, 4.0, 8.0, 16.0]),
    psnr=st.floats(28.0, 50.0),
    masked=st.booleans(),
)
def test_budget_and_range_hold_after_rounding(
    name: str, rule: Any, seed: int, levels: float, psnr: float, masked: bool
) -> None:
    attack = replace(_light(ATTACKS[name]), rule=rule)
    images = _images(seed, 2)
    weight = _weight(seed) if masked else None
    budgets: list[Budget] = [Linf(levels, weight=weight), L2(psnr, max(levels, 1.0), weight=weight)]
    for budget in budgets:
        kept = images.copy()
        result = run(attack, _curved(), images, budget, seed=seed)
        np.testing.assert_array_equal(images, kept)
        assert np.isfinite(result.images).all()
        assert result.images.min() >= 0.0
        assert result.images.max() <= 1.0

        rounded = budget.quantise(result.images, images).astype(np.float32) / np.float32(255)
        _assert_inside(budget, images, rounded, levels=levels, weight=weight)


def _assert_inside(budget: Budget, images: Images, x: Images, *, levels: float, weight: Any) -> None:
    size = budget.measure(x, images)
    if isinstance(budget, L2):
        levels = max(levels, 1.0)
        assert (size.psnr >= budget.psnr_db - 1e-3).all()
    cap = levels * (1.0 if weight is None else weight)
    assert (np.abs(x.astype(np.float64) - images) * 255.0 <= cap + 1e-3).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_is_its_images_one_by_one(name: str) -> None:
    attack = _light(ATTACKS[name])
    images, ids = _images(1, 8), (5, 3, 77, 2**40, 0, 9, 12, 4)
    whole = run(attack, _curved(), images, Linf(8), seed=3, ids=ids)
    alone = [run(attack, _curved(), images[i : i + 1], Linf(8), seed=3, ids=ids[i : i + 1]) for i in range(8)]
    order = [6, 1, 0, 7, 5, 2, 3, 4]
    mixed = run(attack, _curved(), images[order], Linf(8), seed=3, ids=[ids[i] for i in order])

    np.testing.assert_allclose(whole.images, np.concatenate([one.images for one in alone]), atol=1e-6)
    np.testing.assert_allclose(whole.images[order], mixed.images, atol=1e-6)


@pytest.mark.parametrize("rule", ["sign", "l2"])
@pytest.mark.parametrize("name", NAMES)
def test_a_zero_gradient_gives_no_nan(name: str, rule: Any) -> None:
    attack = replace(_light(ATTACKS[name]), rule=rule, random_start=0.0)
    images = _images(2, 2)
    for budget in (Linf(8), L2(36.0)):
        result = run(attack, Linear(np.float32(0.0)), images, budget)
        np.testing.assert_array_equal(result.images, images)


@pytest.mark.parametrize("name", NAMES)
def test_no_budget_no_change(name: str) -> None:
    images = _images(3, 2)
    result = run(_light(ATTACKS[name]), _curved(), images, Linf(0.0))
    np.testing.assert_array_equal(result.images, images)


@pytest.mark.parametrize("name", NAMES)
def test_only_the_calls_asked_for(name: str) -> None:
    attack = _light(ATTACKS[name])
    calls = 0

    def counting(images: Images, keys: Keys, /) -> LossGradient:
        nonlocal calls
        calls += 1
        return _curved()(images, keys)

    result = run(attack, counting, _images(4, 2), Linf(8), keep="best")

    neighbours = 0 if attack.variance is None else attack.variance.copies * (attack.steps - 1)
    assert calls == result.gradient_calls
    assert calls == (attack.steps + neighbours) * attack.scale_copies * attack.draws
    assert result.losses.shape == (attack.steps, 2)


def _same(one: Attack, other: Attack, *, images: Images | None = None, oracle: Oracle | None = None) -> None:
    x = _images(5, 3) if images is None else images
    runs = [run(attack, oracle or _curved(), x, Linf(8), seed=1) for attack in (one, other)]
    np.testing.assert_allclose(runs[0].images, runs[1].images, atol=1e-6)


def test_momentum_that_forgets_at_once_is_i_fgsm() -> None:
    _same(replace(ATTACKS["mi-fgsm"], decay=0.0), ATTACKS["i-fgsm"])


def test_momentum_that_remembers_is_not() -> None:
    x = _images(5, 3)
    one, other = (run(ATTACKS[name], _curved(), x, Linf(8)).images for name in ("mi-fgsm", "i-fgsm"))
    assert np.abs(one - other).max() > 1 / 255


def test_di_with_probability_0_is_no_di() -> None:
    _same(replace(ATTACKS["m-di2-fgsm"], transform=Pad(p=0.0)), ATTACKS["mi-fgsm"])


def test_ti_with_a_delta_kernel_is_no_ti() -> None:
    _same(replace(ATTACKS["ti"], smoothing=Smoothing(1)), ATTACKS["mi-fgsm"])


def test_one_scale_copy_is_no_si() -> None:
    _same(replace(ATTACKS["si"], scale_copies=1), ATTACKS["ni-fgsm"])


@pytest.mark.parametrize("name", ["mi-fgsm", "m-di2-fgsm", "vmi"])
def test_an_ensemble_of_equal_members_is_the_member(name: str) -> None:
    images, attack = _images(6, 2), _light(ATTACKS[name])
    alone = run(attack, _curved(), images, Linf(8)).images
    for members in (1, 3):
        together = run(attack, Ensemble([_curved()] * members), images, Linf(8)).images
        np.testing.assert_allclose(together, alone, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(factor=st.floats(1e-3, 1e3))
def test_the_scale_of_the_loss_changes_nothing(factor: float) -> None:
    images = _images(7, 2)
    for rule, budget in (("sign", Linf(8)), ("l2", L2(34.0))):
        attack = replace(ATTACKS["mi-fgsm"], rule=rule)  # type: ignore[arg-type]
        one = run(attack, _curved(), images, budget).images
        other = run(attack, Scaled(_curved(), factor), images, budget).images
        assert (np.abs(one - other) > 1e-4).mean() <= 1e-3


def test_members_of_different_scale_count_equally_when_normalised() -> None:
    images, keys = _images(8, 2), Keys(0, (0, 1))
    a, b = _curved(1), _curved(2)
    for norm in ("l1", "l2"):
        plain = Ensemble([a, b], normalise=norm)(images, keys)  # type: ignore[arg-type]
        lopsided = Ensemble([a, Scaled(b, 1e4)], normalise=norm)(images, keys)  # type: ignore[arg-type]
        np.testing.assert_allclose(lopsided.gradient, plain.gradient, rtol=1e-4, atol=1e-7)


def test_targeted_descends() -> None:
    images, attack = _images(9, 2), ATTACKS["mi-fgsm"]
    up = run(attack, _curved(), images, Linf(8))
    down = run(attack, Negated(_curved()), images, Linf(8))
    keys = Keys(0, (0, 1))
    before = _curved()(images, keys).loss
    assert (_curved()(up.images, keys).loss > before).all()
    assert (_curved()(down.images, keys).loss < before).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), levels=st.integers(1, 30))
def test_on_a_linear_loss_everything_ends_on_the_same_corner(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((3, SIDE, SIDE)).astype(np.float32)
    images = (0.2 + 0.6 * rng.random((2, 3, SIDE, SIDE))).astype(np.float32)
    corner = images + np.float32(levels / 255) * np.sign(weight)
    oracle, keys = Linear(weight), Keys(0, (0, 1))
    for name in ("fgsm", "i-fgsm", "pgd", "mi-fgsm", "ni-fgsm", "vmi", "si"):
        result = run(replace(_light(ATTACKS[name]), step_size=1.0), oracle, images, Linf(levels))
        np.testing.assert_allclose(result.images, corner, atol=1e-6)
    gain = oracle(corner, keys).loss - oracle(images, keys).loss
    np.testing.assert_allclose(gain, levels / 255 * np.abs(weight).sum(), rtol=1e-4)


@pytest.mark.parametrize("transform", [Noise(1.0, 5.0), Jpeg(50, 90), Pad(p=1.0, rate=1.5)])
def test_the_seed_decides(transform: Any) -> None:
    images = _images(10, 2)
    attack = replace(ATTACKS["mi-fgsm"], transform=transform)
    one, again, other = (run(attack, _curved(), images, Linf(8), seed=s).images for s in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0


def test_best_is_the_highest_loss_seen() -> None:
    images = _images(11, 3)
    attack = replace(ATTACKS["i-fgsm"], step_size=1.0)
    result = run(attack, _curved(), images, Linf(16), keep="best")
    reached = _curved()(result.images, Keys(0, (0, 1, 2))).loss
    np.testing.assert_allclose(reached, result.losses.max(axis=0), rtol=1e-4)


def test_measure_agrees_with_a_slow_reading() -> None:
    images, other = _images(12, 2), _images(13, 2)
    size = measure(other, images)
    difference = other.astype(np.float64) - images
    for i in range(2):
        assert size.levels[i] == pytest.approx(np.abs(difference[i]).max() * 255)
        assert size.l2[i] == pytest.approx(np.sqrt((difference[i] ** 2).sum()))
        assert size.psnr[i] == pytest.approx(-10 * np.log10((difference[i] ** 2).mean()))
