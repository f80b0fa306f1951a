"""The state of the CAPTCHA service behind one interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cloud_server.captcha.state.records import Challenge, Pooled, Repeat, Site

__all__ = ["Store"]


class Store(Protocol):
    """State that several processes share. Every method is one atomic step, whole or absent after a crash.

    Times are seconds since 1970 by the caller's clock. Every method raises `GoodnoiseError` UNAVAILABLE, with
    the detail `RETRY_AFTER`, when the state cannot be reached.
    """

    async def pool_put(self, images: Sequence[Pooled]) -> None:
        """Add images behind those that wait; many of them in several steps."""

    async def pool_depth(self) -> int:
        """Images that wait."""

    async def pool_drop(self, *, keep: str) -> int:
        """Remove the images that wait and have another style than `keep`; how many there were."""

    async def pool_take(self, challenge: Challenge) -> Challenge | None:
        """Keep a challenge with the oldest image, which no other challenge ever gets.

        Returns:
            The challenge with that image's answer; None, and nothing is kept, when no image waits.
        """

    async def challenge_put(self, challenge: Challenge) -> None:
        """Keep a challenge that has no image."""

    async def challenge_get(self, key: bytes, *, now: float) -> Challenge | None:
        """A challenge that is neither spent nor expired."""

    async def challenge_image(self, key: bytes, *, now: float) -> bytes | None:
        """The image of such a challenge."""

    async def challenge_take(self, key: bytes, *, now: float) -> Challenge | None:
        """Spend such a challenge: of all callers one gets it, and its image is gone."""

    async def token_put(self, key: bytes, *, expires: float, now: float) -> None:
        """Let a token pass once until `expires`."""

    async def token_take(self, key: bytes, *, now: float, repeat: Repeat | None = None) -> bool:
        """Spend a token: of all callers one gets True.

        Args:
            key: of `token_put`.
            now: the time.
            repeat: who spends with it and comes again with it gets the same True again until it expires.
        """

    async def site_put(self, site: Site) -> None:
        """Add a site, or replace the one of the same key."""

    async def site_get(self, key: str) -> Site | None:
        """The site of a public key."""

    async def site_of_secret(self, secret: bytes) -> Site | None:
        """The site that has a secret with this SHA-256."""

    async def site_list(self) -> tuple[Site, ...]:
        """All sites, by age."""

    async def site_remove(self, key: str) -> bool:
        """Forget a site; whether there was one."""

    async def report_put(self, content: bytes) -> None:
        """Keep the last report, JSON."""

    async def report_get(self) -> bytes | None:
        """The last report."""

    async def close(self) -> None:
        """Let go of files and connections. What was asked for before is done first."""
