"""`GoodnoiseError` to a gRPC status and back, both ways through google.rpc.Status.

An error of the project travels as a status code, its message, and details that programs can read:

- ErrorInfo: domain `goodnoise`, the project's own code as the reason, the error's details as metadata;
- BadRequest: when the details name a `field`;
- RetryInfo: when the details hold `retry_after_seconds`;
- QuotaFailure: when the details name a `quota`.

A peer's text is shown to people, so on the way in it is shortened and control characters are dropped.
"""

from __future__ import annotations

import math
from typing import Protocol, TypeVar

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from shared.errors import Code, GoodnoiseError

__all__ = [
    "DOMAIN",
    "FIELD",
    "QUOTA",
    "RETRY_AFTER",
    "FailedCall",
    "error_from_call",
    "grpc_code",
    "status_of",
]

DOMAIN = "goodnoise"
FIELD = "field"
QUOTA = "quota"
RETRY_AFTER = "retry_after_seconds"
# gRPC drops calls at random whose trailers hold more than 8 KiB. A message travels in them up to three times,
# once with each byte as three, the rest in base 64. So texts are cut, in bytes of UTF-8.
_MAX_TEXT = 600
_MAX_DETAILS = 8
_MAX_KEY = 40
_MAX_VALUE = 120

_TO_GRPC: dict[Code, grpc.StatusCode] = {
    Code.INVALID_INPUT: grpc.StatusCode.INVALID_ARGUMENT,
    Code.OUT_OF_RANGE: grpc.StatusCode.OUT_OF_RANGE,
    Code.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Code.NO_FACE: grpc.StatusCode.NOT_FOUND,
    Code.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Code.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Code.PERMISSION: grpc.StatusCode.PERMISSION_DENIED,
    Code.EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Code.CORRUPT: grpc.StatusCode.DATA_LOSS,
    Code.PRECONDITION: grpc.StatusCode.FAILED_PRECONDITION,
    Code.DEADLINE: grpc.StatusCode.DEADLINE_EXCEEDED,
    Code.CANCELLED: grpc.StatusCode.CANCELLED,
    Code.INTERNAL: grpc.StatusCode.INTERNAL,
}
# Where a status comes without ErrorInfo: from gRPC itself, a proxy, or another program.
_FROM_GRPC: dict[grpc.StatusCode, Code] = {
    **{status: code for code, status in _TO_GRPC.items() if code is not Code.NO_FACE},
    grpc.StatusCode.UNIMPLEMENTED: Code.PRECONDITION,  # the peer is older, or no server of this project
    grpc.StatusCode.ABORTED: Code.UNAVAILABLE,
    grpc.StatusCode.ALREADY_EXISTS: Code.PRECONDITION,
}

M = TypeVar("M", bound=Message)


class FailedCall(Protocol):
    """What gRPC raises on a client, from the blocking and from the asyncio API alike."""

    def code(self) -> grpc.StatusCode | None:
        """The status code."""

    def details(self) -> str | None:
        """The peer's text."""


def grpc_code(code: Code) -> grpc.StatusCode:
    """The status code that stands for a code of the project."""
    return _TO_GRPC[code]


def status_of(error: GoodnoiseError) -> grpc.Status:
    """The status to end a call with, for `context.abort_with_status`."""
    message = _clean(error.message, _MAX_TEXT)
    info = error_details_pb2.ErrorInfo(reason=error.code.upper(), domain=DOMAIN)
    for key, value in list(error.details.items())[:_MAX_DETAILS]:
        info.metadata[_clean(key, _MAX_KEY)] = _clean(value, _MAX_VALUE)
    details: list[Message] = [info]
    if field := error.details.get(FIELD):
        violation = error_details_pb2.BadRequest.FieldViolation(field=field[:_MAX_KEY], description=message)
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if (delay := _seconds(error.details.get(RETRY_AFTER))) is not None:
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    if quota := error.details.get(QUOTA):
        used_up = error_details_pb2.QuotaFailure.Violation(
            subject=quota[:_MAX_KEY], description=message[:_MAX_VALUE]
        )
        details.append(error_details_pb2.QuotaFailure(violations=[used_up]))
    status = status_pb2.Status(
        code=_number(error.code), message=message, details=[_packed(d) for d in details]
    )
    ended: grpc.Status = rpc_status.to_status(status)
    return ended


