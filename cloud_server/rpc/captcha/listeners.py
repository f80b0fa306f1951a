"""The gRPC listeners of the CAPTCHA: one for visitors and sites, one for operators."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from cloud_server.captcha.keys import make_private
from cloud_server.rpc.captcha.admin import CaptchaAdminServicer
from cloud_server.rpc.captcha.callers import RequireBearer
from cloud_server.rpc.captcha.servicer import CaptchaServicer
from cloud_server.rpc.captcha.settings import ServeSettings
from cloud_server.rpc.interceptors import interceptors
from cloud_server.rpc.listening import GrpcServer, bind, credentials
from cloud_server.rpc.metrics import Metrics
from shared.errors import Code, GoodnoiseError
from shared.files import storage_errors
from shared.wire.goodnoise.v1 import captcha_pb2, captcha_pb2_grpc
from shared.wire.options import server_options

__all__ = ["ADMIN", "SERVICE", "admin_token", "start_admin", "start_public"]

SERVICE = captcha_pb2.DESCRIPTOR.services_by_name["CaptchaService"].full_name
ADMIN = captcha_pb2.DESCRIPTOR.services_by_name["CaptchaAdminService"].full_name
_TOKEN_BYTES = 32


async def start_public(
    settings: ServeSettings,
    servicer: CaptchaServicer,
    metrics: Metrics,
    checker: health.aio.HealthServicer,
) -> GrpcServer | None:
    """Listen for visitors' apps and sites' servers, where the settings name an address.

    Raises:
        GoodnoiseError: UNAVAILABLE when the address is taken, INVALID_INPUT for unreadable certificates.
    """
    if settings.grpc is None:
        return None
    server = grpc.aio.server(
        interceptors=interceptors(metrics, None),  # limits are the service's own, for both edges together
        options=server_options(),
        maximum_concurrent_rpcs=settings.max_concurrent,
    )
    captcha_pb2_grpc.add_CaptchaServiceServicer_to_server(servicer, server)
    health_pb2_grpc.add_HealthServicer_to_server(checker, server)
    if settings.reflection:
        reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    port = bind(server, "grpc", settings.grpc, credentials(settings.tls_cert, settings.tls_key))
    await server.start()
    await checker.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
    return GrpcServer(server, port)


async def start_admin(
    settings: ServeSettings,
    servicer: CaptchaAdminServicer,
    metrics: Metrics,
    checker: health.aio.HealthServicer,
) -> GrpcServer | None:
    """Listen for operators, where the settings name an address: mutual TLS, or a token on loopback.

    Raises:
        GoodnoiseError: as `start_public`, and as `admin_token`.
    """
    if settings.admin is None:
        return None
    around = interceptors(metrics, None)
    if settings.admin_ca is None and settings.admin_token_file is not None:
        around.append(RequireBearer(admin_token(settings.admin_token_file)))
    server = grpc.aio.server(interceptors=around, options=server_options())
    captcha_pb2_grpc.add_CaptchaAdminServiceServicer_to_server(servicer, server)
    health_pb2_grpc.add_HealthServicer_to_server(checker, server)
    if settings.reflection:
        reflection.enable_server_reflection((ADMIN, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    identity = credentials(settings.tls_cert, settings.tls_key, clients=settings.admin_ca)
    port = bind(server, "admin", settings.admin, identity)
    await server.start()
    return GrpcServer(server, port)


def admin_token(path: Path) -> str:
    """The operators' token from a file, which is made when there is none.

    Raises:
        GoodnoiseError: PERMISSION when others can read it, CORRUPT when it holds no token; PERMISSION,
            EXHAUSTED or PRECONDITION when it cannot be read or written.
    """
    with storage_errors(path, setting="--admin-token-file"):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            make_private(path, secrets.token_urlsafe(_TOKEN_BYTES))
        mode, token = path.stat().st_mode, path.read_text().strip()
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise GoodnoiseError(
            Code.PERMISSION, f"token file {path} can be read by others; run: chmod 600 {path}, or remove it"
        )
    if len(token) < _TOKEN_BYTES or not token.isascii():
        raise GoodnoiseError(
            Code.CORRUPT, f"token file {path} holds no token of {_TOKEN_BYTES} characters; remove it"
        )
    return token
