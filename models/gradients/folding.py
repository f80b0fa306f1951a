"""Folding: constants, batch norms and steps that do nothing, on a graph in place."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from models.gradients.graph import Array, Graph, attributes
from models.gradients.shapes import run_graph

__all__ = ["fold_batch_norms", "fold_constants", "remove_identities"]

_RANDOM = frozenset(
    ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
)


def fold_constants(graph: Graph) -> None:
    """Replace what depends on constants alone (weights behind DequantizeLinear, shapes) by its value."""
    known, fixed = set(graph.constants) | {""}, []
    for node in graph.nodes:
        plain = node.op_type not in _RANDOM and not any(item.type == item.GRAPH for item in node.attribute)
        if plain and known.issuperset(node.input):
            fixed.append(node)
            known.update(node.output)
    if not fixed:
        return
    names = [name for node in fixed for name in node.output if name]
    values = run_graph(_only(graph, fixed), names, {})
    chosen = {id(node) for node in fixed}
    graph.nodes = [node for node in graph.nodes if id(node) not in chosen]
    graph.constants.update({name: np.asarray(value) for name, value in values.items()})
    graph.drop_dead()


def _only(graph: Graph, nodes: list[onnx.NodeProto]) -> Graph:
    read = {name for node in nodes for name in node.input}
    constants = {name: value for name, value in graph.constants.items() if name in read}
    return Graph(nodes, constants, "", nodes[-1].output[0], graph.size, graph.opset, graph.dtype)


def remove_identities(graph: Graph) -> None:
    """Remove Identity, and Dropout, which does nothing in inference."""
    kept = []
    for node in graph.nodes:
        if node.op_type in ("Identity", "Dropout") and node.output[0] != graph.result:
            graph.rename(node.output[0], node.input[0])
        elif node.op_type == "Dropout":
            kept.append(helper.make_node("Identity", [node.input[0]], [node.output[0]], name=node.name))
        else:
            kept.append(node)
    graph.nodes = kept
    graph.drop_dead()


def fold_batch_norms(graph: Graph) -> None:
    """Put a batch norm into the Conv, ConvTranspose or Gemm before it, where that feeds nothing else."""
    producers, uses = graph.producers(), graph.uses()
    kept = []
    for node in graph.nodes:
        layer = producers.get(node.input[0]) if node.op_type == "BatchNormalization" else None
        if layer is not None and uses[node.input[0]] == 1 and _absorb(graph, layer, node):
            layer.output[0] = node.output[0]
            producers[node.output[0]] = layer
        else:
            kept.append(node)
    graph.nodes = kept
    graph.drop_dead()


def _absorb(graph: Graph, layer: onnx.NodeProto, norm: onnx.NodeProto) -> bool:
    """Scale the layer's weights and shift its bias; False when it is of another kind or not constant."""
    names = [*layer.input[1:], *norm.input[1:]]
    if layer.op_type not in ("Conv", "ConvTranspose", "Gemm") or not all(
        name in graph.constants for name in names
    ):
        return False
    if attributes(norm).get("training_mode", 0) or attributes(layer).get("beta", 1.0) != 1.0:
        return False
    scale, shift, mean, variance = (graph.constants[name].astype(np.float64) for name in norm.input[1:])
    factor = scale / np.sqrt(variance + attributes(norm).get("epsilon", 1e-5))
    weight = graph.constants[layer.input[1]]
    bias = graph.constants[layer.input[2]].reshape(-1) if len(layer.input) > 2 else np.zeros(())
    stem = norm.output[0]
    graph.constants[f"{stem}/weight"] = (weight * _spread(layer, weight, factor)).astype(weight.dtype)
    graph.constants[f"{stem}/bias"] = ((bias - mean) * factor + shift).astype(weight.dtype)
    del layer.input[1:]
    layer.input.extend([f"{stem}/weight", f"{stem}/bias"])
    return True


def _spread(layer: onnx.NodeProto, weight: Array, factor: Array) -> Array:
    """One factor for each output channel, shaped to multiply the layer's weights."""
    if layer.op_type == "Conv":
        return factor.reshape((-1,) + (1,) * (weight.ndim - 1))
    if layer.op_type == "Gemm":
        return factor[:, None] if attributes(layer).get("transB", 0) else factor
    groups = attributes(layer).get("group", 1)  # ConvTranspose: C M/groups *kernel
    per_row = np.repeat(factor.reshape(groups, -1), weight.shape[0] // groups, axis=0)
    return per_row.reshape(per_row.shape + (1,) * (weight.ndim - 2))
