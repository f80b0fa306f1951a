"""Who calls: the secret that a call carries, and the visitor that it stands for.

Neither a secret nor an address is ever logged, counted or quoted in an error.
"""

from __future__ import annotations

import hmac
import ipaddress
import urllib.parse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import grpc.aio

from cloud_server.captcha.sites import Sites
from cloud_server.captcha.trials import PASSES, trial_site, trial_verdict
from cloud_server.captcha.types import Visitor
from shared.errors import Code, GoodnoiseError
from shared.wire import captcha as limits
from shared.wire.serving import Sent, WrapCalls

__all__ = ["HEADER", "RequireBearer", "Visitors", "bearer", "peer_address"]

HEADER = "authorization"
_SCHEME = "bearer "
_ADVICE = f"send the metadata '{HEADER}: Bearer SECRET' with the secret of a site that is not disabled"
Context = grpc.aio.ServicerContext[Any, Any]


class Visitors:
    """Finds the visitor of a call.

    Args:
        sites: tell sites by their secrets.
        test_keys: honour the secrets of the test keys too; they may speak for test sites alone.
    """

    def __init__(self, sites: Sites, *, test_keys: bool = False) -> None:
        self._sites = sites
        self._test_keys = test_keys

    async def of(
        self, context: Context, *, stated: str, hostname: str = "", site_key: str | None = None
    ) -> Visitor:
        """The peer, or whom a site's server states.

        Args:
            context: of the call.
            stated: the request's `visitor_address`.
            hostname: of the page.
            site_key: the site whose secret is wanted; None where the service finds it by the challenge, and
                compares it with the visitor's `stated_by`.

        Raises:
            GoodnoiseError: INVALID_INPUT for what is no address, UNAUTHENTICATED for a secret of nobody,
                PERMISSION for a stated address without the secret of this site.
        """
        given = limits.address("visitor_address", stated)
        secret = bearer(context)
        own = await self._site_of(secret) if secret else ""
        if not given:
            return Visitor(peer_address(context.peer()), hostname)
        if not own or not self._is_of(own, site_key):
            raise GoodnoiseError(
                Code.PERMISSION,
                f"only a site's server may fill visitor_address: {_ADVICE}, or leave it empty",
                {"field": "visitor_address"},
            )
        return Visitor(given, hostname, stated_by=own)

    async def _site_of(self, secret: str) -> str:
        """The site of a secret; of the test secrets, which are of no one site, a test site."""
        if self._test_keys and trial_verdict(secret, datetime.now(UTC)) is not None:
            return PASSES
        site = await self._sites.of_secret(secret)
        if site is None:
            raise GoodnoiseError(Code.UNAUTHENTICATED, f"the call's secret is none of a site; {_ADVICE}")
        return site.key

    def _is_of(self, own: str, site_key: str | None) -> bool:
        return site_key in (None, own) or (own == PASSES and trial_site(site_key or "") is not None)


class RequireBearer(WrapCalls):
    """Refuses every call that does not carry `authorization: Bearer TOKEN`.

    Args:
        token: what callers must send.
    """

    def __init__(self, token: str) -> None:
        super().__init__(self._check)
        self._token = token.encode()

    @asynccontextmanager
    async def _check(self, _method: str, context: Context) -> AsyncIterator[Sent | None]:
        # In constant time, so that a stranger cannot find the token byte by byte.
        if not hmac.compare_digest(bearer(context).encode(), self._token):
            raise GoodnoiseError(
                Code.UNAUTHENTICATED,
                f"the call carries no valid token; send the metadata '{HEADER}: Bearer TOKEN' with the "
                "content of the server's admin token file",
            )
        yield None


def bearer(context: Context) -> str:
    """The secret or token of a call; empty when it carries none.

    Raises:
        GoodnoiseError: UNAUTHENTICATED for another scheme, for several, and for what is too long.
    """
    sent = [value for key, value in context.invocation_metadata() or () if key == HEADER]
    if not sent:
        return ""
    value = sent[0] if isinstance(sent[0], str) else ""
    token = value[len(_SCHEME) :].strip()
    if len(sent) > 1 or not value.lower().startswith(_SCHEME) or len(token) > limits.SECRET_BYTES:
        raise GoodnoiseError(Code.UNAUTHENTICATED, f"the metadata '{HEADER}' is not 'Bearer SECRET', once")
    return token


def peer_address(peer: str) -> str:
    """The address of gRPC's peer text, such as `ipv4:192.0.2.7:5081`; empty for a Unix socket."""
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return ""
    host = urllib.parse.unquote(rest.rpartition(":")[0]).strip("[]").partition("%")[0]
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return ""
    return str(getattr(found, "ipv4_mapped", None) or found)
