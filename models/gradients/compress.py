"""Small files: weights stored as blocks of int8 or as float16, and restored inside the graph.

Each weight is stored once and read by the forward and the backward pass alike. ONNX Runtime restores the
weights when it loads the file (it folds Cast, Sub and Mul of constants, but keeps DequantizeLinear for later,
which would cost time in every run), so a session runs as fast as with float weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
from onnx import helper, numpy_helper

from models.gradients.graph import Array, attributes

__all__ = ["BLOCK", "WeightType", "store_weights"]

WeightType = Literal["float32", "float16", "int8-block"]

BLOCK = 64
MIN_BLOCK = 16  # below it, scales and zero points eat what int8 saves: depthwise kernels stay float
MIN_SIZE = 1024
TINY = 1e-30
_LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True)
class Stored:
    """What replaces a weight: initialisers, and nodes whose last output has the weight's name."""

    constants: list[onnx.TensorProto]
    nodes: list[onnx.NodeProto]


def store_weights(model: onnx.ModelProto, *, dtype: WeightType) -> onnx.ModelProto:
    """A copy of a forward or gradient graph with smaller weights of its Conv, ConvTranspose, Gemm and MatMul.

    `int8-block`: blocks of at most 64 weights of one output channel with a float scale and a zero point each,
    from the smallest to the largest weight; weights that come from a network quantised like that are met
    exactly, to float rounding, also after a batch norm behind them was folded in. `float16`: rounded.
    `float32`: as they are.

    Raises:
        ValueError: when the type is unknown.
    """
    if dtype not in ("float32", "float16", "int8-block"):
        raise ValueError(f"dtype is {dtype!r}; it must be 'float32', 'float16' or 'int8-block'")
    small = onnx.ModelProto()
    small.CopyFrom(model)
    if dtype == "float32":
        return small
    turned = _weights(model.graph)
    constants, nodes = [], []
    for item in model.graph.initializer:
        stored = _store(item, dtype, turned=turned[item.name]) if item.name in turned else None
        constants.extend([item] if stored is None else stored.constants)
        nodes.extend([] if stored is None else stored.nodes)
    del small.graph.initializer[:], small.graph.node[:]
    small.graph.initializer.extend(constants)
    small.graph.node.extend([*nodes, *model.graph.node])
    helper.set_model_props(
        small, {item.key: item.value for item in model.metadata_props} | {"weights": dtype}
    )
    onnx.checker.check_model(small, full_check=True)
    return small


def _weights(graph: onnx.GraphProto) -> dict[str, bool]:
    """Weights by name; True where output channels are the last axis."""
    found: dict[str, bool] = {}
    for node in graph.node:
        if node.op_type in _LAYERS:
            turned = node.op_type == "MatMul" or (
                node.op_type == "Gemm" and not attributes(node).get("transB", 0)
            )
            found.setdefault(node.input[1], turned)
    return found


def _store(item: onnx.TensorProto, dtype: WeightType, *, turned: bool) -> Stored | None:
    weight = numpy_helper.to_array(item)
    if weight.dtype != np.float32 or weight.ndim < 2 or weight.size < MIN_SIZE:
        return None
    if dtype == "float16":
        return _half(item.name, weight) if np.abs(weight).max() <= np.finfo(np.float16).max else None
    return _blocks(item.name, weight, turned=turned)


def _half(name: str, weight: Array) -> Stored:
    stored = numpy_helper.from_array(weight.astype(np.float16), f"{name}/half")
    return Stored(
        [stored], [helper.make_node("Cast", [stored.name], [name], name=name, to=onnx.TensorProto.FLOAT)]
    )


def _block_length(row: int) -> int:
    """The longest block of at most 64 that divides a row; the row itself when only tiny ones do."""
    fitting = [length for length in range(MIN_BLOCK, BLOCK + 1) if row % length == 0]
    return fitting[-1] if fitting else row


def _blocks(name: str, weight: Array, *, turned: bool) -> Stored | None:
    rows = np.moveaxis(weight, -1, 0) if turned else weight
    length = _block_length(rows[0].size)
    if length < MIN_BLOCK:
        return None
    blocks = rows.astype(np.float64).reshape(-1, length)
    scale, zero = _grid(blocks)
    levels = np.clip(np.rint(blocks / scale) + zero, -128, 127)
    constants = [
        numpy_helper.from_array(levels.astype(np.int8), f"{name}/levels"),
        numpy_helper.from_array(zero.astype(np.int8), f"{name}/zero"),
        numpy_helper.from_array(scale.astype(np.float32), f"{name}/scale"),
        numpy_helper.from_array(np.array(rows.shape, np.int64), f"{name}/shape"),
    ]
    order = [*range(1, weight.ndim), 0] if turned else None
    return Stored(constants, _restore(name, order))


def _grid(blocks: Array) -> tuple[Array, Array]:
    """Scale and zero point of each block, so that its range, zero included, covers -128 to 127."""
    low = np.minimum(blocks.min(axis=1, keepdims=True), 0.0)
    high = np.maximum(blocks.max(axis=1, keepdims=True), 0.0)
    scale = _float_scale((high - low) / 255.0)
    return scale, np.clip(np.rint(-128.0 - low / scale), -128, 127)


def _float_scale(scale: Array) -> Array:
    """As stored; blocks of zeros, or of weights too small to matter, become zeros."""
    return np.where(scale < TINY, 1.0, scale).astype(np.float32).astype(np.float64)


def _restore(name: str, order: list[int] | None) -> list[onnx.NodeProto]:
    """(levels - zero) * scale in the weight's shape."""
    restored = f"{name}/rows" if order else name
    steps: list[tuple[str, list[str], str, dict[str, Any]]] = [
        ("Cast", [f"{name}/levels"], f"{name}/a", {"to": onnx.TensorProto.FLOAT}),
        ("Cast", [f"{name}/zero"], f"{name}/b", {"to": onnx.TensorProto.FLOAT}),
        ("Sub", [f"{name}/a", f"{name}/b"], f"{name}/c", {}),
        ("Mul", [f"{name}/c", f"{name}/scale"], f"{name}/d", {}),
        ("Reshape", [f"{name}/d", f"{name}/shape"], restored, {}),
    ]
    if order:
        steps.append(("Transpose", [restored], name, {"perm": order}))
    return [
        helper.make_node(op, inputs, [output], name=output, **attrs) for op, inputs, output, attrs in steps
    ]
