"""The HTTP side of the CAPTCHA service, as one ASGI app over the `Captcha` protocol."""

from __future__ import annotations

import logging

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, Router

from cloud_server.captcha.types import Captcha
from cloud_server.captcha.web.answers import API, json_answer
from cloud_server.captcha.web.assets import Asset, read_static, widget_script
from cloud_server.captcha.web.challenges import Challenges
from cloud_server.captcha.web.counts import Counts
from cloud_server.captcha.web.edge import Edge, on_http_error, on_project_error
from cloud_server.captcha.web.fallback import PATHS, Fallback
from cloud_server.captcha.web.languages import Texts, load_texts
from cloud_server.captcha.web.reports import Reports, ReportSource
from cloud_server.captcha.web.settings import WebSettings
from cloud_server.captcha.web.siteverify import PROFILES, SiteVerify
from cloud_server.captcha.web.visitors import Visitors
from cloud_server.logs import log
from shared.errors import GoodnoiseError

__all__ = ["SCRIPTS", "create_app"]

SCRIPTS = ("/api.js", "/recaptcha/api.js", "/turnstile/v0/api.js")
# Pages of all sites call the API: it reads no cookie, so it gives no page more than a program has anyway.
_CORS = Middleware(
    CORSMiddleware,
    allow_origins=["*"],
    allow_methods=["GET", "POST"],
    allow_headers=["content-type"],
    expose_headers=["retry-after"],
    max_age=7200,
)


async def _no_report() -> bytes | None:
    return None


def create_app(
    captcha: Captcha,
    settings: WebSettings,
    *,
    report: ReportSource = _no_report,
    registry: CollectorRegistry | None = None,
) -> Starlette:
    """The app. Run it without a server's own reading of `X-Forwarded-For` and without access logs.

    Args:
        captcha: the service.
        settings: proxies, sizes, lives.
        report: gives the last published report.
        registry: where the app counts; None for one of its own.

    Raises:
        GoodnoiseError: INVALID_INPUT for a trusted proxy that is no network.
    """
    counts = Counts(registry or CollectorRegistry())
    visitors = Visitors(settings)
    texts = load_texts()
    routes = [
        *(
            Route(profile.path, SiteVerify(captcha, profile, settings, counts).ask, methods=["POST"])
            for profile in PROFILES
        ),
        *_files(texts, settings),
        _api(Challenges(captcha, visitors, settings)),
        *_frame(Fallback(captcha, visitors, settings, texts)),
        *_pages(Reports(report), _Health(captcha)),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Edge, counts=counts)],
        exception_handlers={HTTPException: on_http_error, GoodnoiseError: on_project_error},
    )
    # A redirect would name the host and scheme that the request gave, and a site's server would send its
    # secret there: behind a proxy that ends TLS, in the clear.
    app.router.redirect_slashes = False
    return app


def _files(texts: Texts, settings: WebSettings) -> list[BaseRoute]:
    script = widget_script(texts, seconds=settings.script_seconds)
    style = Asset(read_static("pages.css").encode(), "text/css; charset=utf-8", settings.script_seconds)
    return [*(Route(path, script.send) for path in SCRIPTS), Route("/static/pages.css", style.send)]


def _api(challenges: Challenges) -> BaseRoute:
    routes = [
        Route("/challenges", challenges.issue, methods=["POST"]),
        Route("/challenges/{challenge}/image", challenges.image),
        Route("/challenges/{challenge}/audio", challenges.audio),
        Route("/challenges/{challenge}/answer", challenges.answer, methods=["POST"]),
    ]
    return Mount(API, app=Router(routes, redirect_slashes=False), middleware=[_CORS])


def _frame(fallback: Fallback) -> list[BaseRoute]:
    shown = [Route(path, fallback.show) for path in PATHS]
    return [*shown, *(Route(path, fallback.answer, methods=["POST"]) for path in PATHS)]


def _pages(reports: Reports, health: _Health) -> list[BaseRoute]:
    return [
        Route("/report", reports.show),
        Route("/report.json", reports.plain),
        Route("/healthz", health.show),
    ]


class _Health:
    """Whether the service can work: its store answers."""

    def __init__(self, captcha: Captcha) -> None:
        self._captcha = captcha

    async def show(self, _request: Request) -> Response:
        """`{"status": "ok", "pool": images}`, or 503."""
        try:
            return json_answer({"status": "ok", "pool": await self._captcha.depth()})
        except Exception as error:  # a probe wants a status, whatever broke
            log("captcha.unhealthy", level=logging.ERROR, error=error)
            return json_answer({"status": "failed"}, status=503)
