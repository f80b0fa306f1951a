"""What the HTTP side can be told."""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass, field
from typing import TypeAlias

from shared.errors import Code, GoodnoiseError

__all__ = ["Network", "WebSettings", "networks"]

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, kw_only=True)
class WebSettings:
    """Settings of the HTTP side.

    Args:
        trusted_proxies: networks such as `10.0.0.0/8` whose `X-Forwarded-For` is believed; `unix` stands for
            a proxy that connects through a socket of the file system.
        max_body: bytes of a request's body; more is refused.
        token_seconds: how long a token lasts, as the widget is told; the service's own setting decides.
        script_seconds: how long a browser may keep the script.
        page_seconds: how long a page without JavaScript remembers the page that it is shown in.
        page_key: 32 bytes that sign that memory; replicas behind one address need the same ones.
    """

    trusted_proxies: tuple[str, ...] = ()
    max_body: int = 16_384
    token_seconds: int = 120
    script_seconds: int = 3600
    page_seconds: int = 1800
    page_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)


def networks(trusted: tuple[str, ...]) -> tuple[Network, ...]:
    """The networks among `trusted`.

    Raises:
        GoodnoiseError: INVALID_INPUT naming what is no network.
    """
    return tuple(_network(text) for text in trusted if text != "unix")


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        message = (
            f"trusted proxy {text!r} is no network: expected one such as 10.0.0.0/8 or fd00::/8, or 'unix'"
        )
        raise GoodnoiseError(Code.INVALID_INPUT, message) from error
