"""The operators' own address: health and reflection over mutual TLS, apart from where devices call.

Devices show no certificate, here or anywhere; whoever calls this address must.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from shared.errors import Code, GoodnoiseError
from shared.wire.options import server_options

__all__ = ["OperatorServer", "OperatorSettings", "start_operator_server"]


class OperatorSettings(Protocol):
    """What settings of a server say of its operators."""

    @property
    def operator_listen(self) -> str | None:
        """HOST:PORT; None for no such address."""

    @property
    def operator_ca(self) -> Path | None:
        """Authority of the operators' certificates, PEM."""

    @property
    def tls_cert(self) -> Path | None:
        """The server's certificate chain, PEM."""

    @property
    def tls_key(self) -> Path | None:
        """Its key, PEM."""


class OperatorServer:
    """A running listener; `port` is the one that was bound."""

    def __init__(self, server: grpc.aio.Server, port: int) -> None:
        self._server = server
        self.port = port

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new calls and let those in flight end."""
        await self._server.stop(grace_seconds)


async def start_operator_server(
    settings: OperatorSettings, checker: health.aio.HealthServicer, names: Sequence[str]
) -> OperatorServer | None:
    """Listen for operators, where the settings name an address.

    Args:
        settings: `operator_listen`, `operator_ca` and the server's own certificate and key.
        checker: the server's health, which devices' address shows as well.
        names: services that reflection describes.

    Raises:
        GoodnoiseError: UNAVAILABLE when the address is taken, INVALID_INPUT for unreadable certificates.
    """
    if settings.operator_listen is None:
        return None
    credentials = _credentials(settings)
    server = grpc.aio.server(options=server_options())
    health_pb2_grpc.add_HealthServicer_to_server(checker, server)
    reflection.enable_server_reflection(names, server)
    port = 0
    with contextlib.suppress(RuntimeError):  # some releases raise, some return 0
        port = server.add_secure_port(settings.operator_listen, credentials)
    if port == 0:
        raise GoodnoiseError(
            Code.UNAVAILABLE,
            f"cannot listen on {settings.operator_listen}: the address is taken or not of this machine; "
            "choose another with --operator-listen",
        )
    await server.start()
    return OperatorServer(server, port)


def _credentials(settings: OperatorSettings) -> grpc.ServerCredentials:
    if settings.operator_ca is None or settings.tls_cert is None or settings.tls_key is None:
        raise ValueError("operator_listen: expected operator_ca, tls_cert and tls_key beside it")
    try:
        pair = settings.tls_key.read_bytes(), settings.tls_cert.read_bytes()
        roots = settings.operator_ca.read_bytes()
    except OSError as error:
        raise GoodnoiseError(Code.INVALID_INPUT, f"cannot read {error.filename}: {error.strerror}") from error
    return grpc.ssl_server_credentials([pair], root_certificates=roots, require_client_auth=True)
