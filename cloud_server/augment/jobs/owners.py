"""Owners of jobs: the operator adds them, and they show a token with every call."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

from cloud_server.augment.jobs.records import Owner
from cloud_server.augment.jobs.store import JobStore
from shared.errors import Code, GoodnoiseError

__all__ = ["OwnerBook", "hash_token"]

_TOKEN = "gn_owner_"  # noqa: S105 - how tokens begin
_MOST_NAME = 100


def hash_token(token: str) -> bytes:
    """What is kept of a token. It has 32 random bytes, so a slow hash would protect nothing."""
    return hashlib.sha256(token.encode()).digest()


class OwnerBook:
    """Owners as the operator changes them and as calls are told apart.

    Args:
        store: where they are.
        clock: seconds since 1970.
    """

    def __init__(self, store: JobStore, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    async def add(self, name: str) -> tuple[Owner, str]:
        """A new owner and the token, which is shown now and never again.

        Raises:
            GoodnoiseError: INVALID_INPUT for no name, or one that is taken.
        """
        if not name or len(name) > _MOST_NAME or not name.isprintable():
            message = f"an owner's name has 1 to {_MOST_NAME} printable characters, got {len(name)}"
            raise GoodnoiseError(Code.INVALID_INPUT, message)
        token = _new_token()
        owner = Owner(f"owner-{secrets.token_hex(16)}", name, hash_token(token), self._clock())
        if not await self._store.owner_put(owner):
            message = f"there is an owner {name!r} already; choose another name, or give that one a new token"
            raise GoodnoiseError(Code.INVALID_INPUT, message)
        return owner, token

    async def rotate(self, name: str) -> str:
        """A new token for an owner; the one of before is worth nothing at once.

        Raises:
            GoodnoiseError: NOT_FOUND.
        """
        token = _new_token()
        if not await self._store.owner_token(name, hash_token(token)):
            raise _unknown(name)
        return token

    async def remove(self, name: str) -> None:
        """Forget an owner. A running server deletes their jobs within a minute, another one at its start.

        Raises:
            GoodnoiseError: NOT_FOUND.
        """
        if not await self._store.owner_remove(name):
            raise _unknown(name)

    async def owners(self) -> tuple[Owner, ...]:
        """All owners, by age."""
        return await self._store.owner_list()

    async def of_token(self, token: str) -> Owner | None:
        """The owner that a token stands for."""
        if not token.startswith(_TOKEN) or not token.isascii():
            return None
        digest = hash_token(token)
        owner = await self._store.owner_of_token(digest)
        # The store found it by its hash. That the hash is the owner's is proven here, in constant time.
        return owner if owner is not None and hmac.compare_digest(digest, owner.token) else None


def _new_token() -> str:
    return _TOKEN + secrets.token_urlsafe(32)


def _unknown(name: str) -> GoodnoiseError:
    return GoodnoiseError(
        Code.NOT_FOUND, f"there is no owner {name[:_MOST_NAME]!r}; see 'augment owners list'"
    )
