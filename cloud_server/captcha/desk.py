"""The CAPTCHA service itself: what both edges, gRPC and HTTP, talk to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from cloud_server.captcha import rules, trials
from cloud_server.captcha.admission import Admission, challenge_key
from cloud_server.captcha.keys import Keys, same_digits
from cloud_server.captcha.limiting import Act, Caller, Limits
from cloud_server.captcha.settings import CaptchaSettings
from cloud_server.captcha.sites import Sites
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
        sites = Sites(store)
        self._admission = Admission(store, sites, limits, self._keys, settings, clock)
        self._verifier = Verifier(store, sites, self._keys, settings)
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
        caller = self._admission.caller(visitor)
        site = await self._admission.site(site_key, visitor)
        now, challenge_id = self._clock(), rules.new_challenge_id(self._keys)
        challenge = Challenge(
            key=challenge_key(challenge_id),
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
        found = await self._admission.challenge(challenge, visitor, Act.IMAGE, Kind.IMAGE)
        # Fetched while it is counted: where Redis writes to a disk each step waits for one.
        image, _ = await asyncio.gather(
            self._store.challenge_image(found.key, now=self._clock()),
            self._limits.may(Act.IMAGE, self._admission.caller(visitor), site=found.site),
        )
        if image is None:
            raise rules.gone()
        return Media(image, "image/png")

    async def audio(self, challenge: str, visitor: Visitor) -> Media:
        """The sound of an audio challenge, WAV."""
        found = await self._admission.challenge(challenge, visitor, Act.IMAGE, Kind.AUDIO)
        await self._limits.may(Act.IMAGE, self._admission.caller(visitor), site=found.site)
        if self._speaking is None:
            raise rules.unavailable("no audio is offered now", self._settings.retry_seconds)
        left = max(1.0, found.expires - self._clock())
        if await self._limits.plays(challenge, seconds=left) > self._settings.plays:
            message = f"the challenge was played {self._settings.plays} times; ask for a new one"
            raise GoodnoiseError(Code.EXHAUSTED, message, {RETRY_AFTER: f"{left:.3f}"})
        return await self._speaking.say(self._digits(challenge), found.language)

    async def answer(self, challenge: str, answer: str, visitor: Visitor) -> Answered:
        """Spends a challenge; what cannot be an answer at all is refused and spends nothing."""
        found = await self._admission.challenge(challenge, visitor, Act.ANSWER)
        await self._limits.may(Act.ANSWER, self._admission.caller(visitor), site=found.site)
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
