"""CaptchaAdminService: sites, the pool and the report, for operators."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import grpc.aio

from cloud_server.captcha.sites import SiteBook
from cloud_server.captcha.state.records import Site
from cloud_server.captcha.state.store import Store
from cloud_server.captcha.types import Captcha
from cloud_server.rpc.captcha.servicer import stamp
from shared.errors import Code, GoodnoiseError
from shared.wire import captcha as limits
from shared.wire.goodnoise.v1 import captcha_pb2, captcha_pb2_grpc

__all__ = ["CaptchaAdminServicer"]

Context = grpc.aio.ServicerContext[Any, Any]


class CaptchaAdminServicer(captcha_pb2_grpc.CaptchaAdminServiceServicer):
    """Answers operators.

    Args:
        book: the sites.
        captcha: whose pool is counted.
        store: which keeps the report.
    """

    def __init__(self, book: SiteBook, captcha: Captcha, store: Store) -> None:
        self._book = book
        self._captcha = captcha
        self._store = store

    async def CreateSite(  # noqa: N802 - the name in the proto
        self, request: captcha_pb2.CreateSiteRequest, context: Context
    ) -> captcha_pb2.CreateSiteResponse:
        """A new site and its secret."""
        name = limits.text("name", request.name, limits.NAME_BYTES)
        names = limits.hostnames("hostnames", request.hostnames)
        site, secret = await self._book.create(name, hostnames=names, work_allowed=not request.refuse_work)
        return captcha_pb2.CreateSiteResponse(site=_site(site), secret=secret)

    async def RotateSecret(  # noqa: N802 - the name in the proto
        self, request: captcha_pb2.RotateSecretRequest, context: Context
    ) -> captcha_pb2.RotateSecretResponse:
        """A new secret beside the newest one."""
        _, secret = await self._book.rotate(_key(request.site_key))
        return captcha_pb2.RotateSecretResponse(secret=secret)

    async def ListSites(  # noqa: N802 - the name in the proto
        self, request: captcha_pb2.ListSitesRequest, context: Context
    ) -> captcha_pb2.ListSitesResponse:
        """One page of sites."""
        after = limits.text("page_token", request.page_token, limits.SITE_KEY_BYTES, ascii_only=True)
        sites = await self._book.sites()
        begin = _begin(sites, after)
        page = sites[begin : begin + limits.page_size(request.page_size)]
        more = begin + len(page) < len(sites)
        return captcha_pb2.ListSitesResponse(
            sites=[_site(site) for site in page], next_page_token=page[-1].key if more else ""
        )

    async def DisableSite(  # noqa: N802 - the name in the proto
        self, request: captcha_pb2.DisableSiteRequest, context: Context
    ) -> captcha_pb2.DisableSiteResponse:
        """No challenges and verdicts from now on."""
        await self._book.change(_key(request.site_key), disabled=True)
        return captcha_pb2.DisableSiteResponse()

    async def EnableSite(  # noqa: N802 - the name in the proto
        self, request: captcha_pb2.EnableSiteRequest, context: Context
    ) -> captcha_pb2.EnableSiteResponse:
        """Challenges and verdicts again."""
        await self._book.change(_key(request.site_key), disabled=False)
        return captcha_pb2.EnableSiteResponse()

    async def DeleteSite(  # noqa: N802 - the name in the proto
        self, request: captcha_pb2.DeleteSiteRequest, context: Context
    ) -> captcha_pb2.DeleteSiteResponse:
        """No such site from now on."""
        await self._book.remove(_key(request.site_key))
        return captcha_pb2.DeleteSiteResponse()

    async def GetPoolDepth(  # noqa: N802 - the name in the proto
        self, request: captcha_pb2.GetPoolDepthRequest, context: Context
    ) -> captcha_pb2.GetPoolDepthResponse:
        """Images that wait."""
        return captcha_pb2.GetPoolDepthResponse(images=await self._captcha.depth())

    async def PublishReport(  # noqa: N802 - the name in the proto
        self, request: captcha_pb2.PublishReportRequest, context: Context
    ) -> captcha_pb2.PublishReportResponse:
        """What the service shows from now on."""
        await self._store.report_put(limits.report("report", request.report))
        return captcha_pb2.PublishReportResponse()


def _key(value: str) -> str:
    return limits.text("site_key", value, limits.SITE_KEY_BYTES, needed=True, ascii_only=True)


def _begin(sites: tuple[Site, ...], after: str) -> int:
    """Where a page begins that follows a site."""
    if not after:
        return 0
    places = [place for place, site in enumerate(sites) if site.key == after]
    if not places:
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            "page_token is of no page: its site was removed, or it never was one; list from the start",
            {"field": "page_token"},
        )
    return places[0] + 1


def _site(site: Site) -> captcha_pb2.Site:
    return captcha_pb2.Site(
        site_key=site.key,
        name=site.name,
        hostnames=site.hostnames,
        work_allowed=site.work_allowed,
        disabled=site.disabled,
        create_time=stamp(datetime.fromtimestamp(site.created, UTC)),
    )
