"""Arrays to bytes and back: `.npy` without pickle, held to a type and shape that the reader states.

Bytes from a peer or a disk are never trusted: the header is checked against what was expected before anything
is read, so a few bytes cannot ask for gigabytes, and an object array cannot run code.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.errors import Code, GoodnoiseError

__all__ = ["array_from_bytes", "array_to_bytes"]


def array_to_bytes(array: npt.NDArray[Any]) -> bytes:
    """The array as `.npy` version 1.0, C order, little endian; the same array gives the same bytes.

    Raises:
        ValueError: the array holds objects.
    """
    ordered = np.asarray(array, order="C")
    if ordered.dtype.hasobject:
        raise ValueError(f"an array of {ordered.dtype} holds objects, which do not travel")
    buffer = io.BytesIO()
    little = ordered.astype(ordered.dtype.newbyteorder("<"), copy=False)
    np.lib.format.write_array(buffer, little, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def array_from_bytes(
    content: bytes, *, dtype: npt.DTypeLike, shape: tuple[int | None, ...], what: str
) -> npt.NDArray[Any]:
    """Read what `array_to_bytes` wrote.

    Args:
        content: the `.npy` file.
        dtype: the type it must have.
        shape: the shape it must have; None stands for any length of that axis.
        what: names the array in messages.

    Raises:
        GoodnoiseError: CORRUPT when type, shape or length differ.
    """
    stream = io.BytesIO(content)
    try:
        magic = np.lib.format.read_magic(stream)
        found_shape, fortran, found_dtype = np.lib.format.read_array_header_1_0(stream)
    except (ValueError, EOFError) as error:
        raise _corrupt(what, f"not an .npy file: {error}") from error
    wanted = np.dtype(dtype)
    if magic != (1, 0) or found_dtype != wanted or fortran or not _fits(found_shape, shape):
        raise _corrupt(what, f"{found_dtype} {found_shape}, expected {wanted} {shape}")
    count = int(np.prod(found_shape, dtype=object))
    body = content[stream.tell() :]
    if len(body) != count * wanted.itemsize:
        raise _corrupt(what, f"{len(body)} bytes for shape {found_shape}")
    return np.frombuffer(body, dtype=found_dtype).reshape(found_shape).astype(wanted)


def _fits(found: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(found) == len(wanted) and all(
        f >= 0 and (w is None or f == w) for f, w in zip(found, wanted, strict=True)
    )


def _corrupt(what: str, reason: str) -> GoodnoiseError:
    return GoodnoiseError(Code.CORRUPT, f"{what} cannot be used ({reason}); fetch it again")
