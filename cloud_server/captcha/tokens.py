"""Tokens: what a right answer brings, and what a site's server gives back to be told that it is good.

A token says itself what it is for, under a MAC, so that a forged one costs no look into the store. It passes
once, since the store also lists it: what the store has lost does not pass.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import struct
from dataclasses import dataclass

from cloud_server.captcha.keys import Keys, parts
from cloud_server.captcha.types import Kind

__all__ = ["MOST_TOKEN", "Token", "new_token_id", "read_token", "write_token"]

# Characters; more than the longest action, hostname and cdata need.
MOST_TOKEN = 1400
_PREFIX = "gn1."
_MAC_BYTES = 32
_ID_BYTES = 16


@dataclass(frozen=True)
class Token:
    """What a token says.

    Args:
        id: random, 16 bytes.
        site: the site's public key.
        kind: of the challenge.
        issued: when the challenge was answered, seconds since 1970, to the millisecond.
        expires: seconds since 1970, to the millisecond.
        hostname: of the page where it was answered.
        action: as the page gave it.
        cdata: as the page gave it.
    """

    id: bytes
    site: str
    kind: Kind
    issued: float
    expires: float
    hostname: str = ""
    action: str = ""
    cdata: str = ""

    @property
    def key(self) -> bytes:
        """Under which a store lists it: a copied store gives away no token."""
        return hashlib.sha256(b"token" + self.id).digest()


def new_token_id() -> bytes:
    """A token's id that nobody guesses."""
    return secrets.token_bytes(_ID_BYTES)


def write_token(token: Token, keys: Keys) -> str:
    """A token as text, URL-safe."""
    body = parts(_fields(token))
    return _PREFIX + base64.urlsafe_b64encode(keys.mac("token", body) + body).decode("ascii").rstrip("=")


def read_token(text: str, keys: Keys) -> Token | None:
    """The token of `write_token`; None for any text that this server's key did not make."""
    if len(text) > MOST_TOKEN or not text.startswith(_PREFIX) or not text.isascii():
        return None
    raw = _decode(text.removeprefix(_PREFIX))
    mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not hmac.compare_digest(mac, keys.mac("token", body)):
        return None
    # Only now is the body looked at, and it is of our own making.
    return _token(_split(body))


def _fields(token: Token) -> tuple[bytes, ...]:
    texts = (token.site, token.kind, token.hostname, token.action, token.cdata)
    # Down, so that no token seems to come from later than now.
    times = (int(1000 * token.issued), int(1000 * token.expires))
    return token.id, *(text.encode() for text in texts), *(struct.pack(">Q", time) for time in times)


def _token(fields: list[bytes]) -> Token:
    token_id, *texts, issued, expires = fields
    site, kind, hostname, action, cdata = (text.decode() for text in texts)
    times = [struct.unpack(">Q", time)[0] / 1000 for time in (issued, expires)]
    return Token(token_id, site, Kind(kind), times[0], times[1], hostname, action, cdata)


def _split(body: bytes) -> list[bytes]:
    fields = []
    while body:
        end = 4 + int.from_bytes(body[:4], "big")
        fields.append(body[4:end])
        body = body[end:]
    return fields


def _decode(text: str) -> bytes:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return b""
    # Of the spellings that decode to the same bytes one is the token.
    return raw if base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=") == text else b""
