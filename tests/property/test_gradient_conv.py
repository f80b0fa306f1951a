"""Convolutions and pools against torch autograd: strides, groups, dilations, pads.

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


@settings(max_examples=40, deadline=None)
@given(
    seed=seeds,
    n=batches,
    groups=st.sampled_from([1, 2, 3]),
    filters=st.integers(1, 3),
    depth=st.integers(1, 3),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    pads=st.tuples(*[st.integers(0, 3)] * 4),
)
def test_conv(
    *,
    agrees: Agrees,
    seed: int,
    n: int,
    groups: int,
    filters: int,
    depth: int,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    pads: tuple[int, int, int, int],
) -> None:
    top, left, bottom, right = pads
    extents = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    assume(size[0] + top + bottom >= extents[0] and size[1] + left + right >= extents[1])
    weight = _grid(seed + 1, groups * filters, depth, *kernel) - 0.5
    bias = _grid(seed + 2, groups * filters)

    def reference(x: torch.Tensor) -> torch.Tensor:
        padded = functional.pad(x, (left, right, top, bottom))
        values = torch.from_numpy(weight).double(), torch.from_numpy(bias).double()
        return functional.conv2d(padded, *values, stride=stride, dilation=dilation, groups=groups)

    attrs = {"strides": stride, "dilations": dilation, "pads": pads, "group": groups}
    nodes: list[Node] = [("Conv", ["x", "weight", "bias"], attrs)]
    agrees(
        nodes, reference, _grid(seed, n, groups * depth, *size), constants={"weight": weight, "bias": bias}
    )


@quick
@given(
    seed=seeds,
    mode=st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]),
    side=st.integers(5, 9),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    depthwise=st.booleans(),
)
def test_conv_with_automatic_pads(
    agrees: Agrees, seed: int, mode: str, side: int, kernel: int, stride: int, depthwise: bool
) -> None:
    weight = _grid(seed + 1, 3, 1 if depthwise else 3, kernel, kernel) - 0.5
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0) if mode != "VALID" else 0
    begin = total - total // 2 if mode == "SAME_LOWER" else total // 2
    groups = 3 if depthwise else 1

    def reference(x: torch.Tensor) -> torch.Tensor:
        padded = functional.pad(x, (begin, total - begin) * 2)
        return functional.conv2d(padded, torch.from_numpy(weight).double(), stride=stride, groups=groups)

    attrs = {"strides": [stride] * 2, "auto_pad": mode, "group": groups}
    nodes: list[Node] = [("Conv", ["x", "weight"], attrs)]
    agrees(nodes, reference, _grid(seed, 2, 3, side, side), constants={"weight": weight})


@quick
@given(
    seed=seeds,
    groups=st.sampled_from([1, 2]),
    side=st.integers(1, 5),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    pad=st.integers(0, 1),
)
def test_conv_transpose(
    agrees: Agrees, seed: int, groups: int, side: int, kernel: int, stride: int, dilation: int, pad: int
) -> None:
    assume((side - 1) * stride + dilation * (kernel - 1) + 1 - 2 * pad > 0)
    extra = stride - 1
    weight = _grid(seed + 1, 2 * groups, 3, kernel, kernel) - 0.5

    def reference(x: torch.Tensor) -> torch.Tensor:
        return functional.conv_transpose2d(
            x,
            torch.from_numpy(weight).double(),
            stride=stride,
            padding=pad,
            output_padding=extra,
            groups=groups,
            dilation=dilation,
        )

    attrs = {
        "strides": [stride] * 2,
        "pads": [pad] * 4,
        "output_padding": [extra] * 2,
        "group": groups,
        "dilations": [dilation] * 2,
    }
    nodes: list[Node] = [("ConvTranspose", ["x", "weight"], attrs)]
    agrees(nodes, reference, _grid(seed, 2, 2 * groups, side, side), constants={"weight": weight})


@quick
@given(
    seed=seeds,
    n=batches,
    c=channels,
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
    pad=st.integers(0, 1),
    counts=st.booleans(),
)
def test_average_pool(
    *,
    agrees: Agrees,
    seed: int,
    n: int,
    c: int,
    size: tuple[int, int],
    kernel: int,
    stride: int,
    pad: int,
    counts: bool,
) -> None:
    assume(2 * pad <= kernel)
    attrs = {
        "kernel_shape": [kernel] * 2,
        "strides": [stride] * 2,
        "pads": [pad] * 4,
        "count_include_pad": int(counts),
    }
    nodes: list[Node] = [("AveragePool", ["x"], attrs)]
    agrees(
        nodes,
        lambda x: functional.avg_pool2d(x, kernel, stride, pad, count_include_pad=counts),
        _grid(seed, n, c, *size),
    )


@quick
@given(
    seed=seeds,
    n=batches,
    c=channels,
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
    pad=st.integers(0, 1),
    ceil=st.booleans(),
)
def test_max_pool(
    *,
    agrees: Agrees,
    seed: int,
    n: int,
    c: int,
    size: tuple[int, int],
    kernel: int,
    stride: int,
    pad: int,
    ceil: bool,
) -> None:
    """Windows overlap when the stride is less than the kernel, and ties are common on the grid."""
    assume(2 * pad <= kernel)
    assume(not ceil or (pad == 0 and stride <= kernel))  # else ONNX keeps windows beyond the edge, torch none
    attrs = {
        "kernel_shape": [kernel] * 2,
        "strides": [stride] * 2,
        "pads": [pad] * 4,
        "ceil_mode": int(ceil),
    }
    nodes: list[Node] = [("MaxPool", ["x"], attrs)]
    agrees(
        nodes,
        lambda x: functional.max_pool2d(x, kernel, stride, pad, ceil_mode=ceil),
        _grid(seed, n, c, *size),
    )


@quick
@given(seed=seeds, n=batches, c=channels, h=sides, w=sides)
def test_global_average_pool(agrees: Agrees, seed: int, n: int, c: int, h: int, w: int) -> None:
    nodes: list[Node] = [("GlobalAveragePool", ["x"], {})]
    agrees(nodes, lambda x: x.mean((2, 3)), _grid(seed, n, c, h, w))
