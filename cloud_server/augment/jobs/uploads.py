"""Images that are sent, written as a folder a class under names of the server's own."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from PIL import Image

from cloud_server.augment.formats.splits import split_called
from cloud_server.augment.job import Job
from cloud_server.augment.jobs.places import JobFolder
from cloud_server.augment.jobs.quotas import Quotas, over
from shared.errors import Code, GoodnoiseError
from shared.files import storage_errors

__all__ = ["SentImage", "Upload", "write_order"]

_SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,63}")
_NAME_BYTES = 255


@dataclass(frozen=True)
class SentImage:
    """One labelled image as it was sent.

    Args:
        content: the file.
        label: its class.
        group: value of the bias attribute; empty for none.
        name: the owner's own, a text and never a path.
    """

    content: bytes
    label: str
    group: str = ""
    name: str = ""


class Upload:
    """Images of one job as they arrive. Its methods write to the disk: call them in a thread.

    Args:
        folder: of the job, empty.
        job: what the recipe says.
        quotas: limits.
    """

    def __init__(self, folder: JobFolder, job: Job, quotas: Quotas) -> None:
        self._folder, self._job, self._quotas = folder, job, quotas
        self._labels: set[str] = set()
        self.count = 0
        self.bytes = 0
        folder.images.mkdir(mode=0o700)
        self._index = _private(folder.uploads)
        self._rows = csv.writer(self._index)
        self._rows.writerow(("file", "label", "group", "name", "sha256"))
        self._groups: IO[str] | None = None
        if job.group is not None:
            self._groups = _private(folder.images / "metadata.csv")
            csv.writer(self._groups).writerow(("file_name", job.group))

    def add(self, image: SentImage) -> None:
        """Write an image.

        Raises:
            GoodnoiseError: INVALID_INPUT naming its number in the upload and what is wrong; EXHAUSTED.
        """
        number = self.count + 1
        suffix = self._checked(image, number)
        name = f"{image.label}/{number:06d}{suffix}"
        with storage_errors(Path("the uploads"), setting="--data"):
            (self._folder.images / image.label).mkdir(mode=0o700, exist_ok=True)
            with os.fdopen(_made(self._folder.images / name), "wb") as file:
                file.write(image.content)
            digest = hashlib.sha256(image.content).hexdigest()
            self._rows.writerow((name, image.label, image.group, image.name, digest))
            if self._groups is not None:
                csv.writer(self._groups).writerow((name, image.group))
        self._labels.add(image.label)
        self.count = number
        self.bytes += len(image.content)

    def finish(self, images: int) -> None:
        """Hold the whole to what was announced.

        Raises:
            GoodnoiseError: INVALID_INPUT for too few images or classes.
        """
        if self.count != images:
            raise _wrong("images", f"said {images} images, {self.count} came; send all of them")
        if len(self._labels) < 2:
            raise _wrong("label", "is the same for all images; send images of two classes or more")
        if all(split_called(label) for label in self._labels):
            raise _wrong("label", "names splits, not classes; send images of the training split by class")
        self.close()

    def close(self) -> None:
        """Let go of the files; a second time nothing."""
        self._index.close()
        if self._groups is not None:
            self._groups.close()

    def _checked(self, image: SentImage, number: int) -> str:
        """The suffix of its format, if the image may be taken in."""
        quotas = self._quotas
        if not _WORD.fullmatch(image.label):
            raise _wrong("label", f"of image {number} {_why(image.label)}")
        if self._groups is not None and not _WORD.fullmatch(image.group):
            raise _wrong("group", f"of image {number} {_why(image.group)} (the recipe names a group)")
        if self._groups is None and image.group:
            raise _wrong(
                "group", f"of image {number} is given, but the recipe names no group; add 'group: NAME'"
            )
        if len(image.name.encode()) > _NAME_BYTES:
            raise _wrong("name", f"of image {number} has more than {_NAME_BYTES} bytes")
        if len(image.content) > quotas.image_bytes:
            size = f"image {number} has {len(image.content)} bytes, at most {quotas.image_bytes} may be"
            raise over("image_bytes", f"{size}; make it smaller")
        if self.bytes + len(image.content) > quotas.upload_bytes:
            most = f"image {number} goes beyond {quotas.upload_bytes} bytes, the most of one job"
            raise over("upload_bytes", f"{most}; send fewer or smaller images")
        return _SUFFIXES[_format(image.content, number, quotas.pixels)]


def write_order(
    folder: JobFolder, *, recipe: str, dataset: Path, include_originals: bool, shown: str, samples: int
) -> None:
    """Write what a worker needs to know.

    Args:
        folder: of the job.
        recipe: text of the recipe file.
        dataset: what is read.
        include_originals: whether results hold the originals too.
        shown: what messages call the dataset in place of its path.
        samples: that may be made at most.
    """
    said = {
        "recipe": recipe,
        "dataset": str(dataset),
        "include_originals": include_originals,
        "shown": shown,
        "samples": samples,
    }
    with _private(folder.order) as file:
        json.dump(said, file)


def _format(content: bytes, number: int, pixels: int) -> str:
    """PNG, JPEG or WEBP, by the file's head alone; its worker reads the rest."""
    try:
        with Image.open(io.BytesIO(content), formats=tuple(_SUFFIXES)) as image:
            width, height, found = image.width, image.height, str(image.format)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _wrong(
            "content", f"of image {number} is no PNG, JPEG or WebP; convert it, or leave it out"
        ) from None
    if width * height > pixels:
        most = f"image {number} has {width} x {height} pixels, at most {pixels} may be"
        raise over("pixels", f"{most}; make it smaller")
    return found


def _why(word: str) -> str:
    if not word:
        return "is empty, and is needed"
    return (
        "holds what it may not: expected letters, digits, blanks, '-', '_' and '.', at most 64, beginning "
        "with a letter, digit or '_'"
    )


def _made(path: Path) -> int:
    """A new file that this user alone can read at any moment."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def _private(path: Path) -> IO[str]:
    return os.fdopen(_made(path), "w", newline="", encoding="utf-8", errors="replace")


def _wrong(field: str, why: str) -> GoodnoiseError:
    return GoodnoiseError(Code.INVALID_INPUT, f"{field} {why}", {"field": field})
