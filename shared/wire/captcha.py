"""The limits of the CAPTCHA's wire, as captcha.proto states them, and the checks of its fields.

No check quotes what it refuses: an answer or an address must not come back in a message or a log.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Sequence

from shared.errors import Code, GoodnoiseError

__all__ = [
    "ACTION_BYTES",
    "ADDRESS_BYTES",
    "ANSWER_BYTES",
    "CDATA_BYTES",
    "CHALLENGE_BYTES",
    "HOSTNAMES",
    "HOSTNAME_BYTES",
    "IDEMPOTENCY_BYTES",
    "LANGUAGE_BYTES",
    "NAME_BYTES",
    "PAGE_DEFAULT",
    "PAGE_MOST",
    "REPORT_BYTES",
    "SECRET_BYTES",
    "SITE_KEY_BYTES",
    "TOKEN_BYTES",
    "address",
    "hostnames",
    "page_size",
    "report",
    "text",
]

SITE_KEY_BYTES = 64
SECRET_BYTES = 128
CHALLENGE_BYTES = 128
TOKEN_BYTES = 2048
ANSWER_BYTES = 64
HOSTNAME_BYTES = 255
ACTION_BYTES = 32
LANGUAGE_BYTES = 35
CDATA_BYTES = 255
ADDRESS_BYTES = 45  # the longest text of an IPv6 address
IDEMPOTENCY_BYTES = 64
HOSTNAMES = 64
NAME_BYTES = 100
REPORT_BYTES = 1 << 20
PAGE_DEFAULT = 100
PAGE_MOST = 1000

_HOSTNAME = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]")


def text(field: str, value: str, most: int, *, needed: bool = False, ascii_only: bool = False) -> str:
    """A text of at most `most` bytes of UTF-8.

    Args:
        field: its name, for the error.
        value: the text.
        most: bytes.
        needed: whether it may not be empty.
        ascii_only: whether it may hold printable ASCII only.

    Raises:
        GoodnoiseError: INVALID_INPUT, `field` in the details.
    """
    if needed and not value:
        raise _invalid(field, "is empty, and is needed")
    if len(value.encode()) > most:
        raise _invalid(field, f"has {len(value.encode())} bytes, at most {most} are allowed")
    if ascii_only and not (value.isascii() and value.isprintable()):
        raise _invalid(field, "may hold printable ASCII only")
    return value


def address(field: str, value: str) -> str:
    """An IP address in its one spelling, or empty.

    Raises:
        GoodnoiseError: INVALID_INPUT, `field` in the details.
    """
    if not text(field, value, ADDRESS_BYTES):
        return ""
    try:
        found = ipaddress.ip_address(value.partition("%")[0])
    except ValueError:
        raise _invalid(field, "is no IP address, such as 192.0.2.7 or 2001:db8::7") from None
    return str(getattr(found, "ipv4_mapped", None) or found)


def hostnames(field: str, values: Sequence[str]) -> tuple[str, ...]:
    """Host names in lower case, without port, each once; at most 64.

    Raises:
        GoodnoiseError: INVALID_INPUT, `field` in the details.
    """
    if len(values) > HOSTNAMES:
        raise _invalid(field, f"holds {len(values)} names, at most {HOSTNAMES} are allowed")
    for value in values:
        if not _HOSTNAME.fullmatch(text(field, value, HOSTNAME_BYTES, needed=True)):
            raise _invalid(
                field, "holds what is no host name: lower case, without scheme or port, as www.example.org"
            )
    return tuple(dict.fromkeys(values))


def page_size(value: int) -> int:
    """Entries of one page: 0 stands for the default, and there is a most."""
    return min(value or PAGE_DEFAULT, PAGE_MOST)


def report(field: str, content: bytes) -> bytes:
    """One JSON object in UTF-8 of at most 1 MiB.

    Raises:
        GoodnoiseError: INVALID_INPUT, `field` in the details.
    """
    if len(content) > REPORT_BYTES:
        raise _invalid(field, f"has {len(content)} bytes, at most {REPORT_BYTES} are allowed")
    try:
        found = json.loads(content.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _invalid(field, "is not one JSON object in UTF-8, as 'goodnoise-cloud captcha report' writes")
    return content


def _refuse(name: str) -> object:
    raise ValueError(name)  # NaN and Infinity are no JSON, and browsers refuse them


def _invalid(field: str, reason: str) -> GoodnoiseError:
    return GoodnoiseError(Code.INVALID_INPUT, f"{field} {reason}", {"field": field})
