"""LFW's positive pairs: who is enrolled, what is protected, what else the owner has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from models.lfw import images_folder, photos_of, read_pairs, read_sets
from shared.errors import Code, GoodnoiseError
from shared.faces.detect import Detector, Face

__all__ = [
    "ALBUM",
    "REPORTING",
    "TUNING",
    "Pair",
    "Task",
    "main_face",
    "positive_pairs",
    "read_pixels",
    "training_tasks",
]

REPORTING = (1, 2, 3)
TUNING = (4, 5, 6)
# Other photos of the owner in rows with an album.
ALBUM = 4

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Task:
    """What a device is given: one photo and the owner's album. It has no place for the enrolled photo."""

    name: str
    target: Path
    album: tuple[Path, ...]


@dataclass(frozen=True)
class Pair:
    """A positive pair: the person, the enrolled photo, and the device's part."""

    person: str
    enrolled: Path
    task: Task


def positive_pairs(folder: Path, sets: tuple[int, ...], *, least: int = 1) -> list[Pair]:
    """Positive pairs of these sets, largest albums first, each person once before any twice.

    Args:
        folder: LFW's, with `images/` and `pairs.txt`.
        sets: folds of `pairs.txt`.
        least: photos that the album must have.

    Raises:
        GoodnoiseError: NOT_FOUND or CORRUPT for the lists, NOT_FOUND when no pair is left.
    """
    base = images_folder(folder)
    rounds: dict[int, list[Pair]] = {}
    times: dict[str, int] = {}
    for listed in read_pairs(folder):
        if not listed.same or listed.fold not in sets:
            continue
        pair = _pair(base, listed.first, listed.second)
        if len(pair.task.album) >= least:
            turn = times[pair.person] = times.get(pair.person, -1) + 1
            rounds.setdefault(turn, []).append(pair)
    found = [p for turn in sorted(rounds) for p in sorted(rounds[turn], key=lambda p: -len(p.task.album))]
    if not found:
        raise GoodnoiseError(Code.NOT_FOUND, f"{folder} has no pairs of sets {sets} with further photos")
    return found


def _pair(base: Path, first: str, second: str) -> Pair:
    person, enrolled, target = first.partition("/")[0], base / first, base / second
    others = [path for path in sorted((base / person).glob("*.jpg")) if path not in (enrolled, target)]
    return Pair(person, enrolled, Task(f"{enrolled.stem}-{target.stem[-4:]}", target, tuple(others[:ALBUM])))


def training_tasks(
    folder: Path, count: int, *, without: frozenset[str], per_person: int = 2
) -> tuple[list[Task], list[Path]]:
    """Photos of people of sets 4-6 to cloak, and those of others of them to measure a threshold on.

    Args:
        folder: LFW's.
        count: photos to cloak.
        without: people that must be in neither.
        per_person: photos of one person, at most.

    Returns:
        tasks, people with several photos first; photos of people who are in none of them.
    """
    sets = read_sets(folder)
    names = [name for number in TUNING for name in sets.get(number, ()) if name not in without]
    base = images_folder(folder)
    photos: dict[str, list[Path]] = {name: [] for name in names}
    for photo in photos_of(folder, names):
        photos[photo.person].append(base / photo.key)
    order = sorted(names, key=lambda name: (-min(len(photos[name]), per_person), name))
    tasks: list[Task] = []
    used = 0
    for name in order:
        if len(tasks) >= count:
            break
        used += 1
        for path in photos[name][:per_person]:
            others = tuple(other for other in photos[name] if other != path)
            tasks.append(Task(path.stem, path, others[:ALBUM]))
    return tasks[:count], [path for name in order[used:] for path in photos[name][:per_person]]


def read_pixels(path: Path) -> Pixels:
    """A photo's pixels, uint8 H W 3, RGB.

    Raises:
        GoodnoiseError: CORRUPT when it cannot be read.
    """
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise GoodnoiseError(Code.CORRUPT, f"{path} cannot be read as a picture")
    return np.ascontiguousarray(pixels[:, :, ::-1], dtype=np.uint8)


def main_face(detector: Detector, pixels: Pixels) -> Face | None:
    """The face nearest to the picture's middle, which is whom LFW names."""
    middle = np.array([pixels.shape[1] / 2, pixels.shape[0] / 2])

    def off(face: Face) -> float:
        centre = np.array(face.box[:2]) + np.array(face.box[2:]) / 2
        return float(np.hypot(*(centre - middle)))

    return min(detector.find(pixels), key=off, default=None)
