from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.importers.canonical import embed, session
from models.own import add_recogniser
from models.store import Store, all_cards
from shared.errors import Code, GoodnoiseError

CARD = """
name = "mine"
title = "My network"
kind = "recogniser"
architecture = "one convolution"
parameters = 150528
frame = "arcface112"
size = 112
mean = 127.5
scale = 0.0078125
embedding = 4
metric = "cosine"

[origin]
registry = "file"
package = ""
version = ""
sha256 = ""
files = ["mine.onnx"]
file_sha256 = ["{sha}"]

[licence]
name = "proprietary"
stated_in = "nowhere"
redistribution = "no"
evidence = "trained by the operator"
"""


@pytest.fixture
def network(tmp_path: Path, rng: np.random.Generator) -> Path:
    weight = rng.normal(size=(4, 3, 112, 112)).astype(np.float32) / 99
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Flatten", ["c"], ["y"])],
        "mine",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 112, 112])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(weight, "w")],
    )
    path = tmp_path / "mine.onnx"
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(made.SerializeToString())
    return path


@pytest.fixture
def card(tmp_path: Path, network: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(CARD.replace("{sha}", hashlib.sha256(network.read_bytes()).hexdigest()))
    return path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_an_added_recogniser_is_known_and_takes_plain_faces(
    network: Path, card: Path, store: Store, rng: np.random.Generator
) -> None:
    assert add_recogniser(network, card, store).name == "mine"
    added = all_cards(store.folder)["mine"]
    assert added.licence.redistribution == "no"
    assert added.threshold is None
    vectors = embed(session(store.read(added)), rng.random((3, 3, 112, 112), dtype=np.float32))
    assert vectors.shape == (3, 4)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "mine"', 'name = "sface"', "is a network of the zoo"),
        ('kind = "recogniser"', 'kind = "detector"', "only a recogniser"),
        ("size = 112", "size = 96", "112 pixels"),
        ('registry = "file"', 'registry = "npm"', "expected 'file'"),
        ("embedding = 4", "embedding = 8", "'mine'"),
        ('frame = "arcface112"', 'frame = "none"', "needs a frame"),
        ('metric = "cosine"', 'metric = "cosinus"', "metric"),
        ('metric = "cosine"\n', "", "metric"),
        ('file_sha256 = ["', 'file_sha256 = ["0', "file_sha256"),
    ],
)
def test_a_card_that_does_not_fit_says_what_to_mend(
    network: Path, card: Path, store: Store, old: str, new: str, message: str
) -> None:
    text = card.read_text()
    assert old in text
    card.write_text(text.replace(old, new, 1))
    with pytest.raises(GoodnoiseError, match=message) as caught:
        add_recogniser(network, card, store)
    assert caught.value.code is Code.INVALID_INPUT
    assert not store.folder.exists(), "nothing is stored"


def test_a_missing_file_is_named(card: Path, store: Store, tmp_path: Path) -> None:
    with pytest.raises(GoodnoiseError, match=r"other\.onnx") as caught:
        add_recogniser(tmp_path / "other.onnx", card, store)
    assert caught.value.code is Code.NOT_FOUND


def test_adding_again_replaces(network: Path, card: Path, store: Store) -> None:
    add_recogniser(network, card, store)
    card.write_text(card.read_text().replace("My network", "My better network"))
    add_recogniser(network, card, store)
    assert all_cards(store.folder)["mine"].title == "My better network"
