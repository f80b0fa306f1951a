"""`siteverify` for sites' servers, in the words of reCAPTCHA, of Turnstile, and of both."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from cloud_server.captcha.types import Captcha, Verdict
from cloud_server.captcha.web.answers import json_answer, said
from cloud_server.captcha.web.bodies import FORM, JSON, MULTIPART, read_texts
from cloud_server.captcha.web.counts import Counts
from cloud_server.captcha.web.settings import WebSettings
from cloud_server.captcha.web.visitors import address_text
from cloud_server.logs import log
from shared.errors import GoodnoiseError

__all__ = ["OWN", "PROFILES", "RECAPTCHA", "TURNSTILE", "Profile", "SiteVerify", "refusal", "verdict_words"]


@dataclass(frozen=True)
class Profile:
    """One peer's words for the same question.

    Args:
        name: for metrics.
        path: where sites' servers ask.
        types: media types of the body.
        repeats: whether `idempotency_key` is read.
        full: whether an answer always has `action`, `cdata` and `error-codes`.
    """

    name: str
    path: str
    types: Sequence[str]
    repeats: bool
    full: bool


RECAPTCHA = Profile("recaptcha", "/recaptcha/api/siteverify", (FORM, MULTIPART), repeats=False, full=False)
TURNSTILE = Profile("turnstile", "/turnstile/v0/siteverify", (FORM, MULTIPART, JSON), repeats=True, full=True)
OWN = Profile("goodnoise", "/siteverify", (FORM, MULTIPART, JSON), repeats=True, full=True)
PROFILES = (RECAPTCHA, TURNSTILE, OWN)

# Longer texts than any that the service makes, or than Turnstile takes for a key of repeats.
_MAX_TEXT = 2048
_MAX_KEY = 256


class SiteVerify:
    """The route of one profile.

    A verdict comes with status 200 whatever it says, also when the service fails: clients of the peers raise
    on other statuses, which would cost a visitor the whole form. Only a request that no client of theirs
    sends has another one (400, 405, 413, 415), with the same JSON.

    Args:
        captcha: the service.
        profile: whose words.
        settings: size of bodies.
        counts: where verdicts are counted.
    """

    def __init__(self, captcha: Captcha, profile: Profile, settings: WebSettings, counts: Counts) -> None:
        self._captcha = captcha
        self._profile = profile
        self._settings = settings
        self._counts = counts

    async def ask(self, request: Request) -> Response:
        """Answers one question of a site's server."""
        try:
            fields = await read_texts(request, self._profile.types, limit=self._settings.max_body)
        except HTTPException as error:
            self._counts.verified(self._profile.name, "bad-request")
            return refusal(error)
        verdict = await self._verdict(fields)
        self._counts.verified(self._profile.name, (*verdict.error_codes, "success")[0])
        return json_answer(verdict_words(verdict, self._profile))

    async def _verdict(self, fields: dict[str, str]) -> Verdict:
        secret, token = fields.get("secret", ""), fields.get("response", "")
        key = fields.get("idempotency_key", "") if self._profile.repeats else ""
        missing = [
            f"missing-input-{name}" for name, text in (("secret", secret), ("response", token)) if not text
        ]
        if missing:
            return Verdict(success=False, error_codes=tuple(missing))
        if wrong := _too_long(secret, token, key):
            return Verdict(success=False, error_codes=(wrong,))
        address = address_text(fields.get("remoteip", ""))
        try:
            return await self._captcha.verify(secret, token, address=address, idempotency_key=key)
        except GoodnoiseError as error:
            log("captcha.verify_failed", level=logging.ERROR, code=str(error.code))
        except Exception as error:  # a site gets a verdict, whatever broke
            log("captcha.verify_failed", level=logging.ERROR, error=error)
        return Verdict(success=False, error_codes=("internal-error",))


def verdict_words(verdict: Verdict, profile: Profile) -> dict[str, object]:
    """A verdict as a profile's JSON."""
    words: dict[str, object] = {"success": verdict.success}
    if verdict.success:
        words["challenge_ts"] = _moment(verdict.challenge_ts)
        words["hostname"] = verdict.hostname
    if verdict.error_codes or profile.full:
        words["error-codes"] = list(verdict.error_codes)
    if verdict.success and (profile.full or verdict.action):
        words["action"] = verdict.action  # reCAPTCHA v3 has it, and its clients compare it
    if verdict.success and profile.full:
        words["cdata"] = verdict.cdata
    return words


def refusal(error: HTTPException) -> Response:
    """What a request gets that is none."""
    content = {"success": False, "error-codes": ["bad-request"], "message": said(error)}
    return json_answer(content, status=error.status_code, headers=error.headers)


def _too_long(secret: str, token: str, key: str) -> str:
    if len(secret) > _MAX_TEXT:
        return "invalid-input-secret"
    if len(token) > _MAX_TEXT:
        return "invalid-input-response"
    return "bad-request" if len(key) > _MAX_KEY else ""


def _moment(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
