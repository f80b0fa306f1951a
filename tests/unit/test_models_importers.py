"""Canonical forms compute what the origin's graph computes, on small graphs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.importers.canonical import embed, session, to_canonical
from models.importers.faceapi import read_faceapi, read_manifest
from models.importers.onnx_float import float_detector, read_onnx
from models.importers.tflite_graph import _pads, read_tflite
from shared.cards import Card, Licence, Origin
from shared.errors import Code, GoodnoiseError

tflite = pytest.importorskip("tflite")

Floats = npt.NDArray[np.float32]
SIDE = 112
CARD = Card(
    "tiny", "Tiny", "recogniser", "none", 1, "arcface112", SIDE,
    (0.0, 0.0, 0.0), 1 / 255, 4, "euclidean", None,
    Origin("file", "", "", "", ("tiny.onnx",), ("",)), Licence("MIT", "here", "yes", "made by this test"),
)  # fmt: skip


def model(nodes: list[onnx.NodeProto], weights: dict[str, npt.NDArray[Any]], *, opset: int = 18) -> bytes:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return bytes(made.SerializeToString())


def canonical(content: bytes, card: Card = CARD) -> bytes:
    net, opset = read_onnx(content, source="tiny.onnx")
    return to_canonical(net, card, opset=opset)


def operators(content: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(content).graph.node]


def origin(content: bytes, faces: Floats) -> Floats:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    running = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return np.concatenate([running.run(None, {"x": face[None]})[0] for face in faces])


@pytest.fixture
def faces(rng: np.random.Generator) -> Floats:
    return rng.random((2, 3, SIDE, SIDE), dtype=np.float32)


def floats(rng: np.random.Generator, *shape: int) -> Floats:
    return rng.normal(size=shape).astype(np.float32)


def batch_norm(rng: np.random.Generator, prefix: str, channels: int) -> dict[str, Floats]:
    return {
        f"{prefix}_gamma": floats(rng, channels),
        f"{prefix}_beta": floats(rng, channels),
        f"{prefix}_mean": floats(rng, channels),
        f"{prefix}_var": rng.uniform(0.5, 2, channels).astype(np.float32),
    }


def normalise(prefix: str, source: str, target: str) -> onnx.NodeProto:
    names = [f"{prefix}_{part}" for part in ("gamma", "beta", "mean", "var")]
    return helper.make_node("BatchNormalization", [source, *names], [target], epsilon=1e-3)


def test_batch_norm_after_and_before_layers_is_folded(rng: np.random.Generator, faces: Floats) -> None:
    weights = {
        "conv": floats(rng, 6, 3, 28, 28) / 30,
        **batch_norm(rng, "a", 6),
        **batch_norm(rng, "b", 6),
        "dense": floats(rng, 4, 6 * 16) / 10,
        "bias": floats(rng, 4),
        **batch_norm(rng, "c", 4),
    }
    nodes = [
        helper.make_node("Conv", ["x", "conv"], ["v1"], strides=[28, 28]),
        normalise("a", "v1", "v2"),
        helper.make_node("Relu", ["v2"], ["v3"]),
        normalise("b", "v3", "v4"),
        helper.make_node("Dropout", ["v4"], ["v5"]),
        helper.make_node("Flatten", ["v5"], ["v6"]),
        helper.make_node("Gemm", ["v6", "dense", "bias"], ["v7"], transB=1),
        normalise("c", "v7", "y"),
    ]
    content = model(nodes, weights)
    result = canonical(content)
    assert operators(result) == ["Mul", "Conv", "Relu", "Flatten", "Gemm"]
    np.testing.assert_allclose(embed(session(result), faces), origin(content, faces), rtol=1e-4, atol=1e-4)


def test_batch_norm_before_a_padded_convolution_becomes_multiply_and_add(
    rng: np.random.Generator, faces: Floats
) -> None:
    weights = {**batch_norm(rng, "a", 3), "conv": floats(rng, 4, 3, 5, 5) / 9}
    nodes = [
        helper.make_node("Relu", ["x"], ["v0"]),
        normalise("a", "v0", "v1"),
        helper.make_node("Conv", ["v1", "conv"], ["v2"], pads=[2, 2, 2, 2]),
        helper.make_node("GlobalAveragePool", ["v2"], ["v3"]),
        helper.make_node("Flatten", ["v3"], ["y"]),
    ]
    content = model(nodes, weights)
    result = canonical(content)
    assert "BatchNormalization" not in operators(result)
    np.testing.assert_allclose(embed(session(result), faces), origin(content, faces), rtol=1e-4, atol=1e-5)


def test_block_quantised_weights_become_floats(rng: np.random.Generator, faces: Floats) -> None:
    # The layout of OpenCV's quantiser: blocks of 28 along axis 1 of the flattened filters, then a reshape.
    weights = {
        "q": rng.integers(-128, 128, (4, 3 * 28 * 28), dtype=np.int8),
        "scales": rng.uniform(1e-4, 2e-4, (4, 84)).astype(np.float32),
        "zero": rng.integers(-3, 4, (4, 84), dtype=np.int8),
        "shape": np.array([4, 3, 28, 28], np.int64),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "scales", "zero"], ["d"], axis=1, block_size=28),
        helper.make_node("Reshape", ["d", "shape"], ["w"]),
        helper.make_node("Conv", ["x", "w"], ["v1"], strides=[28, 28]),
        helper.make_node("GlobalAveragePool", ["v1"], ["v2"]),
        helper.make_node("Flatten", ["v2"], ["y"]),
    ]
    content = model(nodes, weights, opset=21)
    result = canonical(content)
    assert operators(result) == ["Mul", "Conv", "GlobalAveragePool", "Flatten"]
    np.testing.assert_allclose(embed(session(result), faces), origin(content, faces), rtol=1e-4, atol=1e-5)
    assert onnx.load_from_string(result).opset_import[0].version == 18


def test_spelled_out_prelu_becomes_one_operator(rng: np.random.Generator, faces: Floats) -> None:
    weights = {"conv": floats(rng, 4, 3, 28, 28) / 30, "slope": floats(rng, 4, 1, 1)}
    nodes = [
        helper.make_node("Conv", ["x", "conv"], ["c"], strides=[28, 28]),
        helper.make_node("Relu", ["c"], ["pos"]),
        helper.make_node("Abs", ["c"], ["abs"]),
        helper.make_node("Sub", ["c", "abs"], ["diff"]),
        helper.make_node("Mul", ["slope", "diff"], ["neg"]),
        helper.make_node("Add", ["pos", "neg"], ["v"]),
        helper.make_node("GlobalAveragePool", ["v"], ["g"]),
        helper.make_node("Flatten", ["g"], ["y"]),
    ]
    content = model(nodes, weights)
    result = canonical(content)
    assert operators(result) == ["Mul", "Conv", "PRelu", "GlobalAveragePool", "Flatten"]
    np.testing.assert_allclose(embed(session(result), faces), origin(content, faces), rtol=1e-4, atol=1e-5)


def test_a_sum_that_only_resembles_prelu_stays(rng: np.random.Generator, faces: Floats) -> None:
    weights = {"conv": floats(rng, 4, 3, 28, 28) / 30, "slope": floats(rng, 4, 1, 1)}
    nodes = [
        helper.make_node("Conv", ["x", "conv"], ["c"], strides=[28, 28]),
        helper.make_node("Relu", ["c"], ["pos"]),
        helper.make_node("Abs", ["c"], ["abs"]),
        helper.make_node("Sub", ["abs", "c"], ["diff"]),
        helper.make_node("Mul", ["slope", "diff"], ["neg"]),
        helper.make_node("Add", ["pos", "neg"], ["v"]),
        helper.make_node("GlobalAveragePool", ["v"], ["g"]),
        helper.make_node("Flatten", ["g"], ["y"]),
    ]
    content = model(nodes, weights)
    result = canonical(content)
    assert "PRelu" not in operators(result)
    np.testing.assert_allclose(embed(session(result), faces), origin(content, faces), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [[1, -1], [-1, 4], [1, 4], [0, -1]])
def test_a_reshape_with_a_fixed_batch_takes_any_number(
    rng: np.random.Generator, faces: Floats, shape: list[int]
) -> None:
    weights = {"conv": floats(rng, 4, 3, SIDE, SIDE) / 99, "shape": np.array(shape, np.int64)}
    nodes = [
        helper.make_node("Conv", ["x", "conv"], ["c"]),
        helper.make_node("Reshape", ["c", "shape"], ["y"]),
    ]
    content = model(nodes, weights)
    np.testing.assert_allclose(embed(session(canonical(content)), faces), origin(content, faces), atol=1e-5)


def test_a_batch_written_into_a_longer_reshape_is_freed(rng: np.random.Generator, faces: Floats) -> None:
    weights = {
        "conv": floats(rng, 8, 3, SIDE, SIDE) / 99,
        "pairs": np.array([1, 4, 2, 1], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["x", "conv"], ["c"]),
        helper.make_node("Reshape", ["c", "pairs"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["g"]),
        helper.make_node("Flatten", ["g"], ["y"]),
    ]
    content = model(nodes, weights)
    np.testing.assert_allclose(embed(session(canonical(content)), faces), origin(content, faces), atol=1e-5)


def test_preprocessing_of_card_and_file_are_merged_and_the_embedding_has_unit_length(
    rng: np.random.Generator, faces: Floats
) -> None:
    card = replace(CARD, mean=(120.0, 110.0, 100.0), scale=1 / 128, metric="cosine")
    weights = {
        "mean": np.array([0.1], np.float32),
        "scale": np.array([2.0], np.float32),
        "conv": floats(rng, 4, 3, SIDE, SIDE) / 99,
    }
    nodes = [
        helper.make_node("Sub", ["x", "mean"], ["s"]),
        helper.make_node("Mul", ["scale", "s"], ["m"]),
        helper.make_node("Conv", ["m", "conv"], ["c"]),
        helper.make_node("Flatten", ["c"], ["y"]),
    ]
    content = model(nodes, weights)
    result = canonical(content, card)
    assert operators(result)[:3] == ["Mul", "Add", "Conv"]
    mean = np.array(card.mean, np.float32).reshape(1, 3, 1, 1)
    expected = origin(content, ((255 * faces - mean) / 128).astype(np.float32))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(embed(session(result), faces), expected, atol=1e-5)


def test_a_reshape_that_mixes_batch_and_places_stays(rng: np.random.Generator, faces: Floats) -> None:
    # As transformers do it: tokens of all faces in one matrix, and back.
    weights = {
        "conv": floats(rng, 4, 3, 56, 56) / 99,
        "rows": np.array([-1, 4], np.int64),
        "matrix": floats(rng, 4, 4),
        "back": np.array([-1, 2, 2, 4], np.int64),
        "middle": np.array([1, 2], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["x", "conv"], ["c"], strides=[56, 56]),
        helper.make_node("Transpose", ["c"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["t", "rows"], ["r"]),
        helper.make_node("MatMul", ["r", "matrix"], ["m"]),
        helper.make_node("Reshape", ["m", "back"], ["b"]),
        helper.make_node("ReduceMean", ["b", "middle"], ["y"], keepdims=0),
    ]
    content = model(nodes, weights)
    np.testing.assert_allclose(embed(session(canonical(content)), faces), origin(content, faces), atol=1e-5)


def test_the_same_file_gives_the_same_bytes(rng: np.random.Generator) -> None:
    weights = {"conv": floats(rng, 4, 3, SIDE, SIDE), **batch_norm(rng, "a", 4)}
    nodes = [
        helper.make_node("Conv", ["x", "conv"], ["c"], pads=[0, 0, 0, 0], strides=[1, 1], group=1),
        normalise("a", "c", "n"),
        helper.make_node("Flatten", ["n"], ["y"]),
    ]
    content = model(nodes, weights)
    assert canonical(content) == canonical(content)


def test_an_older_opset_is_raised(rng: np.random.Generator, faces: Floats) -> None:
    weights = {"conv": floats(rng, 4, 3, SIDE, SIDE) / 99}
    nodes = [
        helper.make_node("Conv", ["x", "conv"], ["c"]),
        helper.make_node("Squeeze", ["c"], ["y"], axes=[2, 3]),
    ]
    content = model(nodes, weights, opset=11)
    np.testing.assert_allclose(embed(session(canonical(content)), faces), origin(content, faces), atol=1e-5)


def test_an_embedding_of_another_size_than_the_card_says_is_refused(rng: np.random.Generator) -> None:
    nodes = [helper.make_node("Conv", ["x", "conv"], ["c"]), helper.make_node("Flatten", ["c"], ["y"])]
    content = model(nodes, {"conv": floats(rng, 4, 3, SIDE, SIDE)})
    with pytest.raises(GoodnoiseError, match="'tiny'") as caught:
        canonical(content, replace(CARD, embedding=5))
    assert caught.value.code is Code.INVALID_INPUT


def test_what_is_no_onnx_file_is_named() -> None:
    with pytest.raises(GoodnoiseError, match=r"mine\.onnx is no valid ONNX file"):
        read_onnx(b"not a network", source="mine.onnx")


def test_foreign_operators_are_refused() -> None:
    node = helper.make_node("Magic", ["x"], ["y"], domain="com.example")
    graph = helper.make_graph(
        [node],
        "foreign",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
    )
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("com.example", 1)]
    content = helper.make_model(graph, opset_imports=imports, ir_version=10).SerializeToString()
    with pytest.raises(GoodnoiseError, match=r"com\.example"):
        read_onnx(content, source="mine.onnx")


def test_two_inputs_are_refused() -> None:
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["y"])],
        "two",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 4, 4]) for name in "ab"],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 4, 4])],
    )
    content = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10
    ).SerializeToString()
    with pytest.raises(GoodnoiseError, match="2 inputs and 1 outputs"):
        read_onnx(content, source="mine.onnx")


def test_a_detector_keeps_its_names(rng: np.random.Generator, faces: Floats) -> None:
    weights = {
        "q": rng.integers(-128, 128, (4, 3), dtype=np.int8),
        "scales": rng.uniform(0.01, 0.02, 4).astype(np.float32),
        "zero": np.zeros(4, np.int8),
        "shape": np.array([4, 3, 1, 1], np.int64),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "scales", "zero"], ["d"], axis=0),
        helper.make_node("Reshape", ["d", "shape"], ["w"]),
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["g"]),
        helper.make_node("Flatten", ["g"], ["y"]),
    ]
    content = model(nodes, weights)
    folded = float_detector(content, source="detector.onnx")
    assert operators(folded) == ["Conv", "GlobalAveragePool", "Flatten"]
    np.testing.assert_allclose(origin(folded, faces), origin(content, faces), atol=1e-6)


def test_a_weights_manifest_is_read_in_order() -> None:
    entries = [
        {
            "name": "a",
            "shape": [2],
            "dtype": "float32",
            "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1},
        },
        {"name": "b", "shape": [1, 2], "dtype": "float32"},
    ]
    manifest = json.dumps([{"weights": entries[:1]}, {"weights": entries[1:]}]).encode()
    content = bytes([0, 4]) + np.array([1.5, -2], "<f4").tobytes()
    arrays = read_manifest(manifest, content, source="package")
    np.testing.assert_array_equal(arrays["a"], [-1, 1])
    np.testing.assert_array_equal(arrays["b"], [[1.5, -2]])


@pytest.mark.parametrize("content", [b"", bytes(3)])
def test_a_manifest_that_does_not_fit_its_weights_is_corrupt(content: bytes) -> None:
    entry = {
        "name": "a",
        "shape": [2],
        "dtype": "float32",
        "quantization": {"dtype": "uint8", "scale": 1, "min": 0},
    }
    manifest = json.dumps([{"weights": [entry]}]).encode()
    with pytest.raises(GoodnoiseError, match="weights of package") as caught:
        read_faceapi(manifest, content, source="package")
    assert caught.value.code is Code.CORRUPT


@pytest.mark.parametrize("content", [b"", b"nothing like it", b"\x10\x00\x00\x00TFL3" + bytes(40)])
def test_what_is_no_tflite_file_is_corrupt(content: bytes) -> None:
    with pytest.raises(GoodnoiseError, match="fetch it again") as caught:
        read_tflite(content, source="mine.tflite")
    assert caught.value.code is Code.CORRUPT


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "expected"),
    [
        (112, 3, 2, 1, (0, 1)),
        (112, 3, 1, 1, (1, 1)),
        (7, 3, 2, 1, (1, 1)),
        (8, 1, 1, 1, (0, 0)),
        (9, 3, 1, 2, (2, 2)),
    ],
)
def test_same_padding_puts_what_is_odd_at_the_end(
    size: int, kernel: int, stride: int, dilation: int, expected: tuple[int, int]
) -> None:
    assert _pads(size, kernel, stride, dilation, tflite.Padding.SAME) == expected
    assert _pads(size, kernel, stride, dilation, tflite.Padding.VALID) == (0, 0)
