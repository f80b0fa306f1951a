"""Shapes of all tensors of a forward graph, found by running it on two batch sizes.

Shape inference loses the batch dimension behind Reshape and Shape arithmetic; two runs give every dimension
as a number or as a multiple of N, whatever operators the graph holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort

from models.gradients.graph import Array, Graph
from shared.errors import Code, GoodnoiseError

__all__ = ["Shape", "Tensor", "measure", "run_graph"]

# A dimension >= 0 is fixed; -k means k times the batch size.
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Tensor:
    """Shape (see `Shape`) and numpy dtype of a tensor."""

    shape: Shape
    dtype: np.dtype[np.generic]

    @property
    def is_float(self) -> bool:
        """Whether it can carry a gradient."""
        return bool(np.issubdtype(self.dtype, np.floating))


def run_graph(graph: Graph, outputs: list[str], feeds: dict[str, Array]) -> dict[str, Array]:
    """Values of the named tensors, computed by ONNX Runtime without optimisation.

    Raises:
        GoodnoiseError: INVALID_INPUT with the runtime's own words when the graph does not run.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    shown = [onnx.ValueInfoProto(name=name) for name in outputs]
    content = graph.to_model(shown).SerializeToString()
    try:
        session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        values = session.run(outputs, feeds)
    except Exception as error:  # the runtime's exceptions share no base class
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"the forward graph does not run on every batch size; make its batch dimension dynamic ({error})",
        ) from error
    return dict(zip(outputs, values, strict=True))


def measure(graph: Graph) -> dict[str, Tensor]:
    """Shape and dtype of every tensor, constants and the input included.

    Raises:
        GoodnoiseError: INVALID_INPUT when the graph does not run on batches of 2 and 3.
    """
    names = [name for node in graph.nodes for name in node.output if name]
    two, three = (_run_batch(graph, names, count) for count in (2, 3))
    found = {name: Tensor(_join(two[name].shape, three[name].shape), two[name].dtype) for name in two}
    for name, value in graph.constants.items():
        found[name] = Tensor(value.shape, value.dtype)
    return found


def _run_batch(graph: Graph, names: list[str], count: int) -> dict[str, Array]:
    dtype = np.float64 if graph.dtype == 11 else np.float32
    face = np.full((count, *graph.size), 0.5, dtype)
    return {graph.source: face} | run_graph(graph, names, {graph.source: face})


def _join(two: Shape, three: Shape) -> Shape:
    return tuple(a if a == b else a - b for a, b in zip(two, three, strict=True))
