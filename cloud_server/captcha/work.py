"""Proof of work: for those who neither see nor hear, and for when there is no image.

It tells no person from a program. It makes each try cost some machine time, and the limits do the rest.
"""

from __future__ import annotations

import hashlib
import re
import secrets

from cloud_server.captcha.types import Work

__all__ = ["is_nonce", "new_salt", "solves"]

_NONCE = re.compile(r"[0-9]{1,20}")


def new_salt() -> str:
    """A salt that no other challenge has."""
    return secrets.token_urlsafe(18)


def is_nonce(answer: str) -> bool:
    """Whether an answer is written as a nonce: decimal ASCII digits, 20 at most."""
    return _NONCE.fullmatch(answer) is not None


def solves(work: Work, nonce: str) -> bool:
    """Whether SHA-256(salt + nonce) begins with enough zero bits."""
    digest = hashlib.sha256((work.salt + nonce).encode()).digest()
    return int.from_bytes(digest, "big") >> (256 - work.bits) == 0
