"""The servicers: they check a request's fields, ask the package behind, and put the answer into messages.

Disks are read in threads, never on the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc.aio
import numpy as np
import numpy.typing as npt

from cloud_server.bundles.store import PublishedBundles
from cloud_server.hints.catalogue import newer_hints, newest_version
from cloud_server.hints.cluster_hints import ClusterHints
from cloud_server.hints.desk import Desk
from shared.errors import Code, GoodnoiseError
from shared.levels.bits import unpack_bits
from shared.levels.signs import SIGN_BITS
from shared.levels.sketch import SKETCH_BITS
from shared.wire import levels, limits
from shared.wire.goodnoise.v1 import bundle_pb2, bundle_pb2_grpc, hint_pb2, hint_pb2_grpc

if TYPE_CHECKING:
    from cloud_server.hints.directions import Directions

__all__ = ["BundleServicer", "HintServicer"]

Context = grpc.aio.ServicerContext[Any, Any]
Ask: TypeAlias = "Callable[[Directions, Callable[[], bool]], npt.NDArray[np.int8]]"


class BundleServicer(bundle_pb2_grpc.BundleServiceServicer):
    """Gives out what `bundles` holds."""

    def __init__(self, bundles: PublishedBundles) -> None:
        self._bundles = bundles

    async def GetMetadata(  # noqa: N802 - the name in the proto
        self, request: bundle_pb2.GetMetadataRequest, context: Context
    ) -> bundle_pb2.GetMetadataResponse:
        """One file of the signed metadata, or a manifest that it names."""
        name = limits.published_name(request.name)
        profile = limits.profile_name(request.profile)
        content = await asyncio.to_thread(self._bundles.metadata_bytes, name, profile)
        return bundle_pb2.GetMetadataResponse(content=content)

    async def FetchObject(  # noqa: N802 - the name in the proto
        self, request: bundle_pb2.FetchObjectRequest, context: Context
    ) -> AsyncIterator[bundle_pb2.FetchObjectResponse]:
        """An object from an offset on; each part is read when the one before has gone out."""
        digest = limits.sha256_digest(request.sha256).hex()
        path = await asyncio.to_thread(self._bundles.object_path, digest)
        size = await asyncio.to_thread(_size, path)
        offset = limits.offset_within(request.offset, size)
        first = True
        while first or offset < size:
            part = await asyncio.to_thread(_read, path, offset)
            if not part and offset < size:
                raise GoodnoiseError(
                    Code.CORRUPT, f"object {digest} is cut off here; its operator must publish again"
                )
            yield bundle_pb2.FetchObjectResponse(part=part, total_size=size if first else 0)
            offset += len(part)
            first = False


class HintServicer(hint_pb2_grpc.HintServiceServicer):
    """Answers at every wire level.

    Args:
        bundles: what is published.
        clusters: for level `cluster`.
        directions: for the levels `sketch` and `sign`; None where this server runs no ensemble.
        desk: where the ensemble works.
    """

    def __init__(
        self, bundles: PublishedBundles, clusters: ClusterHints, directions: Directions | None, desk: Desk
    ) -> None:
        self._bundles = bundles
        self._clusters = clusters
        self._directions = directions
        self._desk = desk

    async def Catalogue(  # noqa: N802 - the name in the proto
        self, request: hint_pb2.CatalogueRequest, context: Context
    ) -> hint_pb2.CatalogueResponse:
        """The hints that the device's bundle lacks."""
        version = limits.bundle_version(request.bundle_version)
        found = await asyncio.to_thread(newer_hints, self._bundles, version)
        hints = [
            hint_pb2.HintEntry(name=e.name, size=e.size, sha256=bytes.fromhex(e.sha256))
            for e in found.entries
        ]
        return hint_pb2.CatalogueResponse(bundle_version=found.version, hints=hints)

    async def Cluster(  # noqa: N802 - the name in the proto
        self, request: hint_pb2.ClusterRequest, context: Context
    ) -> hint_pb2.ClusterResponse:
        """The universal perturbation of a kind of face."""
        number = levels.cluster_number(request.cluster)
        version = await asyncio.to_thread(newest_version, self._bundles)
        content = self._clusters[number].tobytes()
        return hint_pb2.ClusterResponse(perturbation=content, bundle_version=version)

    async def Sketch(  # noqa: N802 - the name in the proto
        self, request: hint_pb2.SketchRequest, context: Context
    ) -> hint_pb2.SketchResponse:
        """The ensemble's direction along a sketch."""
        bits = unpack_bits(levels.sketch_bits(request.bits), SKETCH_BITS)
        found = await self._evaluated(lambda ensemble, wanted: ensemble.along_sketch(bits, wanted), context)
        return hint_pb2.SketchResponse(direction=found)

    async def Sign(  # noqa: N802 - the name in the proto
        self, request: hint_pb2.SignRequest, context: Context
    ) -> hint_pb2.SignResponse:
        """The ensemble's direction along a map of signs."""
        signs = unpack_bits(levels.sign_map(request.signs), SIGN_BITS).reshape(3, 112, 112)
        found = await self._evaluated(lambda ensemble, wanted: ensemble.along_signs(signs, wanted), context)
        return hint_pb2.SignResponse(direction=found)

    async def _evaluated(self, ask: Ask, context: Context) -> bytes:
        ensemble = self._directions
        if ensemble is None:
            raise GoodnoiseError(
                Code.PRECONDITION,
                "this server runs no recognisers, which levels 'sketch' and 'sign' need; its operator must "
                "start it with --public-faces; use level 'pull' or 'cluster'",
            )
        seconds = context.time_remaining()
        found = await self._desk.run(lambda wanted: ask(ensemble, wanted), seconds=seconds)
        return found.tobytes()


def _read(path: Path, offset: int) -> bytes:
    """One part. The file is opened anew each time, so that a cancelled call leaves nothing open."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(limits.PART_BYTES)
    except FileNotFoundError as error:
        raise _withdrawn(path) from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError as error:
        raise _withdrawn(path) from error


def _withdrawn(path: Path) -> GoodnoiseError:
    return GoodnoiseError(
        Code.NOT_FOUND, f"object {path.name} is published no longer; fetch the metadata again"
    )
