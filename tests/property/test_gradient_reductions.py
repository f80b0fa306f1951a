"""Reductions and normalisations against torch autograd.

Inputs lie on a coarse grid, so that ties and kinks happen and float32 and float64 see the same side of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.nn import functional

pytestmark = pytest.mark.torch
quick = settings(max_examples=20, deadline=None)
seeds = st.integers(0, 2**32 - 1)
sides = st.integers(1, 7)
channels = st.integers(1, 4)
batches = st.sampled_from([1, 2, 5])

Agrees = Callable[..., None]
Node = tuple[str, list[str], dict[str, Any]]


def _grid(seed: int, *shape: int) -> np.ndarray:
    """Multiples of 1/16 in [0,1]."""
    return (np.random.default_rng(seed).integers(0, 17, shape) / 16).astype(np.float32)


REDUCTIONS: dict[str, Callable[[torch.Tensor, list[int], bool], torch.Tensor]] = {
    "ReduceSum": lambda x, axes, keep: x.sum(axes, keepdim=keep),
    "ReduceMean": lambda x, axes, keep: x.mean(axes, keepdim=keep),
    "ReduceL2": lambda x, axes, keep: torch.linalg.vector_norm(x, dim=axes, keepdim=keep),
    "ReduceSumSquare": lambda x, axes, keep: (x * x).sum(axes, keepdim=keep),
}


@pytest.mark.parametrize("name", REDUCTIONS)
@quick
@given(
    seed=seeds,
    n=batches,
    c=channels,
    h=sides,
    w=sides,
    axes=st.sets(st.sampled_from([1, -2, 3]), min_size=1),
    keep=st.booleans(),
)
def test_reductions(
    *, agrees: Agrees, name: str, seed: int, n: int, c: int, h: int, w: int, axes: set[int], keep: bool
) -> None:
    listed = sorted(axes)
    nodes: list[Node] = [(name, ["x", "axes"], {"keepdims": int(keep)})]
    agrees(
        nodes,
        lambda x: REDUCTIONS[name](x, listed, keep),
        _grid(seed, n, c, h, w),
        constants={"axes": np.array(listed)},
    )


@quick
@given(seed=seeds, n=batches, c=channels, h=sides, w=sides, axis=st.sampled_from([1, 3, -1]))
def test_lp_normalization(agrees: Agrees, seed: int, n: int, c: int, h: int, w: int, axis: int) -> None:
    nodes: list[Node] = [("LpNormalization", ["x"], {"axis": axis, "p": 2})]
    face = _grid(seed, n, c, h, w)
    assume(np.linalg.norm(8 * face - 4, axis=axis).min() > 0)
    agrees(nodes, lambda x: functional.normalize(x, dim=axis), face)


@quick
@given(seed=seeds, n=batches, c=channels, h=sides, w=st.integers(2, 7), axis=st.sampled_from([1, 2, -1]))
def test_layer_normalization(agrees: Agrees, seed: int, n: int, c: int, h: int, w: int, axis: int) -> None:
    shape = [c, h, w][axis - 1 if axis > 0 else axis :]
    scale, bias = _grid(seed + 1, *shape) + 0.5, _grid(seed + 2, *shape)
    values = torch.from_numpy(scale).double(), torch.from_numpy(bias).double()
    nodes: list[Node] = [("LayerNormalization", ["x", "scale", "bias"], {"axis": axis, "epsilon": 1.0})]
    agrees(
        nodes,
        lambda x: functional.layer_norm(x, shape, *values, eps=1.0),
        _grid(seed, n, c, h, w),
        constants={"scale": scale, "bias": bias},
    )


@quick
@given(seed=seeds, n=batches, c=channels, h=st.integers(2, 7), w=sides)
def test_instance_normalization(agrees: Agrees, seed: int, n: int, c: int, h: int, w: int) -> None:
    scale, bias = _grid(seed + 1, c) + 0.5, _grid(seed + 2, c)
    values = {"weight": torch.from_numpy(scale).double(), "bias": torch.from_numpy(bias).double()}
    nodes: list[Node] = [("InstanceNormalization", ["x", "scale", "bias"], {"epsilon": 1.0})]
    agrees(
        nodes,
        lambda x: functional.instance_norm(x, eps=1.0, **values),
        _grid(seed, n, c, h, w),
        constants={"scale": scale, "bias": bias},
    )


@quick
@given(seed=seeds, n=batches, c=channels, h=sides, w=sides)
def test_batch_normalization_that_cannot_be_folded(
    agrees: Agrees, seed: int, n: int, c: int, h: int, w: int
) -> None:
    stats = {name: _grid(seed + i, c) + 0.25 for i, name in enumerate(("scale", "bias", "mean", "variance"))}
    tensors = {name: torch.from_numpy(value).double() for name, value in stats.items()}

    def reference(x: torch.Tensor) -> torch.Tensor:
        norm = functional.batch_norm
        return norm(x.tanh(), tensors["mean"], tensors["variance"], tensors["scale"], tensors["bias"])

    nodes: list[Node] = [("Tanh", ["x"], {}), ("BatchNormalization", ["t0", *stats], {})]
    agrees(nodes, reference, _grid(seed, n, c, h, w), constants=stats)
