"""Training and test images of an evaluation, in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cloud_server.augment.pixels import as_planes
from cloud_server.augment.types import Source
from models.vision.cifar import Labelled, load_cifar
from shared.errors import Code, GoodnoiseError

__all__ = ["load_pair", "loaded"]


def load_pair(folder: Path, *, cache: Path | None = None) -> tuple[Labelled, Labelled]:
    """`train.tar` and `test.tar` of a folder, or its folders `train` and `test` of class folders.

    Args:
        folder: where they lie.
        cache: a folder for decoded tars.

    Raises:
        GoodnoiseError: NOT_FOUND when it has neither; PRECONDITION when their classes differ.
    """
    if (folder / "train.tar").is_file():
        pair = tuple(load_cifar(folder / f"{part}.tar", cache=cache) for part in ("train", "test"))
    elif (folder / "train").is_dir():
        pair = tuple(loaded(_open(folder / part, part)) for part in ("train", "test"))
    else:
        raise GoodnoiseError(
            Code.NOT_FOUND, f"--data {folder}: needs train.tar and test.tar, or folders train and test"
        )
    train, test = pair
    if train.classes != test.classes:
        raise GoodnoiseError(
            Code.PRECONDITION, f"--data {folder}: train and test have other classes; make them alike"
        )
    return train, test


def loaded(source: Source) -> Labelled:
    """All images of a source, which must have one size.

    Raises:
        GoodnoiseError: INVALID_INPUT naming the image that has another.
    """
    height, width, channels = source.read(0).shape
    shape = (channels, height, width)
    images = np.stack([as_planes(source.read(i), shape, name=source.name(i)) for i in range(len(source))])
    return Labelled(images, np.asarray(source.labels, np.int64), tuple(source.classes))


def _open(folder: Path, split: str) -> Source:
    from cloud_server.augment.formats import open_source

    if not folder.is_dir():
        raise GoodnoiseError(
            Code.NOT_FOUND, f"there is no folder {folder}; an evaluation needs {split} images"
        )
    return open_source(folder, split=split, format="folder")
