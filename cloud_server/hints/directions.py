"""Directions of the ensemble for one request: along what a device sent, on faces that are public.

The server does not see the device's face. It takes the public faces whose own gradients look most like what
came, moves them a little along it, and asks every recogniser of the ensemble which way leads away from
whom they show. What comes out depends on the request and on each member.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from shared.attack.keys import Keys
from shared.attack.oracles import unit
from shared.errors import Code, GoodnoiseError
from shared.levels.frame import random_start
from shared.levels.signs import signs_of
from shared.levels.sketch import sketch_of, upsampled

if TYPE_CHECKING:
    from cloud_server.hints.nets import Net  # brings onnx, which a server without an ensemble does not load

__all__ = ["DirectionSettings", "Directions", "StillWanted"]

Floats = npt.NDArray[np.float32]
Bits = npt.NDArray[np.bool_]
StillWanted = Callable[[], bool]

_SHAPE = (3, 112, 112)
# An answer is cut at so many deviations, so that a few large numbers do not cost the others their sign.
_DEVIATIONS = 4.0


@dataclass(frozen=True)
class DirectionSettings:
    """How a request is answered.

    Args:
        chosen: public faces that answer it.
        step_levels: how far they are moved along what came, in levels of 8 bits.
        starts: random starts whose gradients are averaged when a public face is looked at first.
        batch: faces a call of a network.
        seed: of those starts.
    """

    chosen: int = 8
    step_levels: float = 8.0
    starts: int = 3
    batch: int = 8
    seed: int = 0


class Directions:
    """The ensemble and the public faces; used by one thread at a time.

    Args:
        nets: the ensemble; the first one's gradients are compared with what devices send, so it is best the
            first surrogate of the bundle.
        faces: uint8 N 3 112 112, aligned in the frame 'arcface112', of people who are public.
        settings: see there.
    """

    def __init__(
        self,
        nets: Sequence[Net],
        faces: npt.NDArray[np.uint8],
        settings: DirectionSettings | None = None,
    ) -> None:
        if not nets:
            raise ValueError("nets: expected one or more, got none")
        if faces.dtype != np.uint8 or faces.ndim != 4 or faces.shape[1:] != _SHAPE or not len(faces):
            raise ValueError(f"faces are {faces.dtype} {faces.shape}, expected uint8 N 3 112 112")
        self._nets = tuple(nets)
        self._settings = settings or DirectionSettings()
        self._faces = faces
        self._anchors = [self._embedded(net) for net in self._nets]
        gradients = self._gradients_of_first()
        self._signs = np.stack([signs_of(g).ravel() for g in gradients])
        self._sketches = np.stack([sketch_of(g) for g in gradients])

    def along_sketch(self, bits: Bits, wanted: StillWanted) -> npt.NDArray[np.int8]:
        """The ensemble's direction for a sketch.

        Args:
            bits: bool of shape 16.
            wanted: asked between two networks.

        Returns:
            int8 3 112 112, +-127.

        Raises:
            GoodnoiseError: CANCELLED when nobody wants it any more.
        """
        return self._along(upsampled(bits), self._nearest(self._sketches, bits), wanted)

    def along_signs(self, signs: Bits, wanted: StillWanted) -> npt.NDArray[np.int8]:
        """The same for a map of signs, bool 3 112 112."""
        moved = np.where(signs, np.float32(1), np.float32(-1))
        return self._along(moved, self._nearest(self._signs, signs.ravel()), wanted)

    def _nearest(self, known: Bits, bits: Bits) -> npt.NDArray[np.intp]:
        agreement = (known == bits[None]).mean(axis=1)
        return np.argsort(-agreement, kind="stable")[: self._settings.chosen]

    def _along(self, moved: Floats, rows: npt.NDArray[np.intp], wanted: StillWanted) -> npt.NDArray[np.int8]:
        step = np.float32(self._settings.step_levels / 255.0) * moved
        images = np.clip(_images(self._faces[rows]) + step, np.float32(0), np.float32(1))
        total = np.zeros(_SHAPE, np.float64)
        for net, anchors in zip(self._nets, self._anchors, strict=True):
            if not wanted():
                raise GoodnoiseError(Code.CANCELLED, "the call ended before its answer was made")
            gradients = self._gradients(net, anchors[rows], images)
            total += np.asarray(unit(gradients, "l2"), np.float64).mean(axis=0)
        return _as_levels(total)

    def _gradients(self, net: Net, anchors: Floats, images: Floats) -> Floats:
        parts = []
        for start in range(0, len(images), self._settings.batch):
            part = slice(start, start + self._settings.batch)
            keys = Keys(self._settings.seed, tuple(range(len(images[part]))))
            parts.append(np.asarray(net.away_from(anchors[part])(images[part], keys).gradient, np.float32))
        return np.concatenate(parts)

    def _embedded(self, net: Net) -> Floats:
        size = self._settings.batch
        starts = range(0, len(self._faces), size)
        return np.concatenate([net.embed(_images(self._faces[start : start + size])) for start in starts])

    def _gradients_of_first(self) -> Floats:
        """The mean gradient of each public face over a few random starts, as devices compute theirs."""
        rng = np.random.default_rng(self._settings.seed)
        faces = _images(self._faces)
        total = np.zeros_like(faces)
        for _ in range(self._settings.starts):
            images = np.stack([random_start(face, rng) for face in faces])
            total += self._gradients(self._nets[0], self._anchors[0], images)
        return total


def _images(levels: npt.NDArray[np.uint8]) -> Floats:
    return levels.astype(np.float32) / np.float32(255.0)


def _as_levels(direction: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
    """A direction as int8, +-127 where it is largest or cut."""
    cut = min(float(np.abs(direction).max()), _DEVIATIONS * float(direction.std()))
    if cut <= 0.0:
        return np.zeros(_SHAPE, np.int8)
    return np.rint(np.clip(direction / cut, -1.0, 1.0) * 127.0).astype(np.int8)
