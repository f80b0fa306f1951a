"""The service, counted: what was issued, answered and verified, for both edges at once.

No label stands for a site, a page or a person.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from cloud_server.captcha.types import Answered, Captcha, Issued, Kind, Media, Verdict, Visitor
from shared.errors import Code, GoodnoiseError

__all__ = ["CaptchaCounts", "Counted"]

# Words of siteverify that a verdict may hold; whatever else there is counts as one.
_VERDICTS = frozenset(
    f"{state}-input-{name}" for state in ("missing", "invalid") for name in ("secret", "response")
) | {"timeout-or-duplicate", "bad-request", "internal-error"}

# Stands for a kind where there is no challenge, or none that is told.
_NONE = "none"


class CaptchaCounts:
    """Counters in a registry.

    Args:
        registry: where they are registered, once.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.depth = Gauge(
            "goodnoise_captcha_pool_depth", "Images that wait for a visitor", registry=registry
        )
        self.issued = Counter(
            "goodnoise_captcha_issued", "Challenges asked for", ("kind", "outcome"), registry=registry
        )
        self.shown = Counter(
            "goodnoise_captcha_shown", "Images and sounds asked for", ("kind", "outcome"), registry=registry
        )
        self.answered = Counter(
            "goodnoise_captcha_answered", "Answers to challenges", ("kind", "outcome"), registry=registry
        )
        self.verified = Counter(
            "goodnoise_captcha_verified", "Verdicts on tokens", ("kind", "outcome"), registry=registry
        )
        self.empty = Counter(
            "goodnoise_captcha_pool_empty", "Images asked for while none waited", registry=registry
        )


class Counted:
    """A `Captcha` that counts what another one does.

    Args:
        captcha: the service.
        counts: where.
    """

    def __init__(self, captcha: Captcha, counts: CaptchaCounts) -> None:
        self._captcha = captcha
        self._counts = counts

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
        """As `Captcha.issue`; counted by the kind that was given, or asked for where none was."""
        try:
            issued = await self._captcha.issue(
                site_key, kind, visitor, action=action, cdata=cdata, language=language
            )
        except GoodnoiseError as error:
            self._counts.issued.labels(kind, error.code).inc()
            if kind is Kind.IMAGE and error.code is Code.UNAVAILABLE and await self._is_empty():
                self._counts.empty.inc()
            raise
        self._counts.issued.labels(issued.kind, "ok").inc()
        if kind is Kind.IMAGE and issued.kind is not kind:
            self._counts.empty.inc()
        return issued

    async def image(self, challenge: str, visitor: Visitor) -> Media:
        """As `Captcha.image`."""
        try:
            media = await self._captcha.image(challenge, visitor)
        except GoodnoiseError as error:
            self._counts.shown.labels(Kind.IMAGE, error.code).inc()
            raise
        self._counts.shown.labels(Kind.IMAGE, "ok").inc()
        return media

    async def audio(self, challenge: str, visitor: Visitor) -> Media:
        """As `Captcha.audio`."""
        try:
            media = await self._captcha.audio(challenge, visitor)
        except GoodnoiseError as error:
            self._counts.shown.labels(Kind.AUDIO, error.code).inc()
            raise
        self._counts.shown.labels(Kind.AUDIO, "ok").inc()
        return media

    async def answer(self, challenge: str, answer: str, visitor: Visitor) -> Answered:
        """As `Captcha.answer`."""
        try:
            answered = await self._captcha.answer(challenge, answer, visitor)
        except GoodnoiseError as error:
            self._counts.answered.labels(_NONE, error.code).inc()
            raise
        self._counts.answered.labels(answered.kind or _NONE, "right" if answered.right else "wrong").inc()
        return answered

    async def verify(
        self, secret: str, token: str, *, address: str = "", idempotency_key: str = ""
    ) -> Verdict:
        """As `Captcha.verify`."""
        verdict = await self._captcha.verify(secret, token, address=address, idempotency_key=idempotency_key)
        self._counts.verified.labels(verdict.kind or _NONE, _outcome(verdict)).inc()
        return verdict

    async def depth(self) -> int:
        """As `Captcha.depth`; the gauge keeps what was found."""
        found = await self._captcha.depth()
        self._counts.depth.set(found)
        return found

    async def _is_empty(self) -> bool:
        """Whether that was why; a store that cannot be reached looks the same to a visitor."""
        try:
            return await self.depth() == 0
        except GoodnoiseError:
            return False


def _outcome(verdict: Verdict) -> str:
    if verdict.success:
        return "success"
    word = (*verdict.error_codes, "other")[0]
    return word if word in _VERDICTS else "other"
