"""Labelled faces: reading LFW's lists, finding and embedding the faces of its photos.

LFW (Huang et al., UMass TR 07-49), View 2: `people.txt` and `pairs.txt` split people into sets that share
nobody. Any folder with one folder of photos a person works for thresholds as well.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from models.importers.canonical import embed, session
from shared.cards import Card
from shared.errors import Code, GoodnoiseError
from shared.faces.detect import Detector, Face
from shared.faces.frames import FRAMES, crop
from shared.files import storage_errors, write_atomically

__all__ = ["Faces", "Pair", "Photo", "embeddings", "find_faces", "photos_of", "read_pairs", "read_sets"]

Floats = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]

_SUFFIXES = {".jpg", ".jpeg", ".png"}
_BATCH = 32


@dataclass(frozen=True)
class Photo:
    """A photo of a person; `key` is its path inside the folder of images."""

    person: str
    key: str


@dataclass(frozen=True)
class Pair:
    """A pair of LFW's `pairs.txt`: the two keys, the fold from 1, and whether both show one person."""

    first: str
    second: str
    fold: int
    same: bool


@dataclass(frozen=True)
class Faces:
    """Keys of photos, landmarks (n 5 2) and boxes (n 4) of the faces in the middle; NaN where none is."""

    keys: tuple[str, ...]
    landmarks: npt.NDArray[np.float64]
    boxes: npt.NDArray[np.float64]


def images_folder(folder: Path) -> Path:
    """Where the people's folders are: `folder/images` if there is one, else the folder itself."""
    inner = folder / "images"
    return inner if inner.is_dir() else folder


def read_sets(folder: Path) -> dict[int, tuple[str, ...]]:
    """People of each set of `people.txt`, by number from 1; empty when the folder has no such file."""
    path = folder / "people.txt"
    if not path.is_file():
        return {}
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    try:
        sets, at = {}, 1
        for number in range(1, int(rows[0][0]) + 1):
            count = int(rows[at][0])
            sets[number] = tuple(row[0] for row in rows[at + 1 : at + 1 + count])
            at += 1 + count
    except (IndexError, ValueError) as error:
        raise GoodnoiseError(Code.CORRUPT, f"{path} is not in LFW's format ({error})") from error
    return sets


