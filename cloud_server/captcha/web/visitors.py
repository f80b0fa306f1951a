"""Who asks: the address behind trusted proxies, and the page that shows the widget."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.requests import Request

from cloud_server.captcha.types import Visitor
from cloud_server.captcha.web.settings import Network, WebSettings, networks

__all__ = ["Visitors", "address_text", "forwarded_address", "page_hostname"]

_HOSTNAME = re.compile(r"[a-z0-9]([a-z0-9_.-]{0,252})|[0-9a-f:.]{2,45}")


class Visitors:
    """Reads a visitor from a request.

    Args:
        settings: which proxies are trusted.

    Raises:
        GoodnoiseError: INVALID_INPUT for a trusted proxy that is no network.
    """

    def __init__(self, settings: WebSettings) -> None:
        self._trusted = networks(settings.trusted_proxies)
        self._trusts_socket = "unix" in settings.trusted_proxies

    def address(self, request: Request) -> str:
        """The visitor's address; empty when unknown."""
        peer = address_text(request.client.host) if request.client is not None else ""
        if not peer and not self._trusts_socket:
            return ""
        chain = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
        return forwarded_address(peer, chain, trusted=self._trusted)

    def of(self, request: Request) -> Visitor:
        """Address and page of a call that the widget makes from the page itself."""
        return Visitor(self.address(request), page_hostname(request))


def forwarded_address(peer: str, chain: Sequence[str], *, trusted: Sequence[Network]) -> str:
    """The right-most address that no trusted proxy has.

    What stands left of it was written by somebody who is not trusted, and is not read.

    Args:
        peer: who connected; empty for a trusted socket.
        chain: entries of `X-Forwarded-For`, left to right.
        trusted: networks of proxies.
    """
    known = peer
    for entry in reversed(chain):
        if known and not _within(known, trusted):
            return known
        before = address_text(entry)
        if not before:
            return known
        known = before
    return known


def page_hostname(request: Request) -> str:
    """The host name of the page that a browser says the request comes from; empty when it says none.

    A program can say what it likes here: the name binds what browsers do, not what a program does.
    """
    origin = request.headers.get("origin", "")
    if origin and origin != "null":
        return _hostname(origin)
    if referer := request.headers.get("referer", ""):
        return _hostname(referer)
    if request.headers.get("sec-fetch-site") == "same-origin":
        return _hostname("//" + request.headers.get("host", ""))
    return ""


def address_text(text: str) -> str:
    """An IP address in its one spelling, without port or zone; empty when the text is none."""
    bare = text.strip().partition("%")[0]
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        found = ipaddress.ip_address(bare)
    except ValueError:
        return ""
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)


def _within(address: str, trusted: Sequence[Network]) -> bool:
    found = ipaddress.ip_address(address)
    return any(found in network for network in trusted)


def _hostname(url: str) -> str:
    try:
        parts = urlsplit(url)
        name = (parts.hostname or "").rstrip(".")
    except ValueError:
        return ""
    if "@" in parts.netloc or "\\" in parts.netloc:
        return ""  # no browser sends these, and readers of URLs differ about them
    return name if _HOSTNAME.fullmatch(name) else ""
