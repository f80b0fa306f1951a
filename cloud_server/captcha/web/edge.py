"""What happens to every request: counted, guarded, and answered with the headers that browsers need."""

from __future__ import annotations

import logging
import time

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud_server.captcha.web.answers import error_answer, json_answer, said
from cloud_server.captcha.web.counts import Counts
from cloud_server.captcha.web.siteverify import PROFILES, refusal
from cloud_server.logs import log
from shared.errors import GoodnoiseError

__all__ = ["Edge", "on_http_error", "on_project_error"]

_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    # Of what is no page: pages have a policy of their own.
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    # The script, pictures and sounds are made for other sites' pages, also for isolated ones.
    "cross-origin-resource-policy": "cross-origin",
}
# What may stand in one text of the JSON of an error.
_MAX_MESSAGE = 300


class Edge:
    """Wraps an app: headers, counters, and 500 without a word of the request for what nobody foresaw.

    Args:
        app: what is wrapped.
        counts: where requests are counted.
    """

    def __init__(self, app: ASGIApp, *, counts: Counts) -> None:
        self._app = app
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:  # logged by type and place, since its text may quote input
            log("captcha.http_failed", level=logging.ERROR, error=error, route=_route(scope))
            if not status:
                await _broken()(scope, receive, sending)
        finally:
            self._counts.ended(_route(scope), status=status, seconds=time.perf_counter() - began)


async def on_project_error(_request: Request, error: Exception) -> Response:
    """A `GoodnoiseError` as JSON."""
    if not isinstance(error, GoodnoiseError):
        raise error
    return error_answer(error)


async def on_http_error(request: Request, error: Exception) -> Response:
    """A refusal by a route or by the router as JSON."""
    if not isinstance(error, HTTPException):
        raise error
    if request.url.path.endswith(tuple(profile.path for profile in PROFILES)):
        return refusal(error)
    content = {
        "error": _ERRORS.get(error.status_code, "invalid_input"),
        "message": said(error)[:_MAX_MESSAGE],
    }
    return json_answer(content, status=error.status_code, headers=error.headers)


_ERRORS = {
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    413: "too_large",
    415: "unsupported_type",
}


def _broken() -> Response:
    return json_answer({"error": "internal", "message": "the service failed; try again later"}, status=500)


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", "") or "other"
