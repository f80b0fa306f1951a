"""Every conversion of the zoo computes what its origin's own runtime computes from the origin's own file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest

from models.convert import CONVERTER_VERSION, convert
from models.fetch import archive, checked_members
from models.importers.canonical import embed, session
from models.store import Store, load_card, zoo_cards
from shared.cards import Card
from shared.errors import Code, GoodnoiseError
from shared.faces.detect import Detector

pytestmark = pytest.mark.zoo

Floats = npt.NDArray[np.float32]
RECOGNISERS = [name for name, card in zoo_cards().items() if card.kind == "recogniser"]


@pytest.fixture(scope="session")
def origin_files(pytestconfig: pytest.Config) -> Callable[[Card], list[bytes]]:
    """The files behind a card; packages are kept, in the folder GOODNOISE_PACKAGES or pytest's cache."""
    chosen = os.environ.get("GOODNOISE_PACKAGES")
    folder = Path(chosen) if chosen else pytestconfig.cache.mkdir("packages")

    def read(card: Card) -> list[bytes]:
        try:
            return checked_members(card, archive(card.origin, folder))
        except GoodnoiseError as error:
            if error.code is Code.UNAVAILABLE:
                pytest.skip(f"the origin's package cannot be had here: {error}")
            raise

    return read


@pytest.fixture
def faces(rng: np.random.Generator) -> Floats:
    """Two pictures for the networks of 112 pixels: smooth and noise, N 3 S S in [0,1]."""
    smooth = cv2.resize(rng.random((7, 7, 3), dtype=np.float32), (112, 112), interpolation=cv2.INTER_CUBIC)
    noise = rng.random((112, 112, 3), dtype=np.float32)
    return np.clip(np.stack([smooth, noise]).transpose(0, 3, 1, 2), 0, 1).astype(np.float32)


def unit(vectors: Floats) -> Floats:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def quiet() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    return options


@pytest.mark.parametrize(
    "name", [card.name for card in zoo_cards().values() if card.origin.registry != "project"]
)
def test_the_stored_network_is_what_the_origin_converts_to(
    zoo: Path, origin_files: Callable[[Card], list[bytes]], name: str
) -> None:
    card, store = load_card(name), Store(zoo)
    assert convert(card, origin_files(card)) == store.read(card)
    assert store.is_current(card, CONVERTER_VERSION)


@pytest.mark.parametrize("name", RECOGNISERS)
def test_a_network_takes_any_number_of_faces_and_gives_each_its_own_embedding(
    zoo: Path, name: str, rng: np.random.Generator
) -> None:
    card = load_card(name)
    running = session(Store(zoo).read(card))
    batch = rng.random((3, 3, card.size, card.size), dtype=np.float32)
    together = embed(running, batch)
    assert together.shape == (3, card.embedding)
    np.testing.assert_allclose(
        together, np.concatenate([embed(running, face[None]) for face in batch]), atol=2e-6
    )
    if card.metric == "cosine":
        np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("name", list(zoo_cards()))
def test_the_card_counts_the_weights(zoo: Path, name: str) -> None:
    card = load_card(name)
    model = onnx.load_from_string(Store(zoo).read(card))
    floats = [item for item in model.graph.initializer if item.data_type == onnx.TensorProto.FLOAT]
    stored = sum(int(np.prod(item.dims)) for item in floats)
    # Besides the weights: preprocessing, epsilons, scales of resizing, the numbers of a spelled-out GELU.
    assert 0 <= stored - card.parameters <= 12


def test_mobilefacenet_512_agrees_with_its_own_file(
    zoo: Path, origin_files: Callable[[Card], list[bytes]], faces: Floats
) -> None:
    card = load_card("mobilefacenet-512")
    running = ort.InferenceSession(origin_files(card)[0], quiet())
    raw = [running.run(None, {"input": (255 * face[None] - 127.5) / np.float32(127.5)})[0] for face in faces]
    expected = unit(np.concatenate([np.asarray(row).reshape(1, -1) for row in raw]))
    np.testing.assert_allclose(embed(session(Store(zoo).read(card)), faces), expected, atol=2e-6)


