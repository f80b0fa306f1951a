"""Bodies of requests: bounded, of the types that a route takes, with texts as the only values."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

__all__ = ["FORM", "JSON", "MULTIPART", "read_texts"]

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
_MAX_FIELDS = 32
# Seconds that a body may take: some kilobytes, on any line.
_PATIENCE = 15.0


async def read_texts(request: Request, types: Sequence[str], *, limit: int) -> dict[str, str]:
    """The fields of a body; of a field that comes twice, the first.

    Args:
        request: whose body was not read before.
        types: media types that the route takes.
        limit: bytes.

    Raises:
        HTTPException: 413 for a larger body, 408 for one that does not come, 415 for another type, 400 for
            what cannot be read as texts.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in types:
        if not kind and not await _bounded(request, limit):
            return {}  # an empty form, as some clients send one
        raise HTTPException(415, f"the body is {kind or 'of no named type'}; expected {' or '.join(types)}")
    body = await _bounded(request, limit)
    if kind == JSON:
        return _from_json(body)
    if kind == FORM:
        return _from_form(body)
    return await _from_parts(request, body)


async def _bounded(request: Request, limit: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and len(declared) < 20 and int(declared) > limit:
        raise _too_large(limit)
    body = b""
    try:
        async with asyncio.timeout(_PATIENCE):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise _too_large(limit)
    except TimeoutError as error:
        raise HTTPException(408, f"the body did not come within {_PATIENCE:g} seconds") from error
    return body


def _from_json(body: bytes) -> dict[str, str]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "the body is no JSON") from error
    if not isinstance(found, dict):
        raise HTTPException(400, "the body is no JSON object")
    return {name: _text(name, value) for name, value in found.items() if value is not None}


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise HTTPException(400, f"{name[:40]!r} is no text")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # half a pair of surrogates, which JSON can spell
        raise HTTPException(400, f"{name[:40]!r} is no Unicode text") from error
    return value


def _from_form(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise HTTPException(400, f"the body is no form of UTF-8 with at most {_MAX_FIELDS} fields") from error
    return dict(reversed(pairs))


async def _from_parts(request: Request, body: bytes) -> dict[str, str]:
    async def chunks() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(request.headers, chunks(), max_files=0, max_fields=_MAX_FIELDS)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise HTTPException(400, "the body is no multipart form without files") from error
    return {name: str(value) for name, value in reversed(form.multi_items())}


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"the body is larger than {limit} bytes")
