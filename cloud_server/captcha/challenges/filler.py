"""Filling the pool: challenges are made until so many wait, and again as they are taken."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2

from cloud_server.captcha.challenges.maker import BATCH, Maker
from cloud_server.captcha.challenges.types import Made
from cloud_server.captcha.stock import Stock
from cloud_server.captcha.types import Prepared

__all__ = ["Filled", "deployment_of", "fill", "to_prepared"]

# How often a full pool is looked at.
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Filled:
    """How filling goes.

    Args:
        depth: images that wait.
        added: since the start.
        refused: by the gate, since the start.
        seconds: of work since the start; waiting beside a full pool does not count.
    """

    depth: int
    added: int
    refused: int
    seconds: float

    @property
    def rate(self) -> float:
        """Images added in a second of work."""
        return self.added / self.seconds if self.seconds else 0.0


async def fill(
    stock: Stock, maker: Maker, *, pool: int, until_full: bool, report: Callable[[Filled], None]
) -> Filled:
    """Keep `pool` images waiting. What the gate refuses is never added.

    Images and texts come from the operating system's randomness: nobody can make them again.

    Args:
        stock: the pool.
        maker: of challenges.
        pool: images that should wait.
        until_full: stop as soon as so many wait; else go on until cancelled.
        report: called after each batch.
    """
    await stock.drop_others()
    images = maker.stream(seed=secrets.randbits(128))
    state = Filled(await stock.depth(), 0, 0, 0.0)
    while True:
        while state.depth < pool:
            state = await _batch(stock, images, state)
            report(state)
        if until_full:
            return state
        await asyncio.sleep(_LOOK_SECONDS)
        state = Filled(await stock.depth(), state.added, state.refused, state.seconds)


async def _batch(stock: Stock, images: Iterator[Made], state: Filled) -> Filled:
    began = time.monotonic()
    made = await asyncio.to_thread(lambda: [next(images) for _ in range(BATCH)])
    good = [to_prepared(item) for item in made if item.passed]
    await stock.put(good)
    return Filled(
        depth=await stock.depth(),
        added=state.added + len(good),
        refused=state.refused + len(made) - len(good),
        seconds=state.seconds + time.monotonic() - began,
    )


def to_prepared(made: Made) -> Prepared:
    """An image as it is kept: PNG without metadata."""
    _, content = cv2.imencode(".png", made.attacked, [cv2.IMWRITE_PNG_COMPRESSION, 6])
    return Prepared(content.tobytes(), made.rendered.text)


def deployment_of(key: bytes) -> int:
    """A deployment's number, from the server's key, which it does not tell: seed of its choice of fonts."""
    return int.from_bytes(hashlib.blake2b(key, digest_size=8, person=b"goodnoise-fonts").digest(), "big")
