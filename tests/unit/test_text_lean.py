"""A reader made lean for attacks computes what it did, in fewer nodes; its head can be cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import onnx
import pytest

pytest.importorskip("torch")

import torch
from onnx import TensorProto, helper, numpy_helper

from models.text.lean import latin, lean
from models.torch_graph import TorchGraph
from shared.errors import Code, GoodnoiseError

CLASSES = 6


def stored(rng: np.random.Generator, *, shared: bool = False, head: bool = True) -> bytes:
    """Convolution, numbers a channel, GELU spelled out, mean over rows, matrix, softmax."""
    root = float(np.sqrt(2))
    weights = {
        "kernel": rng.normal(size=(4, 1, 3, 3)),
        "scale": rng.uniform(0.5, 2, size=(1, 4, 1, 1)),
        "shift": rng.normal(size=(4, 1, 1)),
        "root": np.array(root),
        "one": np.array([1.0]),
        "half": np.array(0.5),
        "head": rng.normal(size=(4, CLASSES)),
        "bias": rng.normal(size=CLASSES),
    }
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Mul", ["scale", "c"], ["m"]),
        helper.make_node("Add", ["m", "shift"], ["a"]),
        helper.make_node("Div", ["a", "root"], ["d"]),
        helper.make_node("Erf", ["d"], ["e"]),
        helper.make_node("Add", ["e", "one"], ["f"]),
        helper.make_node("Mul", ["a", "f"], ["g"]),
        helper.make_node("Mul", ["g", "half"], ["h"]),
        helper.make_node("Add", ["h", "c" if shared else "h"], ["i"]),
        helper.make_node("ReduceMean", ["i"], ["j"], axes=[2], keepdims=0),
        helper.make_node("Transpose", ["j"], ["k"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["k", "head"], ["l"]),
        helper.make_node("Add", ["l", "bias"], ["n"]),
        helper.make_node(
            "LogSoftmax" if head else "Relu", ["n"], ["columns"], **({"axis": -1} if head else {})
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "reader",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 8, "W"])],
        [helper.make_tensor_value_info("columns", TensorProto.FLOAT, ["N", "W", CLASSES])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())


def operators(content: bytes) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load_from_string(content).graph.node)


@pytest.mark.parametrize("shared", [False, True], ids=["chain", "read by others too"])
def test_a_lean_reader_computes_the_same(rng: np.random.Generator, shared: bool) -> None:
    content = stored(rng, shared=shared)
    slim = lean(content)
    images = torch.from_numpy(rng.random((2, 1, 8, 12), dtype=np.float32))
    torch.testing.assert_close(TorchGraph(slim)(images), TorchGraph(content)(images), atol=1e-5, rtol=1e-5)
    found = operators(slim)
    assert found["Gelu"] == 1
    assert found["Erf"] == found["Div"] == 0
    # What others read must stay as it is: nothing is folded into the convolution then.
    assert found["Mul"] == (1 if shared else 0)


def test_what_only_looks_like_gelu_stays(rng: np.random.Generator) -> None:
    model = onnx.load_from_string(stored(rng))
    for item in model.graph.initializer:
        if item.name == "root":
            item.CopyFrom(numpy_helper.from_array(np.array(1.5, np.float32), "root"))
    assert operators(lean(model.SerializeToString()))["Gelu"] == 0


def kept(log_probs: torch.Tensor, keep: Sequence[int]) -> torch.Tensor:
    return log_probs[..., list(keep)].log_softmax(dim=-1)


def test_a_cut_head_is_the_reader_that_knows_fewer_classes(rng: np.random.Generator) -> None:
    content, keep = stored(rng), [0, 2, 5]
    images = torch.from_numpy(rng.random((2, 1, 8, 12), dtype=np.float32))
    expected = kept(TorchGraph(content)(images), keep)
    torch.testing.assert_close(TorchGraph(lean(content, keep))(images), expected, atol=1e-5, rtol=1e-5)


def test_a_head_that_cannot_be_cut_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(GoodnoiseError, match="does not end in a matrix") as caught:
        lean(stored(rng, head=False), [0, 1])
    assert caught.value.code is Code.INVALID_INPUT


def test_latin_is_the_blank_and_what_a_keyboard_has() -> None:
    assert latin(["", "a", "字", "Z", "é", "9", "~", " "]) == [0, 1, 3, 5, 6]
