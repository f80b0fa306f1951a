"""The zoo's canonical form of a recogniser, and the check that it computes what it should.

Input `face`, float32 N 3 S S, RGB in [0,1]; output `embedding`, float32 N D, of unit length where the metric
is cosine. Preprocessing is inside, batch norm is folded, N is free, all constants are initialisers, and the
operators are standard ones of opset 18.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from models.importers.net import Net
from models.importers.passes import (
    any_batch_size,
    drop_identities,
    fold_batch_norm,
    fold_constants,
    fuse_prelu,
    merge_leading_affine,
)
from shared.cards import Card
from shared.errors import Code, GoodnoiseError

__all__ = ["IR_VERSION", "OPSET", "embed", "serialise", "session", "to_canonical"]

OPSET = 18
IR_VERSION = 10
# Under the square root of the length: keeps the division finite, far below any embedding's squared length.
LENGTH_EPS = 1e-12


def to_canonical(net: Net, card: Card, *, opset: int = OPSET) -> bytes:
    """The canonical ONNX file of an imported network; the same net and card give the same bytes.

    Args:
        net: the network as its origin defines it; edited in place.
        card: its card, for preprocessing, sizes and metric.
        opset: the opset that the net's nodes are written in.

    Raises:
        GoodnoiseError: INVALID_INPUT when the result is no valid graph or its shape is not the card's.
    """
    fold_constants(net, opset)
    drop_identities(net)
    any_batch_size(net)
    fuse_prelu(net)
    fold_batch_norm(net)
    _prepend_preprocessing(net, card)
    merge_leading_affine(net)
    if card.metric == "cosine":
        _append_unit_length(net)
    net.prune()
    content = serialise(net, card)
    _check(content, card)
    return content


def _prepend_preprocessing(net: Net, card: Card) -> None:
    mean = np.array(card.mean, np.float64).reshape(1, 3, 1, 1)
    scaled = net.make("Mul", [net.input, net.weight(np.full((1, 1, 1, 1), 255.0 * card.scale), "scale")])
    first = [scaled]
    if np.any(mean):
        first.append(net.make("Sub", [scaled.output[0], net.weight(mean * card.scale, "mean")]))
    net.rewire(net.input, first[-1].output[0])
    scaled.input[0] = net.input
    net.nodes[:0] = first


def _append_unit_length(net: Net) -> None:
    axes, eps = net.weight(np.array([1], np.int64), "axes"), net.weight(np.array(LENGTH_EPS), "eps")
    raw = net.output
    total = net.add("ReduceSum", [net.add("Mul", [raw, raw]), axes], keepdims=1)
    length = net.add("Sqrt", [net.add("Add", [total, eps])])
    net.output = net.add("Div", [raw, length])


def serialise(net: Net, card: Card) -> bytes:
    """The net as ONNX bytes with the zoo's names for input and output."""
    net.rename("face", "embedding")
    side = card.size
    graph = helper.make_graph(
        net.nodes,
        card.name,
        [helper.make_tensor_value_info("face", TensorProto.FLOAT, ["N", 3, side, side])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", card.embedding])],
        initializer=net.initializers(),
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="goodnoise",
    )
    return bytes(model.SerializeToString(deterministic=True))


def _check(content: bytes, card: Card) -> None:
    try:
        onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
        _check_result(content, card)
    except Exception as error:
        # ONNX and ONNX Runtime raise a dozen kinds of exception for graphs that they do not accept.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"the network of card {card.name!r} cannot be used: {reason}; compare file and card",
        ) from error


def _check_result(content: bytes, card: Card) -> None:
    running = session(content)
    for count in (1, 2):
        faces = np.linspace(0, 1, count * 3 * card.size**2, dtype=np.float32)
        result = embed(running, faces.reshape(count, 3, card.size, card.size))
        if result.shape != (count, card.embedding) or not np.isfinite(result).all():
            raise ValueError(f"{count} faces give {result.shape}, expected {(count, card.embedding)}, finite")


def session(content: bytes, *, threads: int = 1) -> ort.InferenceSession:
    """An ONNX Runtime session on the processor, quiet, with this many threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def embed(running: ort.InferenceSession, faces: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Embeddings, float32 N D, of faces, float32 N 3 S S in [0,1]."""
    return np.asarray(running.run(None, {running.get_inputs()[0].name: faces})[0], np.float32)
