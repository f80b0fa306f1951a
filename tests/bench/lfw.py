"""LFW pairs for the benchmarks: which pairs, which album, where the face is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shared.faces.detect import Detector, Face

REPORTING = (1, 2, 3)
TUNING = (4, 5, 6)


@dataclass(frozen=True)
class Pair:
    """A positive pair: the enrolled photo, the one to protect, and other photos of the person."""

    person: str
    enrolled: Path
    target: Path
    album: tuple[Path, ...]


def positive_pairs(folder: Path, sets: tuple[int, ...], *, album: int = 4, least: int = 1) -> list[Pair]:
    """Positive pairs of these sets, largest albums first, each person once before any twice."""
    lines = (folder / "pairs.txt").read_text().splitlines()
    half = int(lines[0].split()[1])
    rounds: dict[int, list[Pair]] = {}
    times: dict[str, int] = {}
    for number in sets:
        start = 1 + (number - 1) * 2 * half
        for line in lines[start : start + half]:
            person, one, two = line.split("\t")
            photos = sorted((folder / "images" / person).glob("*.jpg"))
            enrolled, target = (folder / "images" / person / f"{person}_{int(n):04d}.jpg" for n in (one, two))
            others = [path for path in photos if path not in (enrolled, target)]
            if len(others) < least:
                continue
            turn = times[person] = times.get(person, -1) + 1
            rounds.setdefault(turn, []).append(Pair(person, enrolled, target, tuple(others[:album])))
    return [pair for turn in sorted(rounds) for pair in sorted(rounds[turn], key=lambda p: -len(p.album))]


def main_face(detector: Detector, pixels: npt.NDArray[np.uint8]) -> Face | None:
    """The face nearest to the picture's middle, which is whom LFW names."""
    middle = np.array([pixels.shape[1] / 2, pixels.shape[0] / 2])

    def off(face: Face) -> float:
        centre = np.array(face.box[:2]) + np.array(face.box[2:]) / 2
        return float(np.hypot(*(centre - middle)))

    return min(detector.find(pixels), key=off, default=None)
