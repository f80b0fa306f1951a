"""CaptchaService: checks fields, asks the service behind, and puts the answer into messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import grpc.aio
from google.protobuf import timestamp_pb2

from cloud_server.captcha.types import Captcha, Issued, Kind, Verdict
from cloud_server.rpc.captcha.callers import HEADER, Visitors, bearer
from shared.errors import Code, GoodnoiseError
from shared.wire import captcha as limits
from shared.wire.goodnoise.v1 import captcha_pb2, captcha_pb2_grpc

__all__ = ["CaptchaServicer", "stamp"]

Context = grpc.aio.ServicerContext[Any, Any]

_KINDS: dict[int, Kind] = {
    captcha_pb2.CAPTCHA_KIND_UNSPECIFIED: Kind.IMAGE,
    captcha_pb2.CAPTCHA_KIND_IMAGE: Kind.IMAGE,
    captcha_pb2.CAPTCHA_KIND_AUDIO: Kind.AUDIO,
    captcha_pb2.CAPTCHA_KIND_WORK: Kind.WORK,
}
_NUMBERS = {
    Kind.IMAGE: captcha_pb2.CAPTCHA_KIND_IMAGE,
    Kind.AUDIO: captcha_pb2.CAPTCHA_KIND_AUDIO,
    Kind.WORK: captcha_pb2.CAPTCHA_KIND_WORK,
}
_BAD_SECRET = "invalid-input-secret"  # noqa: S105 - one of siteverify's words


class CaptchaServicer(captcha_pb2_grpc.CaptchaServiceServicer):
    """Answers visitors' apps and sites' servers.

    Args:
        captcha: the service.
        visitors: finds who asks.
        report: gives the last published report.
    """

    def __init__(
        self, captcha: Captcha, visitors: Visitors, report: Callable[[], Awaitable[bytes | None]]
    ) -> None:
        self._captcha = captcha
        self._visitors = visitors
        self._report = report

    async def Issue(  # noqa: N802 - the name in the proto
        self, request: captcha_pb2.IssueRequest, context: Context
    ) -> captcha_pb2.IssueResponse:
        """A new challenge."""
        site = limits.text("site_key", request.site_key, limits.SITE_KEY_BYTES, needed=True, ascii_only=True)
        hostname = limits.text("hostname", request.hostname, limits.HOSTNAME_BYTES)
        action = limits.text("action", request.action, limits.ACTION_BYTES)
        cdata = limits.text("cdata", request.cdata, limits.CDATA_BYTES)
        language = limits.text("language", request.language, limits.LANGUAGE_BYTES, ascii_only=True)
        kind = _kind(request.kind)
        visitor = await self._visitors.of(
            context, stated=request.visitor_address, hostname=hostname.lower(), site_key=site
        )
        issued = await self._captcha.issue(
            site, kind, visitor, action=action, cdata=cdata, language=language or "en"
        )
        return _issued(issued)

    async def GetImage(  # noqa: N802 - the name in the proto
        self, request: captcha_pb2.GetImageRequest, context: Context
    ) -> captcha_pb2.GetImageResponse:
        """The image of a challenge."""
        challenge = _challenge(request.challenge_id)
        visitor = await self._visitors.of(context, stated=request.visitor_address)
        media = await self._captcha.image(challenge, visitor)
        return captcha_pb2.GetImageResponse(content=media.content, media_type=media.media_type)

    async def GetAudio(  # noqa: N802 - the name in the proto
        self, request: captcha_pb2.GetAudioRequest, context: Context
    ) -> captcha_pb2.GetAudioResponse:
        """The sound of a challenge."""
        challenge = _challenge(request.challenge_id)
        visitor = await self._visitors.of(context, stated=request.visitor_address)
        media = await self._captcha.audio(challenge, visitor)
        return captcha_pb2.GetAudioResponse(content=media.content, media_type=media.media_type)

    async def Answer(  # noqa: N802 - the name in the proto
        self, request: captcha_pb2.AnswerRequest, context: Context
    ) -> captcha_pb2.AnswerResponse:
        """Spends a challenge."""
        challenge = _challenge(request.challenge_id)
        answer = limits.text("answer", request.answer, limits.ANSWER_BYTES, needed=True)
        visitor = await self._visitors.of(context, stated=request.visitor_address)
        answered = await self._captcha.answer(challenge, answer, visitor)
        return captcha_pb2.AnswerResponse(right=answered.right, token=answered.token)

    async def Verify(  # noqa: N802 - the name in the proto
        self, request: captcha_pb2.VerifyRequest, context: Context
    ) -> captcha_pb2.VerifyResponse:
        """Spends a token."""
        secret = bearer(context)
        if not secret:
            raise _no_secret("carries none")
        key = limits.text(
            "idempotency_key", request.idempotency_key, limits.IDEMPOTENCY_BYTES, ascii_only=True
        )
        address = limits.address("visitor_address", request.visitor_address)
        verdict = await self._captcha.verify(secret, request.token, address=address, idempotency_key=key)
        if _BAD_SECRET in verdict.error_codes:
            raise _no_secret("has one of nobody")
        return _verdict(verdict)

    async def GetReport(  # noqa: N802 - the name in the proto
        self, request: captcha_pb2.GetReportRequest, context: Context
    ) -> captcha_pb2.GetReportResponse:
        """The last published report."""
        found = await self._report()
        if found is None:
            raise GoodnoiseError(
                Code.NOT_FOUND,
                "no report was published; its operator makes one with 'goodnoise-cloud captcha report'",
            )
        return captcha_pb2.GetReportResponse(report=found)


def stamp(moment: datetime) -> timestamp_pb2.Timestamp:
    """A moment as a message."""
    found = timestamp_pb2.Timestamp()
    found.FromDatetime(moment)
    return found


def _kind(number: int) -> Kind:
    if number not in _KINDS:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"kind is {number}, expected one of {sorted(_KINDS)}", {"field": "kind"}
        )
    return _KINDS[number]


def _challenge(value: str) -> str:
    return limits.text("challenge_id", value, limits.CHALLENGE_BYTES, needed=True, ascii_only=True)


def _issued(issued: Issued) -> captcha_pb2.IssueResponse:
    work = issued.work
    return captcha_pb2.IssueResponse(
        challenge_id=issued.id,
        kind=_NUMBERS[issued.kind],
        expire_time=stamp(issued.expires),
        answer_length=issued.length,
        work=captcha_pb2.ProofOfWork(salt=work.salt, bits=work.bits) if work else None,
    )


def _verdict(verdict: Verdict) -> captcha_pb2.VerifyResponse:
    return captcha_pb2.VerifyResponse(
        success=verdict.success,
        challenge_time=stamp(verdict.challenge_ts) if verdict.challenge_ts else None,
        hostname=verdict.hostname,
        action=verdict.action,
        cdata=verdict.cdata,
        error_codes=verdict.error_codes,
    )


def _no_secret(found: str) -> GoodnoiseError:
    return GoodnoiseError(
        Code.UNAUTHENTICATED,
        f"Verify needs a site's secret, and the call {found}; send the metadata '{HEADER}: Bearer SECRET'",
    )
