"""Images in arrays: in memory, or in an .npz file that is mapped and not read whole."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cloud_server.augment.formats.files import files_of_split
from cloud_server.augment.formats.pictures import png, sha256
from cloud_server.augment.formats.splits import split_of, wanted_split
from cloud_server.augment.types import Labels, Picture
from shared.errors import Code, GoodnoiseError

__all__ = ["ArraySource", "indices_of", "open_arrays"]


class ArraySource:
    """Images of one size.

    Args:
        images: uint8 N H W C or N H W.
        labels: integers or names, N.
        classes: names of integer labels; the numbers themselves by default.
        groups: the bias attribute, as labels; None for none.
        group_names: as classes.
        split: which part of a dataset this is.

    Raises:
        GoodnoiseError: INVALID_INPUT naming the argument that does not fit.
    """

    def __init__(
        self,
        images: npt.NDArray[np.uint8],
        labels: npt.ArrayLike,
        *,
        classes: Sequence[str] | None = None,
        groups: npt.ArrayLike | None = None,
        group_names: Sequence[str] | None = None,
        split: str = "",
    ) -> None:
        if images.dtype != np.uint8 or images.ndim not in (3, 4) or images.shape[3:] not in ((), (1,), (3,)):
            raise GoodnoiseError(
                Code.INVALID_INPUT,
                f"images are {images.dtype} of shape {images.shape}, expected uint8 N H W or N H W C",
            )
        self._images = images
        self.labels, self.classes = indices_of("labels", labels, classes, count=len(images))
        self.groups: Labels | None = None
        self.group_names: tuple[str, ...] = ()
        if groups is not None:
            self.groups, self.group_names = indices_of("groups", groups, group_names, count=len(images))
        self.split = split

    def __len__(self) -> int:
        """How many images."""
        return len(self._images)

    def name(self, index: int) -> str:
        """Its number, by class."""
        return f"{self.classes[self.labels[index]]}/{index:06d}.png"

    def read(self, index: int) -> Picture:
        """The image, H W C."""
        image = np.array(self._images[index])
        return image[:, :, None] if image.ndim == 2 else image

    def digest(self, index: int) -> str:
        """SHA-256 of the pixels."""
        return sha256(self.read(index).tobytes())

    def data(self, index: int) -> bytes:
        """The image as a PNG file."""
        return png(self.read(index))


def indices_of(
    what: str, values: npt.ArrayLike, names: Sequence[str] | None, *, count: int
) -> tuple[Labels, tuple[str, ...]]:
    """Labels as indices into their names.

    Args:
        what: their name in errors.
        values: integers, or names.
        names: of integers; None takes the numbers themselves, as many as there are.
        count: how many are expected.

    Raises:
        GoodnoiseError: INVALID_INPUT for another count or kind, or a number without a name.
    """
    array = np.asarray(values)
    if array.shape != (count,):
        raise GoodnoiseError(Code.INVALID_INPUT, f"{what} have shape {array.shape}, expected ({count},)")
    if array.dtype.kind in "US" or (array.dtype == object and all(isinstance(v, str) for v in array)):
        known = sorted({str(value) for value in array}) if names is None else [str(name) for name in names]
        if unknown := {str(value) for value in array} - set(known):
            raise GoodnoiseError(Code.INVALID_INPUT, f"{what} hold {sorted(unknown)[0]!r}, which is no class")
        place = {name: index for index, name in enumerate(known)}
        return np.array([place[str(value)] for value in array], np.int64), tuple(known)
    if array.dtype.kind not in "iub":
        raise GoodnoiseError(Code.INVALID_INPUT, f"{what} are {array.dtype}, expected integers or names")
    numbers = array.astype(np.int64)
    most = int(numbers.max(initial=-1)) + 1
    known = [str(index) for index in range(most)] if names is None else [str(name) for name in names]
    if count and (numbers.min() < 0 or most > len(known)):
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"{what} reach from {numbers.min()} to {most - 1}, but there are {len(known)} names",
        )
    return numbers, tuple(known)


def open_arrays(path: Path, *, split: str | None, group: str | None, label: str = "label") -> ArraySource:
    """A source over arrays `images`, `labels`, and perhaps `classes`, `groups`, `group_names`.

    Args:
        path: an .npz file, a folder with one (of a split), or a folder with `images.npy` and the others.
        split: which part.
        group: name of the array of the bias attribute; None takes `groups` where it is there.
        label: name of the array of labels where there is no `labels`.

    Raises:
        GoodnoiseError: CORRUPT for what is no such file, INVALID_INPUT for arrays that do not fit.
    """
    if path.name == "images.npy":
        path = path.parent
    if (path / "images.npy").is_file():
        return _source(_of_folder(path), path, wanted_split(split, split_of(path)), group, label)
    files, part = files_of_split(path, "*.npz", split)
    if len(files) > 1:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{path} holds {len(files)} files .npz of one split; give one of them"
        )
    return _source(_of_file(files[0]), files[0], part, group, label)


def _source(arrays: dict[str, Any], path: Path, split: str, group: str | None, label: str) -> ArraySource:
    labels = "labels" if "labels" in arrays else label
    chosen = group or ("groups" if "groups" in arrays else None)
    for key in ("images", labels, chosen):
        if key is not None and key not in arrays:
            raise GoodnoiseError(
                Code.INVALID_INPUT, f"{path.name} has no array {key!r}, it has {', '.join(sorted(arrays))}"
            )
    return ArraySource(
        arrays["images"],
        arrays[labels],
        classes=_texts(arrays.get("classes")),
        groups=None if chosen is None else arrays[chosen],
        group_names=_texts(arrays.get("group_names")),
        split=split,
    )


def _of_file(path: Path) -> dict[str, Any]:
    """The arrays of an .npz file; images stay where they are if it is not compressed."""
    with _corrupt(path), np.load(path, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files if key != "images"}
        if "images" in file.files:
            arrays["images"] = _mapped(path)
        return arrays


def _of_folder(path: Path) -> dict[str, Any]:
    """The arrays of a folder of .npy files; images stay where they are."""
    arrays = {}
    for file in sorted(path.glob("*.npy")):
        with _corrupt(file):
            arrays[file.stem] = np.load(
                file, mmap_mode="r" if file.stem == "images" else None, allow_pickle=False
            )
    return arrays


@contextmanager
def _corrupt(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise GoodnoiseError(Code.CORRUPT, f"{path} cannot be read as arrays: {error}") from error


def _texts(array: npt.NDArray[Any] | None) -> list[str] | None:
    return None if array is None else [str(value) for value in array]


def _mapped(path: Path) -> npt.NDArray[np.uint8]:
    """The images without reading them, where the file is not compressed."""
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("images.npy")
        if member.compress_type == zipfile.ZIP_STORED:
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                header = np.lib.format.read_array_header_1_0 if version == (1, 0) else None
                if header is not None:
                    shape, fortran, dtype = header(file)
                    start = _offset(path, member) + file.tell()
                    if not fortran and not dtype.hasobject:
                        return np.memmap(path, dtype, "r", start, shape)
    with np.load(path, allow_pickle=False) as arrays:
        return np.asarray(arrays["images"])


def _offset(path: Path, member: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin: behind its local header, whose lengths the central one does not tell."""
    with path.open("rb") as file:
        file.seek(member.header_offset + 26)
        name, extra = (int.from_bytes(file.read(2), "little") for _ in range(2))
    return member.header_offset + 30 + name + extra