def error_from_call(call: FailedCall, *, peer: str) -> GoodnoiseError:
    """The project's error for a failed call.

    Args:
        call: what gRPC raised.
        peer: host:port for the message of an unreachable peer.
    """
    status = call.code() or grpc.StatusCode.UNKNOWN
    text = _clean(call.details() or "", _MAX_TEXT)
    rich = _rich(call)
    info = _unpack(rich, error_details_pb2.ErrorInfo)
    details = _details(rich, info)
    if info is not None and info.domain == DOMAIN:
        code = _code_named(info.reason, status)
        return GoodnoiseError(code, text, details)
    code = _FROM_GRPC.get(status, Code.INTERNAL)
    return GoodnoiseError(code, _message(status, text, peer), details)


def _message(status: grpc.StatusCode, text: str, peer: str) -> str:
    if status is grpc.StatusCode.UNAVAILABLE:
        return f"cannot reach {peer} ({text}); check the address and that the server runs, or try again later"
    if status is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"{peer} did not answer in time; check the connection, or try again later"
    if status is grpc.StatusCode.UNIMPLEMENTED:
        return f"{peer} does not offer this service ({text}); check the address, or update both sides"
    if status is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return f"{peer} is at a limit ({text}); try again later"
    return f"{peer} answered {status.name}: {text}"


def _rich(call: FailedCall) -> status_pb2.Status | None:
    if getattr(call, "trailing_metadata", None) is None:
        return None
    try:
        return rpc_status.from_call(call)
    except (ValueError, DecodeError):
        return None  # a status that contradicts its own details: trust the plain one


def _details(rich: status_pb2.Status | None, info: error_details_pb2.ErrorInfo | None) -> dict[str, str]:
    found: dict[str, str] = {}
    if info is not None and info.domain == DOMAIN:
        pairs = list(info.metadata.items())[:_MAX_DETAILS]
        found = {_clean(key, _MAX_KEY): _clean(value, _MAX_VALUE) for key, value in pairs}
    bad = _unpack(rich, error_details_pb2.BadRequest)
    if bad is not None and bad.field_violations:
        found.setdefault(FIELD, _clean(bad.field_violations[0].field, _MAX_VALUE))
    retry = _unpack(rich, error_details_pb2.RetryInfo)
    if retry is not None:
        found[RETRY_AFTER] = f"{retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9:g}"
    return found


def _code_named(reason: str, status: grpc.StatusCode) -> Code:
    """The project's code, if it exists and fits the status that gRPC itself reports."""
    try:
        code = Code(reason.lower())
    except ValueError:
        return _FROM_GRPC.get(status, Code.INTERNAL)
    return code if _TO_GRPC[code] is status else _FROM_GRPC.get(status, Code.INTERNAL)


def _unpack(rich: status_pb2.Status | None, kind: type[M]) -> M | None:
    for item in rich.details if rich is not None else ():
        if item.Is(kind.DESCRIPTOR):
            found = kind()
            try:
                item.Unpack(found)
            except DecodeError:
                return None
            return found
    return None


def _packed(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed


def _number(code: Code) -> int:
    value: tuple[int, str] = _TO_GRPC[code].value
    return value[0]


def _seconds(text: str | None) -> duration_pb2.Duration | None:
    if text is None:
        return None
    seconds = float(text)
    return duration_pb2.Duration(seconds=math.floor(seconds), nanos=int(seconds % 1 * 1e9))


def _clean(text: str, size: int) -> str:
    """Printable characters only, at most `size` bytes of UTF-8."""
    printable = "".join(c if c.isprintable() else " " for c in text[:size])
    return printable.encode()[:size].decode(errors="ignore")
