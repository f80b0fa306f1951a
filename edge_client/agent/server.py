"""The agent's life: bind, serve until a signal, stop the work, remove what it left.

A client in Python; other languages do the same with stubs made from `proto/goodnoise/v1/edge.proto`:

    import grpc
    from shared.wire.goodnoise.v1 import edge_pb2, edge_pb2_grpc

    def requests(photo: bytes):
        yield edge_pb2.ProtectRequest(options=edge_pb2.ProtectOptions(budget="auto"))
        for start in range(0, len(photo), 256 << 10):
            yield edge_pb2.ProtectRequest(photo_part=photo[start : start + (256 << 10)])

    # goodnoise agent --listen unix:$HOME/.goodnoise/agent.sock
    with grpc.insecure_channel("unix:/home/me/.goodnoise/agent.sock") as channel:
        saved = b""
        for answer in edge_pb2_grpc.EdgeServiceStub(channel).Protect(requests(photo), timeout=120):
            if answer.WhichOneof("kind") == "progress":
                print(answer.progress.stage, answer.progress.done, answer.progress.total)
            saved += answer.photo_part
        print(answer.report.protected, len(saved))

On loopback each call also carries `metadata=[("authorization", f"Bearer {token}")]`, where the token is what
the agent's token file holds, without the line's end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio

from edge_client.agent.listen import UnixSocket, own_socket, parse_listen
from edge_client.agent.service import EdgeService
from edge_client.agent.tasks import Tasks
from edge_client.agent.tokens import RequireToken, default_token_file, token_file
from edge_client.agent.uploads import UploadLimits
from edge_client.agent.worker import Worker
from edge_client.store import BundleStore
from shared.errors import Code, GoodnoiseError
from shared.wire.goodnoise.v1 import edge_pb2_grpc
from shared.wire.options import server_options
from shared.wire.serving import TranslateErrors

__all__ = ["Agent", "AgentSettings", "running_agent", "serve_agent"]

_LOG = logging.getLogger("goodnoise.agent")


@dataclass(frozen=True)
class AgentSettings:
    """How an agent runs.

    Args:
        listen: unix:PATH, or a loopback address.
        token_file: on loopback, where the token is written; None for the device's own folder.
        threads: threads for one call of a network; 0 for as many as there are cores.
        ca: file with the certificates that a cloud's TLS is checked against, PEM.
        root: content of the operator's root.json; None for the one that the device remembers.
        limits: how much callers may send.
        max_calls: calls at once, those that wait among them.
        grace_seconds: how long calls may take to end when the agent stops.
    """

    listen: str
    token_file: Path | None = None
    threads: int = 0
    ca: Path | None = None
    root: bytes | None = None
    limits: UploadLimits = field(default_factory=UploadLimits)
    max_calls: int = 32
    grace_seconds: float = 2.0


@dataclass(frozen=True)
class Agent:
    """A running agent: the address to call, the token's file where one is needed, and what works inside."""

    address: str
    token_file: Path | None
    service: EdgeService
    photos: Worker


def serve_agent(
    listen: str,
    *,
    token_file: Path | None = None,
    threads: int = 0,
    ca: Path | None = None,
    root: bytes | None = None,
    announce: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        listen: unix:PATH, or a loopback address; port 0 takes a free one.
        token_file: on loopback, where the token is written; None for the device's own folder.
        threads: threads for one call of a network; 0 for as many as there are cores.
        ca: file with the certificates that a cloud's TLS is checked against, PEM.
        root: as of `AgentSettings`.
        announce: told the address once calls are taken, and where the token is.

    Raises:
        GoodnoiseError: INVALID_INPUT or PERMISSION for a place that is not private, or taken.
    """
    settings = AgentSettings(listen, token_file, threads, ca, root)
    asyncio.run(_serve(settings, announce))


async def _serve(settings: AgentSettings, announce: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running_agent(BundleStore(), settings) as agent:
        if agent.token_file is not None:
            announce(f"token in {agent.token_file}")
        announce(f"listening on {agent.address}")
        await stop.wait()


@asynccontextmanager
async def running_agent(store: BundleStore, settings: AgentSettings) -> AsyncIterator[Agent]:
    """An agent that takes calls for as long as the block lasts.

    Leaving it stops all work within a step; calls that are open end with UNAVAILABLE.

    Raises:
        GoodnoiseError: as `serve_agent`.
    """
    place = parse_listen(settings.listen)
    async with AsyncExitStack() as stack:
        interceptors: list[grpc.aio.ServerInterceptor] = [TranslateErrors(_log_fault)]
        secret: Path | None = None
        if isinstance(place, UnixSocket):
            place = await stack.enter_async_context(own_socket(place))
        else:
            secret = settings.token_file or default_token_file()
            interceptors.append(RequireToken(stack.enter_context(token_file(secret))))
        photos, updates = Worker("goodnoise-photos"), Worker("goodnoise-updates")
        tasks = Tasks(store, threads=settings.threads, ca=settings.ca, root=settings.root)
        service = EdgeService(tasks, photos=photos, updates=updates, limits=settings.limits)
        server = grpc.aio.server(
            interceptors=interceptors, options=server_options(), maximum_concurrent_rpcs=settings.max_calls
        )
        edge_pb2_grpc.add_EdgeServiceServicer_to_server(service, server)
        stack.push_async_callback(_stop, server, (photos, updates), settings.grace_seconds)
        if isinstance(place, UnixSocket):
            address = place.address()
            _bind(server, address)
        else:
            address = place.address(_bind(server, place.address(place.port)))
        await server.start()
        yield Agent(address, secret, service, photos)


async def _stop(server: grpc.aio.Server, workers: tuple[Worker, ...], grace: float) -> None:
    for worker in workers:
        worker.close()
    await server.stop(grace)
    for worker in workers:
        await asyncio.to_thread(worker.join, grace)


def _bind(server: grpc.aio.Server, address: str) -> int:
    port = 0
    with contextlib.suppress(RuntimeError):  # some releases raise, some return 0
        port = server.add_insecure_port(address)
    if port == 0:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"cannot listen on {address}: it is taken; choose another with --listen"
        )
    return port


def _log_fault(method: str, error: Exception) -> None:
    """What failed and where; never the exception's text, which may hold something of a photo."""
    places = traceback.extract_tb(error.__traceback__)
    place = f"{Path(places[-1].filename).name} line {places[-1].lineno}" if places else "unknown"
    _LOG.error("%s failed: %s in %s", method, type(error).__name__, place)
