"""Which site and which challenge a visitor may ask for. Who asks for another is counted as well."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from cloud_server.captcha import rules, trials
from cloud_server.captcha.keys import Keys
from cloud_server.captcha.limiting import Act, Caller, Limits
from cloud_server.captcha.settings import CaptchaSettings
from cloud_server.captcha.sites import Sites, allows
from cloud_server.captcha.state.records import Challenge, Site
from cloud_server.captcha.state.store import Store
from cloud_server.captcha.types import Kind, Visitor
from shared.errors import Code, GoodnoiseError

__all__ = ["Admission", "challenge_key"]


class Admission:
    """Looks up what a call names.

    Args:
        store: the challenges.
        sites: by their keys.
        limits: count those who are refused here; who is let in is counted by who calls.
        keys: made the challenges' ids.
        settings: whether test keys are honoured.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        sites: Sites,
        limits: Limits,
        keys: Keys,
        settings: CaptchaSettings,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._sites = sites
        self._limits = limits
        self._keys = keys
        self._test_keys = settings.test_keys
        self._clock = clock

    def caller(self, visitor: Visitor) -> Caller:
        """Who a visitor is to the limits."""
        return self._limits.caller(visitor.address, stated_by=visitor.stated_by)

    async def site(self, key: str, visitor: Visitor) -> Site:
        """The site of a public key, whose widget may be shown where this visitor is.

        Raises:
            GoodnoiseError: NOT_FOUND or PERMISSION; EXHAUSTED as of `Limits.may`.
        """
        try:
            return await self._site(key, visitor.hostname)
        except GoodnoiseError:
            await self._limits.may(Act.ISSUE, self.caller(visitor))
            raise

    async def challenge(self, name: str, visitor: Visitor, act: Act, kind: Kind | None = None) -> Challenge:
        """The challenge of an id.

        Args:
            name: the id.
            visitor: who asks.
            act: what is counted for who is refused.
            kind: that it must have; None for any.

        Raises:
            GoodnoiseError: NOT_FOUND, never issued; PRECONDITION, spent, expired or of another kind;
                PERMISSION, another site's; EXHAUSTED as of `Limits.may`.
        """
        try:
            if not rules.is_challenge_id(name, self._keys):
                raise rules.no_challenge()
            found = await self._store.challenge_get(challenge_key(name), now=self._clock())
            if found is None:
                raise rules.gone()
            self._check(found, visitor, kind)
        except GoodnoiseError:
            await self._limits.may(act, self.caller(visitor))
            raise
        return found

    async def _site(self, key: str, hostname: str) -> Site:
        site = self._trial(key) or await self._sites.of_key(key)
        if site is None:
            raise GoodnoiseError(Code.NOT_FOUND, "there is no site of this key; see the key in the page")
        if not allows(site, hostname):
            message = f"the host {hostname or 'unknown'!r} is none of the site's; add it to its hostnames"
            raise GoodnoiseError(Code.PERMISSION, message)
        return site

    def _trial(self, key: str) -> Site | None:
        return trials.trial_site(key) if self._test_keys else None

    def _check(self, found: Challenge, visitor: Visitor, kind: Kind | None) -> None:
        if kind is not None and found.kind is not kind:
            message = f"the challenge is one of {found.kind}, which has no {kind}; ask for another"
            raise GoodnoiseError(Code.PRECONDITION, message)
        if not self._speaks_at(visitor.stated_by, found.site):
            message = "the challenge is another site's; state visitors' addresses at your own site's alone"
            raise GoodnoiseError(Code.PERMISSION, message)

    def _speaks_at(self, stated_by: str, site: str) -> bool:
        """Whether who states an address may do so at this site; test keys may at each other."""
        both_trials = self._trial(stated_by) is not None and self._trial(site) is not None
        return stated_by in ("", site) or both_trials


def challenge_key(name: str) -> bytes:
    """Under which a store keeps the challenge of an id: a copied store gives away no challenge."""
    return hashlib.sha256(b"challenge" + name.encode()).digest()
