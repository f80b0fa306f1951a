"""Build a gradient graph from a recogniser's forward graph."""

from __future__ import annotations

import hashlib

import onnx
from onnx import helper, numpy_helper

from models.gradients.context import Context
from models.gradients.graph import Graph
from models.gradients.loss import emit_loss
from models.gradients.shapes import Tensor, measure
from models.gradients.simplify import OPSET, simplified_graph
from models.gradients.table import FLAT, rule_for
from shared.errors import Code, GoodnoiseError

__all__ = ["IR_VERSION", "OPSET", "build_gradient_graph"]

IR_VERSION = 8  # the oldest that goes with opset 18, so that old runtimes on phones read it


def build_gradient_graph(forward: onnx.ModelProto, *, name: str) -> onnx.ModelProto:
    """A plain inference graph for loss, input gradient and embedding of a recogniser.

    Inputs are `face` N 3 S S float32 in [0,1], `anchors` N K D and `weights` N K. Outputs are `loss` N, the
    sum over k of weights times cosine(embedding, anchor); `gradient` N 3 S S, the gradient of each image's
    loss for that image; and `embedding` N D as the forward graph gives it. Standard operators of opset 18
    only. An attack ascends the loss: weights -1/K dodge, +1/K impersonate, 0 leave an anchor out. The same
    input gives the same bytes.

    Args:
        forward: a model `face` N C S S -> embedding N D, with fixed C and S; batch norm is folded here.
        name: the graph's name.

    Raises:
        GoodnoiseError: INVALID_INPUT naming the operator, node and reason when the model cannot be
            differentiated.
    """
    graph = simplified_graph(forward)
    _name_tensors(graph)
    tensors = measure(graph)
    dims = _embedding_size(graph, tensors)
    ctx = Context(graph, tensors, _active(graph, tensors))
    loss, seed = emit_loss(ctx, graph.result)
    ctx.give(graph.result, seed)
    _reverse(graph, ctx)
    gradient = ctx.gradient(graph.source)
    if gradient is None:
        raise GoodnoiseError(
            Code.INVALID_INPUT, "the embedding does not depend on the face; nothing to differentiate"
        )
    ctx.nodes.append(helper.make_node("Identity", [loss], ["loss"], name="loss"))
    ctx.nodes.append(helper.make_node("Identity", [gradient], ["gradient"], name="gradient"))
    return _assemble(graph, ctx, name=name, dims=dims, source=_sha256(forward))


def _name_tensors(graph: Graph) -> None:
    """Input `face`, output `embedding`, the rest `f/...`: no name of the origin meets one of ours."""
    names = {graph.source: "face", graph.result: "embedding", "": ""}
    for node in graph.nodes:
        for index, name in enumerate(node.input):
            node.input[index] = names.get(name, f"f/{name}")
        for index, name in enumerate(node.output):
            node.output[index] = names.get(name, f"f/{name}")
        node.name = f"f/{node.name or node.output[0]}"
    graph.constants = {f"f/{name}": value for name, value in graph.constants.items()}
    graph.source, graph.result = "face", "embedding"


def _embedding_size(graph: Graph, tensors: dict[str, Tensor]) -> int:
    result = tensors.get(graph.result)
    if result is None or len(result.shape) != 2 or result.shape[0] != -1 or result.shape[1] < 1:
        shape = None if result is None else result.shape
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"the output has shape {shape} (-k stands for k N); an embedding has N D, one row for each image",
        )
    return result.shape[1]


def _active(graph: Graph, tensors: dict[str, Tensor]) -> frozenset[str]:
    """Float tensors that follow the face through operators with a slope."""
    active = {graph.source}
    for node in graph.nodes:
        if node.op_type not in FLAT and active.intersection(node.input):
            active.update(name for name in node.output if name and tensors[name].is_float)
    return frozenset(active)


def _reverse(graph: Graph, ctx: Context) -> None:
    for node in reversed(graph.nodes):
        arrived = any(ctx.gradient(name) is not None for name in node.output)
        if arrived and any(ctx.wants(name) for name in node.input):
            rule_for(node)(node, ctx)


def _sha256(model: onnx.ModelProto) -> str:
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()


def _assemble(graph: Graph, ctx: Context, *, name: str, dims: int, source: str) -> onnx.ModelProto:
    def info(label: str, *shape: str | int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(label, graph.dtype, shape)

    nodes, read = _needed([*graph.nodes, *ctx.nodes])
    constants = {key: value for key, value in (graph.constants | ctx.constants).items() if key in read}
    proto = helper.make_graph(
        nodes,
        name,
        [info("face", "N", *graph.size), info("anchors", "N", "K", dims), info("weights", "N", "K")],
        [info("loss", "N"), info("gradient", "N", *graph.size), info("embedding", "N", dims)],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    model = helper.make_model(
        proto,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="goodnoise",
    )
    helper.set_model_props(model, {"producer": "goodnoise", "opset": str(OPSET), "source_sha256": source})
    onnx.checker.check_model(model, full_check=True)
    return model


def _needed(nodes: list[onnx.NodeProto]) -> tuple[list[onnx.NodeProto], set[str]]:
    """The nodes that the three outputs need, in order, and all that they read."""
    read, kept = {"loss", "gradient", "embedding"}, []
    for node in reversed(nodes):
        if read.intersection(node.output):
            kept.append(node)
            read.update(node.input)
    return kept[::-1], read
