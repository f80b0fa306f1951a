"""Plain HTML: one skeleton, no script, no inline style."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from starlette.requests import Request
from starlette.responses import Response

from cloud_server.captcha.web.answers import NO_STORE, root_of

__all__ = ["THEMES", "html_answer", "page", "tag"]

THEMES = ("light", "dark", "auto")
_POLICY = "; ".join(
    (
        *(f"{name} 'none'" for name in ("default-src", "base-uri")),
        *(f"{name} 'self'" for name in ("style-src", "img-src", "media-src", "form-action")),
    )
)


def tag(name: str, /, *content: str, **attributes: str | bool) -> str:
    """One element; `content` is HTML, values of attributes are texts. `for_` stands for `for`.

    A value of True is an attribute without one, False leaves it out.
    """
    words = [name]
    for key, value in attributes.items():
        spelled = key.rstrip("_").replace("_", "-")
        if value is True:
            words.append(spelled)
        elif value is not False:
            words.append(f'{spelled}="{escape(value)}"')
    opening = f"<{' '.join(words)}>"
    return opening if name in {"img", "input", "link", "meta"} else f"{opening}{''.join(content)}</{name}>"


def page(request: Request, title: str, body: str, *, language: str = "en", theme: str = "auto") -> str:
    """A whole page.

    Args:
        request: says where the style is, also where the service is mounted lower.
        title: text.
        body: HTML of `main`.
        language: of the body.
        theme: one of `THEMES`.
    """
    style = f"{root_of(request)}/static/pages.css"
    head = (
        tag("meta", charset="utf-8")
        + tag("meta", name="viewport", content="width=device-width, initial-scale=1")
        + tag("meta", name="robots", content="noindex")
        + tag("title", escape(title))
        + tag("link", rel="stylesheet", href=style)
    )
    shown = tag("body", tag("main", body))
    return "<!doctype html>\n" + tag("html", tag("head", head), shown, lang=language, data_theme=theme)


def html_answer(
    content: str, *, status: int = 200, headers: Mapping[str, str] | None = None, framed: bool = False
) -> Response:
    """A page that no cache keeps and that loads nothing from elsewhere.

    Args:
        content: the page.
        status: of HTTP.
        headers: more of them.
        framed: whether other sites may show it in a frame.
    """
    policy = _POLICY if framed else f"{_POLICY}; frame-ancestors 'none'"
    own = {**NO_STORE, "content-security-policy": policy, "referrer-policy": "same-origin"}
    return Response(
        content, status_code=status, media_type="text/html; charset=utf-8", headers={**own, **(headers or {})}
    )