def read_pairs(folder: Path) -> tuple[Pair, ...]:
    """The pairs of `pairs.txt`.

    Raises:
        GoodnoiseError: NOT_FOUND without the file, CORRUPT when it has another format.
    """
    path = folder / "pairs.txt"
    if not path.is_file():
        raise GoodnoiseError(Code.NOT_FOUND, f"{folder} has no pairs.txt; name the folder of LFW")
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    try:
        each = int(rows[0][1])
        return tuple(_pair(row, index // (2 * each) + 1) for index, row in enumerate(rows[1:]))
    except (IndexError, ValueError) as error:
        raise GoodnoiseError(Code.CORRUPT, f"{path} is not in LFW's format ({error})") from error


def _pair(row: Sequence[str], fold: int) -> Pair:
    if len(row) == 3:
        return Pair(_key(row[0], int(row[1])), _key(row[0], int(row[2])), fold=fold, same=True)
    return Pair(_key(row[0], int(row[1])), _key(row[2], int(row[3])), fold=fold, same=False)


def _key(person: str, number: int) -> str:
    return f"{person}/{person}_{number:04d}.jpg"


def photos_of(folder: Path, people: Iterable[str] | None = None) -> tuple[Photo, ...]:
    """Photos in the people's folders, in order of name; of all people unless some are named.

    Raises:
        GoodnoiseError: NOT_FOUND when there are none.
    """
    base = images_folder(folder)
    if not base.is_dir():
        raise GoodnoiseError(
            Code.NOT_FOUND, f"{folder} is no folder; name one with a folder of photos a person"
        )
    names = (
        sorted(item.name for item in base.iterdir() if item.is_dir()) if people is None else sorted(people)
    )
    found = [
        Photo(name, f"{name}/{path.name}")
        for name in names
        for path in sorted((base / name).glob("*"))
        if path.suffix.lower() in _SUFFIXES
    ]
    if not found:
        raise GoodnoiseError(Code.NOT_FOUND, f"no photos in {base}; expected folders of photos, one a person")
    return tuple(found)


def find_faces(
    folder: Path, keys: Sequence[str], detector: Detector, *, cache: Path | None = None, progress: Progress
) -> Faces:
    """The face in the middle of each photo; results are kept in `cache` (.npz) when one is given."""
    known = _load_faces(cache)
    missing = [key for key in keys if key not in known]
    base = images_folder(folder)
    for done, key in enumerate(missing, start=1):
        known[key] = _middle_face(_read(base / key), detector)
        progress(done, len(missing))
    if cache is not None and missing:
        _save_faces(cache, known)
    rows = np.array([known[key] for key in keys]).reshape(-1, 14)
    return Faces(tuple(keys), rows[:, :10].reshape(-1, 5, 2), rows[:, 10:])


def _load_faces(cache: Path | None) -> dict[str, npt.NDArray[np.float64]]:
    if cache is None or not cache.is_file():
        return {}
    with np.load(cache) as stored:
        landmarks, boxes = stored["landmarks"].reshape(-1, 10), stored["boxes"]
        return dict(zip(stored["paths"].tolist(), np.concatenate([landmarks, boxes], axis=1), strict=True))


def _save_faces(cache: Path, known: dict[str, npt.NDArray[np.float64]]) -> None:
    rows = np.array(list(known.values()))
    stream = io.BytesIO()
    np.savez_compressed(
        stream, paths=np.array(list(known)), landmarks=rows[:, :10].reshape(-1, 5, 2), boxes=rows[:, 10:]
    )
    _keep(cache, stream.getvalue())


def _keep(path: Path, content: bytes) -> None:
    with storage_errors(path.parent, setting="--cache"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)


def _read(path: Path) -> npt.NDArray[np.uint8]:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise GoodnoiseError(Code.CORRUPT, f"{path} cannot be read as a picture")
    return np.ascontiguousarray(pixels[:, :, ::-1], dtype=np.uint8)


def _middle_face(photo: npt.NDArray[np.uint8], detector: Detector) -> npt.NDArray[np.float64]:
    middle = np.array([photo.shape[1], photo.shape[0]]) / 2

    def size_less_offset(face: Face) -> float:
        left, top, width, height = face.box
        offset = np.array([left + width / 2, top + height / 2]) - middle
        return float(width * height - 2 * offset @ offset)

    faces = detector.find(photo)
    if not faces:
        return np.full(14, np.nan)
    chosen = max(faces, key=size_less_offset)
    return np.concatenate([chosen.points().reshape(-1), np.array(chosen.box)])


def embeddings(
    folder: Path, faces: Faces, card: Card, network: bytes, *, cache: Path | None = None, progress: Progress
) -> Floats:
    """Embeddings, n D, of the faces, NaN where there is none; kept in the folder `cache`."""
    path = (
        cache / f"{card.name}-{hashlib.sha256(network).hexdigest()[:12]}.npz" if cache is not None else None
    )
    known: dict[str, Floats] = {}
    if path is not None and path.is_file():
        with np.load(path) as stored:
            known = dict(zip(stored["paths"].tolist(), stored["embeddings"], strict=True))
    _embed_missing(folder, faces, card, network, known, progress)
    if path is not None:
        stream = io.BytesIO()
        np.savez(stream, paths=np.array(list(known)), embeddings=np.array(list(known.values())))
        _keep(path, stream.getvalue())
    nothing = np.full(card.embedding, np.nan, np.float32)
    return np.array([known.get(key, nothing) for key in faces.keys])


def _embed_missing(
    folder: Path, faces: Faces, card: Card, network: bytes, known: dict[str, Floats], progress: Progress
) -> None:
    base, frame, running = images_folder(folder), FRAMES[card.frame], session(network)
    empty = np.isnan(faces.boxes[:, 0])
    missing = [i for i, key in enumerate(faces.keys) if not empty[i] and key not in known]
    for start in range(0, len(missing), _BATCH):
        part = missing[start : start + _BATCH]
        crops = [crop(_read(base / faces.keys[i]), faces.landmarks[i], frame) for i in part]
        for i, row in zip(part, embed(running, np.concatenate(crops)), strict=True):
            known[faces.keys[i]] = row
        progress(start + len(part), len(missing))