def test_sface_agrees_with_its_block_quantised_file_in_opencv(
    zoo: Path, origin_files: Callable[[Card], list[bytes]], faces: Floats
) -> None:
    card = load_card("sface")
    network = cv2.dnn.readNetFromONNX(np.frombuffer(origin_files(card)[0], np.uint8))
    raw = []
    for face in faces:
        network.setInput(255 * face[None], "data")
        raw.append(network.forward().copy())
    np.testing.assert_allclose(
        embed(session(Store(zoo).read(card)), faces), unit(np.concatenate(raw)), atol=5e-6
    )


def test_mobilefacenet_192_agrees_with_its_tflite_file(
    zoo: Path, origin_files: Callable[[Card], list[bytes]], faces: Floats
) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert has no wheel here")
    card = load_card("mobilefacenet-192")
    interpreter = litert.Interpreter(model_content=origin_files(card)[0], num_threads=1)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    prepared = ((255 * faces - 127.5) / 128).transpose(0, 2, 3, 1).astype(np.float32)
    interpreter.set_tensor(source["index"], np.ascontiguousarray(prepared))
    interpreter.invoke()
    expected = unit(interpreter.get_tensor(target["index"]))
    np.testing.assert_allclose(embed(session(Store(zoo).read(card)), faces), expected, atol=5e-6)


@pytest.mark.parametrize("name", [name for name, card in zoo_cards().items() if card.kind == "text"])
def test_a_reader_agrees_with_its_own_file(
    zoo: Path, origin_files: Callable[[Card], list[bytes]], name: str, rng: np.random.Generator
) -> None:
    card = load_card(name)
    assert card.text is not None
    smooth = cv2.resize(rng.random((8, 24), dtype=np.float32), (card.text.width or 192, card.text.height))
    images = np.stack([smooth, rng.random(smooth.shape, dtype=np.float32)])[:, None]
    running = ort.InferenceSession(origin_files(card)[0], quiet())
    prepared = (255 * images.repeat(3, axis=1) - np.float32(card.mean[0])) * np.float32(card.scale)
    raw = np.asarray(running.run(None, {running.get_inputs()[0].name: prepared})[0])
    result = session(Store(zoo).read(card)).run(None, {"image": images})[0]
    if card.text.time_first:
        logits = raw.transpose(1, 0, 2).astype(np.float64)
        raw = np.exp(logits - np.logaddexp.reduce(logits, axis=2, keepdims=True))
    np.testing.assert_allclose(np.exp(result), raw, atol=2e-5)


def test_dlib_resnet_agrees_with_face_api(zoo: Path) -> None:
    # golden/faceapi.cjs made the numbers with face-api's own runtime.
    golden = np.array(json.loads((Path(__file__).parent / "golden" / "faceapi.json").read_text()))
    y, x, c = np.mgrid[0:150, 0:150, 0:3]
    ramp = (x + 2 * y + 40 * c) % 256
    steps = (7919 * np.arange(150 * 150 * 3)).reshape(150, 150, 3) % 256
    pictures = (np.stack([ramp, steps]).transpose(0, 3, 1, 2) / 255).astype(np.float32)
    np.testing.assert_allclose(
        embed(session(Store(zoo).read(load_card("dlib-resnet"))), pictures), golden, atol=5e-6
    )


def test_yunet_agrees_with_its_block_quantised_file(
    zoo: Path, origin_files: Callable[[Card], list[bytes]], photos: Path
) -> None:
    card = load_card("yunet")
    folded = Store(zoo).read(card)
    path = sorted(p for p in photos.iterdir() if p.suffix in (".jpg", ".png"))[0]
    photo = np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1])
    found = Detector(folded).find(photo)
    assert found
    assert found == Detector(origin_files(card)[0]).find(photo)
    # The quantised file does not run in ONNX Runtime; the folded one does.
    assert (
        len(
            ort.InferenceSession(folded, quiet()).run(None, {"input": np.zeros((1, 3, 640, 640), np.float32)})
        )
        == 12
    )
