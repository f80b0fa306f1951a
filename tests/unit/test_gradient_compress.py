"""Small files: one copy of each weight, restored when the file is loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from models.gradients import build_gradient_graph, store_weights


def _network(kernel: np.ndarray, matrix: np.ndarray, *, turn: int = 0) -> onnx.ModelProto:
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["face", "kernel"], ["conv"], strides=[2, 2], pads=[1, 1, 1, 1]),
            helper.make_node("Conv", ["conv", "square"], ["again"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["again"], ["relu"]),
            helper.make_node("Flatten", ["relu"], ["flat"]),
            helper.make_node("Gemm", ["flat", "matrix"], ["embedding"], transB=turn),
        ],
        "net",
        [helper.make_tensor_value_info("face", 1, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("embedding", 1, ["N", matrix.shape[1 - turn]])],
        [
            numpy_helper.from_array(kernel, "kernel"),
            numpy_helper.from_array(matrix, "matrix"),
            numpy_helper.from_array(_on_a_grid((64, 64, 3, 3)), "square"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def _on_a_grid(shape: tuple[int, ...]) -> np.ndarray:
    """Weights as a block-quantised network has them: every 64 in a row share a scale and a zero point."""
    rng = np.random.default_rng(5)
    levels = rng.integers(-128, 128, (int(np.prod(shape)) // 64, 64))
    levels[:, 0], levels[:, 1] = -128, 127
    scales = rng.uniform(1e-3, 2e-3, (len(levels), 1)).astype(np.float32)
    zeros = rng.integers(-20, 20, (len(levels), 1))
    return ((levels - zeros).astype(np.float32) * scales).reshape(shape)


def _graph(turn: int = 0) -> onnx.ModelProto:
    kernel = np.random.default_rng(1).standard_normal((64, 3, 3, 3)).astype(np.float32)
    matrix = _on_a_grid((64, 1024))
    return build_gradient_graph(_network(kernel, matrix if turn else matrix.T.copy(), turn=turn), name="net")


def _run(model: onnx.ModelProto) -> list[np.ndarray]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(2)
    feeds = {
        "face": rng.random((2, 3, 8, 8), np.float32),
        "anchors": rng.standard_normal((2, 2, 64)).astype(np.float32),
        "weights": np.full((2, 2), -0.5, np.float32),
    }
    return [np.asarray(value) for value in session.run(None, feeds)]


def _distance(got: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(got - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("turn", [0, 1])
def test_weights_from_a_grid_of_blocks_are_met_exactly(turn: int) -> None:
    graph = _graph(turn)
    small = store_weights(graph, dtype="int8-block")
    stored = {item.name: numpy_helper.to_array(item) for item in small.graph.initializer}
    assert {"f/square/levels", "f/matrix/levels"} <= stored.keys()
    assert stored["f/matrix/levels"].dtype == np.int8
    # The first kernel (27 weights a row) is on no grid; rounding it is the only difference.
    exact = onnx.ModelProto()
    exact.CopyFrom(graph)
    kernel = next(item for item in exact.graph.initializer if item.name == "f/kernel")
    levels, zero, scale = (
        stored[f"f/kernel/{part}"].astype(np.float32) for part in ("levels", "zero", "scale")
    )
    kernel.CopyFrom(numpy_helper.from_array(((levels - zero) * scale).reshape(64, 3, 3, 3), "f/kernel"))
    for got, expected in zip(_run(small), _run(exact), strict=True):
        assert _distance(got, expected) < 1e-5


@pytest.mark.parametrize(("dtype", "share", "error"), [("float16", 0.52, 2e-2), ("int8-block", 0.30, 1e-1)])
def test_files_shrink_and_results_stay_near(dtype: str, share: float, error: float) -> None:
    graph = _graph()
    small = store_weights(graph, dtype=dtype)
    assert small.ByteSize() < share * graph.ByteSize()
    got, expected = _run(small), _run(graph)
    assert 0 < _distance(got[1], expected[1]) < error
    assert _distance(got[2], expected[2]) < error
    assert {item.key: item.value for item in small.metadata_props}["weights"] == dtype


@pytest.mark.parametrize("dtype", ["float16", "int8-block"])
def test_the_runtime_restores_weights_when_it_loads(tmp_path: Path, dtype: str) -> None:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 4
    content = store_weights(_graph(), dtype=dtype).SerializeToString()
    ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    constants = set()
    optimised = onnx.load(tmp_path / "optimised.onnx").graph
    constants.update(item.name for item in optimised.initializer)
    left = [node.op_type for node in optimised.node if constants.issuperset(node.input)]
    assert left == []


def test_float32_keeps_the_file_as_it_is() -> None:
    graph = _graph()
    assert store_weights(graph, dtype="float32").SerializeToString() == graph.SerializeToString()


def test_weights_beyond_float16_stay_float() -> None:
    graph = build_gradient_graph(
        _network(np.full((64, 3, 3, 3), 1e6, np.float32), np.ones((1024, 64), np.float32)), name="net"
    )
    names = {item.name for item in store_weights(graph, dtype="float16").graph.initializer}
    assert "f/kernel" in names
    assert "f/square/half" in names


def test_blocks_of_zeros_stay_zero() -> None:
    model = _network(np.zeros((64, 3, 3, 3), np.float32), np.zeros((1024, 64), np.float32))
    _, gradient, embedding = _run(store_weights(build_gradient_graph(model, name="net"), dtype="int8-block"))
    assert not embedding.any()
    assert not gradient.any()


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(ValueError, match="int4"):
        store_weights(_graph(), dtype="int4")
