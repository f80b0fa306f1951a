"""Sites: their keys, their secrets, the pages that may show their widget."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from cloud_server.captcha.state.records import Site
from cloud_server.captcha.state.store import Store
from shared.errors import Code, GoodnoiseError

__all__ = ["SiteBook", "Sites", "allows", "checked_hostnames", "hash_secret", "is_site_key"]

T = TypeVar("T", str, bytes)
_SECRET = "gn_secret_"  # noqa: S105 - how secrets begin
_KEY = re.compile(r"gn_site_[A-Za-z0-9_-]{22}")
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOSTNAME = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")
_SECRETS = 2
_MOST_NAME = 100
_MOST_HOSTNAMES = 100
_MOST_REMEMBERED = 4096


def is_site_key(text: str) -> bool:
    """Whether a text is written as a site's public key."""
    return _KEY.fullmatch(text) is not None


def hash_secret(secret: str) -> bytes:
    """What is kept of a secret. It has 32 random bytes, so a slow hash would protect nothing."""
    return hashlib.sha256(secret.encode()).digest()


def allows(site: Site, hostname: str) -> bool:
    """Whether a site's widget may be shown on a page of this host; an unknown host is one of no list."""
    return not site.hostnames or any(_matches(pattern, hostname) for pattern in site.hostnames)


def _matches(pattern: str, hostname: str) -> bool:
    if pattern.startswith("*."):
        return hostname.endswith(pattern[1:]) and len(hostname) > len(pattern) - 1
    return hostname == pattern


