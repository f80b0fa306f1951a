"""Whole networks: random small ones by finite differences, those of the zoo against torch autograd."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from models.gradients import build_gradient_graph

NETWORKS = ["mobilefacenet-512", "mobilefacenet-192", "sface", "dlib-resnet"]
LAYERS = st.lists(
    st.sampled_from(["conv", "stride", "depthwise", "tanh", "sigmoid", "residual", "norm", "gate"]),
    min_size=1,
    max_size=6,
)


def _session(model: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _network(layers: list[str], seed: int) -> onnx.ModelProto:
    """A random smooth network of these layers on faces 3 8 8, four channels wide."""
    rng = np.random.default_rng(seed)
    nodes, constants = [], {}

    def weight(*shape: int) -> str:
        name = f"w{len(constants)}"
        constants[name] = (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        return name

    def step(op: str, *inputs: str, **attrs: object) -> str:
        nodes.append(helper.make_node(op, list(inputs), [f"v{len(nodes)}"], **attrs))
        return f"v{len(nodes) - 1}"

    value = step("Conv", "face", weight(4, 3, 3, 3), pads=[1, 1, 1, 1])
    for layer in layers:
        if layer in ("conv", "stride"):
            strides = [2, 2] if layer == "stride" else [1, 1]
            value = step("Conv", value, weight(4, 4, 3, 3), pads=[1, 1, 1, 1], strides=strides)
        elif layer == "depthwise":
            value = step("Conv", value, weight(4, 1, 3, 3), pads=[1, 1, 1, 1], group=4, strides=[2, 2])
        elif layer == "residual":
            value = step("Add", value, step("Tanh", step("Conv", value, weight(4, 4, 1, 1))))
        elif layer == "norm":
            value = step("InstanceNormalization", value, weight(4), weight(4), epsilon=0.1)
        elif layer == "gate":
            value = step("Mul", value, step("Sigmoid", step("GlobalAveragePool", value)))
        else:
            value = step(layer.capitalize(), value)
    flat = step("Flatten", step("GlobalAveragePool", step("Mul", value, value)))
    embedding = step("LpNormalization", step("MatMul", flat, weight(4, 6)), axis=1)
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("face", 1, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info(embedding, 1, ["N", 6])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


@settings(max_examples=25, deadline=None)
@given(layers=LAYERS, seed=st.integers(0, 2**32 - 1))
@example(layers=["conv", "depthwise", "stride", "stride", "conv"], seed=136252)
def test_the_gradient_predicts_small_changes_of_the_loss(layers: list[str], seed: int) -> None:
    session = _session(build_gradient_graph(_network(layers, seed), name="net"))
    rng = np.random.default_rng(seed)
    face = rng.random((2, 3, 8, 8), np.float32)
    rest = {
        "anchors": rng.standard_normal((2, 2, 6)).astype(np.float32),
        "weights": np.full((2, 2), 0.5, np.float32),
    }
    (gradient,) = session.run(["gradient"], {"face": face} | rest)
    direction = rng.standard_normal(face.shape)
    # Along a mix of the gradient and a random direction: neither hides an error of the other.
    direction = direction / np.linalg.norm(direction) + gradient / max(np.linalg.norm(gradient), 1e-12)
    # Where the loss is steep (an embedding near zero before it is normalised) it bends soon: small steps.
    size = 2e-2 / max(1.0, float(np.abs(gradient * direction).sum(axis=(1, 2, 3)).max()))

    def loss(share: float) -> np.ndarray:
        moved = (face + share * size * direction).astype(np.float32)
        return np.asarray(session.run(["loss"], {"face": moved} | rest)[0], np.float64)

    # Fourth order: (8 (f(1) - f(-1)) - (f(2) - f(-2))) / 12.
    slope = (8 * (loss(1) - loss(-1)) - (loss(2) - loss(-2))) / (12 * size)
    expected = (gradient.astype(np.float64) * direction).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(slope, expected, rtol=2e-2, atol=2e-4)


@pytest.mark.zoo
@pytest.mark.torch
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_the_zoo_has_the_gradient_of_torch(zoo: Path, name: str) -> None:
    import torch
    from torch.nn import functional

    from models.torch_graph import TorchGraph

    content = (zoo / f"{name}.onnx").read_bytes()
    session = _session(build_gradient_graph(onnx.load_from_string(content), name=name))
    shape, dims = session.get_inputs()[0].shape, session.get_inputs()[1].shape[2]
    rng, count = np.random.default_rng(4), 8
    face = rng.random((count, *shape[1:]), np.float32)
    anchors = rng.standard_normal((count, 2, dims)).astype(np.float32)
    weights = np.tile(np.array([[-0.5, -0.5], [1, 0]], np.float32), (count // 2, 1))
    loss, gradient, embedding = session.run(None, {"face": face, "anchors": anchors, "weights": weights})

    leaf = torch.from_numpy(face).double().requires_grad_()
    reference = TorchGraph(content).double()(leaf)
    cosines = functional.cosine_similarity(reference[:, None], torch.from_numpy(anchors).double(), dim=2)
    expected_loss = (cosines * torch.from_numpy(weights).double()).sum(1)
    expected = torch.autograd.grad(expected_loss.sum(), leaf)[0].numpy()
    np.testing.assert_allclose(loss, expected_loss.detach(), atol=1e-5)
    np.testing.assert_allclose(
        embedding, reference.detach(), atol=1e-5 * float(reference.detach().abs().max())
    )
    errors = _lengths(gradient - expected) / _lengths(expected)
    # Where rounding turns one of the million units at its kink, an image differs by some 1e-3 (as float32 and
    # float64 do in torch itself); others agree to rounding. A wrong rule agrees on none.
    assert errors.max() < 3e-2
    agreeing = errors < 1e-5
    assert agreeing.any(), f"{name}: {errors}"
    firm = np.abs(expected) > 1e-4 * np.abs(expected).max()
    same = np.sign(gradient) == np.sign(expected)
    assert same[agreeing][firm[agreeing]].all()
    assert firm.mean() > 0.9


def _lengths(images: np.ndarray) -> np.ndarray:
    return np.linalg.norm(images.reshape(len(images), -1), axis=1)
