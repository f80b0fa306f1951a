"""Fixtures of the browser tests: a headless Chromium, and a site with a form."""

from __future__ import annotations

import json
import shutil
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sign up</title>{head}</head>
<body><main><h1>Sign up</h1><form method="post"><p><label>Name <input name="name" value="Ada"></label></p>
{body}<p><button>Send</button></p></form></main></body></html>"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium of this system. It ends with the module: its loop would be in the way of others."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no Chromium on this system (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield running
        running.close()


class Site:
    """A site on `localhost` whose form's server asks `siteverify`.

    Set `head`, `body` and `policy` for what it shows; `asks` and `secret` for whom it asks.
    """

    def __init__(self) -> None:
        self.head = self.body = self.policy = self.asks = self.secret = ""
        self.verdicts: list[dict[str, Any]] = []
        self._server = ThreadingHTTPServer(("localhost", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://localhost:{self._server.server_port}/"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def verify(self, fields: dict[str, str]) -> str:
        token = next((text for name, text in fields.items() if name.endswith("-response")), "")
        body = urlencode({"secret": self.secret, "response": token}).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.asks, body, timeout=60) as answer:
            verdict = json.load(answer)
        self.verdicts.append(verdict)
        return "Welcome" if verdict["success"] else f"Refused: {' '.join(verdict['error-codes'])}"

    def _handler(site) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the request's
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                found = self.path == "/"
                self._send(_PAGE.format(head=site.head, body=site.body), status=200 if found else 204)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                said = site.verify(dict(parse_qsl(body)))
                self._send(
                    f'<!doctype html><html lang="en"><title>Done</title><main><h1>{said}</h1></main></html>'
                )

            def _send(self, page: str, status: int = 200) -> None:
                self.send_response(status)
                self.send_header("content-type", "text/html; charset=utf-8")
                if site.policy:
                    self.send_header("content-security-policy", site.policy)
                self.end_headers()
                if status == 200:
                    self.wfile.write(page.encode())

        return Handler


@pytest.fixture
def site() -> Iterator[Site]:
    """A site with a form, on another origin than the service."""
    running = Site()
    yield running
    running.close()
