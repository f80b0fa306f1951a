"""Opens the store that an address names."""

from __future__ import annotations

from pathlib import Path

from cloud_server.captcha.state.store import Store
from shared.errors import Code, GoodnoiseError

__all__ = ["is_redis", "open_store"]


def open_store(url: str) -> Store:
    """The store of an address.

    Args:
        url: `sqlite:PATH`, or Redis as `redis://`, `rediss://` or `unix://`.

    Raises:
        GoodnoiseError: INVALID_INPUT for another address; PERMISSION, EXHAUSTED or PRECONDITION when the file
            cannot be used. Redis is reached for by the first call.
    """
    if is_redis(url):
        from cloud_server.captcha.state.redis import RedisStore

        return RedisStore(url)
    if url.startswith("sqlite:") and (path := url.removeprefix("sqlite:")):
        from cloud_server.captcha.state.sqlite import SqliteStore

        return SqliteStore(Path(path))
    # The address may hold a password, so it is not repeated.
    raise GoodnoiseError(
        Code.INVALID_INPUT,
        f"the store's address begins with {url.partition(':')[0][:20]!r}: expected sqlite:PATH or redis://HOST:PORT/DB",
    )


def is_redis(url: str) -> bool:
    """Whether an address is one of Redis."""
    return url.startswith(("redis://", "rediss://", "unix://"))
