"""What stores keep: pooled images, challenges, sites.

Nothing here holds an answer, a secret or an address: answers are sealed with the server's key, secrets are
hashed, and addresses are keyed hashes that expire with the record.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from cloud_server.captcha.types import Kind

__all__ = [
    "Challenge",
    "Pooled",
    "Repeat",
    "Sealed",
    "Site",
    "challenge_from_json",
    "challenge_to_json",
    "site_from_json",
    "site_to_json",
]


@dataclass(frozen=True)
class Sealed:
    """An answer that can be compared and not read without the server's key.

    Args:
        salt: random, one for each image.
        seal: HMAC of salt and answer.
        length: characters of the answer.
    """

    salt: bytes
    seal: bytes
    length: int


@dataclass(frozen=True)
class Pooled:
    """One attacked image that waits for its one visitor.

    Args:
        image: PNG.
        answer: what it shows, sealed.
        style: version of how images are made; `Store.pool_drop` removes all others.
    """

    image: bytes
    answer: Sealed
    style: str


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """A challenge that waits for its one answer.

    Args:
        key: SHA-256 of its id, so that a copied store gives away no challenge.
        kind: what it asks for.
        site: the site's public key.
        hostname: of the page that asked for it.
        action: as the page gave it.
        cdata: as the page gave it.
        language: of the sound.
        owner: keyed hash of the address that asked; empty when unknown.
        subnet: the same of its subnet.
        created: seconds since 1970.
        expires: seconds since 1970; from then on it may be forgotten and is never given out.
        salt: of the proof of work; empty for other kinds.
        bits: of the proof of work.
        answer: of the image; None for other kinds, whose answers follow from id or salt.
    """

    key: bytes
    kind: Kind
    site: str
    created: float
    expires: float
    hostname: str = ""
    action: str = ""
    cdata: str = ""
    language: str = ""
    owner: str = ""
    subnet: str = ""
    salt: str = ""
    bits: int = 0
    answer: Sealed | None = None


@dataclass(frozen=True)
class Repeat:
    """The right to ask again for the verdict on one token.

    Args:
        key: keyed hash of idempotency key, secret and token.
        expires: seconds since 1970.
    """

    key: bytes
    expires: float


@dataclass(frozen=True, kw_only=True)
class Site:
    """A site that embeds the widget.

    Args:
        key: public, `gn_site_...`.
        secrets: SHA-256 of its secrets, newest first; two while one replaces the other.
        name: for people.
        hostnames: of pages that may show the widget, lower case; `*.example.org` stands for every name below
            it. Empty for any.
        created: seconds since 1970.
        disabled: gets no challenges and no verdicts.
        work_allowed: whether proof of work is offered, to those who ask and when there is no image.
    """

    key: str
    secrets: tuple[bytes, ...]
    created: float
    name: str = ""
    hostnames: tuple[str, ...] = ()
    disabled: bool = False
    work_allowed: bool = True


_WRITTEN = tuple(field.name for field in dataclasses.fields(Challenge) if field.name not in ("key", "answer"))


def challenge_to_json(challenge: Challenge) -> bytes:
    """All of a challenge but its key and its answer, which stores keep beside it."""
    # Not `asdict`, whose deep copies cost a tenth of an issue.
    fields = {name: getattr(challenge, name) for name in _WRITTEN}
    return json.dumps(fields, separators=(",", ":")).encode()


def challenge_from_json(key: bytes, content: bytes, answer: Sealed | None) -> Challenge:
    """The challenge of `challenge_to_json`."""
    fields = json.loads(content)
    return Challenge(key=key, answer=answer, **{**fields, "kind": Kind(fields["kind"])})


def site_to_json(site: Site) -> bytes:
    """A site as JSON."""
    fields = dataclasses.asdict(site)
    fields["secrets"] = [secret.hex() for secret in site.secrets]
    return json.dumps(fields, separators=(",", ":")).encode()


def site_from_json(content: bytes) -> Site:
    """The site of `site_to_json`."""
    fields = json.loads(content)
    fields["secrets"] = tuple(bytes.fromhex(secret) for secret in fields["secrets"])
    return Site(**{**fields, "hostnames": tuple(fields["hostnames"])})
