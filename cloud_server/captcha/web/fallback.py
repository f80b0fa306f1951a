"""The challenge without JavaScript: a plain page in a frame, which ends with a token to copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from cloud_server.captcha.types import Captcha, Issued, Kind, Visitor
from cloud_server.captcha.web.answers import retry_after, status_of
from cloud_server.captcha.web.bodies import FORM, read_texts
from cloud_server.captcha.web.challenges import path_of
from cloud_server.captcha.web.languages import Texts, language_for
from cloud_server.captcha.web.pages import THEMES, html_answer, page, tag
from cloud_server.captcha.web.settings import WebSettings
from cloud_server.captcha.web.tickets import Tickets
from cloud_server.captcha.web.visitors import Visitors, page_hostname
from shared.errors import Code, GoodnoiseError

__all__ = ["PATHS", "Fallback"]

# The second one is where reCAPTCHA had its own.
PATHS = ("/fallback", "/recaptcha/api/fallback")
_MAX_TEXT = 512
_ENTRY: dict[str, str | bool] = {
    "id": "answer",
    "type": "text",
    "required": True,
    "autocomplete": "off",
    "autocapitalize": "characters",
    "spellcheck": "false",
}
_WORDS = {403: "refused", 404: "unknown", 400: "refused", 429: "limited", 503: "unavailable"}


@dataclass(frozen=True)
class _Frame:
    """What one page of the frame hands to the next.

    Args:
        site_key: of the site.
        language: of the texts.
        theme: light, dark or auto.
        kind: image or audio.
        visitor: address, and host name of the page around the frame.
        words: texts of the language.
    """

    site_key: str
    language: str
    theme: str
    kind: Kind
    visitor: Visitor
    words: Mapping[str, str]


class Fallback:
    """The routes of the frame.

    Args:
        captcha: the service.
        visitors: reads who asks.
        settings: size of bodies, memory of the page around the frame.
        texts: by language.
    """

    def __init__(self, captcha: Captcha, visitors: Visitors, settings: WebSettings, texts: Texts) -> None:
        self._captcha = captcha
        self._visitors = visitors
        self._limit = settings.max_body
        self._texts = texts
        self._tickets = Tickets(settings.page_key, seconds=settings.page_seconds)

    async def show(self, request: Request) -> Response:
        """A new challenge: `k` is the site key, `hl` a language, `theme`, `kind` image or audio."""
        frame = self._frame(request, request.query_params)
        return await self._challenge(request, frame)

    async def answer(self, request: Request) -> Response:
        """The token of a right answer, or another challenge."""
        try:
            fields = await read_texts(request, (FORM,), limit=self._limit)
        except HTTPException as error:
            return self._failed(request, self._frame(request, {}), "refused", error.status_code)
        frame = self._frame(request, fields)
        challenge, answer = fields.get("challenge", ""), fields.get("answer", "").strip()
        if not challenge or len(challenge) > _MAX_TEXT or len(answer) > _MAX_TEXT:
            return self._failed(request, frame, "refused", 400)
        try:
            answered = await self._captcha.answer(challenge, answer, frame.visitor)
        except GoodnoiseError as error:
            if error.code in {Code.NOT_FOUND, Code.PRECONDITION}:
                return await self._challenge(request, frame, message="gone")
            return self._refused(request, frame, error)
        if not answered.right:
            return await self._challenge(request, frame, message="wrong")
        return self._page(request, frame, _token(frame, answered.token))

    async def _challenge(self, request: Request, frame: _Frame, message: str = "") -> Response:
        try:
            issued = await self._captcha.issue(
                frame.site_key, frame.kind, frame.visitor, language=frame.language
            )
        except GoodnoiseError as error:
            return self._refused(request, frame, error)
        if issued.kind is Kind.WORK:  # the pool is empty, and nothing here can compute
            return self._failed(request, frame, "unavailable", 503, seconds=10)
        shown = replace(frame, kind=issued.kind)
        note = tag("p", escape(frame.words[message]), role="status", class_="alarm") if message else ""
        return self._page(request, shown, note + self._form(request, shown, issued))

    def _form(self, request: Request, frame: _Frame, issued: Issued) -> str:
        kind = str(issued.kind)
        label = frame.words[f"{kind}_label"].replace("{n}", str(issued.length))
        mode = "numeric" if issued.kind is Kind.AUDIO else "text"
        entry = tag("input", name="answer", maxlength=str(issued.length or 64), inputmode=mode, **_ENTRY)
        hidden = {**self._memory(frame), "challenge": issued.id}
        fields = "".join(
            tag("input", type="hidden", name=name, value=value) for name, value in hidden.items()
        )
        line = tag("div", entry, tag("button", escape(frame.words["submit"]), type="submit"), class_="line")
        form = tag(
            "form",
            tag("label", escape(label), for_="answer"),
            line,
            fields,
            method="post",
            action=_here(request),
        )
        return _medium(request, frame, issued) + form + self._ways(request, frame)

    def _ways(self, request: Request, frame: _Frame) -> str:
        other = Kind.AUDIO if frame.kind is Kind.IMAGE else Kind.IMAGE
        links = ((frame.kind, "reload"), (other, f"to_{other}"))
        return tag(
            "p", *(self._link(request, replace(frame, kind=k), word) for k, word in links), class_="ways"
        )

    def _link(self, request: Request, frame: _Frame, word: str) -> str:
        return tag("a", escape(frame.words[word]), href=f"{_here(request)}?{urlencode(self._memory(frame))}")

    def _memory(self, frame: _Frame) -> dict[str, str]:
        ticket = self._tickets.write(
            frame.visitor.hostname, site_key=frame.site_key, address=frame.visitor.address
        )
        return {
            "k": frame.site_key,
            "hl": frame.language,
            "theme": frame.theme,
            "kind": str(frame.kind),
            "page": ticket,
        }

    def _frame(self, request: Request, fields: Mapping[str, str]) -> _Frame:
        site_key = fields.get("k", "")[:_MAX_TEXT]
        address = self._visitors.address(request)
        remembered = self._tickets.read(fields.get("page", ""), site_key=site_key, address=address)
        hostname = page_hostname(request) if remembered is None else remembered
        language = language_for(fields.get("hl", ""), request.headers.get("accept-language", ""), self._texts)
        theme = fields.get("theme", "auto")
        return _Frame(
            site_key=site_key,
            language=language,
            theme=theme if theme in THEMES else "auto",
            kind=Kind.AUDIO if fields.get("kind") == "audio" else Kind.IMAGE,
            visitor=Visitor(address, hostname),
            words=self._texts[language],
        )

    def _refused(self, request: Request, frame: _Frame, error: GoodnoiseError) -> Response:
        status = status_of(error)
        return self._failed(request, frame, _WORDS.get(status, "offline"), status, seconds=retry_after(error))

    def _failed(
        self, request: Request, frame: _Frame, word: str, status: int, *, seconds: int | None = None
    ) -> Response:
        message = frame.words[word].replace("{n}", str(seconds or 10))
        body = tag("p", escape(message), role="status", class_="alarm")
        ways = self._ways(request, frame) if frame.site_key and status in {429, 503} else ""
        headers = {"retry-after": str(seconds)} if seconds is not None else {}
        return self._page(request, frame, body + ways, status=status, headers=headers)

    def _page(
        self,
        request: Request,
        frame: _Frame,
        body: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        title = frame.words["title"]
        content = page(
            request, title, tag("h1", escape(title)) + body, language=frame.language, theme=frame.theme
        )
        return html_answer(content, status=status, headers=headers, framed=True)


def _medium(request: Request, frame: _Frame, issued: Issued) -> str:
    source = path_of(request, issued.id, str(issued.kind))
    if issued.kind is Kind.AUDIO:
        return tag("audio", controls=True, preload="auto", src=source, aria_label=frame.words["audio_player"])
    alternative = frame.words["image_alt"].replace("{n}", str(issued.length))
    return tag("div", tag("img", src=source, alt=alternative, width="256", height="64"), class_="stage")


def _token(frame: _Frame, token: str) -> str:
    hint = tag("p", escape(frame.words["copy_hint"]), role="status", id="hint")
    label = frame.words["copy_label"]
    words: dict[str, str | bool] = {"id": "token", "readonly": True, "rows": "6"}
    field = tag("textarea", escape(token), aria_label=label, aria_describedby="hint", **words)
    return hint + field


def _here(request: Request) -> str:
    path: str = request.url.path
    return path
