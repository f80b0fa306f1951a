"""Pictures of samples: parent, child and their difference, each beside the other."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from cloud_server.augment.records import Example
from cloud_server.augment.types import Picture

__all__ = ["amplification", "caption", "png_of", "sheet", "triple"]

# Height of a picture on the sheet, in pixels, and the space around it.
_SIDE = 104
_GAP = 4
_LINE = 15
_COLUMNS = 3
_FACTORS = (1, 2, 4, 8, 16, 32, 64)


def amplification(examples: Sequence[Example]) -> int:
    """How much differences are amplified: most at which nine of ten that changed stay inside 8 bits."""
    levels = sorted(level for example in examples if (level := int(example.provenance["levels"])))
    usual = levels[int(0.9 * (len(levels) - 1))] if levels else 0
    return max(factor for factor in _FACTORS if factor == 1 or factor * usual <= 127)


def triple(example: Example, factor: int) -> Picture:
    """Parent, child and difference in one row; H W 3. Grey is no difference."""
    before, after = example.pictures()
    change = after.astype(np.int64) - before
    shown = np.clip(128 + factor * change, 0, 255).astype(np.uint8)
    return np.concatenate([_sized(picture) for picture in (before, after, shown)], axis=1)


def caption(example: Example) -> str:
    """What it was, what it is called, and how it went."""
    row = example.provenance
    if row["kind"] == "adversarial":
        said = f"accepted, confidence {row['confidence']:.2f}"
    elif row["kind"] == "unaccepted":
        said = f"NOT accepted, confidence {row['confidence']:.2f}"
    else:
        said = str(row["kind"])
    aim = "" if row["target"] == row["target_label"] else f" (toward {row['target']})"
    return f"{row['source_label']} > {row['target_label']}{aim}: {said}"


def sheet(examples: Sequence[Example], *, title: str) -> bytes:
    """All examples with their captions on one page; a PNG."""
    factor = amplification(examples)
    rows = [(triple(example, factor), caption(example)) for example in examples]
    width = max((picture.shape[1] for picture, _ in rows), default=3 * _SIDE) + 2 * _GAP
    height = max((picture.shape[0] for picture, _ in rows), default=_SIDE) + _LINE + 2 * _GAP
    lines = -(-len(rows) // _COLUMNS)
    page = Image.new("RGB", (_COLUMNS * width, 2 * _LINE + 2 * _GAP + lines * height), "white")
    drawn, font = ImageDraw.Draw(page), ImageFont.load_default(size=11)
    drawn.text((_GAP, _GAP), title, fill="black", font=font)
    drawn.text(
        (_GAP, _GAP + _LINE), f"parent | child | difference x {factor}, grey is none", fill="black", font=font
    )
    for place, (picture, text) in enumerate(rows):
        x = (place % _COLUMNS) * width + _GAP
        y = 2 * _LINE + 2 * _GAP + (place // _COLUMNS) * height
        page.paste(Image.fromarray(picture), (x, y))
        drawn.text((x, y + picture.shape[0]), _fitting(text, font, width - 2 * _GAP), fill="black", font=font)
    return _png(page)


def png_of(picture: npt.NDArray[np.uint8]) -> bytes:
    """H W 3 as a PNG."""
    return _png(Image.fromarray(picture))


def _sized(picture: Picture) -> Picture:
    """As high as all others, with a margin; small ones keep their square pixels."""
    height, width = picture.shape[:2]
    image = Image.fromarray(picture)
    side = (max(round(width * _SIDE / height), 1), _SIDE)
    how = Image.Resampling.NEAREST if height <= _SIDE else Image.Resampling.BOX
    sized = np.asarray(image.resize(side, how), dtype=np.uint8)
    return np.pad(sized, ((0, 0), (0, _GAP), (0, 0)), constant_values=255)


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    while len(text) > 4 and font.getlength(text) > width:
        text = text[:-4] + "..."
    return text


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
