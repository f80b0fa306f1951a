"""The script of the widget, put together once, and the files beside it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

from cloud_server.captcha.web.languages import Texts

__all__ = ["Asset", "read_static", "widget_script"]

# In this order; each part is a list of plain functions and classes in one common scope.
_PARTS = ("dom.js", "work.js", "service.js", "view.js", "widget.js", "api.js")


@dataclass(frozen=True)
class Asset:
    """A file that a browser may keep.

    Args:
        content: its bytes.
        media_type: with charset.
        seconds: how long it may be kept.
    """

    content: bytes
    media_type: str
    seconds: int

    @property
    def etag(self) -> str:
        """A name for this content, quoted."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'

    async def send(self, request: Request) -> Response:
        """Sends it, or 304 to a browser that has it."""
        headers = {"cache-control": f"public, max-age={self.seconds}", "etag": self.etag}
        if self.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(self.content, media_type=self.media_type, headers=headers)


def read_static(name: str) -> str:
    """The text of a file in `static`."""
    return files(__package__).joinpath("static", name).read_text("utf-8")


def widget_script(texts: Texts, *, seconds: int) -> Asset:
    """The whole script: parts, style and texts within one function, so that it leaves no other names."""
    parts = "\n".join(read_static(part) for part in _PARTS)
    constants = f"const STYLE = {_literal(read_static('widget.css'))};\nconst TEXTS = {_literal(texts)};\n"
    script = f"/* Goodnoise CAPTCHA, Apache-2.0 */\n(() => {{\n'use strict';\n{constants}{parts}}})();\n"
    return Asset(script.encode(), "text/javascript; charset=utf-8", seconds)


def _literal(value: object) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
