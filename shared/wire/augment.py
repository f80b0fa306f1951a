"""The limits of augmentation's wire, as augment.proto states them, and the checks of its fields."""

from __future__ import annotations

from shared.errors import Code, GoodnoiseError
from shared.wire.captcha import text

__all__ = [
    "DATASET_BYTES",
    "FILE_NAME_BYTES",
    "JOBS_DEFAULT",
    "JOBS_MOST",
    "JOB_ID_BYTES",
    "KEY_BYTES",
    "LABEL_BYTES",
    "NAME_BYTES",
    "RECIPE_BYTES",
    "RESULTS_DEFAULT",
    "RESULTS_MOST",
    "file_name",
    "page_size",
    "text",
    "token_number",
]

KEY_BYTES = 64
JOB_ID_BYTES = 64
RECIPE_BYTES = 64 << 10
DATASET_BYTES = 512
LABEL_BYTES = 64
NAME_BYTES = 255
FILE_NAME_BYTES = 1024
JOBS_DEFAULT = 100
JOBS_MOST = 1000
RESULTS_DEFAULT = 1000
RESULTS_MOST = 10_000


def page_size(value: int, default: int, most: int) -> int:
    """Entries of one page: 0 stands for the default, and there is a most."""
    return min(value or default, most)


def token_number(field: str, token: str) -> int:
    """The number that a page token stands for; empty is 0.

    Raises:
        GoodnoiseError: INVALID_INPUT, `field` in the details.
    """
    if not token:
        return 0
    if not (token.isascii() and token.isdigit() and len(token) <= 18):
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{field} is of no page; list from the start", {"field": field}
        )
    return int(token)


def file_name(value: str) -> str:
    """A relative name with slashes that stays below the folder it is written into: what a client writes.

    Raises:
        GoodnoiseError: CORRUPT, the peer names what is no such file.
    """
    parts = value.split("/")
    bad = not value or "\\" in value or "\0" in value or ":" in parts[0]
    if bad or len(value.encode()) > FILE_NAME_BYTES or any(part in ("", ".", "..") for part in parts):
        raise GoodnoiseError(
            Code.CORRUPT,
            f"the server names a file {value[:80]!r}, which is no plain relative name; report it",
        )
    return value
