"""Who calls: every call of AugmentService carries its owner's token, which is never logged or quoted."""

from __future__ import annotations

from typing import Any

import grpc.aio

from cloud_server.augment.jobs.owners import OwnerBook
from cloud_server.augment.jobs.records import Owner
from cloud_server.rpc.captcha.callers import HEADER, bearer
from shared.errors import Code, GoodnoiseError

__all__ = ["Owners"]

Context = grpc.aio.ServicerContext[Any, Any]


class Owners:
    """Finds the owner of a call.

    Args:
        book: tells owners by their tokens.
    """

    def __init__(self, book: OwnerBook) -> None:
        self._book = book

    async def of(self, context: Context) -> Owner:
        """Whose call this is.

        Raises:
            GoodnoiseError: UNAUTHENTICATED for no token, or nobody's.
        """
        token = bearer(context)
        owner = await self._book.of_token(token) if token else None
        if owner is None:
            found = "nobody's token" if token else "no token"
            raise GoodnoiseError(
                Code.UNAUTHENTICATED,
                f"the call carries {found}; send the metadata '{HEADER}: Bearer TOKEN' with the token of "
                "your operator",
            )
        return owner
