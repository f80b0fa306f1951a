"""Classifiers in ONNX files, as torch modules."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper
from torch import nn

from models.importers.canonical import IR_VERSION, OPSET
from models.importers.net import Net
from models.importers.onnx_float import read_onnx
from models.importers.passes import any_batch_size, drop_identities, fold_batch_norm, fold_constants
from models.torch_graph import TorchGraph

__all__ = ["read_classifier"]


def read_classifier(path: Path) -> nn.Module:
    """The graph as a module that maps N C H W in [0,1] to its output, logits N K.

    Batch normalisation is folded, and a batch size that the export wrote down is taken out.

    Raises:
        GoodnoiseError: INVALID_INPUT naming the file and what in it is not readable here.
    """
    net, opset = read_onnx(path.read_bytes(), source=str(path))
    fold_constants(net, opset)
    drop_identities(net)
    any_batch_size(net)
    fold_batch_norm(net)
    net.prune()
    return TorchGraph(_serialise(net))


def _serialise(net: Net) -> bytes:
    graph = helper.make_graph(
        net.nodes,
        "classifier",
        [helper.make_tensor_value_info(net.input, TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info(net.output, TensorProto.FLOAT, None)],
        initializer=net.initializers(),
    )
    opset = [helper.make_opsetid("", OPSET)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION)
    return bytes(model.SerializeToString(deterministic=True))
