"""Puts prepared images into the pool."""

from __future__ import annotations

from collections.abc import Sequence

from cloud_server.captcha.keys import Keys
from cloud_server.captcha.state.records import Pooled
from cloud_server.captcha.state.store import Store
from cloud_server.captcha.types import Prepared

__all__ = ["Stock"]


class Stock:
    """The pool as who fills it sees it.

    Args:
        store: where the pool is.
        key: the server's, of `keys.load_key`: answers are sealed with it before they are kept.
        style: version of how images are made.
    """

    def __init__(self, store: Store, *, key: bytes, style: str) -> None:
        self._store = store
        self._keys = Keys(key)
        self._style = style

    async def put(self, images: Sequence[Prepared]) -> None:
        """Add images behind those that wait."""
        await self._store.pool_put([self._sealed(image) for image in images])

    async def depth(self) -> int:
        """Images that wait."""
        return await self._store.pool_depth()

    async def drop_others(self) -> int:
        """Remove images of another style; how many there were."""
        return await self._store.pool_drop(keep=self._style)

    def _sealed(self, image: Prepared) -> Pooled:
        return Pooled(image.image, self._keys.seal(image.answer), self._style)
