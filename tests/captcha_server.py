"""The CAPTCHA's HTTP side on loopback, for tests: the real service on SQLite behind a real uvicorn."""

from __future__ import annotations

import asyncio
import hashlib
import io
import itertools
import secrets
import socket
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from PIL import Image
from prometheus_client import CollectorRegistry

from cloud_server.captcha.challenges.render import render
from cloud_server.captcha.desk import CaptchaDesk
from cloud_server.captcha.limiting import open_limits
from cloud_server.captcha.settings import CaptchaSettings, LimitSettings, Rates
from cloud_server.captcha.sites import SiteBook
from cloud_server.captcha.state import open_store
from cloud_server.captcha.stock import Stock
from cloud_server.captcha.types import Prepared, Speaker
from cloud_server.captcha.web.app import create_app
from cloud_server.captcha.web.settings import WebSettings

__all__ = ["start"]


class Server:
    """A running service.

    `base` is its address; `site_key` and `secret` are of its first site; `registry` has its counters.
    """

    def __init__(
        self,
        path: Path,
        *,
        hostnames: tuple[str, ...] = (),
        work_allowed: bool = True,
        issues_a_day: int = 0,
        work_bits: int = 10,
        speaker: Speaker | None = None,
        trusted_proxies: tuple[str, ...] = (),
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        self._ahead = 0.0
        self._rng = np.random.default_rng(7)
        self.registry = CollectorRegistry()
        settings = CaptchaSettings(key=secrets.token_bytes(32), work_bits=work_bits, test_keys=True)
        self.token_seconds = settings.token_seconds
        issue = Rates(f"{issues_a_day}/day") if issues_a_day else Rates()
        none = Rates()
        limited = LimitSettings(issue=issue, image=none, answer=none, unsolved=none)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        url = f"sqlite:{path}"
        self._store = open_store(url)
        self._limits = open_limits(url, limited, key=settings.key, clock=self._now)
        self._stock = Stock(self._store, key=settings.key, style="test")
        desk = CaptchaDesk(self._store, self._limits, settings, speaker, clock=self._now)
        web = WebSettings(trusted_proxies=trusted_proxies, token_seconds=int(settings.token_seconds))
        app = create_app(desk, web, report=self._store.report_get, registry=self.registry)
        self.site_key, self.secret = self.add_site("first", hostnames, work_allowed=work_allowed)
        self._listen(app, tls)

    def _listen(self, app: Any, tls: tuple[Path, Path] | None) -> None:
        # It listens before the server runs, so that nobody has to wait for it.
        bound = socket.create_server(("127.0.0.1", 0))
        self.base = f"{'https' if tls else 'http'}://127.0.0.1:{bound.getsockname()[1]}"
        files = {"ssl_certfile": str(tls[0]), "ssl_keyfile": str(tls[1])} if tls else {}
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                proxy_headers=False,
                access_log=False,
                log_config=None,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=5,
                **files,
            )
        )
        self._serving = asyncio.run_coroutine_threadsafe(self._server.serve([bound]), self._loop)

    def add_site(
        self, name: str, hostnames: tuple[str, ...] = (), *, work_allowed: bool = True
    ) -> tuple[str, str]:
        """Key and secret of a new site."""
        book = SiteBook(self._store, clock=self._now)
        site, secret = self._run(book.create(name, hostnames=hostnames, work_allowed=work_allowed))
        return site.key, secret

    def fill(self, *texts: str) -> None:
        """Let pictures of these texts wait in the pool, in this order, and no others."""
        self._run(self._store.pool_drop(keep=""))
        self._run(self._stock.put([Prepared(self._png(text), text) for text in texts]))

    def depth(self) -> int:
        """Pictures that wait."""
        return int(self._run(self._stock.depth()))

    def later(self, seconds: float) -> None:
        """Let the service's clock go ahead."""
        self._ahead += seconds

    def break_state(self) -> None:
        """Take the state away while the service runs."""
        self._run(self._store.close())

    def publish(self, report: bytes) -> None:
        """Publish a solver report."""
        self._run(self._store.report_put(report))

    def solve(self, work: dict[str, Any]) -> str:
        """The nonce of a proof of work, found with another SHA-256 than the widget's."""
        for nonce in itertools.count():
            digest = hashlib.sha256(f"{work['salt']}{nonce}".encode()).digest()
            if int.from_bytes(digest, "big") >> (256 - work["bits"]) == 0:
                return str(nonce)
        raise AssertionError

    def close(self) -> None:
        """End it, and let go of everything."""
        self._run(self._hang_up())
        self._server.should_exit = True
        self._serving.result(timeout=60)
        self._run(self._hang_up())
        self._run(self._store.close())
        self._run(self._limits.close())
        self._run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _hang_up(self) -> None:
        # Browsers keep connections open, and one that ends with TLS's farewell outlives the loop.
        for connection in tuple(self._server.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    def _png(self, text: str) -> bytes:
        levels = (render(text, rng=self._rng).image * 255).round().astype(np.uint8)
        stream = io.BytesIO()
        Image.fromarray(levels).save(stream, "PNG")
        return stream.getvalue()

    def _now(self) -> float:
        return time.time() + self._ahead


def start(path: Path, **options: Any) -> Server:
    """A running service with its state in a file; `close` it."""
    return Server(path, **options)
