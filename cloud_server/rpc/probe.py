"""One health check as a client, for container and balancer probes."""

from __future__ import annotations

from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from shared.errors import Code, GoodnoiseError
from shared.wire.options import client_options, host_port, is_loopback
from shared.wire.status import error_from_call

__all__ = ["probe"]


def probe(
    address: str,
    *,
    service: str,
    ca: Path | None,
    timeout: float,
    certificate: tuple[Path, Path] | None = None,
) -> str:
    """Ask a server for the state of a service.

    Args:
        address: HOST:PORT; without TLS on loopback unless `ca` is given.
        service: full name, or empty for the whole server.
        ca: certificates to trust, PEM.
        timeout: seconds.
        certificate: of an operator and its key, PEM, for an address with mutual TLS.

    Returns:
        The name of the state, such as SERVING or NOT_SERVING.

    Raises:
        GoodnoiseError: INVALID_INPUT, UNAVAILABLE, DEADLINE; NOT_FOUND for a service that the server has not.
    """
    with _channel(host_port(address), ca, certificate) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=timeout)
        except grpc.RpcError as error:
            failed = error_from_call(error, peer=address)
            if failed.code is Code.NOT_FOUND:
                raise GoodnoiseError(Code.NOT_FOUND, f"{address} knows no service {service!r}") from None
            raise failed from None
    name: str = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    return name


def _channel(address: str, ca: Path | None, certificate: tuple[Path, Path] | None) -> grpc.Channel:
    options = client_options(loopback=is_loopback(address))
    if ca is None and certificate is None and is_loopback(address):
        return grpc.insecure_channel(f"dns:///{address}", options=options)
    try:
        roots = ca.read_bytes() if ca else None
        chain, key = (path.read_bytes() for path in certificate) if certificate else (None, None)
    except OSError as error:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"cannot read {error.filename!r}: {error.strerror}"
        ) from error
    credentials = grpc.ssl_channel_credentials(roots, key, chain)
    return grpc.secure_channel(f"dns:///{address}", credentials, options=options)
