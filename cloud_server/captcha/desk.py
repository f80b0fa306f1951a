"""The CAPTCHA service itself: what both edges, gRPC and HTTP, talk to."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from cloud_server.captcha import rules, trials
from cloud_server.captcha.keys import Keys, same_digits
from cloud_server.captcha.limiting import Act, Caller, Limits
from cloud_server.captcha.settings import CaptchaSettings
from cloud_server.captcha.sites import Sites, allows
from cloud_server.captcha.speaking import Speaking
from cloud_server.captcha.state.records import Challenge, Site
from cloud_server.captcha.state.store import Store
from cloud_server.captcha.tokens import Token, new_token_id, write_token
from cloud_server.captcha.types import Answered, Issued, Kind, Media, Speaker, Verdict, Visitor, Work
from cloud_server.captcha.verifying import Verifier
from cloud_server.captcha.work import new_salt, solves
from shared.errors import Code, GoodnoiseError
from shared.wire.status import RETRY_AFTER

__all__ = ["CaptchaDesk"]

_TRIAL_BITS = 1


class CaptchaDesk:
    """Implements `Captcha`.

    Args:
        store: the state; it is closed by who opened it.
        limits: of `open_limits`; the same.
        settings: lives, difficulty, the server's key.
        speaker: None where no audio is offered.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        store: Store,
        limits: Limits,
        settings: CaptchaSettings,
        speaker: Speaker | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._limits = limits
        self._settings = settings
        self._clock = clock
        self._keys = Keys(settings.key)
        self._sites = Sites(store)
        self._verifier = Verifier(store, self._sites, self._keys, settings)
        self._speaking = Speaking(speaker) if speaker is not None and speaker.languages else None

    async def issue(
        self,
        site_key: str,
        kind: Kind,
        visitor: Visitor,
        *,
        action: str = "",
        cdata: str = "",
        language: str = "en",
    ) -> Issued:
        """A new challenge; of audio in the spoken language nearest to `language`."""
        rules.check_words(visitor, action, cdata)
        caller = self._caller(visitor)
        site = await self._site_for(site_key, visitor.hostname, caller)
        now, challenge_id = self._clock(), rules.new_challenge_id(self._keys)
        challenge = Challenge(
            key=_key(challenge_id),
            kind=_kind(site, kind),
            site=site.key,
            created=now,
            # Longer than is told, for replicas whose clocks are ahead.
            expires=now + self._settings.challenge_seconds + self._settings.skew_seconds,
            hostname=visitor.hostname,
            action=action,
            cdata=cdata,
            language=self._speaking.language(language) if self._speaking else "",
            owner=caller.owner,
            subnet=caller.subnet,
        )
        async with self._limits.issuing(caller, site=site.key):
            kept = await self._keep(challenge, site)
        return self._issued(challenge_id, kept)

    async def image(self, challenge: str, visitor: Visitor) -> Media:
        """The image of a challenge, PNG."""
        found = await self._found(challenge, visitor, Act.IMAGE, Kind.IMAGE)
        # Fetched while it is counted: where Redis writes to a disk each step waits for one.
        image, _ = await asyncio.gather(
            self._store.challenge_image(found.key, now=self._clock()),
            self._limits.may(Act.IMAGE, self._caller(visitor), site=found.site),
        )
        if image is None:
            raise rules.gone()
        return Media(image, "image/png")

    async def audio(self, challenge: str, visitor: Visitor) -> Media:
        """The sound of an audio challenge, WAV."""
        found = await self._found(challenge, visitor, Act.IMAGE, Kind.AUDIO)
        await self._limits.may(Act.IMAGE, self._caller(visitor), site=found.site)
        if self._speaking is None:
            raise rules.unavailable("no audio is offered now", self._settings.retry_seconds)
        left = max(1.0, found.expires - self._clock())
        if await self._limits.plays(challenge, seconds=left) > self._settings.plays:
            message = f"the challenge was played {self._settings.plays} times; ask for a new one"
            raise GoodnoiseError(Code.EXHAUSTED, message, {RETRY_AFTER: f"{left:.3f}"})
        return await self._speaking.say(self._digits(challenge), found.language)

    async def answer(self, challenge: str, answer: str, visitor: Visitor) -> Answered:
        """Spends a challenge; what cannot be an answer at all is refused and spends nothing."""
        found = await self._found(challenge, visitor, Act.ANSWER)
        await self._limits.may(Act.ANSWER, self._caller(visitor), site=found.site)
        rules.check_answer(found.kind, answer)
        now = self._clock()
        # Of all who answer at the same time one gets it.
        taken = await self._store.challenge_take(found.key, now=now)
        if taken is None:
            raise rules.gone()
        if not self._right(challenge, taken, answer):
            return Answered(kind=taken.kind)
        solved = self._limits.solved(Caller(taken.owner, taken.subnet))
        if self._trial(taken.site) is not None:
            await solved
            return Answered(trials.DUMMY, taken.kind)
        token, _ = await asyncio.gather(self._token(taken, now), solved)
        return Answered(token, taken.kind)

    async def verify(
        self, secret: str, token: str, *, address: str = "", idempotency_key: str = ""
    ) -> Verdict:
        """Spends a token for the site of this secret.

        `address` is not compared: a visitor's may change between the challenge and the form, as on a phone.
        """
        return await self._verifier.verify(secret, token, idempotency_key=idempotency_key, now=self._clock())

    async def depth(self) -> int:
        """Images that wait in the pool."""
        return await self._store.pool_depth()

    async def _site_for(self, key: str, hostname: str, caller: Caller) -> Site:
        try:
            return await self._site(key, hostname)
        except GoodnoiseError:
            await self._limits.may(Act.ISSUE, caller)  # who asks for what there is not is counted too
            raise

    async def _site(self, key: str, hostname: str) -> Site:
        site = self._trial(key) or await self._sites.of_key(key)
        if site is None:
            raise GoodnoiseError(Code.NOT_FOUND, "there is no site of this key; see the key in the page")
        if not allows(site, hostname):
            message = f"the host {hostname or 'unknown'!r} is none of the site's; add it to its hostnames"
            raise GoodnoiseError(Code.PERMISSION, message)
        return site

    def _trial(self, key: str) -> Site | None:
        return trials.trial_site(key) if self._settings.test_keys else None

    async def _keep(self, challenge: Challenge, site: Site) -> Challenge:
        if challenge.kind is Kind.IMAGE:
            taken = await self._store.pool_take(challenge)
            return taken or await self._keep_work(challenge, site, "no image waits")
        if challenge.kind is Kind.AUDIO and self._speaking is None:
            return await self._keep_work(challenge, site, "no audio is offered")
        if challenge.kind is Kind.WORK and not site.work_allowed:
            raise GoodnoiseError(Code.PERMISSION, "the site does not offer proof of work; ask for an image")
        if challenge.kind is Kind.WORK:
            return await self._keep_work(challenge, site, "")
        await self._store.challenge_put(challenge)
        return challenge

    async def _keep_work(self, challenge: Challenge, site: Site, reason: str) -> Challenge:
        if not site.work_allowed:
            raise rules.unavailable(f"{reason} now; ask again later", self._settings.retry_seconds)
        bits = self._settings.work_bits if self._trial(site.key) is None else _TRIAL_BITS
        work = replace(challenge, kind=Kind.WORK, salt=new_salt(), bits=bits)
        await self._store.challenge_put(work)
        return work

    def _issued(self, challenge_id: str, challenge: Challenge) -> Issued:
        length = {Kind.AUDIO: self._settings.audio_digits}.get(challenge.kind, 0)
        return Issued(
            challenge_id,
            challenge.kind,
            datetime.fromtimestamp(challenge.created + self._settings.challenge_seconds, UTC),
            length=challenge.answer.length if challenge.answer else length,
            work=Work(challenge.salt, challenge.bits) if challenge.kind is Kind.WORK else None,
        )

    async def _found(self, challenge: str, visitor: Visitor, act: Act, kind: Kind | None = None) -> Challenge:
        """A challenge that this visitor may ask for; who asks for another is counted here."""
        try:
            if not rules.is_challenge_id(challenge, self._keys):
                raise rules.no_challenge()
            found = await self._store.challenge_get(_key(challenge), now=self._clock())
            if found is None:
                raise rules.gone()
            self._check(found, visitor, kind)
        except GoodnoiseError:
            await self._limits.may(act, self._caller(visitor))
            raise
        return found

    def _check(self, found: Challenge, visitor: Visitor, kind: Kind | None) -> None:
        if kind is not None and found.kind is not kind:
            message = f"the challenge is one of {found.kind}, which has no {kind}; ask for another"
            raise GoodnoiseError(Code.PRECONDITION, message)
        if not self._speaks_at(visitor.stated_by, found.site):
            message = (
                "the challenge is another site's; state a visitor's address at challenges of your own site"
            )
            raise GoodnoiseError(Code.PERMISSION, message)

    def _speaks_at(self, stated_by: str, site: str) -> bool:
        """Whether who states an address may do so at this site; test keys may at each other."""
        both_trials = self._trial(stated_by) is not None and self._trial(site) is not None
        return stated_by in ("", site) or both_trials

    def _caller(self, visitor: Visitor) -> Caller:
        return self._limits.caller(visitor.address, stated_by=visitor.stated_by)

    def _right(self, challenge_id: str, challenge: Challenge, answer: str) -> bool:
        if self._trial(challenge.site) is not None and challenge.site != trials.FORCES:
            return challenge.site == trials.PASSES
        if challenge.kind is Kind.WORK:
            return solves(Work(challenge.salt, challenge.bits), answer)
        if challenge.kind is Kind.AUDIO:
            return same_digits(self._digits(challenge_id), answer)
        return challenge.answer is not None and self._keys.opens(challenge.answer, answer)

    def _digits(self, challenge_id: str) -> str:
        return self._keys.digits(challenge_id, self._settings.audio_digits)

    async def _token(self, challenge: Challenge, now: float) -> str:
        token = Token(
            new_token_id(),
            challenge.site,
            challenge.kind,
            now,
            now + self._settings.token_seconds,
            challenge.hostname,
            challenge.action,
            challenge.cdata,
        )
        expires = token.expires + self._settings.skew_seconds
        await self._store.token_put(token.key, expires=expires, now=now)
        return write_token(token, self._keys)


def _kind(site: Site, kind: Kind) -> Kind:
    """Sites of test keys are there without a pool and a speaker, but for the one that forces an image."""
    return Kind.WORK if site.key in (trials.PASSES, trials.FAILS) else kind


def _key(challenge_id: str) -> bytes:
    return hashlib.sha256(b"challenge" + challenge_id.encode()).digest()
