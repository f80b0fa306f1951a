"""The experiment from letters to counts: train, distort level by level, let every reader read."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cloud_server.paper.figure1.distortions import fgsm, fgsm_once, gaussian, gaussian_sum, random_signs, rmse
from cloud_server.paper.figure1.letters import Letters, cover, make_letters, to_levels, with_noise
from cloud_server.paper.figure1.networks import Recogniser
from cloud_server.paper.figure1.proxies import Observer, stroke_contrast
from cloud_server.paper.figure1.readers import Reader
from cloud_server.paper.figure1.settings import LETTERS, Protocol, Unit
from cloud_server.paper.figure1.training import trained
from cloud_server.paper.journal import Journal
from shared.errors import Code, GoodnoiseError
from shared.files import storage_errors, write_atomically

__all__ = [
    "ORIGINAL",
    "Bench",
    "Levelled",
    "Progress",
    "kept_levels",
    "level_key",
    "measure_all",
    "train_all",
    "unit_path",
]

Floats = npt.NDArray[np.float32]
Levels = npt.NDArray[np.uint8]
Progress = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
# In the journal: the images before any distortion.
ORIGINAL = "original"
_READ_BATCH = 260


@dataclass(eq=False)
class Bench:
    """Test images and everyone who reads them.

    Args:
        protocol: what decides the figures.
        letters: the test part, without noise.
        networks: trained here, by name.
        readers: not trained here, by name.
        original: the images at level 0, uint8 N 1 S S.
        start: the same in [0,1].
        kept: which images proxies look at, pictures show and the study takes.
    """

    protocol: Protocol
    letters: Letters
    networks: Mapping[str, Recogniser]
    readers: Mapping[str, Reader]
    original: Levels = field(init=False)
    start: Floats = field(init=False)
    kept: npt.NDArray[np.intp] = field(init=False)
    _observer: Observer = field(init=False)
    _covers: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.original = with_noise(self.letters, self.protocol.noise, seed=self.protocol.seed)
        self.start = self.original.astype(np.float32) / np.float32(255)
        self.kept = self.letters.first(self.protocol.kept)
        geometries = tuple(self.letters.geometries[i] for i in self.kept)
        labels = self.letters.labels[self.kept]
        self._covers = np.stack([cover(g, int(label)) for g, label in zip(geometries, labels, strict=True)])
        self._observer = Observer.of(geometries)

    def next_level(self, unit: Unit, now: Floats, level: int) -> Floats:
        """Images N 1 S S at a level, from those at the level before."""
        start, labels = self.start, self.letters.labels
        if unit.distortion == "gaussian":
            return gaussian(now, self.protocol, level=level)
        if unit.distortion == "gaussian-sum":
            return gaussian_sum(now, self.protocol, level=level)
        if unit.distortion == "signs":
            return random_signs(start, self.protocol, level=level)
        network = self.networks[unit.source]
        if unit.distortion == "fgsm":
            return fgsm(network, now, labels, self.protocol)
        return fgsm_once(network, start, labels, self.protocol, level=level)

    def measured(self, images: Levels, *, public: bool = True) -> dict[str, Any]:
        """Counts of right answers by reader, as [right, asked], proxies, and the size of the change.

        Args:
            images: of the whole set, at a level.
            public: whether the readers that were not trained here read too.
        """
        read = {name: self._hits(_answers(network, images)) for name, network in self.networks.items()}
        chosen = self.letters.first(self.protocol.read)
        for name, reader in self.readers.items() if public else ():
            answers = np.array(reader(images[chosen, 0]))
            right = int((answers == np.array(list(LETTERS))[self.letters.labels[chosen]]).sum())
            read[name] = [right, len(chosen)]
        seen = images[self.kept]
        return {
            "rmse": float(rmse(images, self.original).mean()),
            "read": read,
            "observer": self._hits(self._observer.read(seen), self.kept),
            "contrast": float(np.median(stroke_contrast(seen, self._covers))),
        }

    def _hits(self, answers: npt.NDArray[Any], chosen: npt.NDArray[np.intp] | None = None) -> list[int]:
        labels = self.letters.labels if chosen is None else self.letters.labels[chosen]
        return [int((answers == labels).sum()), len(labels)]


def train_all(protocol: Protocol, folder: Path, *, progress: Progress) -> dict[str, Recogniser]:
    """The recognisers by name, trained or read from the folder."""
    letters = make_letters("train", protocol.train, seed=protocol.seed)
    networks = {}
    with progress("training") as report:
        total = protocol.updates * len(protocol.nets)
        for number, net in enumerate(protocol.nets):
            done = number * protocol.updates

            def tell(step: int, done: int = done) -> None:
                report(done + step, total)

            networks[net.name] = trained(net, protocol, letters, folder=folder, report=tell)
    return networks


def measure_all(bench: Bench, journal: Journal, work: Path, *, progress: Progress) -> None:
    """Measure what the journal does not hold: the original images, and every level of every unit.

    Args:
        bench: images and readers.
        journal: of this protocol and these readers.
        work: where the images of an interrupted unit are kept.
        progress: opens a bar.
    """
    protocol = bench.protocol
    with progress("levels") as report:
        total = 1 + len(protocol.units) * protocol.levels
        report(0, total)
        if ORIGINAL not in journal:
            journal.add(ORIGINAL, bench.measured(bench.original))
        for number, unit in enumerate(protocol.units):
            done = 1 + number * protocol.levels

            def tell(level: int, done: int = done) -> None:
                report(done + level, total)

            _measure_unit(bench, unit, journal, unit_path(work, unit), tell)


def _measure_unit(
    bench: Bench, unit: Unit, journal: Journal, path: Path, tell: Callable[[int], None]
) -> None:
    state = Levelled.load(path, bench, unit, journal)
    for level in range(1, bench.protocol.levels + 1):
        if level > state.level:
            state.advance(bench, unit)
            # On the disk before it is measured, so that the journal is never ahead.
            state.save(path)
        if level_key(unit, level) not in journal:
            journal.add(level_key(unit, level), bench.measured(to_levels(state.now), public=_public(unit)))
        tell(level)


class Levelled:
    """The images of a unit at the level it has reached, and those that pictures and the study show.

    Args:
        level: reached.
        now: float32 N 1 S S; empty once the last level was saved.
        kept: the first images of each letter at each level from 0, uint8 1+level n 1 S S.
    """

    def __init__(self, level: int, now: Floats, kept: Levels) -> None:
        self.level, self.now, self.kept = level, now, kept

    @classmethod
    def load(cls, path: Path, bench: Bench, unit: Unit, journal: Journal) -> Levelled:
        """Where an interrupted unit stands, or its beginning."""
        known = _read_state(path)
        levels = range(1, known.level + 1) if known is not None else ()
        if known is not None and all(level_key(unit, level) in journal for level in levels[:-1]):
            return known
        return cls(0, bench.start, bench.original[None, bench.kept])

    def advance(self, bench: Bench, unit: Unit) -> None:
        """Distort by one level."""
        self.level += 1
        self.now = bench.next_level(unit, self.now, self.level)
        self.kept = np.concatenate([self.kept, to_levels(self.now[bench.kept])[None]])

    def save(self, path: Path) -> None:
        """Write the state, whole or not at all."""
        stream = io.BytesIO()
        np.savez(stream, level=self.level, now=self.now, kept=self.kept)
        with storage_errors(path.parent, setting="--out"):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, stream.getvalue())


def _public(unit: Unit) -> bool:
    # They take most of the time: of adversarial images they read those of the paper's kind of recogniser,
    # which learnt from noise, with the gradient anew at each step.
    return unit.distortion != "fgsm-once" and (not unit.source or unit.source.endswith("-noise"))


def level_key(unit: Unit, level: int) -> str:
    """In the journal."""
    return f"{unit.name} {level}"


def kept_levels(path: Path) -> Levels:
    """The kept images of a finished unit, uint8 1+levels n 1 S S.

    Raises:
        GoodnoiseError: NOT_FOUND when the unit was not measured, or its file is damaged.
    """
    state = _read_state(path)
    if state is None:
        raise GoodnoiseError(Code.NOT_FOUND, f"{path} is missing or damaged; remove it and run figure1 again")
    return state.kept


def unit_path(work: Path, unit: Unit) -> Path:
    """Where a unit's images are kept."""
    return work / f"{unit.name.replace(' ', '-')}.npz"


def _read_state(path: Path) -> Levelled | None:
    try:
        with np.load(path) as stored:
            return Levelled(int(stored["level"]), stored["now"], stored["kept"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        # Made again from the beginning.
        return None


def _answers(network: Recogniser, images: Levels) -> npt.NDArray[np.int64]:
    with torch.no_grad():
        parts = [
            network.read(torch.from_numpy(images[at : at + _READ_BATCH].astype(np.float32)) / 255)
            for at in range(0, len(images), _READ_BATCH)
        ]
    return np.asarray(torch.cat(parts).numpy())
