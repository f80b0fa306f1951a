"""What the property tests of gradient graphs share: one comparison with torch autograd."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import assume
from onnx import helper, numpy_helper

from models.gradients import build_gradient_graph

Node = tuple[str, list[str], dict[str, Any]]
DIMS = 5


def _forward(nodes: list[Node], constants: dict[str, np.ndarray], size: tuple[int, ...]) -> onnx.ModelProto:
    """Nodes read `x` = 8 face - 4 and the constants; a random projection makes an embedding of the last."""
    protos = [
        helper.make_node("Mul", ["face", "eight"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "four"], ["x"]),
        *(
            helper.make_node(op, inputs, _outputs(op, "y" if i == len(nodes) - 1 else f"t{i}"), **attrs)
            for i, (op, inputs, attrs) in enumerate(nodes)
        ),
        helper.make_node("Flatten", ["y"], ["flat"]),
        helper.make_node("MatMul", ["flat", "projection"], ["embedding"]),
    ]
    constants = constants | {"eight": np.float32(8), "four": np.float32(4)}
    graph = helper.make_graph(
        protos,
        "case",
        [helper.make_tensor_value_info("face", 1, ["N", *size])],
        [helper.make_tensor_value_info("embedding", 1, ["N", DIMS])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def _outputs(operator: str, name: str) -> list[str]:
    return [name, f"{name}b"] if operator == "Split" else [name]


def _check(
    nodes: list[Node],
    reference: Callable[[Any], Any],
    face: np.ndarray,
    *,
    constants: dict[str, np.ndarray] | None = None,
) -> None:
    """The graph's loss, gradient and embedding are torch's in float64."""
    import torch
    from torch.nn import functional

    rng = np.random.default_rng(7)
    leaf = torch.from_numpy(face).double().requires_grad_()
    flat = reference(8 * leaf - 4).reshape(len(face), -1)
    projection = (rng.standard_normal((flat.shape[1], DIMS)) / math.sqrt(flat.shape[1])).astype(np.float32)
    embedding = flat @ torch.from_numpy(projection).double()
    assume(float(embedding.detach().norm(dim=1).min()) > 1e-2)
    anchors = rng.standard_normal((len(face), 2, DIMS)).astype(np.float32)
    weights = rng.standard_normal((len(face), 2)).astype(np.float32)
    cosines = functional.cosine_similarity(embedding[:, None], torch.from_numpy(anchors).double(), dim=2)
    loss = (cosines * torch.from_numpy(weights).double()).sum(1)
    (expected,) = torch.autograd.grad(loss.sum(), leaf, retain_graph=True)
    # A cosine's gradient is a difference; rounding is relative to its terms, which may cancel in small cases.
    terms = torch.einsum(
        "nk,nkd->nd",
        torch.from_numpy(weights).double(),
        functional.normalize(torch.from_numpy(anchors).double(), dim=2),
    )
    (first_term,) = torch.autograd.grad(
        (terms * embedding).sum(1) / embedding.detach().norm(dim=1), leaf, torch.ones(len(face)).double()
    )
    scale = max(np.linalg.norm(expected), np.linalg.norm(first_term))

    forward = _forward(nodes, (constants or {}) | {"projection": projection}, face.shape[1:])
    graph = build_gradient_graph(forward, name="case")
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {"face": face, "anchors": anchors, "weights": weights}
    got_loss, got, got_embedding = session.run(["loss", "gradient", "embedding"], feeds)
    np.testing.assert_allclose(got_embedding, embedding.detach(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(got_loss, loss.detach(), atol=1e-4)
    assert np.linalg.norm(got - expected.numpy()) <= 1e-5 * scale + 1e-7


@pytest.fixture(scope="session")
def agrees() -> Callable[..., None]:
    """Called with nodes from `x` to their last output, the same in torch, faces and constants."""
    return _check
