"""Faces to train hints on: a folder of photos, aligned once and kept in memory as 8-bit crops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from models.lfw import Photo, find_faces, images_folder, photos_of
from shared.errors import Code, GoodnoiseError
from shared.faces.detect import Detector
from shared.faces.frames import FRAMES, crop, similarity_to_frame

__all__ = ["POSES", "FaceSet", "load_faces", "people_of_file", "select_pose", "split_people"]

FRAME = FRAMES["arcface112"]
POSES = ("all", "left", "right")
_SUFFIXES = {".jpg", ".jpeg", ".png"}

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class FaceSet:
    """Aligned faces: uint8 N 3 112 112 in the ArcFace frame, RGB; the person of each; `turn` of each.

    `turn` is where the nose tip lies beside the middle of the eyes and mouth, in pixels of the frame:
    negative for a head that is turned to the picture's left.
    """

    levels: npt.NDArray[np.uint8]
    people: tuple[str, ...]
    turn: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.levels)

    def images(self, rows: npt.ArrayLike | None = None) -> npt.NDArray[np.float32]:
        """Faces as float32 in [0,1]; all of them, or some rows."""
        chosen = self.levels if rows is None else self.levels[np.asarray(rows)]
        return chosen.astype(np.float32) / np.float32(255.0)

    def pick(self, rows: npt.ArrayLike) -> FaceSet:
        """Some rows."""
        chosen = np.asarray(rows, dtype=np.intp)
        return FaceSet(self.levels[chosen], tuple(self.people[i] for i in chosen), self.turn[chosen])


def people_of_file(path: Path) -> tuple[str, ...]:
    """Names of a list of people, one a line.

    Raises:
        GoodnoiseError: NOT_FOUND when the file cannot be read, INVALID_INPUT when it is empty.
    """
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise GoodnoiseError(Code.NOT_FOUND, f"the list of people {path} cannot be read: {error}") from error
    kept = tuple(dict.fromkeys(name for name in names if name and not name.startswith("#")))
    if not kept:
        raise GoodnoiseError(Code.INVALID_INPUT, f"{path} names nobody; write one folder's name a line")
    return kept


def load_faces(
    folder: Path,
    detector: Detector,
    *,
    people: Sequence[str] | None = None,
    per_person: int | None = None,
    cache: Path | None = None,
    progress: Progress,
) -> FaceSet:
    """Find and align the face in the middle of each photo; photos without a face are left out.

    Args:
        folder: photos in one folder a person, or all in the folder itself, each of another person.
        detector: finds the faces.
        people: names of the folders to use; None for all.
        per_person: at most so many photos of a person, first by name.
        cache: .npz file that keeps what the detector found.
        progress: called with what is done, how much of it, and of how much.

    Raises:
        GoodnoiseError: NOT_FOUND without photos or for a person without folder, NO_FACE when no photo has a
            face, CORRUPT naming a photo that cannot be read.
    """
    photos = _first(_photos(folder, people), per_person)
    keys = [photo.key for photo in photos]
    found = find_faces(
        folder, keys, detector, cache=cache, progress=lambda at, of: progress("find faces", at, of)
    )
    usable = np.flatnonzero(~np.isnan(found.landmarks).any(axis=(1, 2)))
    if not len(usable):
        raise GoodnoiseError(Code.NO_FACE, f"no face was found in the {len(photos)} photos of {folder}")
    base = images_folder(folder)
    crops = [_aligned(base / keys[i], found.landmarks[i]) for i in usable]
    turns = [_turn(found.landmarks[i]) for i in usable]
    return FaceSet(np.stack(crops), tuple(photos[i].person for i in usable), np.array(turns))


def split_people(faces: FaceSet, *, share: float, seed: int) -> tuple[FaceSet, FaceSet]:
    """Train and held-out faces, with no person in both.

    Args:
        faces: of two people or more.
        share: of the people that is held out, at least one.
        seed: decides who.

    Raises:
        GoodnoiseError: PRECONDITION when there are fewer than two people.
    """
    names = sorted(set(faces.people))
    if len(names) < 2:
        raise GoodnoiseError(
            Code.PRECONDITION, "one person is too few: one is held out; give photos of two or more"
        )
    count = min(len(names) - 1, max(1, round(share * len(names))))
    held = set(np.random.default_rng(seed).permutation(names)[:count].tolist())
    mask = np.array([name in held for name in faces.people])
    return faces.pick(np.flatnonzero(~mask)), faces.pick(np.flatnonzero(mask))


def select_pose(faces: FaceSet, pose: str) -> FaceSet:
    """Faces of a pose: 'all' as they are; 'left' or 'right' with those of the other side mirrored.

    Raises:
        ValueError: for another pose.
    """
    if pose not in POSES:
        raise ValueError(f"pose is {pose!r}, expected one of {', '.join(POSES)}")
    if pose == "all":
        return faces
    wrong = faces.turn > 0 if pose == "left" else faces.turn < 0
    levels = np.where(wrong[:, None, None, None], faces.levels[..., ::-1], faces.levels)
    return FaceSet(levels, faces.people, np.where(wrong, -faces.turn, faces.turn))


def _photos(folder: Path, people: Sequence[str] | None) -> tuple[Photo, ...]:
    base = images_folder(folder)
    flat = sorted(path.name for path in base.glob("*") if path.suffix.lower() in _SUFFIXES)
    if people is None and flat:
        return tuple(Photo(name, name) for name in flat)
    for name in people or ():
        if not (base / name).is_dir():
            raise GoodnoiseError(
                Code.NOT_FOUND, f"{base} has no folder for {name!r}; mend the list of people"
            )
    return photos_of(folder, people)


def _first(photos: Sequence[Photo], per_person: int | None) -> list[Photo]:
    seen: dict[str, int] = {}
    kept = []
    for photo in photos:
        seen[photo.person] = seen.get(photo.person, 0) + 1
        if per_person is None or seen[photo.person] <= per_person:
            kept.append(photo)
    return kept


def _aligned(path: Path, landmarks: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise GoodnoiseError(Code.CORRUPT, f"{path} cannot be read as a picture")
    photo = np.ascontiguousarray(pixels[:, :, ::-1], dtype=np.uint8)
    return np.asarray(np.rint(crop(photo, landmarks, FRAME)[0] * 255.0), np.uint8)


def _turn(landmarks: npt.NDArray[np.float64]) -> float:
    placed = np.hstack([landmarks, np.ones((5, 1))]) @ similarity_to_frame(landmarks, FRAME).T
    return float(placed[2, 0] - placed[[0, 1, 3, 4], 0].mean())
