"""WSGI middleware that lets forms through to an app when their CAPTCHA was solved."""

from __future__ import annotations

import io
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

from .guard import Guard, Refusal, token_of
from .verify import Result, Unverifiable, Verifier

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["CaptchaMiddleware"]


class CaptchaMiddleware:
    """Verifies guarded forms' tokens; the app sees the whole form, and the result as `environ["goodnoise"]`.

    Args:
        app: what it stands in front of.
        verifier: of the site.
        guard: which forms, and what happens to others.
    """

    def __init__(self, app: WSGIApplication, verifier: Verifier, guard: Guard) -> None:
        self._app = app
        self._verifier = verifier
        self._guard = guard

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """One request."""
        path = environ.get("PATH_INFO", "")
        if not self._guard.covers(environ["REQUEST_METHOD"], path, environ.get("SCRIPT_NAME", "") + path):
            return self._app(environ, start_response)
        body = self._body(environ)
        if isinstance(body, Refusal):
            return self._refuse(body, start_response)
        answer = self._ask(environ, body)
        if refusal := self._guard.judge(answer):
            return self._refuse(refusal, start_response)
        environ["wsgi.input"] = io.BytesIO(body)
        environ["goodnoise"] = answer if isinstance(answer, Result) else None
        return self._app(environ, start_response)

    def _ask(self, environ: WSGIEnvironment, body: bytes) -> Result | Unverifiable:
        address = environ.get("REMOTE_ADDR", "") if self._guard.send_address else ""
        try:
            return self._verifier.verify(token_of(environ.get("CONTENT_TYPE", ""), body), address=address)
        except Unverifiable as error:
            return error

    def _body(self, environ: WSGIEnvironment) -> bytes | Refusal:
        # Without a length a WSGI server may wait for ever; browsers always send one with a form.
        text = environ.get("CONTENT_LENGTH") or ""
        if not text.isascii() or not text.isdigit():
            return Refusal(HTTPStatus.LENGTH_REQUIRED, "This form has no length.")
        if int(text) > self._guard.max_body:
            return self._guard.too_large()
        content: bytes = environ["wsgi.input"].read(int(text))
        return content

    def _refuse(self, refusal: Refusal, start_response: StartResponse) -> Iterable[bytes]:
        headers, body = self._guard.response(refusal)
        start_response(f"{refusal.status.value} {refusal.status.phrase}", headers)
        return [body]
