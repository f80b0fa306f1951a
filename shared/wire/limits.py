"""The wire's limits, as the comments of proto/ state them, and the checks that hold a peer to them.

A server checks every field of a request, a client every field of what it asks: both call the same functions.
"""

from __future__ import annotations

import re

from shared.bundle import MAX_MANIFEST_BYTES, MAX_OBJECT_BYTES, PROFILE_BYTES
from shared.errors import Code, GoodnoiseError

__all__ = [
    "BUNDLE_VERSION_BYTES",
    "CATALOGUE_ENTRIES",
    "MAX_MANIFEST_BYTES",
    "MAX_MESSAGE_BYTES",
    "MAX_OBJECT_BYTES",
    "METADATA_NAME_BYTES",
    "PART_BYTES",
    "PROFILE_NAME_BYTES",
    "SHA256_BYTES",
    "bundle_version",
    "metadata_name",
    "offset_within",
    "profile_name",
    "published_name",
    "sha256_digest",
]

MAX_MESSAGE_BYTES = 4 << 20  # gRPC's own default; nothing on this wire needs more, so nothing may be more
PART_BYTES = (
    256 << 10
)  # one part of an object or photo: small enough to cancel soon, large enough to be cheap
METADATA_NAME_BYTES = 80  # a sha256 in hex and ".manifest.json" are 78
PROFILE_NAME_BYTES = 16
SHA256_BYTES = 32
BUNDLE_VERSION_BYTES = 32
CATALOGUE_ENTRIES = 1024

_METADATA_NAME = re.compile(r"[a-z0-9.-]+")
_PUBLISHED_NAME = re.compile(
    r"timestamp\.json|[1-9][0-9]{0,8}\.(root|snapshot|targets)\.json|[0-9a-f]{64}\.manifest\.json"
)
_VERSION = re.compile(r"[0-9a-z][0-9a-z.-]*")


def metadata_name(value: str) -> str:
    """A metadata file's name: lower-case letters, digits, '-' and '.', at most 80 bytes.

    Raises:
        GoodnoiseError: INVALID_INPUT, `field` in the details.
    """
    if len(value) > METADATA_NAME_BYTES:
        raise _invalid("name", f"has {len(value)} characters, at most {METADATA_NAME_BYTES} are allowed")
    if not _METADATA_NAME.fullmatch(value):
        raise _invalid(
            "name", f"is {_shown(value)}; it may hold lower-case letters, digits, '-' and '.' only"
        )
    return value


def published_name(value: str) -> str:
    """The name of a file that devices fetch: signed metadata by version, a manifest by sha256.

    Raises:
        GoodnoiseError: INVALID_INPUT, `field` in the details.
    """
    if not _PUBLISHED_NAME.fullmatch(metadata_name(value)):
        raise _invalid(
            "name",
            f"is {_shown(value)}; expected timestamp.json, N.root.json, N.snapshot.json, N.targets.json or "
            "SHA256.manifest.json",
        )
    return value


def profile_name(value: str) -> str:
    """A bundle's profile, one of those that exist.

    Raises:
        GoodnoiseError: INVALID_INPUT, `field` in the details.
    """
    if value not in PROFILE_BYTES:
        raise _invalid("profile", f"is {_shown(value)}, expected one of {', '.join(sorted(PROFILE_BYTES))}")
    return value


def bundle_version(value: str) -> str:
    """A bundle's version, or empty for none; at most 32 bytes.

    Raises:
        GoodnoiseError: INVALID_INPUT, `field` in the details.
    """
    if len(value) > BUNDLE_VERSION_BYTES:
        raise _invalid(
            "bundle_version", f"has {len(value)} characters, at most {BUNDLE_VERSION_BYTES} are allowed"
        )
    if value and not _VERSION.fullmatch(value):
        raise _invalid(
            "bundle_version", f"is {_shown(value)}; it may hold lower-case letters, digits, '-' and '.' only"
        )
    return value


def sha256_digest(value: bytes) -> bytes:
    """A sha256 as its 32 bytes.

    Raises:
        GoodnoiseError: INVALID_INPUT, `field` in the details.
    """
    if len(value) != SHA256_BYTES:
        raise _invalid("sha256", f"has {len(value)} bytes, a sha256 has {SHA256_BYTES}")
    return value


def offset_within(value: int, size: int) -> int:
    """An offset in bytes, at most the object's size (there the answer is empty).

    Raises:
        GoodnoiseError: OUT_OF_RANGE, `field` in the details.
    """
    if not 0 <= value <= size:
        raise GoodnoiseError(
            Code.OUT_OF_RANGE,
            f"offset is {value}, but the object has {size} bytes; begin again at 0",
            {"field": "offset"},
        )
    return value


def _invalid(field: str, reason: str) -> GoodnoiseError:
    return GoodnoiseError(Code.INVALID_INPUT, f"{field} {reason}", {"field": field})


def _shown(value: str) -> str:
    return repr(value[:METADATA_NAME_BYTES])
