"""Recognisers that name faces: aligned crops in the ArcFace frame to unit embeddings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models.importers.canonical import embed, session
from models.store import Store, load_card
from shared.bundle import sha256_hex
from shared.faces.frames import FRAMES, Frame, similarity_to_frame

__all__ = ["Recogniser", "load_recogniser", "unit"]

Floats = npt.NDArray[np.float32]
_BATCH = 16


@dataclass(frozen=True, eq=False)
class Recogniser:
    """A recogniser by name; `embed` maps float32 N 3 112 112 to unit embeddings N D."""

    name: str
    sha256: str
    embed: Callable[[Floats], Floats]


def load_recogniser(name: str, store: Store) -> Recogniser:
    """A recogniser of the zoo; one in another frame sees the ArcFace crop warped into its own.

    Raises:
        GoodnoiseError: NOT_FOUND for an unknown name, PRECONDITION when it was not fetched.
    """
    card = load_card(name, store.folder)
    content = store.read(card)
    running, frame = session(content), FRAMES[card.frame]

    def run(faces: Floats) -> Floats:
        parts = [faces[at : at + _BATCH] for at in range(0, len(faces), _BATCH)]
        return unit(np.concatenate([embed(running, _in_frame(part, frame)) for part in parts]))

    return Recogniser(name, sha256_hex(content), run)


def unit(vectors: Floats) -> Floats:
    """Rows at length 1; a row of zeros stays."""
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return np.asarray(vectors / lengths, np.float32)


def _in_frame(faces: Floats, frame: Frame) -> Floats:
    source = FRAMES["arcface112"]
    if frame == source:
        return faces
    # The mean face's landmarks stand for each face's own: all that is left of them in an aligned crop.
    matrix = similarity_to_frame(source.array(), frame)
    size = (frame.size, frame.size)
    moved = [
        cv2.warpAffine(face.transpose(1, 2, 0), matrix, size, flags=cv2.INTER_LINEAR, borderValue=0.0)
        for face in faces
    ]
    return np.ascontiguousarray(np.stack(moved).transpose(0, 3, 1, 2), np.float32)
