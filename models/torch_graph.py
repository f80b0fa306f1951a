"""A canonical ONNX graph as a torch module: the reference for gradients, and what training starts from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from models.torch_operators import OPERATORS, Operator
from shared.errors import Code, GoodnoiseError

__all__ = ["TorchGraph"]


@dataclass(frozen=True)
class _Step:
    """One node: what it reads and writes, and what it may free afterwards."""

    operator: Operator
    attributes: dict[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    freed: tuple[str, ...]


class TorchGraph(nn.Module):
    """Runs a graph of standard ONNX operators, node by node, with autograd.

    Float initialisers become parameters, others buffers.

    Args:
        content: an ONNX file with one input and one output, opset 18.

    Raises:
        GoodnoiseError: INVALID_INPUT naming an operator that is not in the table.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__()
        model = onnx.load_from_string(content)
        self._keys = self._register(model.graph)
        inputs = [item.name for item in model.graph.input if item.name not in self._keys]
        if len(inputs) != 1 or len(model.graph.output) != 1:
            raise GoodnoiseError(
                Code.INVALID_INPUT,
                f"the graph has {len(inputs)} inputs and {len(model.graph.output)} outputs, expected one",
            )
        self._input, self._output = inputs[0], model.graph.output[0].name
        self._steps = _steps(model.graph, keep={*self._keys, self._output})

    def _register(self, graph: onnx.GraphProto) -> dict[str, str]:
        # Names of modules' members may hold no dots, ONNX names may.
        keys = {}
        for index, item in enumerate(graph.initializer):
            key, value = f"weight_{index}", torch.from_numpy(numpy_helper.to_array(item).copy())
            if value.is_floating_point():
                self.register_parameter(key, nn.Parameter(value))
            else:
                self.register_buffer(key, value)
            keys[item.name] = key
        return keys

    def forward(self, face: Tensor) -> Tensor:
        """The graph's output, embeddings N D, for its input, faces N 3 S S in [0,1]."""
        values: dict[str, Tensor] = {name: getattr(self, key) for name, key in self._keys.items()}
        values[self._input] = face
        for step in self._steps:
            results = step.operator(
                step.attributes, *(values[name] if name else None for name in step.inputs)
            )
            several = results if isinstance(results, tuple) else (results,)
            values.update(zip(step.outputs, several, strict=False))
            for name in step.freed:
                del values[name]
        return values[self._output]


def _steps(graph: onnx.GraphProto, *, keep: set[str]) -> list[_Step]:
    remaining = Counter(name for node in graph.node for name in node.input)
    steps = []
    for node in graph.node:
        if node.op_type not in OPERATORS or node.domain not in ("", "ai.onnx"):
            raise GoodnoiseError(
                Code.INVALID_INPUT, f"operator {node.op_type!r} of node {node.name!r} has no torch form here"
            )
        remaining.subtract(node.input)
        freed = {name for name in node.input if name and remaining[name] == 0 and name not in keep}
        steps.append(
            _Step(
                OPERATORS[node.op_type],
                _attributes(node),
                tuple(node.input),
                tuple(node.output),
                tuple(sorted(freed)),
            )
        )
    return steps


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    values = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}
