"""The device's only way to a network. Nothing made from a photo can pass it.

What goes out is one of a few payloads, frozen and checked when they are made. Those of an update hold public
facts alone (a profile, the name of a metadata file, a hash and an offset, a bundle's version). Each wire
level above `pull` has one of its own, which holds exactly what the level may tell: a number below sixteen,
2 bytes, or 4704 bytes. No parameter of this module accepts arrays, other bytes, paths or open values, and a
test walks the annotations to prove it.

Calls are anonymous: no client certificate, key or cookie; each session opens a connection of its own and
resumes no TLS session; the user agent is one fixed text beside gRPC's own.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, Self

import grpc

from shared.bundle import Profile
from shared.errors import Code, GoodnoiseError
from shared.levels.signs import SIGN_BYTES
from shared.levels.sketch import SKETCH_BYTES
from shared.wire import levels, limits
from shared.wire.goodnoise.v1 import bundle_pb2, bundle_pb2_grpc, hint_pb2, hint_pb2_grpc
from shared.wire.options import (
    CALL_SECONDS,
    DIRECTION_SECONDS,
    STREAM_SECONDS,
    client_options,
    host_port,
    is_loopback,
)
from shared.wire.status import error_from_call

__all__ = [
    "CatalogueAnswer",
    "CatalogueHint",
    "CataloguePayload",
    "Cloud",
    "ClusterAnswer",
    "ClusterPayload",
    "Endpoint",
    "MetadataPayload",
    "ObjectPayload",
    "SignPayload",
    "SketchPayload",
]

_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where a cloud is.

    Args:
        address: HOST:PORT; on loopback without TLS unless `ca` is given, anywhere else always with TLS.
        ca: file with the certificates to trust, PEM; None for those that gRPC ships.

    Raises:
        GoodnoiseError: INVALID_INPUT for something else than HOST:PORT.
    """

    address: str
    ca: str | None = None

    def __post_init__(self) -> None:
        host_port(self.address)

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.ca is not None or not is_loopback(self.address)


@dataclass(frozen=True)
class _Exactly:
    """Beside a type of bytes: how many there are, never more and never fewer."""

    count: int


@dataclass(frozen=True, kw_only=True)
class CataloguePayload:
    """Asks what is newer than a bundle: its version, or empty for none; at most 32 bytes."""

    bundle_version: str

    def __post_init__(self) -> None:
        limits.bundle_version(self.bundle_version)


@dataclass(frozen=True, kw_only=True)
class MetadataPayload:
    """Asks for a file of the signed metadata, or for a manifest by its sha256.

    Names hold nothing but a version or a public hash, so they are the same for all devices of a version.
    """

    name: str = "timestamp.json"
    profile: Profile

    def __post_init__(self) -> None:
        limits.published_name(self.name)
        limits.profile_name(self.profile)


@dataclass(frozen=True, kw_only=True)
class ObjectPayload:
    """Asks for an object of the published bundle, from an offset in bytes on.

    Args:
        sha256: hex, as the manifest states it.
        offset: bytes that are here already.
        size: bytes of the whole object, as the manifest states it; checked here, never sent.
    """

    sha256: str
    offset: int
    size: int

    def __post_init__(self) -> None:
        if not _HEX.fullmatch(self.sha256):
            raise ValueError(f"sha256 is {self.sha256!r}, expected 64 hex digits")
        if not 0 <= self.offset <= self.size <= limits.MAX_OBJECT_BYTES:
            raise ValueError(
                f"offset {self.offset} of {self.size} bytes, at most {limits.MAX_OBJECT_BYTES} are allowed"
            )


@dataclass(frozen=True, kw_only=True)
class ClusterPayload:
    """Level `cluster`: the number of a public kind of face, 0 to 15, after randomised response."""

    cluster: int

    def __post_init__(self) -> None:
        levels.cluster_number(self.cluster)


@dataclass(frozen=True, kw_only=True)
class SketchPayload:
    """Level `sketch`: sixteen bits after randomised response (`shared.levels.sketch`)."""

    bits: Annotated[bytes, _Exactly(SKETCH_BYTES)]

    def __post_init__(self) -> None:
        levels.sketch_bits(self.bits)


@dataclass(frozen=True, kw_only=True)
class SignPayload:
    """Level `sign`: the signs of a gradient (`shared.levels.signs`). They tell who is in the photo."""

    signs: Annotated[bytes, _Exactly(SIGN_BYTES)]

    def __post_init__(self) -> None:
        levels.sign_map(self.signs)


