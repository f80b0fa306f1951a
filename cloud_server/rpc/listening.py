"""Listeners of gRPC: addresses, certificates, and their end."""

from __future__ import annotations

import contextlib
from pathlib import Path

import grpc
import grpc.aio

from shared.errors import Code, GoodnoiseError

__all__ = ["GrpcServer", "bind", "credentials"]


class GrpcServer:
    """A running listener; `port` is the one that was bound."""

    def __init__(self, server: grpc.aio.Server, port: int) -> None:
        self._server = server
        self.port = port

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new calls and let those in flight end."""
        await self._server.stop(grace_seconds)


def bind(server: grpc.aio.Server, option: str, address: str, identity: grpc.ServerCredentials | None) -> int:
    """Bind an address; the port that was bound.

    Args:
        server: which listens.
        option: that names the address, without dashes, for the message.
        address: HOST:PORT; port 0 takes a free one.
        identity: of `credentials`; None for no TLS.

    Raises:
        GoodnoiseError: UNAVAILABLE when the address is taken.
    """
    port = 0
    with contextlib.suppress(RuntimeError):  # some releases raise, some return 0
        if identity is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, identity)
    if port == 0:
        raise GoodnoiseError(
            Code.UNAVAILABLE,
            f"cannot listen on {address}: the address is taken or not of this machine, or the certificate "
            f"and key do not belong together; choose another with --{option}",
        )
    return port


def credentials(
    certificate: Path | None, key: Path | None, *, clients: Path | None = None
) -> grpc.ServerCredentials | None:
    """TLS where there is a certificate; mutual where `clients` names an authority.

    Raises:
        GoodnoiseError: INVALID_INPUT for unreadable files.
    """
    if certificate is None or key is None:
        return None
    try:
        pair = key.read_bytes(), certificate.read_bytes()
        roots = clients.read_bytes() if clients else None
    except OSError as error:
        raise GoodnoiseError(Code.INVALID_INPUT, f"cannot read {error.filename}: {error.strerror}") from error
    return grpc.ssl_server_credentials(
        [pair], root_certificates=roots, require_client_auth=clients is not None
    )
