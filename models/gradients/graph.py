"""A forward graph as plain lists, for the passes over it: folding, rewriting, reverse mode."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from shared.errors import Code, GoodnoiseError

__all__ = ["Array", "Graph", "attributes", "graph_from_model", "unsupported"]

Array = npt.NDArray[Any]


@dataclass
class Graph:
    """Nodes in topological order, constants by name, and the names of the input and the output.

    A graph of constants alone has the input "". A pass may change all of it: these are copies.
    """

    nodes: list[onnx.NodeProto]
    constants: dict[str, Array]
    source: str
    result: str
    size: tuple[int, int, int]
    opset: int
    dtype: int = onnx.TensorProto.FLOAT

    def uses(self) -> Counter[str]:
        """How many inputs of nodes read each tensor; the graph's result counts as one more."""
        counter = Counter(name for node in self.nodes for name in node.input if name)
        counter[self.result] += 1
        return counter

    def producers(self) -> dict[str, onnx.NodeProto]:
        """The node behind each tensor that is neither a constant nor the input."""
        return {name: node for node in self.nodes for name in node.output if name}

    def drop_dead(self) -> None:
        """Remove nodes and constants that the result does not need."""
        needed = {self.result}
        kept: list[onnx.NodeProto] = []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                kept.append(node)
                needed.update(node.input)
        self.nodes = kept[::-1]
        self.constants = {name: value for name, value in self.constants.items() if name in needed}

    def rename(self, old: str, new: str) -> None:
        """Let all readers of `old` read `new`."""
        for node in self.nodes:
            for index, name in enumerate(node.input):
                if name == old:
                    node.input[index] = new
        if self.result == old:
            self.result = new

    def to_model(self, outputs: list[onnx.ValueInfoProto]) -> onnx.ModelProto:
        """A model of this graph with batch dimension `N` and these outputs."""
        face = [helper.make_tensor_value_info(self.source, self.dtype, ["N", *self.size])]
        constants = [numpy_helper.from_array(value, name) for name, value in self.constants.items()]
        graph = helper.make_graph(self.nodes, "forward", face if self.source else [], outputs, constants)
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", self.opset)],
            ir_version=10,
            producer_name="goodnoise",
        )


def graph_from_model(model: onnx.ModelProto) -> Graph:
    """Read a forward model with one image input N C H W and one output; nothing of it is changed later.

    Raises:
        GoodnoiseError: INVALID_INPUT when the inputs or outputs are not of this kind.
    """
    proto = model.graph
    constants = {item.name: numpy_helper.to_array(item) for item in proto.initializer}
    inputs = [item for item in proto.input if item.name not in constants]
    if len(inputs) != 1 or len(proto.output) != 1:
        names = f"inputs {[item.name for item in inputs]}, outputs {[item.name for item in proto.output]}"
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"a forward graph has one input and one output; this one has {names}"
        )
    opset = max((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), default=0)
    nodes = [_copy(node) for node in proto.node]
    dtype, size = _image_input(inputs[0])
    return Graph(nodes, constants, inputs[0].name, proto.output[0].name, size, opset, dtype)


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Attributes as Python values: numbers, lists, text."""
    values = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}


def unsupported(node: onnx.NodeProto, reason: str) -> GoodnoiseError:
    """The error for a node that reverse mode cannot pass: operator, node and reason."""
    label = node.name or next(iter(node.output), "")
    return GoodnoiseError(
        Code.INVALID_INPUT,
        f"operator {node.op_type} of node {label!r}: {reason}",
        {"operator": node.op_type, "node": label},
    )


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.ClearField("doc_string")  # exporters leave the paths of their machine here
    copy.ClearField("metadata_props")
    return copy


def _image_input(info: onnx.ValueInfoProto) -> tuple[int, tuple[int, int, int]]:
    tensor = info.type.tensor_type
    dims = [item.dim_value for item in tensor.shape.dim]
    if len(dims) != 4 or min(dims[1:]) < 1:
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"input {info.name!r} has dimensions {dims}; a face graph takes N C H W with C, H and W stated",
        )
    return tensor.elem_type, (dims[1], dims[2], dims[3])
