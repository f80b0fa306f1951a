"""Rows to compare with: random signs, a universal perturbation alone, an attack of the core on the crop.

All are made in the ArcFace frame or over its square and put into the photo's own pixels at a fixed budget in
levels, without the device's care for looks: more change than the device makes, never less.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from cloud_server.evaluation.protection.measure import Known
from cloud_server.evaluation.protection.rows import Row
from cloud_server.hints.files import prebuilt_hints
from cloud_server.hints.nets import Net, load_net
from models.store import Store
from shared.attack.attack import run
from shared.attack.budgets import Linf
from shared.attack.oracles import Ensemble
from shared.attack.table import ATTACKS
from shared.bundle import sha256_hex
from shared.faces.detect import Face
from shared.faces.frames import FRAMES, crop, similarity_to_frame

__all__ = ["Controls"]

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_FRAME = FRAMES["arcface112"]


class Controls:
    """Makes the photos of rows that are not of kind 'device'; for one thread.

    Args:
        store: the zoo, for attacks on the crop.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._nets: dict[str, Net] = {}

    def make(self, row: Row, known: Known, name: str) -> tuple[Pixels, int]:
        """The changed photo, and how many gradient calls it took.

        Args:
            row: what to do; its budget is levels of 8 bits.
            known: the photo and its face.
            name: of the task; randomness depends on it and on the row's kind.
        """
        levels = float(row.budget)
        if row.kind == "noise":
            rng = np.random.default_rng(int(sha256_hex(name.encode())[:8], 16))
            signs = rng.choice(np.array([-1.0, 1.0], np.float32), known.target.shape)
            inside = _into_photo(np.ones((3, 112, 112), np.float32), known.face, known.target.shape)
            return _changed(known.target, signs * inside, levels), 0
        if row.kind == "universal":
            return _put(known, _universal(known.face), levels), 0
        delta, calls = self._attack(row, known, levels, name)
        return _put(known, delta * np.float32(255 / levels), levels), calls

    def _attack(self, row: Row, known: Known, levels: float, name: str) -> tuple[Floats, int]:
        """The perturbation of the aligned crop, float32 3 112 112 in [0,1] units."""
        face = crop(known.target, known.face.points(), _FRAME)
        nets = [self._net(member) for member in row.surrogates]
        oracle = Ensemble([net.away_from(net.embed(face)) for net in nets])
        seed = int(sha256_hex(name.encode())[:8], 16)
        # A face is farthest from itself in no direction: begin beside it.
        start = np.random.default_rng(seed).uniform(-1, 1, face.shape).astype(np.float32) / np.float32(255)
        result = run(ATTACKS[row.attack], oracle, face, Linf(levels), seed=seed, start=start)
        return np.asarray(result.delta, np.float32)[0], result.gradient_calls

    def _net(self, name: str) -> Net:
        if name not in self._nets:
            self._nets[name] = load_net(name, self._store)
        return self._nets[name]


def _universal(face: Face) -> Floats:
    """The project's own of the face's pose, scaled to a largest value of 1."""
    by_name = {path.stem: path for path in prebuilt_hints()}
    points = face.points()
    placed = np.hstack([points, np.ones((5, 1))]) @ similarity_to_frame(points, _FRAME).T
    left = placed[2, 0] < placed[[0, 1, 3, 4], 0].mean()
    levels = np.load(by_name["universal-left" if left else "universal-right"]).astype(np.float32)
    return np.asarray(levels / np.abs(levels).max(), np.float32)


def _put(known: Known, pattern: Floats, levels: float) -> Pixels:
    """A pattern of the frame, float32 3 112 112 in [-1,1], in the photo at this budget."""
    return _changed(known.target, _into_photo(pattern, known.face, known.target.shape), levels)


def _into_photo(pattern: Floats, face: Face, shape: Sequence[int]) -> Floats:
    matrix = similarity_to_frame(face.points(), _FRAME)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    placed = np.ascontiguousarray(pattern.transpose(1, 2, 0))
    return np.asarray(cv2.warpAffine(placed, matrix, (shape[1], shape[0]), flags=flags), np.float32)


def _changed(target: Pixels, pattern: Floats, levels: float) -> Pixels:
    change = np.rint(np.clip(pattern, -1, 1) * np.float32(levels))
    return np.asarray(np.clip(target.astype(np.float32) + change, 0, 255), np.uint8)
