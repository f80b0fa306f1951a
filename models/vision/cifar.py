"""Pictures in a tar of class folders, as CIFAR-10 is often passed on, read into memory."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from models.vision.training import Images, Labels
from shared.errors import Code, GoodnoiseError
from shared.files import sha256_of_file, write_atomically

__all__ = ["Labelled", "load_cifar"]

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images with labels. images: uint8 N C H W. labels: N, indices of `classes`."""

    images: Images
    labels: Labels
    classes: tuple[str, ...]

    def take(self, rows: Labels) -> Labelled:
        """Some of them, in that order."""
        return Labelled(self.images[rows], self.labels[rows], self.classes)


def load_cifar(tar: Path, *, cache: Path | None = None) -> Labelled:
    """Read a tar whose members are SOMETHING/CLASS/NAME.jpg (or png), in the order of their names.

    Args:
        tar: the file.
        cache: a folder in which the decoded arrays are kept for the next time.

    Raises:
        GoodnoiseError: NOT_FOUND when there is no such file; CORRUPT for one that is no tar of class folders
            with images of one size.
    """
    if not tar.is_file():
        raise GoodnoiseError(Code.NOT_FOUND, f"there is no file {tar}; give the tar of the class folders")
    kept = None if cache is None else cache / f"{tar.stem}-{sha256_of_file(tar)[:16]}.npz"
    if kept is not None and kept.is_file():
        return _unpack(kept)
    loaded = _read(tar)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, _pack(loaded))
    return loaded


def _read(tar: Path) -> Labelled:
    found: dict[tuple[str, str], Images] = {}
    try:
        with tarfile.open(tar, "r:*") as archive:
            for member in archive:
                path = PurePosixPath(member.name)
                data = archive.extractfile(member) if path.suffix.lower() in _SUFFIXES else None
                if data is not None and len(path.parts) >= 2:
                    found[path.parts[-2], path.name] = _planes(data.read())
        keys = sorted(found)
        classes = tuple(sorted({kind for kind, _ in keys}))
        images = np.stack([found[key] for key in keys])
    except (tarfile.TarError, OSError, ValueError) as error:
        raise GoodnoiseError(
            Code.CORRUPT, f"{tar} is no tar of class folders with images of one size: {error}"
        ) from error
    return Labelled(images, np.array([classes.index(kind) for kind, _ in keys], np.int64), classes)


def _planes(data: bytes) -> Images:
    with Image.open(io.BytesIO(data)) as image:
        return np.ascontiguousarray(np.asarray(image.convert("RGB"), np.uint8).transpose(2, 0, 1))


def _pack(loaded: Labelled) -> bytes:
    content = io.BytesIO()
    classes = np.array(json.dumps(loaded.classes))
    np.savez(content, allow_pickle=False, images=loaded.images, labels=loaded.labels, classes=classes)
    return content.getvalue()


def _unpack(path: Path) -> Labelled:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Labelled(arrays["images"], arrays["labels"], tuple(json.loads(str(arrays["classes"]))))
    except (OSError, ValueError, KeyError) as error:
        raise GoodnoiseError(Code.CORRUPT, f"{path} is damaged; delete it, it will be made again") from error
