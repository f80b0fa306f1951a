"""ASGI middleware that lets forms through to an app when their CAPTCHA was solved."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from .guard import Guard, Refusal, token_of
from .verify import Result, Unverifiable, Verifier

__all__ = ["CaptchaMiddleware"]

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]


class CaptchaMiddleware:
    """Verifies guarded forms' tokens; the app sees the whole form, and the result as `scope["goodnoise"]`.

    Args:
        app: what it stands in front of.
        verifier: of the site.
        guard: which forms, and what happens to others.
    """

    def __init__(self, app: App, verifier: Verifier, guard: Guard) -> None:
        self._app = app
        self._verifier = verifier
        self._guard = guard

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or not self._guard.covers(scope["method"], *_paths(scope)):
            await self._app(scope, receive, send)
            return
        body = await self._body(receive)
        if body is None:
            return  # the visitor has gone
        if isinstance(body, Refusal):
            await self._refuse(body, send)
            return
        answer = await self._ask(scope, body)
        if refusal := self._guard.judge(answer):
            await self._refuse(refusal, send)
            return
        scope = {**scope, "goodnoise": answer if isinstance(answer, Result) else None}
        await self._app(scope, _replay(body, receive), send)

    async def _ask(self, scope: Message, body: bytes) -> Result | Unverifiable:
        client = scope.get("client")
        address = str(client[0]) if client and self._guard.send_address else ""
        try:
            return await self._verifier.averify(token_of(_content_type(scope), body), address=address)
        except Unverifiable as error:
            return error

    async def _body(self, receive: Receive) -> bytes | Refusal | None:
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._guard.max_body:
                return self._guard.too_large()
            if not message.get("more_body", False):
                return b"".join(parts)

    async def _refuse(self, refusal: Refusal, send: Send) -> None:
        headers, body = self._guard.response(refusal)
        raw = [(name.encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": int(refusal.status), "headers": raw})
        await send({"type": "http.response.body", "body": body})


def _paths(scope: Message) -> tuple[str, ...]:
    # Servers differ in whether the path begins with that of the place where the app is mounted.
    path, root = scope["path"], scope.get("root_path", "")
    return (path, path.removeprefix(root)) if root else (path,)


def _content_type(scope: Message) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"content-type"), "")


def _replay(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed
