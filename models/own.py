"""Recognisers that an operator adds: an ONNX file and a card, brought into the zoo's canonical form."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from models.importers.canonical import embed, session, to_canonical
from models.importers.onnx_float import read_onnx
from models.store import Store, parse_card, zoo_cards
from shared.cards import Card
from shared.errors import Code, GoodnoiseError
from shared.faces.frames import FRAMES

__all__ = ["add_recogniser"]

# Largest difference of embeddings between the file and its canonical form; float rounding gives 1e-6.
AGREEMENT = 1e-3


def add_recogniser(network: Path, card: Path, store: Store) -> Card:
    """Convert an operator's network by its card and store both.

    The file's input is the frame's crop after `(255 * x - mean) * scale`, N 3 S S, RGB; its output is the
    embedding. Adding a name again replaces it.

    Args:
        network: ONNX file.
        card: TOML file; `origin.registry` must be 'file', `origin.file_sha256` the network's hash.
        store: where both go.

    Returns:
        The card as stored.

    Raises:
        GoodnoiseError: INVALID_INPUT or NOT_FOUND naming what to mend.
    """
    content, text = _read(network), _read(card).decode("utf-8", errors="replace")
    parsed = parse_card(text, source=str(card))
    _check_card(parsed, hashlib.sha256(content).hexdigest(), source=str(card))
    net, opset = read_onnx(content, source=str(network))
    canonical = to_canonical(net, parsed, opset=opset)
    _check_agreement(content, canonical, parsed, source=str(network))
    store.put_own(parsed, text, canonical)
    return parsed


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise GoodnoiseError(Code.NOT_FOUND, f"{path} cannot be read ({error.strerror})") from error


def _check_card(card: Card, sha256: str, *, source: str) -> None:
    if card.name in zoo_cards():
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{source}: {card.name!r} is a network of the zoo; choose another name"
        )
    if card.kind != "recogniser":
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{source}: kind is {card.kind!r}, only a recogniser can be added"
        )
    frame = FRAMES[card.frame]
    if card.size != frame.size:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{source}: size is {card.size}, frame {card.frame} has {frame.size} pixels"
        )
    if card.origin.registry != "file":
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{source}: origin.registry is {card.origin.registry!r}, expected 'file'"
        )
    if card.origin.file_sha256 != (sha256,):
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"{source}: origin.file_sha256 does not name this network; it should be [{sha256!r}]",
        )


def _check_agreement(origin: bytes, canonical: bytes, card: Card, *, source: str) -> None:
    faces = np.random.default_rng(0).random((1, 3, card.size, card.size), dtype=np.float32)
    try:
        expected = _as_canonical(_run_origin(origin, faces, card), card)
    except Exception as error:
        # ONNX Runtime has a dozen kinds of exception for files that it does not accept.
        raise GoodnoiseError(Code.INVALID_INPUT, f"{source} does not run in ONNX Runtime: {error}") from error
    difference = float(np.abs(expected - embed(session(canonical), faces)).max())
    if not difference <= AGREEMENT * max(1.0, float(np.abs(expected).max())):
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"{source} changes by {difference:.2g} when it is converted for {card.name!r}; "
            "export it with opset 18",
        )


def _run_origin(origin: bytes, faces: npt.NDArray[np.float32], card: Card) -> npt.NDArray[np.float32]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    running = ort.InferenceSession(origin, options, providers=["CPUExecutionProvider"])
    mean = np.array(card.mean, np.float32).reshape(1, 3, 1, 1)
    prepared = (255 * faces - mean) * np.float32(card.scale)
    return np.asarray(running.run(None, {running.get_inputs()[0].name: prepared})[0], np.float32)


def _as_canonical(raw: npt.NDArray[np.float32], card: Card) -> npt.NDArray[np.float32]:
    flat = raw.reshape(len(raw), -1)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True) if card.metric == "cosine" else flat
