"""Datasets with a group beside the class: a bias that is planted, so that what removes it can be measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from cloud_server.augment.pixels import as_planes
from cloud_server.augment.types import Source
from models.vision.cifar import Labelled
from models.vision.training import Images, Labels

__all__ = ["Cells", "Grouped", "coloured_digits", "from_source", "tinted"]

# Images of each class (row) in each group (column).
Cells = npt.NDArray[np.int64]

_SIDE = 32
_FACES = ("DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "DejaVuSans-Bold", "DejaVuSerif-Bold", "STIXGeneral")
_COLOURS = ((1.0, 0.55, 0.55), (0.55, 1.0, 0.55))
_TINTS = ((1.12, 1.0, 0.88), (0.88, 1.0, 1.12))


@dataclass(frozen=True, eq=False)
class Grouped:
    """Images with two labels. images: N C H W. labels, groups: N, indices of their names."""

    images: Images
    labels: Labels
    groups: Labels
    classes: tuple[str, ...]
    group_names: tuple[str, ...]

    @property
    def cells(self) -> Labels:
        """Class and group as one number, N."""
        return self.labels * len(self.group_names) + self.groups

    def take(self, rows: Labels) -> Grouped:
        """Some of them, in that order."""
        names = (self.classes, self.group_names)
        return Grouped(self.images[rows], self.labels[rows], self.groups[rows], *names)


def coloured_digits(cells: Cells, *, seed: int) -> Grouped:
    """Digits under noise: 0 to 4 are one class, 5 to 9 the other; the group is the colour.

    Args:
        cells: images of each class and colour, 2 2.
        seed: of digits, faces, places and noise.
    """
    rng = np.random.default_rng([seed, 31])
    fonts = _fonts()
    labels, groups = _spread(cells)
    images = np.stack([_digit(k, g, fonts, rng) for k, g in zip(labels, groups, strict=True)])
    return Grouped(images, labels, groups, ("low", "high"), ("red", "green"))


def tinted(data: Labelled, pair: Sequence[str], cells: Cells, *, seed: int) -> Grouped:
    """Two classes of a dataset; the group is a tint, warm or cold, that was put over the image.

    Args:
        data: images with three channels.
        pair: names of the two classes.
        cells: images of each class and tint, 2 2.
        seed: of which images are taken.

    Raises:
        ValueError: when the data lack a class, or images of one.
    """
    unknown = [name for name in pair if name not in data.classes]
    if unknown or len(pair) != 2:
        raise ValueError(f"pair: needs two of {', '.join(data.classes)}, got {', '.join(pair)}")
    rng = np.random.default_rng([seed, 32])
    rows = []
    for k, name in enumerate(pair):
        members, needed = np.flatnonzero(data.labels == data.classes.index(name)), int(cells[k].sum())
        if len(members) < needed:
            raise ValueError(f"class {name!r} has {len(members)} images, {needed} are needed")
        rows.append(rng.choice(members, size=needed, replace=False))
    labels, groups = _spread(cells)
    factors = np.array(_TINTS)[groups][:, :, None, None]
    images = np.clip(np.rint(data.images[np.concatenate(rows)] * factors), 0, 255).astype(np.uint8)
    return Grouped(images, labels, groups, (pair[0], pair[1]), ("warm", "cold"))


def from_source(source: Source, *, size: int = _SIDE) -> Grouped:
    """All images of a source with groups, brought to one size.

    Raises:
        ValueError: when it has no groups.
        GoodnoiseError: for an image that cannot be read.
    """
    if source.groups is None:
        raise ValueError("bias: the dataset has no groups; name the column that holds them")
    shape = (3, size, size)
    pictures = (
        as_planes(source.read(i), shape, name=source.name(i), resize=True) for i in range(len(source))
    )
    images = np.stack(list(pictures))
    return Grouped(images, source.labels, source.groups, tuple(source.classes), tuple(source.group_names))


def _spread(cells: Cells) -> tuple[Labels, Labels]:
    labels, groups = np.indices(cells.shape, dtype=np.int64).reshape(2, -1)
    return np.repeat(labels, cells.reshape(-1)), np.repeat(groups, cells.reshape(-1))


def _fonts() -> list[ImageFont.FreeTypeFont]:
    import matplotlib as mpl

    folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
    return [ImageFont.truetype(str(folder / f"{face}.ttf"), size) for face in _FACES for size in (16, 20, 24)]


def _digit(
    label: int, group: int, fonts: Sequence[ImageFont.FreeTypeFont], rng: np.random.Generator
) -> Images:
    canvas = Image.new("L", (_SIDE, _SIDE), 0)
    place = (_SIDE / 2 + rng.uniform(-3, 3), _SIDE / 2 + rng.uniform(-3, 3))
    text, font = str(5 * label + rng.integers(5)), fonts[int(rng.integers(len(fonts)))]
    ImageDraw.Draw(canvas).text(place, text, fill=255, font=font, anchor="mm")
    canvas = canvas.rotate(float(rng.uniform(-20, 20)), Image.Resampling.BILINEAR)
    ink = np.asarray(canvas, np.float64)[None] * np.array(_COLOURS[group])[:, None, None]
    noise = rng.normal(0, 40, (3, _SIDE, _SIDE))
    return np.asarray(np.clip(60 + 0.5 * ink + noise, 0, 255), np.uint8)
