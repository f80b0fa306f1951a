"""What a caller of SubmitJob sends: an order first, then images, none of them late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from cloud_server.augment.jobs.records import Order
from cloud_server.augment.jobs.uploads import SentImage
from shared.errors import Code, GoodnoiseError
from shared.wire import augment as limits
from shared.wire.goodnoise.v1 import augment_pb2

__all__ = ["Incoming", "order_of"]


class Incoming:
    """The messages of one call.

    Args:
        requests: as gRPC gives them.
        seconds: that one may take to come.
    """

    def __init__(self, requests: AsyncIterator[augment_pb2.SubmitJobRequest], seconds: float) -> None:
        self._requests = requests.__aiter__()
        self._seconds = seconds

    async def order(self) -> augment_pb2.AugmentOrder:
        """The first message.

        Raises:
            GoodnoiseError: INVALID_INPUT for anything else, DEADLINE for nothing.
        """
        request = await self._next()
        if request is None or request.WhichOneof("part") != "order":
            raise _wrong("order", "must be the first message, before any image")
        return request.order

    async def images(self) -> AsyncIterator[SentImage]:
        """All that follow.

        Raises:
            GoodnoiseError: as of `order`.
        """
        while (request := await self._next()) is not None:
            if request.WhichOneof("part") != "image":
                raise _wrong("image", "is what must follow the order, and nothing else")
            sent = request.image
            if not sent.content:
                raise _wrong("content", "of an image is empty; send a PNG, JPEG or WebP")
            yield SentImage(sent.content, sent.label, sent.group, sent.name)

    async def _next(self) -> augment_pb2.SubmitJobRequest | None:
        try:
            return await asyncio.wait_for(anext(self._requests), self._seconds)
        except StopAsyncIteration:
            return None
        except TimeoutError as error:
            raise GoodnoiseError(
                Code.DEADLINE,
                f"nothing came for {self._seconds:g} s and nothing was kept; call again with the same key",
            ) from error


def order_of(message: augment_pb2.AugmentOrder) -> Order:
    """An order, its fields checked.

    Raises:
        GoodnoiseError: INVALID_INPUT naming the field.
    """
    return Order(
        key=limits.text("key", message.key, limits.KEY_BYTES, needed=True, ascii_only=True),
        recipe=limits.text("recipe", message.recipe, limits.RECIPE_BYTES, needed=True),
        dataset=limits.text("dataset", message.dataset, limits.DATASET_BYTES),
        images=message.images,
        include_originals=message.include_originals,
    )


def _wrong(field: str, why: str) -> GoodnoiseError:
    return GoodnoiseError(Code.INVALID_INPUT, f"{field} {why}", {"field": field})
