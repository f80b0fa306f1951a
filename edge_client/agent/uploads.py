"""What callers send, put together from its parts, within limits. Nothing is kept anywhere but in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TypeVar

from edge_client.agent.room import Lease
from shared.errors import Code, GoodnoiseError
from shared.wire.goodnoise.v1 import edge_pb2
from shared.wire.limits import PART_BYTES

__all__ = [
    "CheckUpload",
    "ProtectUpload",
    "UploadLimits",
    "read_check",
    "read_protect",
]

R = TypeVar("R", edge_pb2.ProtectRequest, edge_pb2.CheckRequest)


@dataclass(frozen=True)
class UploadLimits:
    """How much callers may send.

    Args:
        photo_bytes: one photo.
        album_photos: photos in one album.
        album_bytes: one album together.
        all_bytes: all calls that are open, together.
        idle_seconds: how long a caller may be silent before its upload is whole.
    """

    photo_bytes: int = 100 << 20
    album_photos: int = 64
    album_bytes: int = 200 << 20
    all_bytes: int = 512 << 20
    idle_seconds: float = 60.0


@dataclass(frozen=True)
class ProtectUpload:
    """A whole request to protect: options as sent, and files."""

    options: edge_pb2.ProtectOptions
    photo: bytes
    album: tuple[bytes, ...]


@dataclass(frozen=True)
class CheckUpload:
    """A whole request to check: files."""

    original: bytes
    protected: bytes
    album: tuple[bytes, ...]


@dataclass
class _File:
    """One file on its way. `name` is for messages."""

    name: str
    limit: int
    lease: Lease
    parts: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, part: bytes) -> None:
        if len(part) > PART_BYTES:
            raise GoodnoiseError(
                Code.INVALID_INPUT,
                f"a part of {self.name} has {len(part)} bytes; send parts of at most {PART_BYTES}",
                {"field": f"{self.name}_part"},
            )
        self.size += len(part)
        if self.size > self.limit:
            raise GoodnoiseError(
                Code.EXHAUSTED, f"{self.name} has more than {self.limit} bytes; send a smaller file"
            )
        self.lease.take(len(part))
        self.parts.append(part)

    def whole(self) -> bytes:
        if not self.size:
            raise GoodnoiseError(
                Code.INVALID_INPUT,
                f"{self.name} is empty; send it in parts of at most {PART_BYTES} bytes",
                {"field": f"{self.name}_part"},
            )
        content = b"".join(self.parts)
        self.parts.clear()
        return content


class _Album:
    """Album photos on their way; each is ended before the next begins."""

    def __init__(self, limits: UploadLimits, lease: Lease) -> None:
        self._limits = limits
        self._lease = lease
        self._left = limits.album_bytes
        self._photos: list[bytes] = []
        self._current: _File | None = None

    def add(self, part: bytes) -> None:
        if self._current is None:
            if len(self._photos) == self._limits.album_photos:
                raise GoodnoiseError(
                    Code.EXHAUSTED, f"the album has more than {self._limits.album_photos} photos; send fewer"
                )
            self._current = _File("album", self._left, self._lease)
        self._current.add(part)

    def end(self) -> None:
        if self._current is None:
            raise _out_of_order("album_photo_end", "an album_part")
        self._photos.append(self._current.whole())
        self._left -= self._current.size
        self._current = None

    def whole(self) -> tuple[bytes, ...]:
        if self._current is not None:
            raise GoodnoiseError(
                Code.INVALID_INPUT,
                "the last album photo was not ended; send album_photo_end after its parts",
                {"field": "album_photo_end"},
            )
        return tuple(self._photos)


class _Order:
    """Holds a caller to the order of kinds: each may repeat, none may come after a later one."""

    def __init__(self, ranks: dict[str, int]) -> None:
        self._ranks = ranks
        self._reached = 0

    def kind_of(self, request: edge_pb2.ProtectRequest | edge_pb2.CheckRequest) -> str:
        kind: str | None = request.WhichOneof("kind")
        if kind is None:
            raise GoodnoiseError(
                Code.INVALID_INPUT,
                f"a message is empty; set one of {', '.join(self._ranks)}",
                {"field": "kind"},
            )
        rank = self._ranks[kind]
        if rank < self._reached or rank > self._reached + 1:
            names = [
                name for name, place in self._ranks.items() if self._reached <= place <= self._reached + 1
            ]
            raise _out_of_order(kind, " or ".join(names))
        self._reached = rank
        return kind


async def read_protect(
    requests: AsyncIterator[edge_pb2.ProtectRequest], limits: UploadLimits, lease: Lease
) -> ProtectUpload:
    """Read options, photo and album.

    Raises:
        GoodnoiseError: INVALID_INPUT for a wrong order or nothing sent, EXHAUSTED above a limit, DEADLINE for
            a caller that falls silent.
    """
    order = _Order({"options": 1, "photo_part": 2, "album_part": 3, "album_photo_end": 3})
    options: edge_pb2.ProtectOptions | None = None
    photo, album = _File("photo", limits.photo_bytes, lease), _Album(limits, lease)
    async for request in _prompt(requests, limits.idle_seconds):
        kind = order.kind_of(request)
        if kind == "options":
            if options is not None:
                raise _out_of_order("a second options", "photo_part")
            options = request.options
        elif kind == "photo_part":
            photo.add(request.photo_part)
        elif kind == "album_part":
            album.add(request.album_part)
        else:
            album.end()
    if options is None:
        raise _out_of_order("nothing", "options")
    return ProtectUpload(options, photo.whole(), album.whole())


async def read_check(
    requests: AsyncIterator[edge_pb2.CheckRequest], limits: UploadLimits, lease: Lease
) -> CheckUpload:
    """Read the original, the protected photo and the album; errors are those of `read_protect`."""
    order = _Order({"original_part": 1, "protected_part": 2, "album_part": 3, "album_photo_end": 3})
    original = _File("original", limits.photo_bytes, lease)
    protected = _File("protected", limits.photo_bytes, lease)
    album = _Album(limits, lease)
    async for request in _prompt(requests, limits.idle_seconds):
        kind = order.kind_of(request)
        if kind == "original_part":
            original.add(request.original_part)
        elif kind == "protected_part":
            protected.add(request.protected_part)
        elif kind == "album_part":
            album.add(request.album_part)
        else:
            album.end()
    return CheckUpload(original.whole(), protected.whole(), album.whole())


async def _prompt(requests: AsyncIterator[R], seconds: float) -> AsyncIterator[R]:
    """The requests, as long as each comes in time: a silent caller must not hold memory for ever."""
    messages = aiter(requests)
    while True:
        try:
            async with asyncio.timeout(seconds):
                request = await anext(messages)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise GoodnoiseError(
                Code.DEADLINE,
                f"nothing was sent for {seconds:g} s; send the whole photo, then close the request",
            ) from error
        yield request


def _out_of_order(got: str, wanted: str) -> GoodnoiseError:
    return GoodnoiseError(Code.INVALID_INPUT, f"got {got}, expected {wanted}", {"field": "kind"})
