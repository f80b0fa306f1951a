"""A network that reads text keeps its readings on its way into the zoo."""

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

from models.convert import convert
from models.importers.text import characters_of
from models.store import load_card, parse_card
from models.text.vocabulary import Classes, characters_in, fitting, greedy
from shared.cards import Card, Licence, Origin, TextInput, card_from_dict, card_to_dict
from shared.errors import Code, GoodnoiseError

Floats = npt.NDArray[np.float32]
TEXT = TextInput(height=8, width=0, channels="bgr", blank=0, characters=" ", characters_from="marks")
CARD = Card(
    name="reader",
    title="reader",
    kind="text",
    architecture="none",
    parameters=0,
    frame="none",
    size=8,
    mean=(120.0, 100.0, 80.0),
    scale=0.01,
    embedding=0,
    metric="cosine",
    threshold=None,
    origin=Origin("pypi", "none", "0", "", ("reader.onnx",), ("",)),
    licence=Licence("none", "nowhere", "yes", "made for the tests"),
    text=TEXT,
)


def reader(rng: np.random.Generator, *, time_first: bool = False) -> bytes:
    """Convolution with automatic pads, GELU spelled out, softmax over five classes a column; opset 11."""
    weights: dict[str, npt.NDArray[Any]] = {
        "kernel": rng.normal(size=(5, 3, 2, 4)).astype(np.float32) / 3,
        "half": np.array(0.5, np.float32),
        "again": np.array(0.5, np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["c"], auto_pad="SAME_UPPER", kernel_shape=[2, 4]),
        helper.make_node("MaxPool", ["c"], ["p"], auto_pad="SAME_LOWER", kernel_shape=[2, 2], strides=[1, 1]),
        helper.make_node("Mul", ["p", "half"], ["h"]),
        helper.make_node("Add", ["h", "again"], ["a"]),
        helper.make_node("ReduceMean", ["a"], ["m"], axes=[2], keepdims=0),
        helper.make_node("Transpose", ["m"], ["t"], perm=[2, 0, 1] if time_first else [0, 2, 1]),
        *([] if time_first else [helper.make_node("Softmax", ["t"], ["y"], axis=2)]),
    ]
    graph = helper.make_graph(
        nodes,
        "reader",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, "W"])],
        [helper.make_tensor_value_info("t" if time_first else "y", TensorProto.FLOAT, ["a", "b", 5])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    helper.set_model_props(model, {"marks": "A\nb\n3"})
    return bytes(model.SerializeToString())


def run(content: bytes, images: Floats) -> Floats:
    running = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    return np.asarray(running.run(None, {running.get_inputs()[0].name: images})[0])


@pytest.mark.parametrize("time_first", [False, True])
def test_a_reader_computes_what_its_origin_does(rng: np.random.Generator, time_first: bool) -> None:
    card = replace(CARD, text=replace(TEXT, time_first=time_first))
    origin = reader(rng, time_first=time_first)
    images = rng.random((3, 1, 8, 21), dtype=np.float32)
    blue_first = np.array([80, 100, 120], np.float32).reshape(1, 3, 1, 1)
    expected = run(origin, (255 * images.repeat(3, axis=1) - blue_first) * np.float32(0.01))
    result = run(convert(card, [origin]), images)
    if time_first:
        weights = np.exp(expected.transpose(1, 0, 2))
        expected = weights / weights.sum(axis=2, keepdims=True)
    assert result.shape == (3, 21, 5)
    np.testing.assert_allclose(np.exp(result), expected, atol=1e-6)


def test_pads_are_written_out_and_equal_numbers_kept_once(rng: np.random.Generator) -> None:
    graph = onnx.load_from_string(convert(CARD, [reader(rng)])).graph
    assert not any(item.name == "auto_pad" for node in graph.node for item in node.attribute)
    pads = {node.op_type: [a.ints for a in node.attribute if a.name == "pads"] for node in graph.node}
    assert pads["Conv"] == [[0, 1, 1, 2]]
    assert pads["MaxPool"] == [[1, 1, 0, 0]]
    read = [name for node in graph.node for name in node.input]
    halves = {i.name for i in graph.initializer if numpy_helper.to_array(i).reshape(-1).tolist() == [0.5]}
    assert [read.count(name) for name in halves] == [2]


def test_the_file_says_what_its_classes_are(rng: np.random.Generator) -> None:
    assert characters_in(convert(CARD, [reader(rng)]), source="reader") == ("", "A", "b", "3", " ")
    assert characters_of(replace(CARD, text=replace(TEXT, blank=2)), {"marks": "x\ny"}) == ["x", "y", "", " "]


def test_a_file_without_characters_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(GoodnoiseError, match=r"'marks', which it lacks; it has other") as caught:
        characters_of(CARD, {"other": ""})
    assert caught.value.code is Code.INVALID_INPUT
    model = onnx.load_from_string(reader(rng))
    with pytest.raises(GoodnoiseError, match="fetch"):
        characters_in(model.SerializeToString(), source="reader")


def test_a_card_with_other_characters_than_the_network_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(GoodnoiseError, match=r"'reader' cannot be used.*\(5\) vs \(6\)"):
        convert(replace(CARD, text=replace(TEXT, characters=" !")), [reader(rng)])


def test_a_card_of_text_survives_json_and_others_do_not_mention_it() -> None:
    raw = json.loads(json.dumps(card_to_dict(CARD)))
    assert card_from_dict(raw, source="card") == CARD
    assert "text" not in card_to_dict(load_card("sface"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "detector"}, r"\[text\] goes with kind 'text'"),
        ({"text": None}, r"\[text\] goes with kind 'text'"),
        ({"text": {"channels": "cmyk"}}, "text.channels is 'cmyk', expected one of rgb"),
        ({"text": {"height": 0}}, "text.height"),
        ({"text": {"colour": 1}}, "unknown key 'colour'"),
    ],
)
def test_a_wrong_card_of_text_is_named(change: dict[str, Any], message: str) -> None:
    raw = card_to_dict(CARD)
    for key, value in change.items():
        raw[key] = {**raw[key], **value} if isinstance(value, dict) else value
    with pytest.raises(GoodnoiseError, match=message):
        card_from_dict(raw, source="card")


