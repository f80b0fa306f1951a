"""The last published solver report, for people and for programs, with what it does not show."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from html import escape
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from cloud_server.captcha.web.answers import NO_STORE, json_answer
from cloud_server.captcha.web.pages import html_answer, page, tag

__all__ = ["LIMITS", "ReportSource", "Reports"]

# Gives the JSON that was published last, or None.
ReportSource: TypeAlias = Callable[[], Awaitable[bytes | None]]

LIMITS = (
    (
        "Vision-language models of the frontier read distorted text in 80 to 100 % of cases. The images make "
        "ordinary OCR programs costlier to use; they do not keep out somebody who pays for such a model."
    ),
    "People who solve challenges for money pass every challenge that people can pass.",
    (
        "A figure holds for the solvers, the settings and the day that the report names; a solver that "
        "nobody has measured may do better."
    ),
    "Legibility is measured by stand-ins for people, not by people.",
    "An image alone must not guard a log-in (WCAG 2.2, 3.3.8): offer sound and proof of work beside it.",
)
_DEPTH = 6


class Reports:
    """The routes of the report.

    Args:
        source: where the published report is.
    """

    def __init__(self, source: ReportSource) -> None:
        self._source = source

    async def show(self, request: Request) -> Response:
        """The report as a page; as JSON for who asks for that and not for HTML."""
        accepted = request.headers.get("accept", "")
        if "application/json" in accepted and "text/html" not in accepted:
            return await self.plain(request)
        found = await self._source()
        if found is None:
            body = tag("p", "No report was published yet. The operator makes one with ", _COMMAND, ".")
            return html_answer(page(request, "Solver report", _HEAD + body + _limits()), status=404)
        return html_answer(
            page(request, "Solver report", _HEAD + _limits() + _tree(json.loads(found), _DEPTH))
        )

    async def plain(self, _request: Request) -> Response:
        """The JSON as it was published."""
        found = await self._source()
        if found is None:
            return json_answer({"error": "not_found", "message": "no report was published yet"}, status=404)
        return Response(found, media_type="application/json", headers=NO_STORE)


_COMMAND = tag("code", "goodnoise-cloud captcha report")
_HEAD = tag("h1", "How well programs read these challenges")


def _limits() -> str:
    items = "".join(tag("li", escape(text)) for text in LIMITS)
    return tag("section", tag("h2", "What this report does not show"), tag("ul", items))


def _tree(value: object, depth: int) -> str:
    """Any JSON as tables and sections: the page need not know a report's form."""
    if depth == 0:
        return tag("code", escape(json.dumps(value)))
    if isinstance(value, dict):
        return _fields(value, depth)
    if isinstance(value, list):
        return _rows(value, depth)
    return _scalar(value)


def _fields(value: dict[str, object], depth: int) -> str:
    simple = {name: item for name, item in value.items() if not isinstance(item, dict | list)}
    rows = "".join(
        tag("tr", tag("th", _words(n), scope="row"), tag("td", _scalar(v))) for n, v in simple.items()
    )
    nested = "".join(
        tag("section", tag(f"h{min(6, 2 + _DEPTH - depth)}", _words(name)), _tree(item, depth - 1))
        for name, item in value.items()
        if name not in simple
    )
    return (tag("table", tag("tbody", rows)) if rows else "") + nested


def _rows(value: list[object], depth: int) -> str:
    if not any(isinstance(item, dict | list) for item in value):
        return ", ".join(_scalar(item) for item in value)  # such as the ends of an interval
    if not all(isinstance(item, dict) for item in value):
        return tag("ul", "".join(tag("li", _tree(item, depth - 1)) for item in value))
    dicts = [item for item in value if isinstance(item, dict)]
    names = list(dict.fromkeys(name for item in dicts for name in item))
    head = tag("tr", "".join(tag("th", _words(name), scope="col") for name in names))
    body = "".join(
        tag("tr", "".join(tag("td", _tree(item.get(name), depth - 1)) for name in names)) for item in dicts
    )
    return tag("div", tag("table", tag("thead", head), tag("tbody", body)), class_="wide", tabindex="0")


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else escape(str(value))


def _words(name: str) -> str:
    return escape(name.replace("_", " "))
