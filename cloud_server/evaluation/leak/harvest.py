"""What devices compute from faces, kept on disk in chunks: the costly part, resumed where it was cut off."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cloud_server.hints.data import FaceSet
from cloud_server.hints.nets import Net
from shared.attack.attack import run
from shared.attack.budgets import Linf
from shared.attack.keys import Keys
from shared.attack.table import ATTACKS
from shared.files import write_atomically
from shared.levels.bits import pack_bits
from shared.levels.frame import RandomFrame, random_start
from shared.levels.signs import signs_of
from shared.levels.sketch import SKETCH_BITS, sketch_of

__all__ = ["Arrays", "Device", "Report", "Rows", "stored"]

Floats = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray[Any]]
Rows = npt.NDArray[np.intp]
# Called with what is being done, how much is done, and of how much. May raise to stop.
Report = Callable[[str, int, int], None]

_CHUNK = 64
_BATCH = 16
_LEVELS = 8.0
# Of start and frame, that an attacker makes of a published photo.
_DRAWS = 5


def stored(folder: Path, name: str, count: int, compute: Callable[[Rows], Arrays], report: Report) -> Arrays:
    """Arrays of `count` rows; each chunk that an earlier run finished is read back.

    Args:
        folder: keeps `NAME-ROW.npz`.
        name: of the arrays.
        count: rows in all.
        compute: arrays of some rows, by name.
        report: called after each chunk.
    """
    parts: list[Arrays] = []
    for start in range(0, count, _CHUNK):
        path = folder / f"{name}-{start:06d}.npz"
        rows = np.arange(start, min(start + _CHUNK, count))
        if not path.exists():
            _write(path, compute(rows))
        with np.load(path, allow_pickle=False) as kept:
            parts.append({key: kept[key] for key in kept.files})
        report(name, int(rows[-1]) + 1, count)
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _write(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    write_atomically(path, stream.getvalue())


@dataclass(frozen=True, eq=False)
class Device:
    """Devices' network at work on faces; every method takes rows of them.

    Args:
        net: the surrogate.
        faces: the photos.
        anchors: unit embeddings of the clean faces by the same network, N D.
        seed: of starts and frames.
    """

    net: Net
    faces: FaceSet
    anchors: Floats
    seed: int

    def fresh(self, rows: Rows, *, call: int) -> Arrays:
        """As levels `sketch` and `sign` compute it: random start, random frame.

        Returns:
            `bits` N 16, `signs` N 4704 (packed), and of call 0 also `gradient` float16 N 3 112 112.
        """
        images = self.faces.images(rows)
        at = np.stack([self._moved(face, int(row), call) for face, row in zip(images, rows, strict=True)])
        gradients = self._gradients(self.anchors[rows], at)
        found: Arrays = {
            "bits": np.stack([sketch_of(gradient) for gradient in gradients]),
            "signs": np.stack([np.frombuffer(pack_bits(signs_of(g)), np.uint8) for g in gradients]),
        }
        return found | {"gradient": _halves(gradients)} if call == 0 else found

    def fixed(self, rows: Rows) -> Arrays:
        """The same with one start for all and no frame: the twin without noise; `bits`."""
        images, rng = self.faces.images(rows), np.random.default_rng(0)
        noise = rng.uniform(-_LEVELS, _LEVELS, images.shape[1:]).astype(np.float32) / np.float32(255)
        gradients = self._gradients(self.anchors[rows], np.clip(images + noise, 0, 1))
        return {"bits": np.stack([sketch_of(gradient) for gradient in gradients])}

    def cloak(self, rows: Rows, *, steps: int = 10) -> Arrays:
        """What the predecessor sends (APF, MM 2020), `x_adv - x`: `cloak`, int8 levels N 3 112 112."""
        attack = replace(ATTACKS["mi-fgsm"], steps=steps, random_start=0.5)
        parts = []
        for part in _parts(rows):
            oracle, ids = self.net.away_from(self.anchors[part]), tuple(part.tolist())
            found = run(attack, oracle, self.faces.images(part), Linf(_LEVELS), seed=self.seed, ids=ids)
            parts.append(np.rint(np.asarray(found.delta) * 255).astype(np.int8))
        return {"cloak": np.concatenate(parts)}

    def expected(self, rows: Rows, *, shown: Floats, anchors: Floats) -> Arrays:
        """What an attacker who has published photos expects their payloads to be: the mean over draws.

        Args:
            rows: of the photos, for the draws alone.
            shown: the published faces, N 3 112 112.
            anchors: their embeddings; the attacker has no others.

        Returns:
            Sums of +1 and -1 over draws of start and frame: `bits` float32 N 16, `signs` int8 N 3 112 112.
        """
        bits = np.zeros((len(rows), SKETCH_BITS), np.float32)
        signs = np.zeros(shown.shape, np.int8)
        for draw in range(_DRAWS):
            moved = [self._moved(face, int(row), -1 - draw) for face, row in zip(shown, rows, strict=True)]
            gradients = self._gradients(anchors, np.stack(moved))
            bits += [np.where(sketch_of(gradient), 1, -1) for gradient in gradients]
            signs += np.stack([np.where(signs_of(gradient), 1, -1) for gradient in gradients]).astype(np.int8)
        return {"bits": bits, "signs": signs}

    def _moved(self, face: Floats, row: int, call: int) -> Floats:
        # Seeded by photo and call, so that a resumed run gives the same; a device takes the system's.
        rng = np.random.default_rng([self.seed, 1 + _DRAWS + call, row])
        frame = RandomFrame.draw(rng)
        return frame.apply(random_start(face, rng))

    def _gradients(self, anchors: Floats, at: Floats) -> Floats:
        found = []
        for part in _parts(np.arange(len(at))):
            keys = Keys(self.seed, tuple(part.tolist()))
            found.append(np.asarray(self.net.away_from(anchors[part])(at[part], keys).gradient, np.float32))
        return np.concatenate(found)


def _parts(rows: Rows) -> list[Rows]:
    return [rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH)]


def _halves(gradients: Floats) -> npt.NDArray[np.float16]:
    # Unit root mean square, so that half precision keeps its digits.
    scale = np.sqrt(np.mean(gradients**2, axis=(1, 2, 3), keepdims=True))
    return np.asarray(gradients / np.maximum(scale, np.float32(1e-20)), np.float16)
