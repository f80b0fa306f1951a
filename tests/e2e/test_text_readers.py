"""Readers of the zoo: torch, ONNX Runtime and gradients agree, and they read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from models.store import Store
from models.text.reading import TextReader, open_reader, read_text
from shared.errors import Code, GoodnoiseError

torch = pytest.importorskip("torch", reason="needs the train extra")

from models.text.recogniser import TextNet, load_text_net  # noqa: E402

pytestmark = [pytest.mark.zoo, pytest.mark.torch]

ALPHABET = "ACDEFHJKLMNPRTVWXY3479"
NAMES = ("ppocr-v6-rec", "captcha-whisperer")
WORDS = ("HARM7", "N4XKE", "TAPYR3")


def written(word: str) -> npt.NDArray[np.float32]:
    """Grey, 64 x 256, in [0,1]."""
    image = np.full((64, 256), 225, np.uint8)
    cv2.putText(image, word, (30, 46), cv2.FONT_HERSHEY_SIMPLEX, 1.4, 60, 3, cv2.LINE_AA)
    return np.asarray(image / np.float32(255), np.float32)


@pytest.fixture(scope="module", params=NAMES)
def pair(request: pytest.FixtureRequest, zoo: Path) -> tuple[TextNet, TextReader]:
    """One reader in torch and in ONNX Runtime."""
    store = Store(zoo)
    return load_text_net(request.param, ALPHABET, store), open_reader(request.param, store)


def test_torch_agrees_with_onnx_runtime(pair: tuple[TextNet, TextReader], rng: np.random.Generator) -> None:
    net, reader = pair
    images = np.stack([written(WORDS[0]), rng.random((64, 256), dtype=np.float32)])
    own = reader.log_probs(images).astype(np.float64)
    places = [np.flatnonzero(net.classes.targets == k) for k in range(net.classes.count)]
    expected = np.stack([np.logaddexp.reduce(own[..., place], axis=-1) for place in places], axis=-1)
    result = net.log_probs(torch.from_numpy(images)[:, None])
    assert result.shape == expected.shape
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-4)
    np.testing.assert_allclose(result.exp().sum(dim=-1).numpy(), 1, atol=1e-4)
    np.testing.assert_array_equal(net(torch.from_numpy(images)[:, None]).columns.numpy(), result.numpy())


def test_the_gradient_is_the_slope(pair: tuple[TextNet, TextReader], rng: np.random.Generator) -> None:
    net, _ = pair
    image = torch.from_numpy(written(WORDS[1]) + 0.02 * rng.random((64, 256), dtype=np.float32))[None, None]
    weights = torch.from_numpy(rng.random(net.log_probs(image).shape, dtype=np.float32))

    def loss(images: Any) -> Any:
        return (net.log_probs(images) * weights).double().sum()

    leaf = image.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf), leaf)
    assert not any(weight.requires_grad for weight in net.parameters())
    for way in (gradient, gradient * torch.from_numpy(rng.random((64, 256), dtype=np.float32))):
        unit = way / way.norm()
        rise = loss(image + 2e-3 * unit) - loss(image - 2e-3 * unit)
        assert float(rise) / 4e-3 == pytest.approx(float((gradient * unit).sum()), rel=0.02)


def test_a_reader_reads(pair: tuple[TextNet, TextReader]) -> None:
    net, reader = pair
    images = [written(word) for word in WORDS]
    together = torch.from_numpy(np.stack(images))[:, None]
    assert net.decode(net.log_probs(together)) == list(WORDS)
    levels = [np.rint(255 * image).astype(np.uint8) for image in images]
    narrow = np.asarray(cv2.resize(images[0], (192, 48)), np.float32)
    assert reader.read([*levels, narrow, images[1]]) == [*WORDS, WORDS[0], WORDS[1]]


def test_letters_of_either_case_count_and_others_show_as_such(zoo: Path) -> None:
    net = load_text_net("ppocr-v6-rec", ALPHABET, Store(zoo))
    image = torch.from_numpy(written("Barmy"))[None, None]
    assert net.decode(net.log_probs(image)) == ["?ARMY"]


def test_one_call_reads(zoo: Path) -> None:
    assert read_text(NAMES[0], [written(WORDS[2])], Store(zoo)) == [WORDS[2]]


def test_what_cannot_be_read_is_named(zoo: Path, tmp_path: Path) -> None:
    with pytest.raises(GoodnoiseError, match="'sface' is a recogniser, expected one of text") as caught:
        read_text("sface", [], Store(zoo))
    assert caught.value.code is Code.INVALID_INPUT
    with pytest.raises(GoodnoiseError, match="goodnoise-models fetch"):
        open_reader(NAMES[0], Store(tmp_path))
    net = load_text_net(NAMES[1], ALPHABET, Store(zoo))
    with pytest.raises(ValueError, match="expected N 1 H W"):
        net.log_probs(torch.zeros(1, 3, 64, 256))
    with pytest.raises(ValueError, match="expected grey"):
        open_reader(NAMES[1], Store(zoo)).read([np.zeros((64, 256, 3), np.uint8)])


def test_an_alphabet_that_takes_every_class_leaves_nothing_for_others(zoo: Path) -> None:
    everything = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    net = load_text_net(NAMES[1], everything, Store(zoo))
    leaf = torch.from_numpy(written(WORDS[0]))[None, None].requires_grad_()
    log_probs = net.log_probs(leaf)
    assert (log_probs[..., -1] < -1e8).all()
    (gradient,) = torch.autograd.grad(log_probs[..., :-1].sum(), leaf)
    assert torch.isfinite(gradient).all()
