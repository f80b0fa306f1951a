"""The student's network: a small recogniser's body, a linear head into its teacher's space; also as ONNX."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from models.torch_graph import TorchGraph

__all__ = ["Student", "student_onnx", "unit"]

_EPSILON = 1e-12


def unit(vectors: Tensor) -> Tensor:
    """Rows of unit length."""
    return functional.normalize(vectors, dim=1)


class Student(nn.Module):
    """Maps faces N 3 112 112 in [0,1] to embeddings N D of unit length, D as the teacher's.

    Args:
        body: the zoo's forward graph that it starts from.
        width: length of the body's embedding.
        embedding: length of the teacher's.
    """

    def __init__(self, body: bytes, *, width: int, embedding: int) -> None:
        super().__init__()
        self.body = TorchGraph(body)
        self.head = nn.Linear(width, embedding)

    def forward(self, faces: Tensor) -> Tensor:
        """The embeddings."""
        return unit(self.head(self.body(faces)))

    @torch.no_grad()
    def fit_head(self, features: Tensor, targets: Tensor, *, ridge: float = 2e-3) -> None:
        """Set the head by ridge regression from the body's embeddings N W to the teacher's N D."""
        count, width = features.shape
        wide = torch.cat([features, torch.ones(count, 1)], dim=1)
        normal = wide.T @ wide + ridge * count / width * torch.eye(width + 1)
        weights = torch.linalg.solve(normal, wide.T @ targets)
        self.head.weight.copy_(weights[:-1].T)
        self.head.bias.copy_(weights[-1])


def student_onnx(body: bytes, student: Student) -> bytes:
    """The student as an ONNX file: the body's graph with the trained weights, the head, unit length.

    Input `face`, float32 N 3 112 112 in [0,1]; output `embedding`, float32 N D.
    """
    model = onnx.load_from_string(body)
    graph = model.graph
    trained = dict(student.body.named_parameters())
    for index, item in enumerate(graph.initializer):
        if f"weight_{index}" in trained:
            array = trained[f"weight_{index}"].detach().contiguous().numpy()
            item.CopyFrom(numpy_helper.from_array(array, item.name))
    output = graph.output[0]
    for node in graph.node:
        for slot, name in enumerate(node.output):
            if name == output.name:
                node.output[slot] = "body_embedding"
    _append_head(graph, student.head, output.name)
    output.type.tensor_type.shape.dim[1].dim_value = student.head.out_features
    del graph.value_info[:]
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _append_head(graph: onnx.GraphProto, head: nn.Linear, output: str) -> None:
    constants = {
        "head_weight": head.weight.detach().numpy(),
        "head_bias": head.bias.detach().numpy(),
        "head_axis": np.array([1], np.int64),
        "head_epsilon": np.array([_EPSILON], np.float32),
    }
    graph.initializer.extend(
        numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()
    )
    graph.node.extend(
        [
            helper.make_node("Gemm", ["body_embedding", "head_weight", "head_bias"], ["head_out"], transB=1),
            helper.make_node("Mul", ["head_out", "head_out"], ["head_square"]),
            helper.make_node("ReduceSum", ["head_square", "head_axis"], ["head_sum"], keepdims=1),
            helper.make_node("Add", ["head_sum", "head_epsilon"], ["head_positive"]),
            helper.make_node("Sqrt", ["head_positive"], ["head_length"]),
            helper.make_node("Div", ["head_out", "head_length"], [output]),
        ]
    )
