"""Arithmetic and activations against torch autograd.

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
quick = settings(max_examples=20, deadline=None)
seeds = st.integers(0, 2**32 - 1)
sides = st.integers(1, 7)
channels = st.integers(1, 4)
batches = st.sampled_from([1, 2, 5])

Agrees = Callable[..., None]
Node = tuple[str, list[str], dict[str, Any]]
Reference = Callable[[torch.Tensor], torch.Tensor]


def _grid(seed: int, *shape: int) -> np.ndarray:
    """Multiples of 1/16 in [0,1]."""
    return (np.random.default_rng(seed).integers(0, 17, shape) / 16).astype(np.float32)


UNARY: dict[str, tuple[list[Node], Reference]] = {
    "Abs": ([("Abs", ["x"], {})], torch.abs),
    "Cast": ([("Cast", ["x"], {"to": 11}), ("Cast", ["t0"], {"to": 1})], lambda x: x),
    "Clip": ([("Clip", ["x", "low", "high"], {})], lambda x: x.clamp(-1, 2)),
    "Clip above": ([("Clip", ["x", "", "high"], {})], lambda x: x.clamp(max=2)),
    "Cos": ([("Cos", ["x"], {})], torch.cos),
    "Elu": ([("Elu", ["x"], {"alpha": 0.7})], lambda x: functional.elu(x, 0.7)),
    "Erf": ([("Erf", ["x"], {})], torch.erf),
    "Exp": ([("Exp", ["x"], {})], torch.exp),
    "HardSigmoid": (
        [("HardSigmoid", ["x"], {"alpha": 1 / 6, "beta": 0.5})],
        functional.hardsigmoid,
    ),
    "HardSwish": ([("HardSwish", ["x"], {})], functional.hardswish),
    "LeakyRelu": ([("LeakyRelu", ["x"], {"alpha": 0.2})], lambda x: functional.leaky_relu(x, 0.2)),
    "Log": ([("Add", ["x", "five"], {}), ("Log", ["t0"], {})], lambda x: torch.log(x + 5)),
    "LogSoftmax": ([("LogSoftmax", ["x"], {"axis": 1})], lambda x: functional.log_softmax(x, 1)),
    "Neg": ([("Neg", ["x"], {})], torch.neg),
    "Pow 2": ([("Pow", ["x", "two"], {})], lambda x: x**2),
    "Pow 3": ([("Pow", ["x", "three"], {})], lambda x: x**3),
    "Pow -0.5": (
        [("Add", ["x", "five"], {}), ("Pow", ["t0", "inverse_root"], {})],
        lambda x: (x + 5) ** -0.5,
    ),
    "Reciprocal": ([("Add", ["x", "five"], {}), ("Reciprocal", ["t0"], {})], lambda x: 1 / (x + 5)),
    "Relu": ([("Relu", ["x"], {})], torch.relu),
    "Sigmoid": ([("Sigmoid", ["x"], {})], torch.sigmoid),
    "Sin": ([("Sin", ["x"], {})], torch.sin),
    "Softmax": ([("Softmax", ["x"], {})], lambda x: x.softmax(-1)),
    "Softmax over channels": ([("Softmax", ["x"], {"axis": 1})], lambda x: x.softmax(1)),
    "Softplus": ([("Softplus", ["x"], {})], functional.softplus),
    "Sqrt": ([("Add", ["x", "five"], {}), ("Sqrt", ["t0"], {})], lambda x: torch.sqrt(x + 5)),
    "Tanh": ([("Tanh", ["x"], {})], torch.tanh),
    "Identity": ([("Identity", ["x"], {})], lambda x: x),
    "Dropout": ([("Dropout", ["x"], {}), ("Tanh", ["t0"], {})], torch.tanh),
    "Floor passes nothing": ([("Floor", ["x"], {}), ("Add", ["t0", "x"], {})], lambda x: x.floor() + x),
    "several readers": (
        [("Tanh", ["x"], {}), ("Mul", ["t0", "x"], {}), ("Sub", ["t0", "t1"], {}), ("Add", ["t2", "t0"], {})],
        lambda x: 2 * x.tanh() - x * x.tanh(),
    ),
}
NUMBERS = {
    "low": -1.0,
    "high": 2.0,
    "two": 2.0,
    "three": 3.0,
    "five": 5.0,
    "inverse_root": -0.5,
}


@quick
@given(st.sampled_from([0.0, 0.0625, 0.125]), st.sampled_from([0.0, 0.125, 1.0]))
def test_the_slope_of_a_saturated_tanh_does_not_cancel(agrees, one, other):
    # The network sees 8 x - 4: at -4 and -3 few digits of 1 - tanh^2 are left in float32.
    agrees([("Tanh", ["x"], {})], torch.tanh, np.array([[[[one, other]]]], np.float32))


@pytest.mark.parametrize("name", UNARY)
@quick
@given(seed=seeds, n=batches, c=channels, h=sides, w=sides)
def test_of_one_operand(agrees: Agrees, name: str, seed: int, n: int, c: int, h: int, w: int) -> None:
    nodes, reference = UNARY[name]
    constants = {key: np.float32(value) for key, value in NUMBERS.items()}
    agrees(nodes, reference, _grid(seed, n, c, h, w), constants=constants)


BINARY: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Div": torch.div,
    "Max": torch.maximum,
    "Min": torch.minimum,
    "Mean": lambda a, b: (a + b) / 2,
    "Sum": torch.add,
}
BROADCASTS = st.sampled_from([(), (1,), ("w",), ("h", 1), ("c", 1, 1), (1, "c", "h", "w"), (1, 1, 1, "w")])


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("constant_first", [False, True])
@quick
@given(seed=seeds, n=batches, c=channels, h=sides, w=sides, broadcast=BROADCASTS)
def test_with_a_constant(
    *,
    agrees: Agrees,
    name: str,
    constant_first: bool,
    seed: int,
    n: int,
    c: int,
    h: int,
    w: int,
    broadcast: tuple[str | int, ...],
) -> None:
    shape = [{"c": c, "h": h, "w": w}.get(str(dim), 1) for dim in broadcast]
    other = _grid(seed + 1, *shape) * 2 + 0.5
    value = torch.from_numpy(np.asarray(other)).double()
    operands = ["other", "lifted"] if constant_first else ["lifted", "other"]

    def reference(x: torch.Tensor) -> torch.Tensor:
        return BINARY[name](value, x + 5) if constant_first else BINARY[name](x + 5, value)

    nodes: list[Node] = [
        ("Add", ["x", "five"], {}),
        (name, [o.replace("lifted", "t0") for o in operands], {}),
    ]
    agrees(nodes, reference, _grid(seed, n, c, h, w), constants={"other": other, "five": np.float32(5)})


@pytest.mark.parametrize("name", BINARY)
@quick
@given(seed=seeds, n=batches, c=channels, h=sides, w=sides, axis=st.sampled_from([1, 2, 3]))
def test_between_two_tensors_of_the_face(
    *, agrees: Agrees, name: str, seed: int, n: int, c: int, h: int, w: int, axis: int
) -> None:
    """The first operand is a slice of the second, so it is broadcast along one axis."""
    nodes: list[Node] = [
        ("Add", ["x", "five"], {}),
        ("Slice", ["t0", "zero", "one", "axis"], {}),
        (name, ["t1", "t0"], {}),
    ]
    places = {"zero": np.array([0]), "one": np.array([1]), "axis": np.array([axis])}
    agrees(
        nodes,
        lambda x: BINARY[name]((x + 5).narrow(axis, 0, 1).expand_as(x), x + 5),
        _grid(seed, n, c, h, w),
        constants={"five": np.float32(5)} | places,
    )


@quick
@given(seed=seeds, n=batches, c=channels, h=sides, w=sides, branch=st.integers(0, 2))
def test_where(agrees: Agrees, seed: int, n: int, c: int, h: int, w: int, branch: int) -> None:
    inputs = [["t1", "x", "t0"], ["t1", "x", "other"], ["t1", "other", "x"]][branch]
    other = _grid(seed + 1, c, 1, 1)
    value = torch.from_numpy(other).double()

    def reference(x: torch.Tensor) -> torch.Tensor:
        pairs = [(x, x.tanh()), (x, value.expand_as(x)), (value.expand_as(x), x)]
        return torch.where(x > 0.5, *pairs[branch])

    nodes: list[Node] = [("Tanh", ["x"], {}), ("Greater", ["x", "half"], {}), ("Where", inputs, {})]
    agrees(nodes, reference, _grid(seed, n, c, h, w), constants={"half": np.float32(0.5), "other": other})


@quick
@given(seed=seeds, n=batches, c=channels, h=sides, w=sides, shared=st.booleans())
def test_prelu(agrees: Agrees, seed: int, n: int, c: int, h: int, w: int, shared: bool) -> None:
    slope = _grid(seed + 1, 1 if shared else c, 1, 1) * 2 - 0.5
    weight = torch.from_numpy(slope).double().flatten()
    nodes: list[Node] = [("PRelu", ["x", "slope"], {})]
    agrees(nodes, lambda x: functional.prelu(x, weight), _grid(seed, n, c, h, w), constants={"slope": slope})
