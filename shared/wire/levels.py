"""What the requests and answers of the wire levels hold; both sides check it with the same functions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shared.errors import Code, GoodnoiseError
from shared.levels.cluster import CLUSTERS
from shared.levels.signs import SIGN_BYTES
from shared.levels.sketch import SKETCH_BYTES

__all__ = ["ANSWER_BYTES", "answer_levels", "cluster_number", "sign_map", "sketch_bits"]

_SHAPE = (3, 112, 112)
ANSWER_BYTES = 3 * 112 * 112  # int8; at every level that is answered with an image


def cluster_number(value: int) -> int:
    """The number of a public kind of face.

    Raises:
        GoodnoiseError: INVALID_INPUT, `field` in the details.
    """
    if not 0 <= value < CLUSTERS:
        raise _invalid("cluster", f"is {value}, expected 0 to {CLUSTERS - 1}")
    return value


def sketch_bits(value: bytes) -> bytes:
    """The bits of a sketch, 2 bytes.

    Raises:
        GoodnoiseError: INVALID_INPUT, `field` in the details.
    """
    if len(value) != SKETCH_BYTES:
        raise _invalid("bits", f"has {len(value)} bytes, a sketch has {SKETCH_BYTES}")
    return value


def sign_map(value: bytes) -> bytes:
    """A map of signs, 4704 bytes.

    Raises:
        GoodnoiseError: INVALID_INPUT, `field` in the details.
    """
    if len(value) != SIGN_BYTES:
        raise _invalid("signs", f"has {len(value)} bytes, a map of signs has {SIGN_BYTES}")
    return value


def answer_levels(content: bytes) -> npt.NDArray[np.int8]:
    """An answer as int8 of shape 3 112 112.

    Raises:
        ValueError: when it is of another length.
    """
    if len(content) != ANSWER_BYTES:
        raise ValueError(f"an answer has {len(content)} bytes, expected {ANSWER_BYTES}")
    return np.frombuffer(content, np.int8).reshape(_SHAPE)


def _invalid(field: str, reason: str) -> GoodnoiseError:
    return GoodnoiseError(Code.INVALID_INPUT, f"{field} {reason}", {"field": field})
