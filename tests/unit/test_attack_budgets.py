from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from shared.attack.ball import into_ball
from shared.attack.budgets import L2, Linf, measure, psnr_to_radius

Images = npt.NDArray[np.float32]


def _photo(rng: np.random.Generator, *shape: int) -> Images:
    return rng.integers(0, 256, shape).astype(np.float32) / np.float32(255)


def test_projection_onto_ball_and_box_is_the_nearest_point(rng: np.random.Generator) -> None:
    """Against bisection on the scale in double precision."""
    delta = rng.standard_normal((3, 1, 6, 7)) * np.array([0.01, 0.1, 3.0])[:, None, None, None]
    lower, upper = -rng.random(delta.shape) * 0.1, rng.random(delta.shape) * 0.1
    radius = np.array([0.2, 0.2, 0.2])
    found = into_ball(delta, lower, upper, radius)
    for i in range(3):
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            inside = np.linalg.norm(np.clip(middle * delta[i], lower[i], upper[i])) <= radius[i]
            low, high = (middle, high) if inside else (low, middle)
        np.testing.assert_allclose(found[i], np.clip(high * delta[i], lower[i], upper[i]), atol=2e-6)
        assert np.linalg.norm(found[i]) <= radius[i] * (1 + 1e-9)


def test_l2_uses_its_whole_radius_where_the_cap_allows(rng: np.random.Generator) -> None:
    original = np.full((2, 3, 16, 16), 0.5, dtype=np.float32)
    budget = L2(36.0, 8.0)
    delta = budget.project(rng.standard_normal(original.shape).astype(np.float32), original)
    np.testing.assert_allclose(budget.measure(original + delta, original).psnr, 36.0, atol=0.01)
    assert np.abs(delta).max() * 255 <= 8.0 + 1e-4


def test_no_cap_leaves_only_the_ball() -> None:
    original = np.full((1, 1, 8, 8), 0.5, dtype=np.float32)
    spike = np.zeros_like(original)
    spike[0, 0, 3, 3] = 0.1
    kept = L2(36.0, None).project(spike, original)
    assert kept.max() == pytest.approx(0.1)
    assert L2(36.0, 8.0).project(spike, original).max() == pytest.approx(8 / 255)


def test_psnr_is_taken_over_the_support(rng: np.random.Generator) -> None:
    original = np.full((1, 3, 20, 20), 0.5, dtype=np.float32)
    box = np.zeros((20, 20))
    box[5:15, 5:15] = 1.0
    taper = box * 0.5
    budget = L2(40.0, 8.0, weight=taper, support=box)
    delta = budget.project(rng.standard_normal(original.shape).astype(np.float32), original)
    assert float(np.linalg.norm(delta)) == pytest.approx(float(psnr_to_radius(40.0, 300)), rel=1e-3)
    assert (delta[..., box == 0] == 0).all()
    assert np.abs(delta).max() * 255 <= 4.0 + 1e-4
    assert budget.measure(original + delta, original).psnr[0] == pytest.approx(40.0, abs=0.01)


def test_grey_stays_grey_after_rounding(rng: np.random.Generator) -> None:
    grey = np.repeat(_photo(rng, 2, 1, 9, 9), 3, axis=1)
    for budget in (Linf(6, grey=True), L2(38.0, 8.0, grey=True)):
        delta = budget.project(0.1 * rng.standard_normal(grey.shape).astype(np.float32), grey)
        levels = budget.quantise(grey + delta, grey)
        assert (levels == levels[:, :1]).all()
        assert (levels[:, 0] != np.rint(grey[:, 0] * 255)).any()


def test_quantise_keeps_a_budget_that_rounding_alone_would_break(rng: np.random.Generator) -> None:
    original = _photo(rng, 2, 3, 24, 24)
    weight = np.full((24, 24), 0.35)  # 2.8 levels: rounding to 3 would be too much
    delta = Linf(8, weight=weight).project(
        rng.choice([-1.0, 1.0], original.shape).astype(np.float32), original
    )
    levels = Linf(8, weight=weight).quantise(original + delta, original)
    assert np.abs(levels - original * 255.0).max() <= 2.8

    budget = L2(44.0, 8.0)
    delta = budget.project(rng.choice([-1.0, 1.0], original.shape).astype(np.float32), original)
    naive = np.rint((original + delta) * 255) / 255
    assert (budget.measure(naive, original).psnr < 44.0).all()
    rounded = budget.quantise(original + delta, original) / np.float32(255)
    assert (budget.measure(rounded, original).psnr >= 44.0 - 1e-4).all()
    assert (budget.measure(rounded, original).levels >= 1 - 1e-4).all()


def test_an_original_between_levels_moves_at_most_to_the_next(rng: np.random.Generator) -> None:
    original = rng.random((1, 3, 8, 8)).astype(np.float32)
    levels = Linf(0.0).quantise(original, original)
    assert np.abs(levels - original * 255).max() <= 0.5 + 1e-3


def test_unchanged_is_infinitely_good() -> None:
    x = np.full((1, 1, 4, 4), 0.25, dtype=np.float32)
    assert measure(x, x).psnr[0] == np.inf


@pytest.mark.parametrize("levels", [-1.0, 256.0, float("nan")])
def test_impossible_levels_are_named(levels: float) -> None:
    with pytest.raises(ValueError, match="levels"):
        Linf(levels)
    with pytest.raises(ValueError, match="cap_levels"):
        L2(36.0, levels)


def test_an_impossible_psnr_is_named() -> None:
    with pytest.raises(ValueError, match="psnr_db"):
        L2(float("inf"))
