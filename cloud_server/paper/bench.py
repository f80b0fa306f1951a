"""What a process that measures pairs holds: networks, sets, the face mesh; and the settings of a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cloud_server.paper.cloaks import Anchor, Cloak
from cloud_server.paper.datasets import Dataset, Pair, Shot, open_dataset
from cloud_server.paper.landmarks import FaceMesh
from cloud_server.paper.nets import White, load_white
from models.store import Store, load_card
from shared.bundle import sha256_hex
from shared.faces.detect import Detector
from shared.faces.frames import crop
from shared.metrics import psnr, ssim

__all__ = ["Bench", "Faces", "Result", "Settings", "looks", "to_pixels"]

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
# What one pair gave, as JSON values.
Result = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What decides a pair's figures.

    Args:
        table: 'table1' or 'table2'.
        data: names and paths of the sets.
        networks: recognisers, each attacked and each asked.
        attacks: rows of the table of attacks.
        anchors: what attacks move away from.
        levels: budget, Linf, levels of 8 bits.
        seed: of attacks, styles and the choice of pairs.
        models: the folder of the zoo.
    """

    table: str
    data: tuple[tuple[str, str], ...]
    networks: tuple[str, ...]
    attacks: tuple[str, ...]
    anchors: tuple[Anchor, ...]
    levels: float
    seed: int
    models: str

    def cloak(self, anchor: Anchor) -> Cloak:
        """How faces are attacked."""
        return Cloak(self.levels, anchor, self.seed)

    def key(self, store: Store) -> str:
        """Eight letters that differ when anything does that decides figures, networks' weights included."""
        cards = [load_card(name, store.folder) for name in self.networks]
        content = [{**asdict(self), "models": ""}, [sha256_hex(store.read(card)) for card in cards]]
        return sha256_hex(json.dumps(content, sort_keys=True).encode())[:8]


@dataclass(frozen=True, eq=False)
class Faces:
    """A positive pair: enrolled and protected picture."""

    enrolled: Shot
    protected: Shot

    def enrolled_face(self, net: White) -> Floats:
        """The aligned enrolled face, 1 3 S S."""
        return crop(self.enrolled.pixels, self.enrolled.five, net.frame)

    def protected_face(self, net: White, pixels: Pixels | None = None) -> Floats:
        """The aligned protected face, 1 3 S S; of other pixels of the same picture when they are given."""
        return crop(self.protected.pixels if pixels is None else pixels, self.protected.five, net.frame)


@dataclass(frozen=True, eq=False)
class Bench:
    """Everything that measuring a pair needs; made once a process."""

    settings: Settings
    nets: tuple[White, ...]
    datasets: dict[str, Dataset]
    mesh: FaceMesh | None

    @classmethod
    def of(cls, settings: Settings) -> Bench:
        """Load networks and open the sets.

        Raises:
            GoodnoiseError: for what is missing or broken.
        """
        store = Store(Path(settings.models))
        detector = Detector(store.read(load_card("yunet", store.folder)))
        datasets = {name: open_dataset(name, Path(path), detector) for name, path in settings.data}
        mesh = FaceMesh.of(store) if settings.table == "table2" else None
        return cls(settings, load_white(settings.networks, store), datasets, mesh)

    def faces(self, dataset: str, pair: Pair) -> Faces | None:
        """Both pictures of a pair, or None when a face is found in one of them only or in none."""
        known = self.datasets[dataset]
        enrolled, protected = known.shot(pair.first), known.shot(pair.second)
        return None if enrolled is None or protected is None else Faces(enrolled, protected)

    def compared(self, dataset: str, pair: Pair) -> Result:
        """Similarities of a pair as it is, by recogniser; {'missing': True} without a face."""
        faces = self.faces(dataset, pair)
        if faces is None:
            return {"missing": True}
        return {
            net.name: net.similarity(
                net.embed(faces.enrolled_face(net))[0], net.embed(faces.protected_face(net))[0]
            )
            for net in self.nets
        }


Measure = Callable[[Bench, Faces, int], Result]


def to_pixels(face: Floats) -> Pixels:
    """An aligned face, 1 3 S S in [0,1], as uint8 S S 3."""
    return np.ascontiguousarray(np.rint(face[0].transpose(1, 2, 0) * 255), dtype=np.uint8)


def looks(before: Floats, after: Floats) -> dict[str, float]:
    """PSNR (dB) and SSIM of two aligned faces, and the largest change in levels."""
    one, two = to_pixels(before), to_pixels(after)
    same = bool((one == two).all())
    return {
        # JSON has no infinity.
        "psnr": 99.0 if same else psnr(one, two),
        "ssim": ssim(one, two),
        "levels": int(np.abs(one.astype(np.int16) - two).max()),
    }