def test_readers_come_with_their_licences() -> None:
    for name in ("ppocr-v6-rec", "captcha-whisperer"):
        assert "licenses/" in load_card(name).licence.stated_in


def test_both_cases_are_one_class_and_the_rest_is_other() -> None:
    classes = Classes(("", "A", "a", "é", "3", "b"), "A3")
    assert classes.targets.tolist() == [0, 1, 1, 3, 2, 3]
    assert classes.text([1, 3, 2]) == "A?3"
    with pytest.raises(ValueError, match="'C'"):
        Classes(("", "a"), "AC")


def test_repeats_are_one_character_unless_a_blank_parts_them() -> None:
    best = np.array([[0, 1, 1, 0, 1, 2, 2], [3, 3, 3, 3, 0, 0, 3]])
    assert greedy(best, blank=0) == [[1, 1, 2], [3, 3]]
    assert greedy(best, blank=3) == [[0, 1, 0, 1, 2], [0]]


def test_images_keep_their_proportions_where_the_reader_takes_any_width() -> None:
    rows, columns = fitting(64, 250, TEXT)
    assert rows.shape == (8, 64)
    assert columns.shape == (32, 250)
    assert fitting(64, 250, replace(TEXT, width=11))[1].shape == (11, 250)


def test_a_table_of_text_is_read_from_toml() -> None:
    card = load_card("captcha-whisperer")
    assert card.text is not None
    assert (card.text.height, card.text.width, card.text.blank) == (60, 160, len(card.text.characters))
    with pytest.raises(GoodnoiseError, match="expected a table"):
        parse_card('name = "x"\ntext = 3', source="x.toml")
