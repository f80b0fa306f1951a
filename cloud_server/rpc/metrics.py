"""Prometheus metrics of calls: by method and code, with no label that stands for a person or an address."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from shared.errors import Code, GoodnoiseError

__all__ = ["Metrics", "MetricsPage", "close_page", "serve_metrics"]

_SECONDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.0, 10.0, 60.0, 120.0)


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._calls = Counter("goodnoise_rpc", "Calls that ended", ("method", "code"), registry=self.registry)
        self._seconds = Histogram(
            "goodnoise_rpc_seconds", "Time of a call", ("method",), buckets=_SECONDS, registry=self.registry
        )
        self._bytes = Counter(
            "goodnoise_rpc_sent_bytes", "Messages sent, serialised", ("method",), registry=self.registry
        )
        self.in_flight = Gauge("goodnoise_rpc_in_flight", "Calls that run now", registry=self.registry)

    def ended(self, *, method: str, code: str, seconds: float, sent_bytes: int) -> None:
        """Count one call."""
        self._calls.labels(method, code).inc()
        self._seconds.labels(method).observe(seconds)
        self._bytes.labels(method).inc(sent_bytes)


@dataclass(frozen=True)
class MetricsPage:
    """The page that Prometheus reads, served by a thread of its own."""

    server: WSGIServer
    thread: Thread

    @property
    def port(self) -> int:
        """The bound port."""
        return self.server.server_port

    def close(self) -> None:
        """Stop serving."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def serve_metrics(metrics: Metrics, *, port: int | None) -> MetricsPage | None:
    """Serve the metrics on loopback.

    Args:
        metrics: what to serve.
        port: 0 takes a free one; None serves nothing.

    Raises:
        GoodnoiseError: UNAVAILABLE when the port is taken.
    """
    if port is None:
        return None
    try:
        server, thread = start_http_server(port, addr="127.0.0.1", registry=metrics.registry)
    except OSError as error:
        raise GoodnoiseError(
            Code.UNAVAILABLE, f"cannot serve metrics on port {port}: {error.strerror}"
        ) from error
    return MetricsPage(server, thread)


async def close_page(page: MetricsPage | None) -> None:
    """Stop serving, where anything is served, without holding up the loop."""
    if page is not None:
        await asyncio.to_thread(page.close)
