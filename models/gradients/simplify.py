"""From an exporter's forward model to what reverse mode starts from: opset 18, folded, rewritten."""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import helper, version_converter

from models.gradients.folding import fold_batch_norms, fold_constants, remove_identities
from models.gradients.graph import Graph, attributes, graph_from_model
from models.gradients.shapes import measure
from shared.errors import Code, GoodnoiseError

__all__ = ["OPSET", "simplified_graph", "simplify"]

OPSET = 18
NEWEST_OPSET = 24  # the operators of the table mean the same up to here, but for Gelu, which is rewritten


def simplify(forward: onnx.ModelProto) -> onnx.ModelProto:
    """The same network, folded and with operators that ONNX Runtime runs fast; also for forward use alone.

    Raises:
        GoodnoiseError: INVALID_INPUT when the model has not one image input and one output, or an unknown
            opset.
    """
    graph = simplified_graph(forward)
    result = measure(graph)[graph.result]
    dims = ["N" if dim == -1 else dim if dim >= 0 else None for dim in result.shape]
    model = graph.to_model([helper.make_tensor_value_info(graph.result, graph.dtype, dims)])
    onnx.checker.check_model(model, full_check=True)
    return model


def simplified_graph(forward: onnx.ModelProto) -> Graph:
    """As `simplify`, as a graph to work on."""
    graph = graph_from_model(_to_opset(forward))
    fold_constants(graph)
    graph.opset = OPSET
    remove_identities(graph)
    fold_batch_norms(graph)
    _rewrite(graph)
    fold_constants(graph)
    return graph


def _to_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """Older operators are converted; newer ones keep their meaning, or the check at the end refuses them."""
    version = max((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), default=0)
    if version > NEWEST_OPSET:
        raise GoodnoiseError(Code.INVALID_INPUT, f"opset {version} is unknown; export with opset {OPSET}")
    if version >= OPSET:
        return model
    try:
        return version_converter.convert_version(model, OPSET)
    except Exception as error:  # the converter's exceptions share no base class
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"opset {version} cannot be converted to {OPSET}; export with opset {OPSET} ({error})",
        ) from error


def _rewrite(graph: Graph) -> None:
    nodes = []
    for node in graph.nodes:
        if node.op_type == "PRelu":
            nodes.extend(_prelu(graph, node))
        elif node.op_type == "Gelu":
            nodes.extend(_gelu(graph, node))
        else:
            nodes.append(node)
    graph.nodes = nodes


def _number(graph: Graph, value: float) -> str:
    name = f"number/{value!r}"
    graph.constants[name] = np.asarray(value, helper.tensor_dtype_to_np_dtype(graph.dtype))
    return name


def _prelu(graph: Graph, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """As x * (x > 0 ? 1 : slope): several times faster than PRelu, and reverse mode needs the factor too."""
    stem = node.output[0]
    condition, factor = f"{stem}/positive", f"{stem}/factor"
    return [
        helper.make_node("Greater", [node.input[0], _number(graph, 0.0)], [condition], name=condition),
        helper.make_node("Where", [condition, _number(graph, 1.0), node.input[1]], [factor], name=factor),
        helper.make_node("Mul", [node.input[0], factor], [stem], name=node.name),
    ]


def _gelu(graph: Graph, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """As x (1 + erf(x / sqrt 2)) / 2, or with tanh(sqrt(2/pi) (x + 0.044715 x^3)) for erf."""
    stem, source = node.output[0], node.input[0]
    steps = [("Mul", [source, _number(graph, math.sqrt(0.5))]), ("Erf", [f"{stem}/0"])]
    if attributes(node).get("approximate", "none") == "tanh":
        steps = [
            ("Mul", [source, source]),
            ("Mul", [f"{stem}/0", _number(graph, 0.044715)]),
            ("Add", [f"{stem}/1", _number(graph, 1.0)]),
            ("Mul", [f"{stem}/2", source]),
            ("Mul", [f"{stem}/3", _number(graph, math.sqrt(2.0 / math.pi))]),
            ("Tanh", [f"{stem}/4"]),
        ]
    steps += [
        ("Add", [f"{stem}/{len(steps) - 1}", _number(graph, 1.0)]),
        ("Mul", [source, _number(graph, 0.5)]),
        ("Mul", [f"{stem}/{len(steps)}", f"{stem}/{len(steps) + 1}"]),
    ]
    outputs = [f"{stem}/{index}" for index in range(len(steps) - 1)] + [stem]
    return [
        helper.make_node(operator, inputs, [output], name=output)
        for (operator, inputs), output in zip(steps, outputs, strict=True)
    ]
