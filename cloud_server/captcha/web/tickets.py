"""The memory of a page without JavaScript: in which site's page it is shown.

Its first request names that page in `Referer`; later ones name the page itself. So the host name travels
along, signed, for one site key, one address and a short time: another site cannot write it into a frame.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable

__all__ = ["Tickets"]


class Tickets:
    """Writes and reads tickets.

    Args:
        key: 32 bytes.
        seconds: how long a ticket holds.
        now: seconds since the epoch.
    """

    def __init__(self, key: bytes, *, seconds: int, now: Callable[[], float] = time.time) -> None:
        self._key = key
        self._seconds = seconds
        self._now = now

    def write(self, hostname: str, *, site_key: str, address: str) -> str:
        """A ticket for a page on `hostname`."""
        until = int(self._now()) + self._seconds
        return f"{until}:{self._mac(until, hostname, site_key, address)}:{hostname}"

    def read(self, ticket: str, *, site_key: str, address: str) -> str | None:
        """The host name; None for a ticket that is forged, too old, or somebody else's."""
        digits, _, rest = ticket.partition(":")
        mac, _, hostname = rest.partition(":")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 16):
            return None
        good = self._mac(int(digits), hostname, site_key, address)
        if not hmac.compare_digest(mac.encode(), good.encode()) or int(digits) < self._now():
            return None
        return hostname

    def _mac(self, until: int, hostname: str, site_key: str, address: str) -> str:
        fields = (
            b"goodnoise page",
            str(until).encode(),
            hostname.encode(),
            site_key.encode(),
            address.encode(),
        )
        message = b"".join(len(field).to_bytes(4, "big") + field for field in fields)
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()
