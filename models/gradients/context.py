"""What a rule sees: the forward graph's facts, gradients that arrived, and a way to emit backward nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper

from models.gradients.graph import Array, Graph, unsupported
from models.gradients.shapes import Shape, Tensor

__all__ = ["Context"]


class Context:
    """State of one reverse pass.

    Args:
        graph: the forward graph; rules may add outputs to its nodes (indices of a max pool) but change
            nothing else.
        tensors: shape and dtype of all forward tensors.
        active: tensors that depend on the input through differentiable operators.
    """

    def __init__(self, graph: Graph, tensors: Mapping[str, Tensor], active: frozenset[str]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}
        self._graph = graph
        self._tensors = tensors
        self._active = active
        self._gradients: dict[str, str] = {}
        self._literals: dict[tuple[str, Shape, bytes], str] = {}
        self._dtype = helper.tensor_dtype_to_np_dtype(graph.dtype)

    def shape(self, name: str) -> Shape:
        """Shape of a forward tensor; -k stands for k N."""
        return self._tensors[name].shape

    def dtype(self, name: str) -> np.dtype[np.generic]:
        """Numpy dtype of a forward tensor."""
        return self._tensors[name].dtype

    def wants(self, name: str) -> bool:
        """Whether this forward tensor needs a gradient."""
        return name in self._active

    def is_constant(self, name: str) -> bool:
        """Whether this forward tensor is a constant."""
        return name in self._graph.constants

    def constant(self, node: onnx.NodeProto, index: int) -> Array | None:
        """The constant at this input of a node; None when the input is left out.

        Raises:
            GoodnoiseError: INVALID_INPUT when the input is computed.
        """
        if index >= len(node.input) or not node.input[index]:
            return None
        if node.input[index] not in self._graph.constants:
            raise unsupported(node, f"input {index} must be a constant, it is computed")
        return self._graph.constants[node.input[index]]

    def refuse(self, node: onnx.NodeProto, *indices: int) -> None:
        """Refuse a node when one of these inputs depends on the face.

        Raises:
            GoodnoiseError: INVALID_INPUT naming the input.
        """
        for index in indices:
            if index < len(node.input) and self.wants(node.input[index]):
                raise unsupported(node, f"input {index} depends on the face, which has no rule")

    def gradient(self, name: str) -> str | None:
        """The gradient that arrived for this tensor, summed over its readers; None when there is none."""
        return self._gradients.get(name)

    def upstream(self, node: onnx.NodeProto) -> str:
        """The gradient of the node's first output.

        Raises:
            GoodnoiseError: INVALID_INPUT when only another output of the node reaches the embedding.
        """
        gradient = self.gradient(node.output[0])
        if gradient is None:
            raise unsupported(node, "only its first output may reach the embedding")
        return gradient

    def give(self, name: str, gradient: str) -> None:
        """Add a gradient to this forward tensor."""
        arrived = self._gradients.get(name)
        self._gradients[name] = gradient if arrived is None else self.emit("Add", arrived, gradient)

    def output(self, node: onnx.NodeProto, index: int) -> str:
        """Name of a node's output, asked of the node when it was left out (indices, saved means)."""
        while len(node.output) <= index:
            node.output.append("")
        if not node.output[index]:
            node.output[index] = f"{node.output[0]}:{index}"
        return node.output[index]

    def emit(self, op_type: str, *inputs: str, **attrs: Any) -> str:  # noqa: ANN401 - ONNX attributes are of many types
        """Emit a node with one output; the output's name."""
        return self.emit_many(op_type, *inputs, outputs=1, **attrs)[0]

    def emit_many(self, op_type: str, *inputs: str, outputs: int, **attrs: Any) -> list[str]:  # noqa: ANN401 - as above
        """Emit a node with several outputs; their names."""
        label = f"b{len(self.nodes)}/{op_type}"
        names = [label] if outputs == 1 else [f"{label}:{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(op_type, list(inputs), names, name=label, **attrs))
        return names

    def literal(self, value: Array) -> str:
        """A constant of the backward graph; equal constants share one name."""
        value = np.ascontiguousarray(value).reshape(value.shape)
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self._literals:
            name = f"c{len(self._literals)}"
            self._literals[key] = name
            self.constants[name] = value
        return self._literals[key]

    def number(self, value: float) -> str:
        """A scalar of the graph's float type."""
        return self.literal(np.asarray(value, self._dtype))

    def floats(self, value: Array) -> str:
        """An array of the graph's float type."""
        return self.literal(value.astype(self._dtype))

    def ints(self, *values: int) -> str:
        """A vector of int64, for axes, shapes and the like."""
        return self.literal(np.asarray(values, np.int64))

    def add(self, left: str, right: str) -> str:
        """Emit `left + right`."""
        return self.emit("Add", left, right)

    def subtract(self, left: str, right: str) -> str:
        """Emit `left - right`."""
        return self.emit("Sub", left, right)

    def multiply(self, left: str, right: str) -> str:
        """Emit `left * right`."""
        return self.emit("Mul", left, right)

    def divide(self, left: str, right: str) -> str:
        """Emit `left / right`."""
        return self.emit("Div", left, right)

    def mask(self, condition: str) -> str:
        """A condition as 0 and 1 of the graph's float type; ONNX Runtime's Where is several times slower."""
        return self.emit("Cast", condition, to=self._graph.dtype)

    def reduce_sum(self, value: str, axes: tuple[int, ...]) -> str:
        """Emit the sum over `axes`, which stay as dimensions of 1."""
        return self.emit("ReduceSum", value, self.ints(*axes), keepdims=1)

    def reshape_like(self, value: str, like: str) -> str:
        """Give `value` the shape of the forward tensor `like`, which has as many elements."""
        shape = self.shape(like)
        if sum(dim < 0 for dim in shape) > 1 or 0 in shape:
            return self.emit("Reshape", value, self.emit("Shape", like))
        return self.emit("Reshape", value, self.ints(*(max(dim, -1) for dim in shape)))

    def expand_like(self, value: str, like: str) -> str:
        """Broadcast `value` to the shape of the forward tensor `like`."""
        shape = self.shape(like)
        fixed = all(dim >= 0 for dim in shape)
        return self.emit("Expand", value, self.ints(*shape) if fixed else self.emit("Shape", like))

    def zeros_like(self, like: str) -> str:
        """Zeros in the shape of the forward tensor `like`."""
        return self.expand_like(self.number(0.0), like)

    def unbroadcast(self, gradient: str, shape: Shape, like: str) -> str:
        """Sum a gradient of this shape to the shape of `like`, the operand that was broadcast to it."""
        target = self.shape(like)
        missing = len(shape) - len(target)
        padded = (1,) * missing + target
        axes = tuple(
            i for i, (wide, dim) in enumerate(zip(shape, padded, strict=True)) if dim == 1 and wide != 1
        )
        if axes:
            gradient = self.reduce_sum(gradient, axes)
        return self.reshape_like(gradient, like) if missing else gradient

    def give_unbroadcast(self, node: onnx.NodeProto, index: int, gradient: str) -> None:
        """Give input `index` its gradient, which has the shape of the node's first output."""
        name = node.input[index]
        self.give(name, self.unbroadcast(gradient, self.shape(node.output[0]), name))
