"""Answers of the HTTP side: JSON that no cache keeps, and errors as statuses."""

from __future__ import annotations

import math
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from shared.errors import Code, GoodnoiseError

__all__ = ["API", "NO_STORE", "error_answer", "json_answer", "retry_after", "root_of", "said", "status_of"]

API = "/api/v1"

NO_STORE = {"cache-control": "no-store"}
_RETRY_AFTER = "retry_after_seconds"

_STATUS: dict[Code, int] = {
    Code.INVALID_INPUT: 400,
    Code.OUT_OF_RANGE: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION: 403,
    Code.NOT_FOUND: 404,
    Code.PRECONDITION: 410,  # a challenge that is spent or expired is gone for good
    Code.EXHAUSTED: 429,
    Code.UNAVAILABLE: 503,
    Code.CANCELLED: 503,
    Code.DEADLINE: 504,
}


def json_answer(
    content: Mapping[str, object], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """JSON that is never cached."""
    return JSONResponse(dict(content), status_code=status, headers={**NO_STORE, **(headers or {})})


def status_of(error: GoodnoiseError) -> int:
    """The HTTP status that stands for an error."""
    return _STATUS.get(error.code, 500)


def retry_after(error: GoodnoiseError) -> int | None:
    """Whole seconds to wait, at least one; None when the error names none."""
    try:
        seconds = float(error.details[_RETRY_AFTER])
    except (KeyError, ValueError):
        return None
    return max(1, math.ceil(seconds)) if math.isfinite(seconds) else None


def error_answer(error: GoodnoiseError) -> JSONResponse:
    """An error as `{"error": code, "message": text}`, with `Retry-After` where it names a wait."""
    content: dict[str, object] = {"error": str(error.code), "message": error.message}
    headers = {}
    if (seconds := retry_after(error)) is not None:
        content["retry_after"] = seconds
        headers["retry-after"] = str(seconds)
    return json_answer(content, status=status_of(error), headers=headers)


def said(error: HTTPException) -> str:
    """What a refusal says; the router's own say no more than their status."""
    if error.detail == "Not Found":
        return "there is nothing at this address; a path has no '/' at its end"
    if error.detail == "Method Not Allowed":
        return f"this address takes {(error.headers or {}).get('Allow', 'another method')}"
    return error.detail


def root_of(request: Request) -> str:
    """The path that this app is mounted at; empty at the top."""
    root: str = request.scope.get("root_path", "")
    return root.rstrip("/").removesuffix(API)
