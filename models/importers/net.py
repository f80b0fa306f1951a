"""A network on its way from its origin's format to ONNX: nodes and weights, edited in place by the passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

__all__ = ["Array", "Attribute", "Net", "attributes"]

Array = npt.NDArray[Any]
Attribute = int | float | str | Sequence[int] | Sequence[float]


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """The node's attributes as Python values."""
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


@dataclass
class Net:
    """Nodes in order of execution, weights by name, one input and one output.

    `names` counts what `add` and `weight` have handed out, so that the same edits give the same names.
    """

    input: str
    output: str
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: dict[str, Array] = field(default_factory=dict)
    names: Counter[str] = field(default_factory=Counter)

    def add(self, op: str, inputs: Iterable[str], **attrs: Attribute) -> str:
        """Append a node with one output; returns the output's name."""
        node = self.make(op, inputs, **attrs)
        self.nodes.append(node)
        return str(node.output[0])

    def make(self, op: str, inputs: Iterable[str], **attrs: Attribute) -> onnx.NodeProto:
        """A node with one fresh output, not yet in the net."""
        node = onnx.NodeProto(op_type=op, input=list(inputs), output=[self.fresh(op.lower())])
        node.attribute.extend(helper.make_attribute(name, value) for name, value in sorted(attrs.items()))
        return node

    def weight(self, value: npt.ArrayLike, hint: str = "const") -> str:
        """Store a weight; floats become float32. Returns its name."""
        array = np.asarray(value)
        if array.dtype.kind == "f":
            array = array.astype(np.float32)
        name = self.fresh(f"w_{hint}")
        self.weights[name] = np.ascontiguousarray(array)
        return name

    def fresh(self, hint: str) -> str:
        """A name that `add` and `weight` have not handed out yet."""
        self.names[hint] += 1
        return f"goodnoise_{hint}_{self.names[hint]}"

    def users(self, name: str) -> list[onnx.NodeProto]:
        """Nodes that read this value."""
        return [node for node in self.nodes if name in node.input]

    def producer(self, name: str) -> onnx.NodeProto | None:
        """The node that makes this value, or None for an input or weight."""
        return next((node for node in self.nodes if name in node.output), None)

    def only_user(self, name: str) -> onnx.NodeProto | None:
        """The one node that reads this value, or None when there are more, none, or it is the output."""
        users = self.users(name)
        return users[0] if len(users) == 1 and name != self.output else None

    def rewire(self, old: str, new: str) -> None:
        """Let every reader of `old`, the output included, read `new`."""
        for node in self.nodes:
            for index, name in enumerate(node.input):
                if name == old:
                    node.input[index] = new
        if self.output == old:
            self.output = new

    def replace(self, node: onnx.NodeProto, others: Iterable[onnx.NodeProto]) -> None:
        """Put other nodes in the place of one; the last one's output takes over from the old node's."""
        others = list(others)
        index = next(i for i, item in enumerate(self.nodes) if item is node)
        self.nodes[index : index + 1] = others
        self.rewire(node.output[0], others[-1].output[0])

    def bypass(self, node: onnx.NodeProto) -> None:
        """Remove a node that hands its first input through."""
        self.nodes = [item for item in self.nodes if item is not node]
        self.rewire(node.output[0], node.input[0])

    def prune(self) -> None:
        """Drop nodes and weights that the output does not depend on."""
        needed, kept = {self.output}, []
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                kept.append(node)
                needed.update(node.input)
        self.nodes = kept[::-1]
        self.weights = {name: value for name, value in self.weights.items() if name in needed}

    def rename(self, first: str, last: str) -> None:
        """Call the input `first`, the output `last`, and everything between by short names."""
        # In order of execution: origins' names carry nothing and take space in every bundle.
        names = {self.input: first, self.output: last, "": ""}
        for node in self.nodes:
            for name in (*node.input, *node.output):
                names.setdefault(name, f"{'w' if name in self.weights else 'v'}{len(names)}")
        for index, node in enumerate(self.nodes):
            renamed = [names[name] for name in node.input], [names[name] for name in node.output]
            del node.input[:], node.output[:]
            node.input.extend(renamed[0])
            node.output.extend(renamed[1])
            node.name = f"{node.op_type.lower()}_{index}"
            node.doc_string = ""
        self.weights = {names[name]: value for name, value in self.weights.items()}
        self.input, self.output = first, last

    def initializers(self) -> list[onnx.TensorProto]:
        """The weights as ONNX tensors, in order of first use."""
        order = dict.fromkeys(name for node in self.nodes for name in node.input if name in self.weights)
        return [numpy_helper.from_array(self.weights[name], name) for name in order]