@dataclass(frozen=True)
class CatalogueHint:
    """A hint that the cloud offers: its name, size in bytes and hex sha256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class CatalogueAnswer:
    """The version that the cloud publishes, and the hints that the version asked about lacks."""

    bundle_version: str
    hints: tuple[CatalogueHint, ...]


@dataclass(frozen=True)
class ClusterAnswer:
    """The perturbation of a kind of face, 37632 bytes, and the version that the cloud publishes."""

    perturbation: bytes
    bundle_version: str


class Cloud:
    """One session with a cloud: a connection of its own, closed at the end of the with block.

    Args:
        endpoint: where the cloud is.

    Raises:
        GoodnoiseError: UNAVAILABLE naming the address when the cloud cannot be reached, DEADLINE when it is
            too slow, CORRUPT when it sends what it may not, INVALID_INPUT for a bad `ca`, and what the cloud
            itself answers.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._channel = _open(endpoint)
        self._bundles = bundle_pb2_grpc.BundleServiceStub(self._channel)
        self._hints = hint_pb2_grpc.HintServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def catalogue(self, payload: CataloguePayload) -> CatalogueAnswer:
        """What is newer than the bundle that is installed (wire level `pull`)."""
        request = hint_pb2.CatalogueRequest(bundle_version=payload.bundle_version)
        with self._translated():
            answer = self._hints.Catalogue(request, timeout=CALL_SECONDS)
        return self._catalogue(answer)

    def metadata(self, payload: MetadataPayload) -> bytes:
        """A metadata file, whole, at most 1 MiB."""
        request = bundle_pb2.GetMetadataRequest(name=payload.name, profile=payload.profile)
        with self._translated():
            content: bytes = self._bundles.GetMetadata(request, timeout=STREAM_SECONDS).content
        if len(content) > limits.MAX_MANIFEST_BYTES:
            raise self._misbehaves(
                f"sent {len(content)} bytes of {payload.name}; {limits.MAX_MANIFEST_BYTES} are allowed"
            )
        return content

    def fetch(self, payload: ObjectPayload) -> Iterator[bytes]:
        """The object's parts from the offset on; all together they are never more than the size announced."""
        request = bundle_pb2.FetchObjectRequest(sha256=bytes.fromhex(payload.sha256), offset=payload.offset)
        call = self._bundles.FetchObject(request, timeout=STREAM_SECONDS)
        try:
            with self._translated():
                yield from self._checked(call, payload)
        finally:
            call.cancel()  # also when the caller stops in the middle

    def cluster(self, payload: ClusterPayload) -> ClusterAnswer:
        """The universal perturbation for a kind of face (wire level `cluster`)."""
        request = hint_pb2.ClusterRequest(cluster=payload.cluster)
        with self._translated():
            answer = self._hints.Cluster(request, timeout=CALL_SECONDS)
        version = answer.bundle_version[: limits.BUNDLE_VERSION_BYTES]
        return ClusterAnswer(self._image(answer.perturbation), version)

    def sketch(self, payload: SketchPayload) -> bytes:
        """The ensemble's direction for a sketch, 37632 bytes (wire level `sketch`)."""
        request = hint_pb2.SketchRequest(bits=payload.bits)
        with self._translated():
            return self._image(self._hints.Sketch(request, timeout=DIRECTION_SECONDS).direction)

    def sign(self, payload: SignPayload) -> bytes:
        """The ensemble's direction for a map of signs, 37632 bytes (wire level `sign`)."""
        request = hint_pb2.SignRequest(signs=payload.signs)
        with self._translated():
            return self._image(self._hints.Sign(request, timeout=DIRECTION_SECONDS).direction)

    def _image(self, content: bytes) -> bytes:
        if len(content) != levels.ANSWER_BYTES:
            raise self._misbehaves(f"answered with {len(content)} bytes, not {levels.ANSWER_BYTES}")
        return content

    def _checked(
        self, call: Iterator[bundle_pb2.FetchObjectResponse], payload: ObjectPayload
    ) -> Iterator[bytes]:
        reached = payload.offset
        for number, answer in enumerate(call):
            if number == 0 and answer.total_size != payload.size:
                raise self._misbehaves(
                    f"says object {payload.sha256} has {answer.total_size} bytes, not {payload.size}"
                )
            reached += len(answer.part)
            if len(answer.part) > limits.PART_BYTES or reached > payload.size:
                raise self._misbehaves(f"sent more of object {payload.sha256} than its {payload.size} bytes")
            yield answer.part

    def _catalogue(self, answer: hint_pb2.CatalogueResponse) -> CatalogueAnswer:
        if len(answer.hints) > limits.CATALOGUE_ENTRIES:
            raise self._misbehaves(f"lists {len(answer.hints)} hints; {limits.CATALOGUE_ENTRIES} are allowed")
        hints = tuple(CatalogueHint(h.name[:128], h.size, h.sha256.hex()[:64]) for h in answer.hints)
        return CatalogueAnswer(answer.bundle_version[: limits.BUNDLE_VERSION_BYTES], hints)

    def _misbehaves(self, what: str) -> GoodnoiseError:
        return GoodnoiseError(
            Code.CORRUPT, f"{self._endpoint.address} {what}; nothing of it is used; tell the cloud's operator"
        )

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            raise self._failed(error) from None  # the peer's answer says it all; the trace ends in gRPC

    def _failed(self, error: grpc.RpcError) -> GoodnoiseError:
        failed = error_from_call(error, peer=self._endpoint.address)
        if failed.code is not Code.UNAVAILABLE or not self._endpoint.tls:
            return failed
        hint = "it must speak TLS; give --ca FILE for a private authority"
        return GoodnoiseError(failed.code, f"{failed.message}; {hint}", failed.details)


def _open(endpoint: Endpoint) -> grpc.Channel:
    # A plain name would let the text choose a resolver; this one is always DNS, and passes addresses through.
    target = f"dns:///{endpoint.address}"
    options = client_options(loopback=is_loopback(endpoint.address))
    if not endpoint.tls:
        return grpc.insecure_channel(target, options=options)
    return grpc.secure_channel(
        target, grpc.ssl_channel_credentials(_authorities(endpoint.ca)), options=options
    )


def _authorities(ca: str | None) -> bytes | None:
    if ca is None:
        return None
    try:
        content = Path(ca).read_bytes()
    except OSError as error:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"cannot read certificates from {ca!r}: {error.strerror}"
        ) from error
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise GoodnoiseError(Code.INVALID_INPUT, f"{ca!r} holds no certificate in PEM form")
    return content
