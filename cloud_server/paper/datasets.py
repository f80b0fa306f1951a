"""Verification sets: LFW's folder, a folder with a list of pairs, or InsightFace's `.bin`.

A list of pairs, `pairs.txt`, is in LFW's own form or has a line `PATH PATH 1` or `1 PATH PATH` a pair (0 for
two people), paths relative to the folder of pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np
import numpy.typing as npt

from cloud_server.paper.bins import decoded, read_bin
from models.lfw import images_folder, read_pairs
from shared.errors import Code, GoodnoiseError
from shared.faces.detect import Detector, Face
from shared.faces.frames import FRAMES

__all__ = [
    "REPORTING",
    "BinSet",
    "Dataset",
    "FolderSet",
    "Pair",
    "Shot",
    "open_dataset",
    "reported",
    "tuning",
]

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

# Of the folds; the others may decide thresholds, as the cards' own thresholds do.
REPORTING = (1, 2, 3)
_FOLDS = 10
_ALIGNED = FRAMES["arcface112"]


@dataclass(frozen=True)
class Pair:
    """Two pictures by key, the first one enrolled; the fold from 1, and whether both show one person."""

    first: str
    second: str
    fold: int
    same: bool


@dataclass(frozen=True, eq=False)
class Shot:
    """A picture, uint8 H W 3, and the five landmarks of its face, 5 2."""

    pixels: Pixels
    five: Floats


class Dataset(Protocol):
    """A set of pairs and its pictures."""

    @property
    def name(self) -> str:
        """As in reports, such as 'lfw'."""

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """All pairs, in the set's order."""

    def shot(self, key: str) -> Shot | None:
        """A picture and its face, or None when none is found."""


@dataclass(frozen=True)
class FolderSet:
    """Pictures in a folder; pictures of 112 x 112 pixels are taken as aligned already."""

    name: str
    folder: Path
    detector: Detector

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs of `pairs.txt`.

        Raises:
            GoodnoiseError: NOT_FOUND without the list, CORRUPT for a line that is in neither form.
        """
        path = self.folder / "pairs.txt"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else [""]
        if len(lines[0].split()) <= 2:
            return tuple(Pair(p.first, p.second, p.fold, p.same) for p in read_pairs(self.folder))
        rows = [line.split() for line in lines if line.strip()]
        each = max(1, -(-len(rows) // _FOLDS)) if len(rows) >= _FOLDS else len(rows)
        return tuple(_listed(row, index // each + 1, path) for index, row in enumerate(rows))

    def shot(self, key: str) -> Shot | None:
        """A picture and the face nearest to its middle."""
        path = images_folder(self.folder) / key
        try:
            content = path.read_bytes()
        except OSError as error:
            raise GoodnoiseError(
                Code.NOT_FOUND, f"{path}, which a pair names, cannot be read ({error.strerror})"
            ) from error
        pixels = decoded(content, what=str(path))
        if pixels.shape[:2] == (_ALIGNED.size, _ALIGNED.size):
            return Shot(pixels, _ALIGNED.array())
        face = _middle_face(self.detector, pixels)
        return None if face is None else Shot(pixels, face.points())


@dataclass(frozen=True)
class BinSet:
    """Aligned pictures in one file; keys are their numbers."""

    name: str
    path: Path

    @cached_property
    def _content(self) -> tuple[list[bytes], list[bool]]:
        return read_bin(self.path)

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs in the file's order, in ten folds."""
        same = self._content[1]
        each = max(1, -(-len(same) // _FOLDS)) if len(same) >= _FOLDS else len(same)
        return tuple(Pair(str(2 * i), str(2 * i + 1), i // each + 1, s) for i, s in enumerate(same))

    def shot(self, key: str) -> Shot:
        """A picture; its landmarks are where the ArcFace template has them."""
        pixels = decoded(self._content[0][int(key)], what=f"picture {key} of {self.path}")
        size = np.array([pixels.shape[1], pixels.shape[0]]) / _ALIGNED.size
        return Shot(pixels, (_ALIGNED.array() + 0.5) * size - 0.5)


def open_dataset(name: str, path: Path, detector: Detector) -> Dataset:
    """The set behind a path: a folder, or a file in `.bin` form.

    Raises:
        GoodnoiseError: NOT_FOUND when there is nothing.
    """
    if path.is_dir():
        return FolderSet(name, path, detector)
    if path.is_file():
        return BinSet(name, path)
    raise GoodnoiseError(
        Code.NOT_FOUND, f"{path} is neither a folder nor a file; give --data NAME=FOLDER or NAME=FILE.bin"
    )


def reported(dataset: Dataset, count: int | None, *, seed: int) -> list[tuple[int, Pair]]:
    """Pairs of one person to report on, each with its number in the set, in a seeded order.

    A larger count goes on where a smaller one stopped.

    Args:
        dataset: the set.
        count: how many; None for all.
        seed: of the order.

    Raises:
        GoodnoiseError: NOT_FOUND when there are none.
    """
    found = [(i, p) for i, p in enumerate(dataset.pairs) if p.same and p.fold in REPORTING]
    if not found:
        raise GoodnoiseError(Code.NOT_FOUND, f"set {dataset.name!r} has no pairs of one person to report on")
    return _drawn(found, count, seed)


def tuning(dataset: Dataset, count: int | None, *, seed: int) -> list[tuple[int, Pair]]:
    """As many pairs of one person and of two, of the folds that are not reported on; empty without such."""
    others = [(i, p) for i, p in enumerate(dataset.pairs) if p.fold not in REPORTING]
    parts = [_drawn([x for x in others if x[1].same is same], count, seed) for same in (True, False)]
    least = min(len(part) for part in parts)
    return [*parts[0][:least], *parts[1][:least]]


def _drawn(pairs: list[tuple[int, Pair]], count: int | None, seed: int) -> list[tuple[int, Pair]]:
    order = np.random.default_rng(seed).permutation(len(pairs))
    return [pairs[i] for i in (order if count is None else order[:count])]


def _listed(row: list[str], fold: int, path: Path) -> Pair:
    truths = {"0": False, "1": True}
    if len(row) == 3 and row[0] in truths:
        same, first, second = truths[row[0]], row[1], row[2]
    elif len(row) == 3 and row[2] in truths:
        first, second, same = row[0], row[1], truths[row[2]]
    else:
        raise GoodnoiseError(
            Code.CORRUPT, f"{path}: line {' '.join(row)[:80]!r} is neither 'PATH PATH 1' nor '1 PATH PATH'"
        )
    return Pair(_inside(first, path), _inside(second, path), fold, same)


def _inside(name: str, path: Path) -> str:
    plain = PurePosixPath(name)
    if plain.is_absolute() or ".." in plain.parts or "\\" in name:
        raise GoodnoiseError(Code.CORRUPT, f"{path}: {name[:80]!r} leads out of the folder of pictures")
    return str(plain)


def _middle_face(detector: Detector, pixels: Pixels) -> Face | None:
    middle = np.array([pixels.shape[1], pixels.shape[0]]) / 2

    def off(face: Face) -> float:
        left, top, width, height = face.box
        return float(np.hypot(*(np.array([left + width / 2, top + height / 2]) - middle)))

    return min(detector.find(pixels), key=off, default=None)
