"""Every transform's adjoint: <A x, y> = <x, A* y> where it is linear, finite differences where it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.attack.keys import Keys
from shared.attack.transforms import (
    Affine,
    Binarise,
    BlockShuffle,
    Blur,
    Chain,
    Identity,
    Jitter,
    Jpeg,
    Maybe,
    MeanFilter,
    MedianFilter,
    Mirror,
    Noise,
    OneOf,
    Pad,
    Resize,
    ToneCurve,
    Transform,
    Unshade,
    Warp,
    pull_back,
)

TILTED = [[0.8, 0.1, 1.0], [-0.1, 0.8, 2.0]]
COARSE = [[0.31, 0.05, 0.5], [-0.05, 0.31, 1.5]]

# Linear up to a constant (noise, padding), which A 0 takes away.
LINEAR: dict[str, Transform] = {
    "identity": Identity(),
    "resize": Resize(0.4, 1.3),
    "blur": Blur(0.5, 3.0),
    "noise": Noise(1.0, 8.0),
    "mirror": Mirror(0.5),
    "mean": MeanFilter(),
    "unshade": Unshade(3.0, 6.0),
    "mean of five": MeanFilter(5),
    "pad official": Pad("official", p=0.8),
    "pad transferattack": Pad("transferattack", p=0.8),
    "pad torchattacks": Pad("torchattacks", p=0.8),
    "affine": Affine(Jitter(0.1, 10.0, 0.1)),
    "warp": Warp(TILTED, 14, Jitter(0.05, 5.0, 0.05)),
    "warp from a fine canvas": Warp(COARSE, 9, Jitter(0.05, 5.0, 0.05)),
    "shuffle": BlockShuffle(2, 0.0),
    "shuffle and turn": BlockShuffle(3, 24.0),
    "jpeg at full chroma": Jpeg(50, 90, halve_chroma=0.0, rounding="none"),
    "jpeg at half chroma": Jpeg(50, 90, halve_chroma=1.0, rounding="none"),
    "maybe": Maybe(Resize(0.5, 0.9), 0.5),
    "one of": OneOf((Blur(), Resize(0.4, 1.3), Mirror(0.5), Warp(TILTED, 14)), (0.4, 0.2, 0.2, 0.2)),
    "one of within a chain": Chain((OneOf((Identity(), MeanFilter())), OneOf((Noise(), Pad(p=1.0))))),
    "chain": Chain((Maybe(Blur(), 0.5), Resize(), Warp(TILTED, 14))),
}

OTHERS: dict[str, Transform] = {
    "jpeg": Jpeg(60, 60),
    "jpeg survivors": Jpeg(30, 30, rounding="survivors"),
    "median": MedianFilter(),
    "median of five": MedianFilter(5),
    "binarise": Binarise(),
    "one of those": OneOf((MedianFilter(), Binarise(), Jpeg(60, 60))),
    "binarise at a level": Binarise(0.5, softness=30.0),
    "tone curve": ToneCurve((0.1, 0.2), (0.6, 0.8)),
}


def _inner(a: Any, b: Any) -> float:
    return float(np.vdot(np.asarray(a, np.float64), np.asarray(b, np.float64)))


def _quiet(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
    # Away from 0 and 1, where JPEG clips.
    return (0.35 + 0.3 * rng.random(shape)).astype(np.float32)


@pytest.mark.parametrize("name", LINEAR)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32), side=st.integers(20, 37), count=st.integers(1, 3))
def test_the_adjoint_is_exact(name: str, seed: int, side: int, count: int) -> None:
    transform = LINEAR[name]
    rng = np.random.default_rng(seed)
    x, other = _quiet(rng, (count, 3, side, side)), _quiet(rng, (count, 3, side, side))
    params = transform.draw(Keys(seed, tuple(range(count))), x.shape)
    kept = x.copy()

    change = transform.apply(x, params) - transform.apply(other, params)
    y = rng.standard_normal(change.shape).astype(np.float32)
    back = transform.adjoint(y, x, params)

    assert back.shape == x.shape
    scale = float(np.linalg.norm(change) * np.linalg.norm(y)) + 1e-3
    assert abs(_inner(change, y) - _inner(x - other, back)) <= 2e-5 * scale
    np.testing.assert_array_equal(x, kept)


@pytest.mark.torch
@pytest.mark.parametrize("name", [*LINEAR, *OTHERS])
def test_torch_computes_the_same(name: str) -> None:
    transform = LINEAR.get(name) or OTHERS[name]
    rng = np.random.default_rng(5)
    x = _quiet(rng, (2, 3, 27, 27))
    params = transform.draw(Keys(3, (8, 9)), x.shape)
    y, pull = pull_back(transform, x, params)
    cotangent = rng.standard_normal(y.shape).astype(np.float32)

    tensor_y, tensor_pull = pull_back(transform, torch.tensor(x), params)

    np.testing.assert_allclose(tensor_y.numpy(), y, atol=2e-5)
    np.testing.assert_allclose(tensor_pull(torch.tensor(cotangent)).numpy(), pull(cotangent), atol=5e-5)


@pytest.mark.torch
@pytest.mark.parametrize("halved", [0.0, 1.0])
@pytest.mark.parametrize("side", [16, 21])
def test_jpeg_passes_rounding_straight_through(halved: float, side: int) -> None:
    """With rounding, the adjoint is that of the same codec without it, except where values are clipped."""
    rng = np.random.default_rng(2)
    x = rng.random((1, 3, side, side)).astype(np.float32)
    keys = Keys(0, (1,))
    jpeg, smooth = (Jpeg(70, 70, halve_chroma=halved, rounding=r) for r in ("straight", "none"))
    y = rng.standard_normal(x.shape).astype(np.float32)
    params = jpeg.draw(keys, x.shape)
    decoded = jpeg.apply(x, params)
    y[(decoded <= 0.0) | (decoded >= 1.0)] = 0.0
    inside = 0.5 + 0.0 * x

    np.testing.assert_allclose(
        jpeg.adjoint(y, x, params), smooth.adjoint(y, inside, smooth.draw(keys, x.shape)), atol=1e-5
    )


def _smooth_loss(transform: Transform, x: Any, params: Any, y: Any) -> float:
    return _inner(transform.apply(x, params), y)


@pytest.mark.parametrize("side", [16, 19])
def test_jpeg_without_rounding_agrees_with_finite_differences(side: int) -> None:
    rng = np.random.default_rng(4)
    x = rng.random((1, 3, side, side))
    jpeg = Jpeg(40, 90, halve_chroma=1.0, rounding="none")
    params = jpeg.draw(Keys(0, (1,)), x.shape)
    y = rng.standard_normal(x.shape)
    gradient = jpeg.adjoint(y, x, params)
    step = 1e-6
    for _ in range(10):
        way = rng.standard_normal(x.shape)
        rise = _smooth_loss(jpeg, x + step * way, params, y) - _smooth_loss(jpeg, x - step * way, params, y)
        assert rise / (2 * step) == pytest.approx(_inner(gradient, way), rel=2e-3, abs=1e-2)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.sampled_from([1, 3, 5]), side=st.integers(2, 19))
def test_the_median_s_adjoint_is_exact_as_long_as_the_same_pixels_are_medians(
    seed: int, size: int, side: int
) -> None:
    rng = np.random.default_rng(seed)
    # All values differ by more than the change, so that their order stays.
    x = (rng.permutation(2 * 2 * side * (side + 3)) / 1000).reshape(2, 2, side, side + 3)
    change, y = rng.uniform(-4e-4, 4e-4, x.shape), rng.standard_normal(x.shape)
    median, keys = MedianFilter(size), Keys(seed, (0, 1))
    params = median.draw(keys, x.shape)
    rise = _inner(median.apply(x + change, params) - median.apply(x, params), y)
    assert rise == pytest.approx(_inner(change, median.adjoint(y, x, params)), rel=1e-9, abs=1e-12)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32), softness=st.floats(2.0, 60.0))
def test_black_or_white_goes_back_as_a_sigmoid_does(seed: int, softness: float) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.random((2, 1, 6, 7)), rng.standard_normal((2, 1, 6, 7))
    transform, step = Binarise(0.4, softness=softness), 1e-6

    def stand_in(images: Any) -> Any:
        return 1 / (1 + np.exp(-(images - 0.4) * 255 / softness))

    slope = y * (stand_in(x + step) - stand_in(x - step)) / (2 * step)
    np.testing.assert_allclose(transform.adjoint(y, x, None), slope, rtol=1e-4, atol=1e-5)


def test_survivors_keep_the_budget_out_of_frequencies_that_the_file_drops() -> None:
    """At a low quality a checkerboard has no gradient; through straight rounding it has."""
    flat = np.full((1, 1, 16, 16), 0.5, dtype=np.float32)
    board = np.indices((16, 16)).sum(axis=0) % 2 * 2.0 - 1.0
    keys = Keys(0, (0,))

    def gained(jpeg: Jpeg) -> float:
        back = jpeg.adjoint(board[None, None].astype(np.float32), flat, jpeg.draw(keys, flat.shape))
        return float(np.abs(back).max())

    assert gained(Jpeg(20, 20, rounding="survivors")) < 1e-5
    assert gained(Jpeg(20, 20, rounding="straight")) > 0.9


@pytest.mark.parametrize(
    "make", [lambda: Chain((Jpeg(), Resize())), lambda: Chain((Noise(), Jpeg(), Pad(p=1.0)))]
)
def test_a_chain_goes_back_part_by_part(make: Callable[[], Chain]) -> None:
    chain = make()
    rng = np.random.default_rng(1)
    x = rng.random((2, 3, 24, 24)).astype(np.float32)
    params = chain.draw(Keys(1, (4, 5)), x.shape)
    between = [x]
    for part, drawn in zip(chain.transforms, params, strict=True):
        between.append(part.apply(between[-1], drawn))
    gradient = y = rng.standard_normal(x.shape).astype(np.float32)
    for part, drawn, before in reversed(list(zip(chain.transforms, params, between[:-1], strict=True))):
        gradient = part.adjoint(gradient, before, drawn)

    np.testing.assert_allclose(chain.apply(x, params), between[-1], atol=1e-6)
    np.testing.assert_allclose(chain.adjoint(y, x, params), gradient, atol=1e-6)
