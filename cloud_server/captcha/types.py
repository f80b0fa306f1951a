"""The words of the CAPTCHA service: what a visitor asks for, what a site gets, and the service itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

__all__ = [
    "Answered",
    "Captcha",
    "Issued",
    "Kind",
    "Media",
    "Prepared",
    "Speaker",
    "Verdict",
    "Visitor",
    "Work",
]


class Kind(StrEnum):
    """What a challenge asks for."""

    IMAGE = "image"  # text to read
    AUDIO = "audio"  # digits to hear
    WORK = "work"  # proof of work, done by the visitor's machine


@dataclass(frozen=True)
class Visitor:
    """Who asks, as far as it is known.

    Args:
        address: IP address, text; empty when unknown. It lives in limits only and is never logged.
        hostname: of the page that shows the widget, lower case, without port; empty when unknown.
        stated_by: key of the site whose server says that this is the address, and asks for its visitor; empty
            where the visitor asks.
    """

    address: str = ""
    hostname: str = ""
    stated_by: str = ""


@dataclass(frozen=True)
class Work:
    """A proof of work: find `nonce` so that SHA-256(salt + decimal digits of nonce) begins with `bits` zeros.

    Args:
        salt: printable ASCII.
        bits: leading zero bits.
    """

    salt: str
    bits: int


@dataclass(frozen=True)
class Issued:
    """A challenge as its visitor sees it.

    Args:
        id: opaque, unguessable, URL-safe.
        kind: what it asks for; an empty pool can give another kind than was asked for.
        expires: when it can be answered no longer, UTC.
        length: characters of the answer; 0 for proof of work.
        work: for `Kind.WORK` alone.
    """

    id: str
    kind: Kind
    expires: datetime
    length: int = 0
    work: Work | None = None


@dataclass(frozen=True)
class Media:
    """An image or a sound: its bytes and media type, `image/png` or `audio/wav`."""

    content: bytes
    media_type: str


@dataclass(frozen=True)
class Answered:
    """What an answer brought.

    Args:
        token: for the site's form; empty when the answer was wrong.
        kind: of the challenge, for counters.
    """

    token: str = ""
    kind: Kind | None = None

    @property
    def right(self) -> bool:
        """Whether the answer was right."""
        return bool(self.token)


@dataclass(frozen=True)
class Verdict:
    """What `siteverify` tells a site.

    Args:
        success: whether the token was good, for this site, and not spent before.
        challenge_ts: when the challenge was answered, UTC; None without success.
        hostname: of the page where it was answered.
        action: as the page gave it.
        cdata: as the page gave it.
        error_codes: reCAPTCHA's words, such as `invalid-input-secret`.
        kind: of the challenge, for counters; None where the token is none of this service's. No site is told,
            so that none treats those worse who cannot see.
    """

    success: bool
    challenge_ts: datetime | None = None
    hostname: str = ""
    action: str = ""
    cdata: str = ""
    error_codes: tuple[str, ...] = ()
    kind: Kind | None = None


@dataclass(frozen=True)
class Prepared:
    """One attacked image that waits in the pool for its one visitor.

    Args:
        image: PNG.
        answer: its text, upper case.
    """

    image: bytes
    answer: str


class Captcha(Protocol):
    """The service behind both edges, gRPC and HTTP. All methods run on the edge's event loop.

    Every method raises `GoodnoiseError`: EXHAUSTED with the detail `RETRY_AFTER` (seconds, a limit),
    UNAVAILABLE with `RETRY_AFTER` (no challenge can be given now), NOT_FOUND (unknown site key or challenge),
    PRECONDITION (the challenge has expired or is spent), PERMISSION (this hostname is not the site's),
    INVALID_INPUT (too long, wrong alphabet).
    """

    async def issue(
        self,
        site_key: str,
        kind: Kind,
        visitor: Visitor,
        *,
        action: str = "",
        cdata: str = "",
        language: str = "en",
    ) -> Issued:
        """A new challenge. An empty pool gives proof of work, where the site allows it, else UNAVAILABLE.

        A sound is in the spoken language nearest to `language`.
        """

    async def image(self, challenge: str, visitor: Visitor) -> Media:
        """The image of a challenge, PNG; the same one each time it is asked for."""

    async def audio(self, challenge: str, visitor: Visitor) -> Media:
        """The sound of an audio challenge, WAV, with fresh noise each time."""

    async def answer(self, challenge: str, answer: str, visitor: Visitor) -> Answered:
        """Spends the challenge; a right answer brings a token. Of WORK the answer is the nonce."""

    async def verify(
        self, secret: str, token: str, *, address: str = "", idempotency_key: str = ""
    ) -> Verdict:
        """Spends a token for the site of this secret. Never raises for a bad token: the verdict says it."""

    async def depth(self) -> int:
        """Images that wait in the pool."""


class Speaker(Protocol):
    """Speaks characters; the noise is random for each call."""

    def speak(self, characters: str, *, language: str) -> bytes:
        """WAV, 16 bits, mono."""

    @property
    def languages(self) -> Sequence[str]:
        """What it speaks, such as `en`."""