class Sites:
    """Sites as the service looks them up, each remembered for a moment.

    Args:
        store: where they are.
        seconds: how long one is remembered; so late a change is seen.
        clock: seconds, monotonic.
    """

    def __init__(
        self, store: Store, *, seconds: float = 2.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._seconds = seconds
        self._clock = clock
        self._known: dict[str | bytes, tuple[float, Site]] = {}
        self._loading: dict[str | bytes, asyncio.Task[Site | None]] = {}

    async def of_key(self, key: str) -> Site | None:
        """The site of a public key, unless it is disabled."""
        site = await self._find(key, self._store.site_get) if is_site_key(key) else None
        return None if site is None or site.disabled else site

    async def of_secret(self, secret: str) -> Site | None:
        """The site of a secret, unless it is disabled."""
        if not secret.startswith(_SECRET) or not secret.isascii():
            return None
        digest = hash_secret(secret)
        site = await self._find(digest, self._store.site_of_secret)
        if site is None or site.disabled:
            return None
        # The store found it by its hash. That the hash is the site's is proven here, in constant time.
        found = [hmac.compare_digest(digest, each) for each in site.secrets]
        return site if any(found) else None

    async def _find(self, key: T, load: Callable[[T], Awaitable[Site | None]]) -> Site | None:
        until, site = self._known.get(key, (0.0, None))
        left = until - self._clock()
        if site is None or left <= 0:
            # Of callers that come at once one asks, and the others wait with it.
            return await asyncio.shield(self._load(key, load))
        if left <= self._seconds / 2:
            # Asked for again in good time, so that a site in use never waits for the store.
            self._load(key, load)
        return site

    def _load(self, key: T, load: Callable[[T], Awaitable[Site | None]]) -> asyncio.Task[Site | None]:
        loading = self._loading.get(key)
        if loading is None:
            loading = asyncio.create_task(self._loaded(key, load))
            self._loading[key] = loading
            loading.add_done_callback(lambda task: self._ended(key, task))
        return loading

    async def _loaded(self, key: T, load: Callable[[T], Awaitable[Site | None]]) -> Site | None:
        site = await load(key)
        if site is None:
            self._known.pop(key, None)
        else:
            self._remember(key, site)
        return site

    def _ended(self, key: str | bytes, task: asyncio.Task[Site | None]) -> None:
        self._loading.pop(key, None)
        if not task.cancelled():
            task.exception()  # told to who waits; of one that nobody waits for the next caller asks anew

    def _remember(self, key: str | bytes, site: Site) -> None:
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[key] = (self._clock() + self._seconds, site)


class SiteBook:
    """Sites as their operator changes them.

    Args:
        store: where they are.
        clock: seconds since 1970.
    """

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    async def create(
        self, name: str = "", *, hostnames: Iterable[str] = (), work_allowed: bool = True
    ) -> tuple[Site, str]:
        """A new site and its secret, which is shown now and never again.

        Raises:
            GoodnoiseError: INVALID_INPUT, a name too long or a hostname that is none.
        """
        secret = _new_secret()
        site = Site(
            key=f"gn_site_{secrets.token_urlsafe(16)}",
            secrets=(hash_secret(secret),),
            created=self._clock(),
            name=_checked_name(name),
            hostnames=checked_hostnames(hostnames),
            work_allowed=work_allowed,
        )
        await self._store.site_put(site)
        return site, secret

    async def get(self, key: str) -> Site:
        """A site, disabled or not.

        Raises:
            GoodnoiseError: NOT_FOUND.
        """
        site = await self._store.site_get(key) if is_site_key(key) else None
        if site is None:
            message = f"there is no site {key[:40]!r}; list the sites to see their keys"
            raise GoodnoiseError(Code.NOT_FOUND, message)
        return site

    async def sites(self) -> tuple[Site, ...]:
        """All sites, by age."""
        return await self._store.site_list()

    async def change(
        self,
        key: str,
        *,
        name: str | None = None,
        hostnames: Iterable[str] | None = None,
        work_allowed: bool | None = None,
        disabled: bool | None = None,
    ) -> Site:
        """Change what is not None.

        Raises:
            GoodnoiseError: NOT_FOUND; INVALID_INPUT as of `create`.
        """
        site = await self.get(key)
        changed = replace(
            site,
            name=site.name if name is None else _checked_name(name),
            hostnames=site.hostnames if hostnames is None else checked_hostnames(hostnames),
            work_allowed=site.work_allowed if work_allowed is None else work_allowed,
            disabled=site.disabled if disabled is None else disabled,
        )
        await self._store.site_put(changed)
        return changed

    async def rotate(self, key: str, *, keep_old: bool = True) -> tuple[Site, str]:
        """A new secret for a site. The newest one of before stays good, unless it is not to be kept.

        Raises:
            GoodnoiseError: NOT_FOUND.
        """
        site = await self.get(key)
        secret = _new_secret()
        kept = site.secrets[: _SECRETS - 1] if keep_old else ()
        changed = replace(site, secrets=(hash_secret(secret), *kept))
        await self._store.site_put(changed)
        return changed, secret

    async def remove(self, key: str) -> None:
        """Forget a site.

        Raises:
            GoodnoiseError: NOT_FOUND.
        """
        await self.get(key)
        await self._store.site_remove(key)


def checked_hostnames(hostnames: Iterable[str]) -> tuple[str, ...]:
    """Host names in lower case and once each, international ones in their ASCII form.

    Raises:
        GoodnoiseError: INVALID_INPUT naming what is no host name, or that there are too many.
    """
    found = tuple(dict.fromkeys(_checked_hostname(each) for each in hostnames))
    if len(found) > _MOST_HOSTNAMES:
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"{len(found)} hostnames are too many: at most {_MOST_HOSTNAMES}, or *.DOMAIN for all below one",
        )
    return found


def _checked_hostname(text: str) -> str:
    name = text.strip().lower().rstrip(".")
    try:
        name = name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    if len(name) > 253 or not (_HOSTNAME.fullmatch(name) or _is_address(name)):
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"hostname {text[:60]!r} is none: expected one without port, as www.example.org or *.example.org",
        )
    return name


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _checked_name(name: str) -> str:
    if len(name) > _MOST_NAME or not name.isprintable():
        message = f"a site's name has at most {_MOST_NAME} printable characters, got {len(name)}"
        raise GoodnoiseError(Code.INVALID_INPUT, message)
    return name


def _new_secret() -> str:
    return _SECRET + secrets.token_urlsafe(32)
