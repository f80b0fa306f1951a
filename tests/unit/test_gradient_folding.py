"""Folding changes the file and not the function."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from models.gradients import simplify

RNG_SEED = 11


def _model(
    nodes: list[tuple[str, list[str], list[str], dict[str, Any]]],
    constants: dict[str, np.ndarray],
    *,
    channels: int = 4,
    opset: int = 18,
    rest: int = 3,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node(op, inputs, outputs, **attrs) for op, inputs, outputs, attrs in nodes],
        "net",
        [helper.make_tensor_value_info("face", 1, ["N", channels, 5, 5])],
        [helper.make_tensor_value_info("out", 1, ["N", *([None] * rest)])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def _run(model: onnx.ModelProto, channels: int = 4) -> np.ndarray:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    face = np.random.default_rng(RNG_SEED).random((3, channels, 5, 5), np.float32)
    return np.asarray(session.run(None, {"face": face})[0])


def _norm(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(RNG_SEED)
    return {
        name: (rng.random(count) + 0.5).astype(np.float32) for name in ("scale", "shift", "mean", "variance")
    }


def _operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


LAYERS: dict[str, tuple[tuple[int, ...], int, dict[str, Any]]] = {
    "Conv": ((6, 2, 3, 3), 6, {"group": 2}),
    "ConvTranspose": ((4, 3, 3, 3), 6, {"group": 2}),
}


@pytest.mark.parametrize("operator", LAYERS)
@pytest.mark.parametrize("biased", [False, True])
def test_a_batch_norm_goes_into_the_convolution_before_it(operator: str, biased: bool) -> None:
    shape, filters, attrs = LAYERS[operator]
    rng = np.random.default_rng(RNG_SEED)
    constants = _norm(filters) | {"weight": rng.standard_normal(shape).astype(np.float32)}
    inputs = ["face", "weight"]
    if biased:
        constants["bias"] = rng.standard_normal(filters).astype(np.float32)
        inputs.append("bias")
    norm = ["hidden", "scale", "shift", "mean", "variance"]
    nodes = [(operator, inputs, ["hidden"], attrs), ("BatchNormalization", norm, ["out"], {"epsilon": 1e-2})]
    model = _model(nodes, constants)
    folded = simplify(model)
    assert _operators(folded) == [operator]
    np.testing.assert_allclose(_run(folded), _run(model), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("turn", [0, 1])
def test_a_batch_norm_goes_into_the_gemm_before_it(turn: int) -> None:
    rng = np.random.default_rng(RNG_SEED)
    weight = rng.standard_normal((7, 100) if turn else (100, 7)).astype(np.float32)
    norm = ["hidden", "scale", "shift", "mean", "variance"]
    nodes = [
        ("Flatten", ["face"], ["flat"], {}),
        ("Gemm", ["flat", "weight"], ["hidden"], {"transB": turn}),
        ("BatchNormalization", norm, ["out"], {}),
    ]
    model = _model(nodes, _norm(7) | {"weight": weight}, rest=1)
    folded = simplify(model)
    assert _operators(folded) == ["Flatten", "Gemm"]
    np.testing.assert_allclose(_run(folded), _run(model), rtol=1e-4, atol=1e-4)


def test_a_batch_norm_stays_where_others_read_the_convolution() -> None:
    weight = np.ones((4, 4, 1, 1), np.float32)
    norm = ["hidden", "scale", "shift", "mean", "variance"]
    nodes = [
        ("Conv", ["face", "weight"], ["hidden"], {}),
        ("BatchNormalization", norm, ["normed"], {}),
        ("Add", ["normed", "hidden"], ["out"], {}),
    ]
    model = _model(nodes, _norm(4) | {"weight": weight})
    folded = simplify(model)
    assert "BatchNormalization" in _operators(folded)
    np.testing.assert_allclose(_run(folded), _run(model), rtol=1e-5)


def test_identities_dropouts_and_dead_nodes_go() -> None:
    nodes = [
        ("Identity", ["face"], ["a"], {}),
        ("Dropout", ["a"], ["b"], {}),
        ("Exp", ["b"], ["unused"], {}),
        ("Tanh", ["b"], ["c"], {}),
        ("Dropout", ["c"], ["out"], {}),
    ]
    model = _model(nodes, {})
    folded = simplify(model)
    assert _operators(folded) == ["Tanh", "Identity"]
    np.testing.assert_array_equal(_run(folded), _run(model))


def test_quantised_weights_become_floats() -> None:
    """Blocks in the form of opset 21, which leaves no trace in the folded file."""
    levels = np.random.default_rng(RNG_SEED).integers(-128, 127, (8, 8), dtype=np.int8)
    constants = {
        "levels": levels,
        "steps": np.full((8, 2), 0.01, np.float32),
        "zeros": np.full((8, 2), 3, np.int8),
        "shape": np.array([16, 4, 1, 1]),
    }
    nodes = [
        ("DequantizeLinear", ["levels", "steps", "zeros"], ["flat"], {"axis": 1, "block_size": 4}),
        ("Reshape", ["flat", "shape"], ["weight"], {}),
        ("Conv", ["face", "weight"], ["out"], {}),
    ]
    model = _model(nodes, constants, opset=21)
    folded = simplify(model)
    assert _operators(folded) == ["Conv"]
    assert folded.opset_import[0].version == 18
    np.testing.assert_allclose(_run(folded), _run(model), rtol=1e-5)


@pytest.mark.parametrize("slope_shape", [(4, 1, 1), (1, 1, 1)])
def test_prelu_is_rewritten_to_the_same_values(slope_shape: tuple[int, ...]) -> None:
    slope = np.linspace(-0.5, 1.5, int(np.prod(slope_shape)), dtype=np.float32).reshape(slope_shape)
    nodes = [
        ("Sub", ["face", "half"], ["x"], {}),
        ("PRelu", ["x", "slope"], ["out"], {}),
    ]
    model = _model(nodes, {"half": np.array(0.5, np.float32), "slope": slope})
    folded = simplify(model)
    assert "PRelu" not in _operators(folded)
    np.testing.assert_array_equal(_run(folded), _run(model))
