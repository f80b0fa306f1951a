"""File formats of what is made. Samples are judged after they went through one."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from PIL import Image

from cloud_server.augment.formats.pictures import decode
from cloud_server.augment.types import Codec, Picture
from shared.errors import Code, GoodnoiseError

__all__ = ["CODECS", "PillowCodec", "codec"]


@dataclass(frozen=True)
class PillowCodec:
    """A format of Pillow with fixed settings.

    Args:
        name: as provenance says it.
        suffix: with the dot.
        format: Pillow's name.
        settings: of `Image.save`.
    """

    name: str
    suffix: str
    format: str
    settings: dict[str, Any] = field(default_factory=dict, hash=False)

    def encode(self, picture: Picture) -> bytes:
        """The file of a picture H W C; the same bytes for the same picture."""
        file = io.BytesIO()
        flat = picture[:, :, 0] if picture.shape[2] == 1 else picture
        Image.fromarray(flat).save(file, self.format, **self.settings)
        return file.getvalue()

    def decode(self, data: bytes) -> Picture:
        """What everyone reads from it, H W C."""
        return decode(data, f"a file of {self.name}")


CODECS: MappingProxyType[str, Codec] = MappingProxyType(
    {
        "png": PillowCodec("png", ".png", "PNG"),
        # All of the colour: halving it would take most of a perturbation away.
        "jpeg-95": PillowCodec("jpeg-95-444", ".jpg", "JPEG", {"quality": 95, "subsampling": 0}),
        "webp-lossless": PillowCodec(
            "webp-lossless", ".webp", "WEBP", {"lossless": True, "quality": 60, "method": 4, "exact": True}
        ),
    }
)


def codec(name: str) -> Codec:
    """A codec of the table.

    Raises:
        GoodnoiseError: INVALID_INPUT for a name that is not in it.
    """
    if name not in CODECS:
        raise GoodnoiseError(Code.INVALID_INPUT, f"encoding is {name!r}, expected one of {', '.join(CODECS)}")
    return CODECS[name]
