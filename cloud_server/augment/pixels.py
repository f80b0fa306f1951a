"""Pictures as a run needs them: one shape for all, planes first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from cloud_server.augment.types import Picture
from shared.errors import Code, GoodnoiseError

__all__ = ["Planes", "as_picture", "as_planes"]

# Levels of 8 bits, C H W, or N C H W for several.
Planes = npt.NDArray[np.uint8]


def as_planes(
    picture: Picture, shape: tuple[int, int, int] | None = None, *, name: str = "", resize: bool = False
) -> Planes:
    """The picture, H W C, as C H W.

    Args:
        picture: as it was read.
        shape: C H W that it must have; None takes it as it is. Grey is repeated for three channels.
        name: of the image, for the error.
        resize: bring another size to this one, by bicubic interpolation.

    Raises:
        GoodnoiseError: INVALID_INPUT for a size or a number of channels that is not the run's.
    """
    if shape is None:
        return np.ascontiguousarray(picture.transpose(2, 0, 1))
    channels, height, width = shape
    if resize and picture.shape[:2] != (height, width):
        picture = _resized(picture, height, width)
    if picture.shape[2] == 1 and channels == 3:
        picture = np.repeat(picture, 3, axis=2)
    if picture.shape != (height, width, channels):
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"image {name!r}: expected {height} x {width} with {channels} channels, got "
            f"{picture.shape[0]} x {picture.shape[1]} with {picture.shape[2]}; make all alike, or set resize",
        )
    return np.ascontiguousarray(picture.transpose(2, 0, 1))


def as_picture(planes: Planes) -> Picture:
    """C H W as H W C."""
    return np.ascontiguousarray(planes.transpose(1, 2, 0))


def _resized(picture: Picture, height: int, width: int) -> Picture:
    flat = picture[:, :, 0] if picture.shape[2] == 1 else picture
    image = Image.fromarray(flat).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.uint8).reshape(height, width, picture.shape[2])
