"""The project's one error: a code, a message that names the way out, and details.

`ValueError` stays what it is in Python, a caller's mistake. `GoodnoiseError` is for what a user, a file or a
peer can cause. It is translated once at each edge: to an exit code by the command line, to a gRPC status by
`shared.wire.status`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

__all__ = ["Code", "GoodnoiseError"]


class Code(StrEnum):
    """What went wrong, each with what the caller can do about it."""

    INVALID_INPUT = "invalid_input"  # mend the input named in the message
    OUT_OF_RANGE = "out_of_range"  # begin again within the range named
    NOT_FOUND = "not_found"  # name something that exists
    NO_FACE = "no_face"  # give a photo with a face in it
    UNAVAILABLE = "unavailable"  # try again later, or work from what is cached
    UNAUTHENTICATED = "unauthenticated"  # give the token or certificate asked for
    PERMISSION = "permission"  # ask the owner
    EXHAUSTED = "exhausted"  # a limit was reached: wait, or send less
    CORRUPT = "corrupt"  # fetch it again
    PRECONDITION = "precondition"  # do first what the message names
    DEADLINE = "deadline"  # allow more time
    CANCELLED = "cancelled"  # nothing to do: the caller asked for it
    INTERNAL = "internal"  # report it


class GoodnoiseError(Exception):
    """An error that a user or peer can cause.

    Args:
        code: what kind of failure this is.
        message: names the thing, the bad value and the way out; safe to show and to send.
        details: machine-readable facts; never pixels, embeddings, landmarks or file names of photos.
    """

    def __init__(self, code: Code, message: str, details: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = dict(details or {})

    def __str__(self) -> str:
        return self.message
