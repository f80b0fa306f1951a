"""Latency of issuing challenges out of a full pool, under an open loop: no call waits for the one before.

    python tests/bench/load_captcha.py                                  # SQLite, gRPC, 500 calls a second
    python tests/bench/load_captcha.py --state redis://127.0.0.1:6379/9 --edge http

It starts `goodnoise-cloud captcha serve` on loopback, puts enough images into its pool, and measures, in
turn, an empty call (gRPC: health; HTTP: a path that there is not) and `Issue`, each at the same rate. The
first is the floor: what the machine, the network stack and this program take by themselves. A latency counts
from the moment at which the call was due, so a stall of the service or of this program is in it. Use a Redis
database of its own: its pool is used up.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc.aio
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cloud_server.captcha.keys import load_key
from cloud_server.captcha.sites import SiteBook
from cloud_server.captcha.state import open_store
from cloud_server.captcha.stock import Stock
from cloud_server.captcha.types import Prepared
from shared.wire.goodnoise.v1 import captcha_pb2, captcha_pb2_grpc

# As large as a challenge of the generator; its content does not matter to who moves it.
IMAGE_BYTES = 8_000
CHANNELS = 4
CONNECTIONS = 64

Call = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Figures:
    """Latencies of one phase, milliseconds, from when each call was due.

    Args:
        what: the call.
        calls: how many ended well.
        failed: how many did not.
        per_second: that ended well, over the time until the last one ended.
        p50: half of the calls took no longer.
        p90: nine of ten.
        p99: 99 of a hundred.
        largest: the slowest.
        cpu_ms: processor time of the service for one call, which hardly depends on what else runs.
    """

    what: str
    calls: int
    failed: int
    per_second: float
    p50: float
    p90: float
    p99: float
    largest: float
    cpu_ms: float


async def open_loop(what: str, call: Call, pid: int, *, rate: float, seconds: float) -> Figures:
    """Calls of the service of that process at a steady rate, each begun when it is due."""
    latencies: list[float] = []
    failed = 0

    async def one(due: float) -> None:
        nonlocal failed
        try:
            await call()
        except (grpc.RpcError, OSError, EOFError, RuntimeError):
            failed += 1
        else:
            latencies.append(1000 * (time.perf_counter() - due))

    used = cpu_seconds(pid)
    began = time.perf_counter() + 0.1
    tasks = []
    for number in range(round(rate * seconds)):
        due = began + number / rate
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    took = time.perf_counter() - began
    p50, p90, p99 = np.percentile(latencies or [float("nan")], (50, 90, 99)).round(2).tolist()
    largest = round(max(latencies, default=float("nan")), 2)
    cpu = round(1000 * (cpu_seconds(pid) - used) / len(tasks), 3)
    return Figures(what, len(latencies), failed, round(len(latencies) / took, 1), p50, p90, p99, largest, cpu)


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far; 0.0 where the system does not tell."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return 0.0
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.asynccontextmanager
async def grpc_calls(port: int, site_key: str) -> AsyncIterator[dict[str, Call]]:
    """The empty call and `Issue` over gRPC, over a few connections."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) for _ in range(CHANNELS)]
    empty = [health_pb2_grpc.HealthStub(channel) for channel in channels]
    captcha = [captcha_pb2_grpc.CaptchaServiceStub(channel) for channel in channels]
    request = captcha_pb2.IssueRequest(site_key=site_key, kind=captcha_pb2.CAPTCHA_KIND_IMAGE)
    turn = 0

    def next_one(stubs: list) -> object:
        nonlocal turn
        turn += 1
        return stubs[turn % len(stubs)]

    async def ask_health() -> None:
        await next_one(empty).Check(health_pb2.HealthCheckRequest(), timeout=10)

    async def issue() -> None:
        issued = await next_one(captcha).Issue(request, timeout=10)
        if issued.kind != captcha_pb2.CAPTCHA_KIND_IMAGE:
            raise RuntimeError("the pool is empty")

    yield {"empty": ask_health, "issue": issue}
    for channel in channels:
        await channel.close()


