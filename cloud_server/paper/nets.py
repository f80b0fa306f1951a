"""Recognisers that are attacked with their own gradients, and asked whether two faces match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from cloud_server.hints.nets import OnnxNet
from models.gradients import build_gradient_graph
from models.importers.canonical import embed, session
from models.store import Store, load_card
from shared.attack.oracles import Oracle
from shared.bundle import sha256_hex
from shared.cards import Card
from shared.errors import Code, GoodnoiseError
from shared.faces.frames import FRAMES, Frame

__all__ = ["DEFAULT_NETWORKS", "White", "load_white", "recogniser_card"]

Floats = npt.NDArray[np.float32]

DEFAULT_NETWORKS = ("mobilefacenet-512", "mobilefacenet-192", "sface", "dlib-resnet")


@dataclass(frozen=True, eq=False)
class White:
    """A recogniser with its weights open.

    Its similarities are cosines, or minus the distance: higher is nearer, and `threshold` is of that kind.
    Attacks move the embedding's cosine for every recogniser.
    """

    card: Card
    threshold: float
    forward: ort.InferenceSession
    gradients: OnnxNet

    @property
    def name(self) -> str:
        """The card's name."""
        return self.card.name

    @property
    def frame(self) -> Frame:
        """Where it expects the landmarks."""
        return FRAMES[self.card.frame]

    def embed(self, faces: Floats) -> Floats:
        """Embeddings, float32 N D, of faces, float32 N 3 S S in [0,1]."""
        return embed(self.forward, faces)

    def away_from(self, anchors: Floats) -> Oracle:
        """The oracle whose loss is minus the cosine to each image's own anchor, float32 N D."""
        return self.gradients.away_from(anchors)

    def similarity(self, one: Floats, other: Floats) -> float:
        """Of two embeddings, float32 D each."""
        if self.card.metric == "euclidean":
            return -float(np.linalg.norm(one - other))
        return float(one @ other / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-12))


def recogniser_card(name: str, store: Store) -> Card:
    """The card of a recogniser with a threshold.

    Raises:
        GoodnoiseError: NOT_FOUND for an unknown name, INVALID_INPUT for what is no recogniser, PRECONDITION
            for one without a threshold.
    """
    card = load_card(name, store.folder)
    if card.kind != "recogniser":
        raise GoodnoiseError(Code.INVALID_INPUT, f"{name!r} is a {card.kind}; name a recogniser")
    if card.threshold is None:
        raise GoodnoiseError(
            Code.PRECONDITION,
            f"{name!r} has no threshold; measure one with 'goodnoise-models threshold {name}'",
        )
    return card


def load_white(names: Sequence[str], store: Store) -> tuple[White, ...]:
    """Recognisers of the zoo, one thread each.

    Raises:
        GoodnoiseError: as `recogniser_card`, and PRECONDITION for one that was not fetched.
    """
    return tuple(_white(recogniser_card(name, store), store) for name in names)


def _white(card: Card, store: Store) -> White:
    content = store.read(card)
    graph = build_gradient_graph(onnx.load_from_string(content), name=card.name)
    gradients = OnnxNet(card.name, sha256_hex(content), card.embedding, session(graph.SerializeToString()))
    value = card.threshold.value if card.threshold is not None else float("nan")
    threshold = value if card.metric == "cosine" else -value
    return White(card, threshold, session(content), gradients)
