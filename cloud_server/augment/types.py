"""The words of augmentation: what is read, what is to be made, and what was made of what."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "Codec",
    "Draw",
    "Kind",
    "Labels",
    "Picture",
    "Provenance",
    "Sample",
    "Source",
]

# Levels of 8 bits, H W C with C 1 or 3 (RGB).
Picture: TypeAlias = npt.NDArray[np.uint8]
# Indices into a tuple of names, N.
Labels: TypeAlias = npt.NDArray[np.int64]


class Source(Protocol):
    """A dataset that is read lazily, in an order that never changes: by name, or as the file has it."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels."""

    @property
    def labels(self) -> Labels:
        """The label of each image, N."""

    @property
    def groups(self) -> Labels | None:
        """The value of the bias attribute of each image, N; None where the dataset has none."""

    @property
    def group_names(self) -> tuple[str, ...]:
        """Names of the bias attribute's values; empty where the dataset has none."""

    @property
    def split(self) -> str:
        """`train`, `validation`, `test`, or empty where the dataset does not say."""

    def __len__(self) -> int:
        """How many images."""

    def name(self, index: int) -> str:
        """Relative, with slashes, unique in the dataset."""

    def read(self, index: int) -> Picture:
        """The decoded image.

        Raises:
            GoodnoiseError: CORRUPT or INVALID_INPUT naming the image.
        """

    def digest(self, index: int) -> str:
        """SHA-256 of the image as stored, hexadecimal."""


class Codec(Protocol):
    """A file format for what is made: samples are judged after they went through it."""

    @property
    def suffix(self) -> str:
        """With the dot: `.png`."""

    @property
    def name(self) -> str:
        """Format and settings as provenance says them: `png`, `jpeg-95-444`."""

    def encode(self, picture: Picture) -> bytes:
        """The file; the same bytes for the same picture."""

    def decode(self, data: bytes) -> Picture:
        """What everyone will read from it."""


class Kind(StrEnum):
    """What a sample is, so that nobody takes one for another."""

    ADVERSARIAL = "adversarial"  # perturbed, and its target was reached
    UNACCEPTED = "unaccepted"  # perturbed, kept by the recipe's will although its target was not reached
    DUPLICATE = "duplicate"  # an image of the rare class again: what some recipes fall back to
    UNPERTURBED = "unperturbed"  # a control: another class's image with the target label
    NOISE = "noise"  # a control: random noise of the budget's size


@dataclass(frozen=True)
class Draw:
    """One sample to be made. A plan is a tuple of draws; it follows from labels, recipe and seed alone.

    Args:
        number: place in the plan, from 0; with the seed it keys everything random.
        label: what the sample will be called, an index of the source's classes.
        target: what the surrogate is to see in it: a class, or for recipes against bias a group.
        seeds: images to perturb, tried in this order until one is accepted.
        spare: the image that is repeated when the recipe falls back to a duplicate; -1 for none.
    """

    number: int
    label: int
    target: int
    seeds: tuple[int, ...]
    spare: int = -1


@dataclass(frozen=True)
class Provenance:
    """Where a sample comes from: one row of `metadata.csv`, all of it public to whoever has the dataset.

    Args:
        kind: what it is.
        parent: name of the image it was made from.
        parent_sha256: of that image as stored.
        source_label: the parent's class by name.
        target_label: the sample's class by name.
        target: what the surrogate was to see, a class or a group by name.
        surrogate_sha256: of the surrogate's weights; empty for kinds that need none.
        recipe: name and version of the row in the table.
        budget: what the perturbation had to keep, as text: `l2 0.5`, `linf 8`.
        l2: size of the perturbation in the units of [0,1], after rounding and encoding.
        levels: largest change of a pixel, in levels of 8 bits, after rounding and encoding.
        steps: of the attack; 0 where nothing was attacked.
        confidence: of the surrogate in the target, after rounding and encoding, in [0,1].
        accepted: whether the recipe's condition held, after rounding and encoding.
        tries: parents tried, this one included.
        encoding: the codec's name.
        seed: of the run.
        number: of the draw.
    """

    kind: Kind
    parent: str
    parent_sha256: str
    source_label: str
    target_label: str
    target: str
    surrogate_sha256: str
    recipe: str
    budget: str
    l2: float
    levels: int
    steps: int
    confidence: float
    accepted: bool
    tries: int
    encoding: str
    seed: int
    number: int


@dataclass(frozen=True, eq=False)
class Sample:
    """One made sample.

    Args:
        draw: what was asked for.
        parent: index of the image it was made from.
        data: the encoded file.
        picture: what is decoded from it, H W C.
        provenance: its row.
        replaced: for a duplicate, the surrogate's confidence, in [0,1], in the attempt that it stands in for.
    """

    draw: Draw
    parent: int
    data: bytes
    picture: Picture
    provenance: Provenance
    replaced: float | None = None
