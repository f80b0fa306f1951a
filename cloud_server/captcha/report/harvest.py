"""Images of the service for an adaptive solver to learn from, kept in a folder: none is made twice."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from cloud_server.captcha.challenges.types import Made
from shared.files import write_atomically

__all__ = ["Harvest", "MakesImages", "Progress", "Readable", "settings_of"]

# Says what is done, how much of it, and of how much.
Progress: TypeAlias = Callable[[str, int, int], None]


class MakesImages(Protocol):
    """As `challenges.maker.Maker`."""

    @property
    def recipe(self) -> object:
        """Its settings."""

    @property
    def version(self) -> str:
        """Of settings and weights: makers of one version make the same images."""

    def make(self, count: int, *, seed: int) -> list[Made]:
        """So many images, those that the gate holds back included."""


@dataclass(frozen=True)
class Readable:
    """Images and what they say.

    Args:
        images: uint8 N H W.
        texts: N.
    """

    images: npt.NDArray[np.uint8]
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, places: Sequence[int] | npt.NDArray[np.int64]) -> Readable:
        """Those at some places."""
        return Readable(self.images[list(places)], tuple(self.texts[place] for place in places))


def settings_of(maker: MakesImages) -> str:
    """What tells one maker's images from another's, hex."""
    return hashlib.sha256(f"{maker.recipe!r} {maker.version}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Harvest:
    """Images that a maker issues, in order; what the gate held back is passed over.

    Args:
        maker: of the images.
        folder: for what was made.
        seed: of the images; they are others than those of a report of the same seed.
        shard: images made at once, and written at once.
    """

    maker: MakesImages
    folder: Path
    seed: int
    shard: int = 250

    @property
    def key(self) -> str:
        """What tells these images from another harvest's."""
        return f"{settings_of(self.maker)}-{self.seed}-{self.shard}"

    def first(self, count: int, progress: Progress) -> Readable:
        """The first images, made now where they are not in the folder.

        Args:
            count: how many.
            progress: told after each shard.
        """
        images: list[npt.NDArray[np.uint8]] = []
        texts: list[str] = []
        shard = 0
        while len(texts) < count:
            found = self._shard(shard)
            images.append(found.images)
            texts += found.texts
            shard += 1
            progress("images of the service to learn from", min(len(texts), count), count)
        return Readable(np.concatenate(images)[:count], tuple(texts[:count]))

    def _shard(self, number: int) -> Readable:
        path = self.folder / f"images-{self.key}-{number:04}.npz"
        if not path.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, _packed(self._made(number)))
        with np.load(path, allow_pickle=False) as packed:
            return Readable(packed["images"], tuple(str(text) for text in packed["texts"]))

    def _made(self, number: int) -> list[Made]:
        seed = int(np.random.SeedSequence([self.seed, 1, number]).generate_state(1, np.uint64)[0] >> 1)
        made = [item for item in self.maker.make(self.shard, seed=seed) if item.passed]
        return made or self._made(number + 1_000_000)


def _packed(made: Sequence[Made]) -> bytes:
    buffer = io.BytesIO()
    texts = np.array([item.rendered.text for item in made])
    np.savez_compressed(buffer, images=np.stack([item.attacked for item in made]), texts=texts)
    return buffer.getvalue()
