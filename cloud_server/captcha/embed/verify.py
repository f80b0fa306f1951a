"""Asks the service whether a token is good: the client of `siteverify` that the others here share."""

from __future__ import annotations

import asyncio
import http.client
import ipaddress
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

__all__ = ["MAX_TOKEN", "TOKEN_FIELDS", "Result", "SecretRefusedError", "Unverifiable", "Verifier"]

# What the widget and its two peers' names for it call the form's field.
TOKEN_FIELDS = ("goodnoise-response", "g-recaptcha-response", "cf-turnstile-response")
MAX_TOKEN = 2048
_MAX_ANSWER = 65_536
_PART = 4096
_PATH = "/siteverify"


class Unverifiable(Exception):  # noqa: N818 - the state of a token, not of this program
    """The service could not be asked, or had no answer: nothing is known about the token."""


class SecretRefusedError(Unverifiable):
    """The service does not know the site's secret. No visitor can mend it, so it is never let through."""


@dataclass(frozen=True)
class Result:
    """What the service says of a token.

    Args:
        success: whether it was good, for this site, and not spent before. It is spent now.
        challenge_ts: when the challenge was answered, ISO 8601.
        hostname: of the page where it was answered.
        action: as the page gave it.
        cdata: as the page gave it.
        error_codes: such as `timeout-or-duplicate`.
    """

    success: bool
    challenge_ts: str = ""
    hostname: str = ""
    action: str = ""
    cdata: str = ""
    error_codes: tuple[str, ...] = ()


class Verifier:
    """Verifies tokens. A token is spent by the question, so it is asked once, without a second try.

    Args:
        url: of the service, such as `https://captcha.example.org`.
        secret: of the site.
        timeout: seconds that one verification may take in all.
        hostnames: of the pages whose tokens are taken; empty for what the service allows the site.
        allow_http: take a `http` address that is not this machine's own, as inside a private network. The
            secret then crosses it in the clear.

    Raises:
        ValueError: an address that is none, or that is not safe; no secret.
    """

    def __init__(
        self,
        url: str,
        secret: str,
        *,
        timeout: float = 5.0,
        hostnames: tuple[str, ...] = (),
        allow_http: bool = False,
    ) -> None:
        self._address = _checked(url, allow_http=allow_http) + _PATH
        if not secret:
            raise ValueError("the CAPTCHA's secret is empty; 'goodnoise-cloud captcha sites' makes one")
        self._secret = secret
        self._timeout = timeout
        self._hostnames = frozenset(name.lower() for name in hostnames)

    def verify(self, token: str, *, address: str = "") -> Result:
        """Spends a token. Blocks; `averify` does not.

        Args:
            token: of the form's field; empty or too long, it is refused without a question.
            address: the visitor's, if the site wants to tell it.

        Raises:
            Unverifiable: no answer, or none that can be read.
        """
        if refused := _unasked(token):
            return refused
        return self._read(_post(self._address, self._fields(token, address), self._timeout))

    async def averify(self, token: str, *, address: str = "") -> Result:
        """As `verify`: by httpx where it is installed, else in a thread."""
        if refused := _unasked(token):
            return refused
        fields = self._fields(token, address)
        return self._read(await _post_later(self._address, fields, self._timeout))

    def _fields(self, token: str, address: str) -> dict[str, str]:
        fields = {"secret": self._secret, "response": token, "remoteip": address}
        return {name: text for name, text in fields.items() if text}

    def _read(self, content: bytes) -> Result:
        result = _result(content)
        if result.success and self._hostnames and result.hostname.lower() not in self._hostnames:
            return Result(success=False, hostname=result.hostname, error_codes=("hostname-mismatch",))
        return result


def _checked(url: str, *, allow_http: bool) -> str:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"CAPTCHA address {url!r}: expected one such as https://captcha.example.org")
    if parts.scheme == "http" and not allow_http and not _is_loopback(parts.hostname):
        raise ValueError(
            f"CAPTCHA address {url!r} would carry the secret in the clear; use https, or allow http"
        )
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _unasked(token: str) -> Result | None:
    if not token:
        return Result(success=False, error_codes=("missing-input-response",))
    if len(token) > MAX_TOKEN:
        return Result(success=False, error_codes=("invalid-input-response",))
    return None


def _result(content: bytes) -> Result:
    try:
        words = json.loads(content)
        codes = tuple(str(code) for code in words.get("error-codes", ()))
        success = words["success"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unverifiable("the CAPTCHA service gave no answer that can be read") from error
    if not isinstance(success, bool):
        raise Unverifiable("the CAPTCHA service gave no answer that can be read")
    if {"missing-input-secret", "invalid-input-secret"} & set(codes):
        raise SecretRefusedError("the CAPTCHA service refuses the site's secret; see whether it was replaced")
    if "internal-error" in codes:
        raise Unverifiable("the CAPTCHA service failed")
    texts = {name: _text(words, name) for name in ("challenge_ts", "hostname", "action", "cdata")}
    return Result(success=success, error_codes=codes, **texts)


def _text(words: dict[str, Any], name: str) -> str:
    value = words.get(name)
    return value if isinstance(value, str) else ""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The secret goes to the address that was set, and nowhere else."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> None:
        """No other request; the status becomes an error."""


def _post(address: str, fields: dict[str, str], timeout: float) -> bytes:
    request = urllib.request.Request(address, urllib.parse.urlencode(fields).encode(), method="POST")  # noqa: S310
    until = time.monotonic() + timeout
    try:
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=timeout) as response:
            return _read_all(response, until)
    except urllib.error.HTTPError as error:
        with error:  # it is the open answer, too
            raise Unverifiable(f"the CAPTCHA service answers with status {error.code}") from None
    except (OSError, http.client.HTTPException) as error:
        raise Unverifiable(f"the CAPTCHA service cannot be asked ({type(error).__name__})") from error


def _read_all(response: http.client.HTTPResponse, until: float) -> bytes:
    content = b""
    while part := response.read1(_PART):
        content += part
        if len(content) > _MAX_ANSWER:
            raise Unverifiable("the CAPTCHA service answers without end")
        if time.monotonic() > until:  # a socket's own timeout begins anew with each part
            raise TimeoutError
    return content


async def _post_later(address: str, fields: dict[str, str], timeout: float) -> bytes:
    try:
        import httpx
    except ImportError:
        return await asyncio.to_thread(_post, address, fields, timeout)
    try:
        async with asyncio.timeout(timeout), httpx.AsyncClient(timeout=timeout) as client:
            return await _stream(client, address, fields)
    except (httpx.HTTPError, OSError) as error:
        raise Unverifiable(f"the CAPTCHA service cannot be asked ({type(error).__name__})") from error


async def _stream(client: httpx.AsyncClient, address: str, fields: dict[str, str]) -> bytes:
    content = b""
    async with client.stream("POST", address, data=fields) as response:
        if response.status_code != http.HTTPStatus.OK:
            raise Unverifiable(f"the CAPTCHA service answers with status {response.status_code}")
        async for part in response.aiter_bytes(_PART):
            content += part
            if len(content) > _MAX_ANSWER:
                raise Unverifiable("the CAPTCHA service answers without end")
    return content