@contextlib.asynccontextmanager
async def http_calls(port: int, site_key: str) -> AsyncIterator[dict[str, Call]]:
    """The same over HTTP/1.1, over connections that are kept."""
    free: asyncio.LifoQueue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.LifoQueue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    body = json.dumps({"sitekey": site_key, "kind": "image"}).encode()
    host = b" HTTP/1.1\r\nhost: captcha.example\r\n"
    post = b"POST /api/v1/challenges" + host + b"content-type: application/json\r\n"
    asked = {
        "empty": (b"GET /nothing" + host + b"\r\n", b"404"),
        "issue": (post + b"content-length: %d\r\n\r\n" % len(body) + body, b"201"),
    }

    async def ask(what: str) -> None:
        sent, wanted = asked[what]
        reader, writer = await free.get()
        if reader.at_eof():  # the server closes those that were silent for long
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(sent)
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            answer = await reader.readexactly(size)
        finally:
            free.put_nowait((reader, writer))
        if head[9:12] != wanted or (what == "issue" and b'"image"' not in answer):
            raise RuntimeError("refused, or the pool is empty")

    yield {"empty": lambda: ask("empty"), "issue": lambda: ask("issue")}
    while not free.empty():
        free.get_nowait()[1].close()


@contextlib.contextmanager
def service(folder: Path, state: str, *, limited: bool, counters: str | None):
    """A real process; gives its number and its ports."""
    ports = folder / "ports"
    # Counted as in production, and never reached.
    named = [
        f"{act}.{whose}=1000000000/hour" for act in ("issue", "unsolved") for whose in ("address", "subnet")
    ]
    limits = [part for limit in (*named, "issue.site=1000000000/hour") for part in ("--limit", limit)]
    command = (
        *(sys.executable, "-m", "cloud_server.cli", "captcha", "serve", "--no-fill", "--no-speech"),
        *("--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--port-file", str(ports)),
        *(limits if limited else ["--no-limits"]),
        *(["--counters", counters] if counters else []),
    )
    place = {"GOODNOISE_CAPTCHA_STATE": state, "GOODNOISE_CAPTCHA_KEY_FILE": str(folder / "key")}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stderr=log, env={**os.environ, **place})
        try:
            while not ports.exists():
                if process.poll() is not None:
                    sys.exit((folder / "log").read_text())
                time.sleep(0.05)
            yield process.pid, json.loads(ports.read_text())
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


async def prepare(folder: Path, state: str, images: int) -> str:
    """A site and a full pool; gives the site's key."""
    store = open_store(state)
    try:
        site, _ = await SiteBook(store).create("load")
        stock = Stock(store, key=load_key(folder / "key"), style="load")
        content = os.urandom(IMAGE_BYTES)
        for begin in range(0, images, 1000):
            await stock.put([Prepared(content, "HEXAR9")] * min(1000, images - begin))
        return site.key
    finally:
        await store.close()


async def measure(options: argparse.Namespace, folder: Path, state: str) -> list[Figures]:
    """Floor, issue, floor again, issue again."""
    load = {"rate": options.rate, "seconds": options.seconds}
    images = round(options.rate * (2 * options.seconds + options.warm)) + 100
    site_key = await prepare(folder, state, images)
    with service(folder, state, limited=options.limits, counters=options.counters) as (pid, ports):
        calls = {"grpc": grpc_calls, "http": http_calls}[options.edge]
        async with calls(ports[options.edge], site_key) as ways:
            await open_loop("warm", ways["issue"], pid, rate=options.rate, seconds=options.warm)
            names = ("empty", "issue", "empty", "issue")
            return [await open_loop(what, ways[what], pid, **load) for what in names]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--state", help="address of a store; a file of SQLite in a temporary folder by default"
    )
    parser.add_argument(
        "--counters", help="address of a Redis for the limits' counters; by default that of --state"
    )
    parser.add_argument("--edge", choices=("grpc", "http"), default="grpc")
    parser.add_argument("--rate", type=float, default=500.0, help="calls a second")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each of the four phases")
    parser.add_argument("--warm", type=float, default=2.0, help="seconds before, which do not count")
    parser.add_argument(
        "--limits", action=argparse.BooleanOptionalAction, default=True, help="count limits, as in production"
    )
    parser.add_argument("--out", type=Path, help="write the figures to this file, JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        state = options.state or f"sqlite:{folder / 'state.sqlite'}"
        before = os.getloadavg()[0]
        found = asyncio.run(measure(options, folder, state))
    result = {
        "edge": options.edge,
        "state": state.partition(":")[0],
        "rate": options.rate,
        "limits": options.limits,
        "counters_apart": options.counters is not None,
        "cores": os.cpu_count(),
        "load_before": round(before, 2),
        "phases": [asdict(figures) for figures in found],
    }
    text = json.dumps(result, indent=2)
    if options.out:
        options.out.write_text(text + "\n")
    print(text)  # noqa: T201 - a program's output


if __name__ == "__main__":
    main()
