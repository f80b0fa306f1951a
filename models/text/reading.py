"""Reading text with readers of the zoo in ONNX Runtime: forward only, without torch, as an attacker would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from models.importers.canonical import session
from models.store import Store, default_store, load_card
from models.text.vocabulary import characters_in, fitting, greedy
from shared.cards import Card, TextInput
from shared.errors import Code, GoodnoiseError

__all__ = ["TextReader", "open_reader", "read_text", "stored_reader"]

Grey = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
# More take no less time each, and more memory.
_BATCH = 8


def stored_reader(name: str, store: Store | None = None) -> tuple[Card, TextInput, bytes]:
    """A reader's card, what it takes, and its file.

    Raises:
        GoodnoiseError: NOT_FOUND for an unknown name, INVALID_INPUT for what is no reader, PRECONDITION for
            one that was not fetched.
    """
    chosen = store or Store(default_store())
    card = load_card(name, chosen.folder)
    if card.text is None:
        raise GoodnoiseError(Code.INVALID_INPUT, f"network {name!r} is a {card.kind}, expected one of text")
    return card, card.text, chosen.read(card)


@dataclass(frozen=True)
class TextReader:
    """A reader that is loaded.

    Args:
        text: what it takes.
        characters: of its classes, "" for the blank.
        running: its session.
    """

    text: TextInput
    characters: tuple[str, ...]
    running: ort.InferenceSession

    def log_probs(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Log-probabilities of its own classes, N T C, for grey images N H W in [0,1]."""
        rows, columns = fitting(images.shape[1], images.shape[2], self.text)
        fitted = np.asarray(rows @ images @ columns.T, np.float32)
        return np.asarray(self.running.run(None, {"image": fitted[:, None]})[0])

    def read(self, images: Sequence[Grey]) -> list[str]:
        """What images say, all characters in the case that was read.

        Args:
            images: grey, H W, uint8 levels or floats in [0,1]; neighbours of one size are read at once.
        """
        texts: list[str] = []
        while len(texts) < len(images):
            start = len(texts)
            shape = images[start].shape
            same = (i for i in range(start, len(images)) if images[i].shape != shape)
            end = min(next(same, len(images)), start + _BATCH)
            batch = np.stack([_floats(image) for image in images[start:end]])
            paths = greedy(self.log_probs(batch).argmax(axis=2), blank=self.characters.index(""))
            texts += ["".join(self.characters[k] for k in path) for path in paths]
        return texts


def _floats(image: Grey) -> npt.NDArray[np.float32]:
    if image.ndim != 2:
        raise ValueError(f"image has shape {image.shape}, expected grey, H W")
    return np.asarray(image / np.float32(255) if image.dtype == np.uint8 else image, np.float32)


def open_reader(name: str, store: Store | None = None, *, threads: int = 1) -> TextReader:
    """Load a reader of the zoo.

    Args:
        name: a card of kind 'text'.
        store: where it lies; the user's own folder by default.
        threads: of ONNX Runtime.

    Raises:
        GoodnoiseError: as `stored_reader`, and CORRUPT for a file that does not say what its classes are.
    """
    _, text, content = stored_reader(name, store)
    return TextReader(text, characters_in(content, source=f"{name}.onnx"), session(content, threads=threads))


def read_text(name: str, images: Sequence[Grey], store: Store | None = None) -> list[str]:
    """What a reader of the zoo reads in grey images H W; loads it anew, see `open_reader` for more calls.

    Raises:
        GoodnoiseError: as `open_reader`.
    """
    return open_reader(name, store).read(images)
