"""Recognisers that are asked about a pair: networks of the zoo, and others given as functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.importers.canonical import embed, session
from models.store import Store, load_card
from shared.cards import Card, Metric
from shared.errors import Code, GoodnoiseError
from shared.faces.detect import Detector, Face
from shared.faces.frames import FRAMES, Frame, crop

__all__ = ["Recogniser", "detector_of", "load_recognisers", "of_card"]

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Recogniser:
    """Name, frame, metric, the similarity at which two faces match, and what embeds aligned faces.

    `run` maps float32 N 3 S S in [0,1] to float32 N D. Similarities are cosines, or minus the distance.
    """

    name: str
    frame: Frame
    metric: Metric
    threshold: float
    run: Callable[[Floats], Floats]

    def embed(self, pixels: Pixels, face: Face) -> Floats:
        """The face's embedding, float32 D."""
        return np.asarray(self.run(crop(pixels, face.points(), self.frame))[0], np.float32)

    def similarity(self, one: Floats, other: Floats) -> float:
        """Of two embeddings, float32 D each; higher is nearer."""
        if self.metric == "euclidean":
            return -float(np.linalg.norm(one - other))
        return float(one @ other / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-12))


def of_card(card: Card, content: bytes) -> Recogniser:
    """A network of the zoo, one thread.

    Raises:
        GoodnoiseError: PRECONDITION when its card states no threshold.
    """
    if card.threshold is None:
        raise GoodnoiseError(
            Code.PRECONDITION,
            f"{card.name!r} has no threshold; measure one with 'goodnoise-models threshold {card.name}'",
        )
    value = card.threshold.value if card.metric == "cosine" else -card.threshold.value
    running = session(content)
    return Recogniser(card.name, FRAMES[card.frame], card.metric, value, lambda faces: embed(running, faces))


def load_recognisers(names: Sequence[str], store: Store) -> tuple[Recogniser, ...]:
    """Networks by name.

    Raises:
        GoodnoiseError: NOT_FOUND for an unknown name, PRECONDITION for one not fetched or without threshold,
            INVALID_INPUT for a detector.
    """
    cards = [load_card(name, store.folder) for name in names]
    for card in cards:
        if card.kind != "recogniser":
            raise GoodnoiseError(Code.INVALID_INPUT, f"{card.name!r} is a {card.kind}, not a recogniser")
    return tuple(of_card(card, store.read(card)) for card in cards)


def detector_of(store: Store) -> Detector:
    """A detector of one's own: they are not shared between threads."""
    return Detector(store.read(load_card("yunet", store.folder)))
