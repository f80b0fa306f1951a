"""Operators that move elements against torch autograd.

Inputs lie on a coarse grid, so that ties and kinks happen and float32 and float64 see the same side of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

pytestmark = pytest.mark.torch
seeds = st.integers(0, 2**32 - 1)
batches = st.sampled_from([1, 2, 5])

Agrees = Callable[..., None]
Node = tuple[str, list[str], dict[str, Any]]
Reference = Callable[[torch.Tensor], torch.Tensor]


def _grid(seed: int, *shape: int) -> np.ndarray:
    """Multiples of 1/16 in [0,1]."""
    return (np.random.default_rng(seed).integers(0, 17, shape) / 16).astype(np.float32)


def _ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


SHAPES: dict[str, tuple[list[Node], Reference]] = {
    "Transpose": ([("Transpose", ["x"], {"perm": [0, 3, 1, 2]})], lambda x: x.permute(0, 3, 1, 2)),
    "Reshape": ([("Reshape", ["x", "rows"], {})], lambda x: x.reshape(-1, 6, 8)),
    "Reshape into the batch": (
        [("Reshape", ["x", "pixels"], {}), ("Tanh", ["t0"], {}), ("Reshape", ["t1", "whole"], {})],
        torch.tanh,
    ),
    "Flatten": ([("Flatten", ["x"], {"axis": 1})], lambda x: x.flatten(1)),
    "Unsqueeze, Squeeze": (
        [("Unsqueeze", ["x", "two"], {}), ("Tanh", ["t0"], {}), ("Squeeze", ["t1", "two"], {})],
        torch.tanh,
    ),
    "Concat": (
        [("Tanh", ["x"], {}), ("Concat", ["t0", "x"], {"axis": 2})],
        lambda x: torch.cat([x.tanh(), x], 2),
    ),
    "Pad": ([("Pad", ["x", "pads"], {})], lambda x: functional.pad(x, (3, 0, 1, 2))),
    "Pad by a value": (
        [("Pad", ["x", "pads", "half"], {})],
        lambda x: functional.pad(x, (3, 0, 1, 2), value=0.5),
    ),
    "Pad by negative amounts": ([("Pad", ["x", "crop"], {})], lambda x: functional.pad(x, (-1, 2, 0, -2))),
    "Pad along axes": ([("Pad", ["x", "one_two", "", "three"], {})], lambda x: functional.pad(x, (1, 2))),
    "Slice": ([("Slice", ["x", "starts", "ends", "axes"], {})], lambda x: x[:, :, 1:3, :-2]),
    "Slice in steps": (
        [("Slice", ["x", "starts", "far", "axes", "steps"], {})],
        lambda x: x[:, :, 1::2, 0::3],
    ),
    "Slice backwards": (
        [("Slice", ["x", "minus", "least", "three", "minus"], {})],
        lambda x: x.flip(3),
    ),
    "Slice of the whole batch": (
        [("Slice", ["x", "zero", "most", "zero"], {}), ("Tanh", ["t0"], {})],
        torch.tanh,
    ),
    "Gather in another order": ([("Gather", ["x", "order"], {"axis": 1})], lambda x: x[:, [2, 0, 1]]),
    "Gather with repeats": ([("Gather", ["x", "repeats"], {"axis": 2})], lambda x: x[:, :, [3, 1, 1, -1]]),
    "Gather one": ([("Gather", ["x", "scalar"], {"axis": 3})], lambda x: x[..., 2]),
    "Gather by a table": (
        [("Gather", ["x", "table"], {"axis": -1})],
        lambda x: x[..., torch.tensor([[0, 1], [3, 3]])],
    ),
    "Expand": (
        [("ReduceMean", ["x", "axes"], {}), ("Expand", ["t0", "wide"], {})],
        lambda x: x.mean((2, 3), keepdim=True).expand(-1, 3, 2, 5),
    ),
    "SpaceToDepth": (
        [("SpaceToDepth", ["x"], {"blocksize": 2})],
        lambda x: x.reshape(-1, 3, 2, 2, 2, 2).permute(0, 3, 5, 1, 2, 4).reshape(-1, 12, 2, 2),
    ),
    "DepthToSpace": (
        [
            ("SpaceToDepth", ["x"], {"blocksize": 2}),
            ("Tanh", ["t0"], {}),
            ("DepthToSpace", ["t1"], {"blocksize": 2}),
        ],
        torch.tanh,
    ),
    "Resize nearest": (
        [
            (
                "Resize",
                ["x", "", "scales"],
                {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
            )
        ],
        lambda x: functional.interpolate(x, scale_factor=(2, 3), mode="nearest"),
    ),
    "Resize linear": (
        [("Resize", ["x", "", "", "sizes"], {"mode": "linear", "axes": [2, 3]})],
        lambda x: functional.interpolate(x, size=(7, 3), mode="bilinear", align_corners=False),
    ),
    "Resize linear with corners": (
        [
            (
                "Resize",
                ["x", "", "", "sizes"],
                {"mode": "linear", "axes": [2, 3], "coordinate_transformation_mode": "align_corners"},
            )
        ],
        lambda x: functional.interpolate(x, size=(7, 3), mode="bilinear", align_corners=True),
    ),
}
PLACES = {
    "rows": _ints(-1, 6, 8),
    "pixels": _ints(-1, 4),
    "whole": _ints(-1, 3, 4, 4),
    "zero": _ints(0),
    "two": _ints(2),
    "three": _ints(3),
    "minus": _ints(-1),
    "least": _ints(np.iinfo(np.int64).min),
    "most": _ints(np.iinfo(np.int64).max),
    "pads": _ints(0, 0, 1, 3, 0, 0, 2, 0),
    "crop": _ints(0, 0, 0, -1, 0, 0, -2, 2),
    "one_two": _ints(1, 2),
    "half": np.float32(0.5),
    "starts": _ints(1, 0),
    "ends": _ints(3, -2),
    "far": _ints(100, 100),
    "axes": _ints(2, 3),
    "steps": _ints(2, 3),
    "order": _ints(2, 0, 1),
    "repeats": _ints(3, 1, 1, -1),
    "scalar": np.array(2),
    "table": np.array([[0, 1], [3, 3]]),
    "wide": _ints(1, 3, 2, 5),
    "scales": np.array([1, 1, 2, 3], np.float32),
    "sizes": _ints(7, 3),
}


@pytest.mark.parametrize("name", SHAPES)
@settings(max_examples=6, deadline=None)
@given(seed=seeds, n=batches)
def test_of_shape(agrees: Agrees, name: str, seed: int, n: int) -> None:
    nodes, reference = SHAPES[name]
    read = {label for _, inputs, _ in nodes for label in inputs}
    constants = {key: value for key, value in PLACES.items() if key in read}
    agrees(nodes, reference, _grid(seed, n, 3, 4, 4), constants=constants)


@pytest.mark.parametrize("read", [(0, 1), (1,), (0,)])
@pytest.mark.parametrize("sizes", [(1, 3), (2, 2)])
@settings(max_examples=4, deadline=None)
@given(seed=seeds, n=batches)
def test_split(agrees: Agrees, read: tuple[int, ...], sizes: tuple[int, int], seed: int, n: int) -> None:
    """A part that nothing reads has no gradient of its own."""
    parts = [("t0", "t0b")[index] for index in read]
    nodes: list[Node] = [
        ("Split", ["x", "sizes"], {"axis": -1}),
        ("Concat", parts, {"axis": 3}),
        ("Tanh", ["t1"], {}),
    ]

    def reference(x: torch.Tensor) -> torch.Tensor:
        split = x.split(sizes, -1)
        return torch.cat([split[index] for index in read], 3).tanh()

    agrees(nodes, reference, _grid(seed, n, 3, 4, 4), constants={"sizes": _ints(*sizes)})
