"""Other photos of the owner. They stay on the device and give the attack the person to move away from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_client.check import SMALLEST_FACE, Anchors, embed
from edge_client.folders import PHOTO_SUFFIXES, photos_in
from edge_client.photos import Photo, read_photo
from edge_client.recognisers import Recogniser
from shared.errors import Code, GoodnoiseError
from shared.faces.detect import Detector
from shared.files import storage_errors

__all__ = ["Album", "album_from", "album_of", "read_album"]


@dataclass(frozen=True)
class Album:
    """The owner's faces: embeddings for each recogniser, float32 K D, and how many photos they came from."""

    anchors: Anchors
    photos: int

    def shows(self, face: Anchors, recognisers: Sequence[Recogniser]) -> bool:
        """Whether a face (embeddings 1 D) is the owner's: half the recognisers or more match it."""
        votes = [
            float(r.similarity(face[r.name], self.anchors[r.name]).max()) >= r.threshold for r in recognisers
        ]
        return 2 * sum(votes) >= len(votes)


def album_of(faces: Sequence[Anchors]) -> Album:
    """An album from the embeddings of its faces, one or more."""
    if not faces:
        raise ValueError("faces: an album needs one or more")
    return Album({name: np.concatenate([face[name] for face in faces]) for name in faces[0]}, len(faces))


def read_album(folder: Path, recognisers: Sequence[Recogniser], detector: Detector) -> Album:
    """Read a folder of photos of the owner; the largest face of each counts.

    Hidden files and results of this program are passed over: to a recogniser a cloaked face is a stranger's.

    Raises:
        GoodnoiseError: NOT_FOUND when there is no such folder or no photo in it, NO_FACE when no photo holds
            a face, INVALID_INPUT when a photo cannot be read.
    """
    if not folder.is_dir():
        raise GoodnoiseError(
            Code.NOT_FOUND, f"album {folder} is not a folder; name one with photos of the owner"
        )
    with storage_errors(folder, setting="--album"):
        files = list(photos_in(folder))
    if not files:
        raise GoodnoiseError(Code.NOT_FOUND, f"album {folder} holds no photos ({', '.join(PHOTO_SUFFIXES)})")
    return album_from((read_photo(path) for path in files), recognisers, detector, name=f"album {folder}")


def album_from(
    photos: Iterable[Photo], recognisers: Sequence[Recogniser], detector: Detector, *, name: str
) -> Album:
    """An album from photos of the owner, read one at a time; the largest face of each counts.

    Args:
        photos: as read.
        recognisers: who will be asked.
        detector: finds the faces.
        name: of the album, for the message.

    Raises:
        GoodnoiseError: NO_FACE when no photo holds a face.
    """
    faces = []
    for photo in photos:
        found = detector.find(photo.pixels)
        if found and found[0].box[2] >= SMALLEST_FACE:
            faces.append(embed(photo.pixels, found[0], recognisers))
    if not faces:
        raise GoodnoiseError(
            Code.NO_FACE,
            f"no photo of {name} holds a face of {SMALLEST_FACE} pixels or more; give others of the owner",
        )
    return album_of(faces)
