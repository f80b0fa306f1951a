"""What both middlewares do with a form: is it guarded, where is its token, what a refused visitor sees."""

from __future__ import annotations

import logging
import re
import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from enum import StrEnum
from http import HTTPStatus
from typing import TypeAlias

from .verify import TOKEN_FIELDS, Result, SecretRefusedError, Unverifiable

__all__ = ["Fails", "Guard", "Page", "Refusal", "token_of"]

_LOGGER = logging.getLogger("goodnoise.embed")
_MOST_FIELDS = 1000


class Fails(StrEnum):
    """What happens to a form while the service cannot be asked."""

    CLOSED = "closed"  # refused with 503
    OPEN = "open"  # let through, with a warning in the log


@dataclass(frozen=True)
class Refusal:
    """Why a form was not let through.

    Args:
        status: of HTTP.
        text: for the visitor, plain text.
        error_codes: of `siteverify`.
    """

    status: HTTPStatus
    text: str
    error_codes: tuple[str, ...] = ()


Page: TypeAlias = Callable[[Refusal], str]


def _plain_page(refusal: Refusal) -> str:
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>CAPTCHA</title>'
    return f"{head}<p>{refusal.text}</p></html>"


@dataclass(frozen=True, kw_only=True)
class Guard:
    """Settings of both middlewares.

    Args:
        paths: that are guarded, such as `/login`; `/forms/*` stands for all below. A trailing slash and
            repeated ones do not count, so that no other spelling of a path gets around it.
        methods: of HTTP that are guarded.
        fails: what happens while the service cannot be asked.
        max_body: bytes of a guarded form; more is refused, since it is held in memory.
        page: makes the HTML that a refused visitor sees.
        send_address: tell the service the visitor's address, as the server sees it. It is not compared.
    """

    paths: Sequence[str]
    methods: Sequence[str] = ("POST", "PUT", "PATCH")
    fails: Fails = Fails.CLOSED
    max_body: int = 2 << 20
    page: Page = _plain_page
    send_address: bool = False

    def __post_init__(self) -> None:
        wrong = [path for path in self.paths if not path.startswith("/")]
        if wrong or isinstance(self.paths, str) or not self.paths:
            raise ValueError(f"guarded paths {self.paths!r}: expected a list of paths such as '/login'")

    def covers(self, method: str, *paths: str) -> bool:
        """Whether a request is guarded; `paths` are all names that it has."""
        return method.upper() in self.methods and any(self._guards(path) for path in paths)

    def _guards(self, path: str) -> bool:
        plain = _plain(path)
        return any(
            plain == _plain(guarded)
            or (
                guarded.endswith("/*")
                and f"{plain}/".startswith(f"{_plain(guarded[:-1])}/".replace("//", "/"))
            )
            for guarded in self.paths
        )

    def judge(self, answer: Result | Unverifiable) -> Refusal | None:
        """Why a form is refused; None lets it through."""
        if isinstance(answer, Result):
            return None if answer.success else _not_solved(answer)
        _LOGGER.warning("%s", answer)
        if self.fails is Fails.OPEN and not isinstance(answer, SecretRefusedError):
            return None
        text = "The CAPTCHA cannot be checked now. Please try again in a moment."
        return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, text)

    def too_large(self) -> Refusal:
        """For a body above `max_body`."""
        return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "This form is too large.")

    def response(self, refusal: Refusal) -> tuple[list[tuple[str, str]], bytes]:
        """Headers and body of a refusal."""
        body = self.page(refusal).encode()
        headers = [
            ("content-type", "text/html; charset=utf-8"),
            ("content-length", str(len(body))),
            ("cache-control", "no-store"),
        ]
        if refusal.status is HTTPStatus.SERVICE_UNAVAILABLE:
            headers.append(("retry-after", "10"))
        return headers, body


def token_of(content_type: str, body: bytes) -> str:
    """The token of a form, of any of the fields' names; empty when there is none."""
    fields = (
        _multipart(content_type, body) if content_type.lower().startswith("multipart/") else _urlencoded(body)
    )
    return next((fields[name] for name in TOKEN_FIELDS if fields.get(name)), "")


def _not_solved(result: Result) -> Refusal:
    text = "The CAPTCHA was not solved, or its answer has expired. Please go back and try again."
    return Refusal(HTTPStatus.FORBIDDEN, text, result.error_codes)


def _plain(path: str) -> str:
    return re.sub(r"/+", "/", path).rstrip("/") or "/"


def _urlencoded(body: bytes) -> dict[str, str]:
    try:
        return dict(urllib.parse.parse_qsl(body.decode(), max_num_fields=_MOST_FIELDS))
    except ValueError:
        return {}


def _multipart(content_type: str, body: bytes) -> dict[str, str]:
    message = BytesParser().parsebytes(b"content-type: " + content_type.encode() + b"\r\n\r\n" + body)
    parts = message.get_payload()
    if not isinstance(parts, list):
        return {}
    named = (
        (part.get_param("name", header="content-disposition"), part)
        for part in parts
        if isinstance(part, Message)
    )
    return {name: _content(part) for name, part in named if isinstance(name, str) and name in TOKEN_FIELDS}


def _content(part: Message) -> str:
    content = part.get_payload(decode=True)
    return content.decode(errors="replace").strip() if isinstance(content, bytes) else ""
