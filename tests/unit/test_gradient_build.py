"""What a user of gradient graphs sees: outputs, edge cases, bytes, and errors that name the operator."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from models.gradients import OPSET, SUPPORTED, build_gradient_graph
from shared.errors import Code, GoodnoiseError

SIZE = (3, 6, 6)
DIMS = 4


def _model(
    nodes: list[tuple[str, list[str], list[str], dict[str, Any]]],
    constants: dict[str, np.ndarray],
    *,
    opset: int = 18,
    batch: str | int = "N",
    output: str = "embedding",
) -> onnx.ModelProto:
    graph = helper.make_graph(
        [
            helper.make_node(op, inputs, outputs, name=f"step{i}", **attrs)
            for i, (op, inputs, outputs, attrs) in enumerate(nodes)
        ],
        "net",
        [helper.make_tensor_value_info("face", 1, [batch, *SIZE])],
        [helper.make_tensor_value_info(output, 1, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def _small(*middle: tuple[str, list[str], list[str], dict[str, Any]], **options: Any) -> onnx.ModelProto:
    """Conv, Tanh, what is asked (`t` to `u`), Flatten, Gemm, unit length."""
    rng = np.random.default_rng(3)
    nodes = [
        (
            "Conv",
            ["face", "kernel"],
            ["loss"],
            {"pads": [1, 1, 1, 1]},
        ),  # a name that the graph's own output has
        ("Tanh", ["loss"], ["t"], {}),
        *(middle or [("Identity", ["t"], ["u"], {})]),
        ("Flatten", ["u"], ["flat"], {}),
        ("Gemm", ["flat", "matrix"], ["raw"], {}),
        ("LpNormalization", ["raw"], ["embedding"], {"axis": 1}),
    ]
    constants = {
        "kernel": rng.standard_normal((2, 3, 3, 3)).astype(np.float32),
        "matrix": rng.standard_normal((72, DIMS)).astype(np.float32),
    }
    return _model(nodes, constants, **options)


def _run(model: onnx.ModelProto, **feeds: np.ndarray) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def _feeds(rng: np.random.Generator, n: int, k: int) -> dict[str, np.ndarray]:
    return {
        "face": rng.random((n, *SIZE), np.float32),
        "anchors": rng.standard_normal((n, k, DIMS)).astype(np.float32),
        "weights": rng.standard_normal((n, k)).astype(np.float32),
    }


def _lengths(images: np.ndarray) -> np.ndarray:
    return np.linalg.norm(images.reshape(len(images), -1), axis=1)


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("k", [1, 3])
def test_the_loss_is_the_weighted_cosine_and_the_gradient_follows_it(
    rng: np.random.Generator, n: int, k: int
) -> None:
    graph, feeds = build_gradient_graph(_small(), name="small"), _feeds(rng, n, k)
    out = _run(graph, **feeds)
    unit = feeds["anchors"] / np.linalg.norm(feeds["anchors"], axis=2, keepdims=True)
    expected = (feeds["weights"] * np.einsum("nkd,nd->nk", unit, out["embedding"])).sum(1)
    np.testing.assert_allclose(out["loss"], expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(out["embedding"], axis=1), 1, atol=1e-6)
    assert out["loss"].shape == (n,)
    assert out["gradient"].shape == (n, *SIZE)
    step = 1e-2 * out["gradient"] / _lengths(out["gradient"])[:, None, None, None]
    up, down = (_run(graph, **feeds | {"face": feeds["face"] + sign * step})["loss"] for sign in (1, -1))
    slope = (up - down) / 2
    np.testing.assert_allclose(slope, 1e-2 * _lengths(out["gradient"]), rtol=2e-2)


def test_images_of_a_batch_do_not_meet(rng: np.random.Generator) -> None:
    graph, feeds = build_gradient_graph(_small(), name="small"), _feeds(rng, 4, 2)
    whole = _run(graph, **feeds)
    for row in range(4):
        alone = _run(graph, **{name: value[row : row + 1] for name, value in feeds.items()})
        for name, value in alone.items():
            np.testing.assert_allclose(value[0], whole[name][row], atol=1e-6)


def test_a_padded_anchor_of_weight_zero_changes_nothing(rng: np.random.Generator) -> None:
    graph, feeds = build_gradient_graph(_small(), name="small"), _feeds(rng, 2, 2)
    padded = feeds | {
        "anchors": np.concatenate([feeds["anchors"], np.zeros((2, 1, DIMS), np.float32)], 1),
        "weights": np.concatenate([feeds["weights"], np.zeros((2, 1), np.float32)], 1),
    }
    expected, got = _run(graph, **feeds), _run(graph, **padded)
    np.testing.assert_allclose(got["gradient"], expected["gradient"], atol=1e-7)
    np.testing.assert_allclose(got["loss"], expected["loss"], atol=1e-7)


@pytest.mark.parametrize("zero", ["face", "anchors", "weights"])
def test_zeros_give_no_nan(rng: np.random.Generator, zero: str) -> None:
    """A zero face has a zero embedding here: the network has no bias."""
    feeds = _feeds(rng, 2, 3)
    feeds[zero] = np.zeros_like(feeds[zero])
    out = _run(build_gradient_graph(_small(), name="small"), **feeds)
    assert all(np.isfinite(value).all() for value in out.values())


def test_the_file_is_plain_and_the_same_each_time() -> None:
    first, second = (build_gradient_graph(_small(), name="small") for _ in range(2))
    assert first.SerializeToString() == second.SerializeToString()
    assert [(item.domain, item.version) for item in first.opset_import] == [("", OPSET)]
    assert first.ir_version <= 10
    assert {node.domain for node in first.graph.node} == {""}
    props = {item.key: item.value for item in first.metadata_props}
    assert props["opset"] == str(OPSET)
    assert len(props["source_sha256"]) == 64
    assert first.graph.name == "small"
    onnx.checker.check_model(first, full_check=True)


def test_comments_of_the_exporter_are_dropped() -> None:
    model = _small()
    for node in model.graph.node:
        node.doc_string = "C:/somebody's folder"
    assert b"somebody" not in build_gradient_graph(model, name="small").SerializeToString()


def test_weights_are_stored_once() -> None:
    model, graph = _small(), build_gradient_graph(_small(), name="small")
    floats = sum(numpy_helper.to_array(item).size for item in model.graph.initializer)
    stored = sum(
        item.size for item in map(numpy_helper.to_array, graph.graph.initializer) if item.dtype == np.float32
    )
    assert stored <= floats + 8


def test_an_operator_without_a_rule_is_named() -> None:
    model = _small(("Celu", ["t"], ["u"], {}))
    with pytest.raises(GoodnoiseError, match=r"Celu.*step2.*no backward rule") as caught:
        build_gradient_graph(model, name="small")
    assert caught.value.code is Code.INVALID_INPUT
    assert caught.value.details["operator"] == "Celu"
    assert ", ".join(SUPPORTED) in caught.value.message


def test_an_operator_without_a_rule_may_stand_beside_the_path() -> None:
    """Shapes and constants need no gradient."""
    model = _small(("Shape", ["t"], ["s"], {}), ("Reshape", ["t", "s"], ["u"], {}))
    assert build_gradient_graph(model, name="small").graph.output[1].name == "gradient"


@pytest.mark.parametrize(
    ("middle", "reason"),
    [
        (("Pow", ["t", "t"], ["u"], {}), "input 1 must be a constant"),
        (("Mish", ["t"], ["u"], {}), "no backward rule"),
        (("MaxPool", ["t"], ["u"], {"kernel_shape": [1, 1], "storage_order": 1}), "storage_order"),
        (("AveragePool", ["t"], ["u"], {"kernel_shape": [1, 1], "ceil_mode": 1}), "ceil_mode"),
        (("Softmax", ["t"], ["u"], {"axis": 0}), "batch"),
    ],
)
def test_a_form_without_a_rule_says_what_to_do(
    middle: tuple[str, list[str], list[str], dict[str, Any]], reason: str
) -> None:
    with pytest.raises(GoodnoiseError, match=f"{middle[0]}.*step2.*{reason}"):
        build_gradient_graph(_small(middle), name="small")


def test_a_graph_of_one_batch_size_is_refused() -> None:
    rows = numpy_helper.from_array(np.array([1, 2, 6, 6]), "rows")
    model = _small(("Reshape", ["t", "rows"], ["u"], {}))
    model.graph.initializer.append(rows)
    with pytest.raises(GoodnoiseError, match="batch"):
        build_gradient_graph(model, name="small")


def test_an_output_that_is_no_embedding_is_refused() -> None:
    model = _model([("Tanh", ["face"], ["embedding"], {})], {})
    with pytest.raises(GoodnoiseError, match="embedding has N D"):
        build_gradient_graph(model, name="small")


def test_an_embedding_that_ignores_the_face_is_refused() -> None:
    nodes = [
        ("Floor", ["face"], ["flat"], {}),
        ("Flatten", ["flat"], ["embedding"], {}),
    ]
    with pytest.raises(GoodnoiseError, match="does not depend on the face"):
        build_gradient_graph(_model(nodes, {}), name="small")


def test_two_outputs_are_refused() -> None:
    model = _small()
    model.graph.output.append(helper.make_tensor_value_info("raw", 1, None))
    with pytest.raises(GoodnoiseError, match="one input and one output"):
        build_gradient_graph(model, name="small")


def test_a_fixed_batch_in_the_file_is_made_dynamic(rng: np.random.Generator) -> None:
    out = _run(build_gradient_graph(_small(batch=1), name="small"), **_feeds(rng, 3, 2))
    assert out["gradient"].shape == (3, *SIZE)


@pytest.mark.parametrize("opset", [11, 13, 17])
def test_older_opsets_are_converted(rng: np.random.Generator, opset: int) -> None:
    feeds = _feeds(rng, 2, 2)
    expected = _run(build_gradient_graph(_small(), name="small"), **feeds)
    got = _run(build_gradient_graph(_small(opset=opset), name="small"), **feeds)
    np.testing.assert_array_equal(got["gradient"], expected["gradient"])


def test_an_opset_of_the_future_is_refused() -> None:
    with pytest.raises(GoodnoiseError, match="opset 99"):
        build_gradient_graph(_small(opset=99), name="small")


@pytest.mark.torch
@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_is_rewritten(rng: np.random.Generator, approximate: str) -> None:
    import torch
    from torch.nn import functional

    model = _small(("Gelu", ["t"], ["u"], {"approximate": approximate}), opset=20)
    feeds = _feeds(rng, 2, 1)
    out = _run(build_gradient_graph(model, name="small"), **feeds)
    kernel, matrix = (
        torch.from_numpy(numpy_helper.to_array(item).copy()) for item in model.graph.initializer
    )
    face = torch.from_numpy(feeds["face"]).requires_grad_()
    activation = functional.gelu(functional.conv2d(face, kernel, padding=1).tanh(), approximate=approximate)
    embedding = functional.normalize(activation.flatten(1) @ matrix)
    anchors = functional.normalize(torch.from_numpy(feeds["anchors"][:, 0]))
    ((embedding * anchors).sum(1) * torch.from_numpy(feeds["weights"][:, 0])).sum().backward()
    assert face.grad is not None
    np.testing.assert_allclose(out["gradient"], face.grad, atol=1e-5 * float(face.grad.abs().max()))
