"""Matrix products against torch autograd.

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


@quick
@given(
    seed=seeds,
    n=batches,
    rows=st.integers(1, 6),
    turn=st.booleans(),
    alpha=st.sampled_from([1.0, 0.5]),
    bias=st.sampled_from([None, (1,), ("rows",), (1, "rows")]),
)
def test_gemm(
    agrees: Agrees, seed: int, n: int, rows: int, turn: bool, alpha: float, bias: tuple[str | int, ...] | None
) -> None:
    weight = _grid(seed + 1, *((rows, 12) if turn else (12, rows))) - 0.5
    constants = {"weight": weight}
    addend = np.zeros(1, np.float32)
    if bias is not None:
        addend = _grid(seed + 2, *(rows if dim == "rows" else 1 for dim in bias))
        constants["bias"] = addend
    matrix = torch.from_numpy(weight).double()

    def reference(x: torch.Tensor) -> torch.Tensor:
        product = x.flatten(1) @ (matrix.T if turn else matrix)
        return alpha * product + 2 * torch.from_numpy(addend).double()

    attrs = {"transB": int(turn), "alpha": alpha, "beta": 2.0}
    inputs = ["t0", "weight"] + (["bias"] if bias is not None else [])
    nodes: list[Node] = [("Flatten", ["x"], {}), ("Gemm", inputs, attrs)]
    agrees(nodes, reference, _grid(seed, n, 3, 2, 2), constants=constants)


@quick
@given(seed=seeds, n=batches, rows=st.integers(1, 6), turn=st.booleans(), alpha=st.sampled_from([1.0, 0.5]))
def test_gemm_of_a_turned_face(
    agrees: Agrees, seed: int, n: int, rows: int, turn: bool, alpha: float
) -> None:
    weight = _grid(seed + 1, *((rows, 12) if turn else (12, rows))) - 0.5
    matrix = torch.from_numpy(weight).double()
    attrs = {"transA": 1, "transB": int(turn), "alpha": alpha}
    nodes: list[Node] = [
        ("Flatten", ["x"], {}),
        ("Transpose", ["t0"], {}),
        ("Gemm", ["t1", "weight"], attrs),
    ]
    agrees(
        nodes,
        lambda x: alpha * x.flatten(1) @ (matrix.T if turn else matrix),
        _grid(seed, n, 3, 2, 2),
        constants={"weight": weight},
    )


@quick
@given(seed=seeds, n=batches, rows=st.integers(1, 6), left=st.booleans(), right=st.booleans())
def test_gemm_with_the_face_on_the_right(
    agrees: Agrees, seed: int, n: int, rows: int, left: bool, right: bool
) -> None:
    weight = _grid(seed + 1, *((12, rows) if left else (rows, 12))) - 0.5
    matrix = torch.from_numpy(weight).double()
    nodes: list[Node] = [
        ("Flatten", ["x"], {}),
        ("Transpose", ["t0"], {"perm": [0, 1] if right else [1, 0]}),
        ("Gemm", ["weight", "t1"], {"transA": int(left), "transB": int(right)}),
        ("Transpose", ["t2"], {"perm": [1, 0]}),
    ]
    agrees(
        nodes,
        lambda x: x.flatten(1) @ (matrix if left else matrix.T),
        _grid(seed, n, 3, 2, 2),
        constants={"weight": weight},
    )


@quick
@given(seed=seeds, turn_left=st.booleans(), turn_right=st.booleans())
def test_matmul_of_two_active_operands(agrees: Agrees, seed: int, turn_left: bool, turn_right: bool) -> None:
    nodes: list[Node] = [
        ("Gather", ["x", "first"], {"axis": 1}),
        ("Gather", ["x", "second"], {"axis": 1}),
        ("Transpose", ["t0"], {"perm": [0, 2, 1]}),
        ("MatMul", ["t2" if turn_left else "t0", "t1"], {}),
        ("Transpose", ["t1"], {"perm": [0, 2, 1]}),
        ("MatMul", ["t3", "t4" if turn_right else "t1"], {}),
    ]

    def reference(x: torch.Tensor) -> torch.Tensor:
        a, b = x[:, 0], x[:, 1]
        return (a.mT if turn_left else a) @ b @ (b.mT if turn_right else b)

    agrees(nodes, reference, _grid(seed, 3, 2, 4, 4), constants={"first": np.array(0), "second": np.array(1)})


@quick
@given(seed=seeds, n=batches, c=channels, h=sides, w=sides, columns=st.integers(1, 4), left=st.booleans())
def test_matmul_with_a_constant(
    agrees: Agrees, seed: int, n: int, c: int, h: int, w: int, columns: int, left: bool
) -> None:
    table = _grid(seed + 1, *((columns, h) if left else (w, columns))) - 0.5
    matrix = torch.from_numpy(table).double()
    nodes: list[Node] = [("MatMul", ["table", "x"] if left else ["x", "table"], {})]
    agrees(
        nodes,
        lambda x: matrix @ x if left else x @ matrix,
        _grid(seed, n, c, h, w),
        constants={"table": table},
    )


@quick
@given(seed=seeds, n=batches)
def test_attention(agrees: Agrees, seed: int, n: int) -> None:
    """Reshape, Transpose, MatMul of two active operands, Softmax: the heart of a transformer."""
    weight = _grid(seed + 1, 4, 12) - 0.5
    matrix = torch.from_numpy(weight).double()
    nodes: list[Node] = [
        ("Reshape", ["x", "tokens"], {}),
        ("MatMul", ["t0", "weight"], {}),
        ("Reshape", ["t1", "heads"], {}),
        ("Transpose", ["t2"], {"perm": [2, 0, 3, 1, 4]}),
        ("Gather", ["t3", "q"], {"axis": 0}),
        ("Gather", ["t3", "k"], {"axis": 0}),
        ("Gather", ["t3", "v"], {"axis": 0}),
        ("Transpose", ["t5"], {"perm": [0, 1, 3, 2]}),
        ("MatMul", ["t4", "t7"], {}),
        ("Softmax", ["t8"], {"axis": -1}),
        ("MatMul", ["t9", "t6"], {}),
        ("Transpose", ["t10"], {"perm": [0, 2, 1, 3]}),
        ("Reshape", ["t11", "tokens"], {}),
    ]

    def reference(x: torch.Tensor) -> torch.Tensor:
        q, k, v = (x.reshape(-1, 6, 4) @ matrix).reshape(-1, 6, 3, 2, 2).permute(2, 0, 3, 1, 4)
        return (torch.softmax(q @ k.mT, -1) @ v).transpose(1, 2).reshape(-1, 6, 4)

    indices = {name: np.array(i) for i, name in enumerate("qkv")}
    shapes = {"tokens": np.array([-1, 6, 4]), "heads": np.array([-1, 6, 3, 2, 2])}
    agrees(nodes, reference, _grid(seed, n, 2, 3, 4), constants={"weight": weight} | indices | shapes)
