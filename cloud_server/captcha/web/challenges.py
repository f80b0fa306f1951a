"""The JSON API of the widget: a challenge, its image or sound, and the answer to it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from cloud_server.captcha.types import Captcha, Issued, Kind, Media
from cloud_server.captcha.web.answers import API, NO_STORE, json_answer, root_of
from cloud_server.captcha.web.bodies import JSON, read_texts
from cloud_server.captcha.web.settings import WebSettings
from cloud_server.captcha.web.visitors import Visitors

__all__ = ["Challenges", "kind_named", "media_answer", "path_of"]

# More than any site key, challenge, answer, action or cdata has; the service has limits of its own.
_MAX_TEXT = 512


class Challenges:
    """The routes of the API.

    Args:
        captcha: the service.
        visitors: reads who asks.
        settings: size of bodies, life of tokens.
    """

    def __init__(self, captcha: Captcha, visitors: Visitors, settings: WebSettings) -> None:
        self._captcha = captcha
        self._visitors = visitors
        self._settings = settings

    async def issue(self, request: Request) -> Response:
        """`{"sitekey", "kind", "action", "cdata", "language"}` to a challenge of that kind, or of another."""
        fields = await self._fields(request)
        issued = await self._captcha.issue(
            _needed(fields, "sitekey"),
            kind_named(fields.get("kind") or "image"),
            self._visitors.of(request),
            action=fields.get("action", ""),
            cdata=fields.get("cdata", ""),
            language=fields.get("language") or "en",
        )
        return json_answer(_challenge_words(issued, request), status=201)

    async def image(self, request: Request) -> Response:
        """The picture of a challenge."""
        challenge = _challenge(request)
        return media_answer(await self._captcha.image(challenge, self._visitors.of(request)))

    async def audio(self, request: Request) -> Response:
        """The sound of a challenge."""
        challenge = _challenge(request)
        return media_answer(await self._captcha.audio(challenge, self._visitors.of(request)))

    async def answer(self, request: Request) -> Response:
        """`{"answer"}` to `{"right": true, "token", "seconds"}` or `{"right": false}`; both spend it."""
        fields = await self._fields(request)
        answered = await self._captcha.answer(
            _challenge(request), _needed(fields, "answer"), self._visitors.of(request)
        )
        if not answered.right:
            return json_answer({"right": False})
        return json_answer({"right": True, "token": answered.token, "seconds": self._settings.token_seconds})

    async def _fields(self, request: Request) -> Mapping[str, str]:
        fields = await read_texts(request, (JSON,), limit=self._settings.max_body)
        for name, text in fields.items():
            if len(text) > _MAX_TEXT:
                raise HTTPException(400, f"{name[:40]!r} has {len(text)} characters, more than {_MAX_TEXT}")
        return fields


def path_of(request: Request, challenge: str, part: str) -> str:
    """The path of a challenge's `image`, `audio` or `answer`, also where the service is mounted lower."""
    return f"{root_of(request)}{API}/challenges/{challenge}/{part}"


def media_answer(media: Media) -> Response:
    """A picture or a sound that no cache keeps."""
    return Response(media.content, media_type=media.media_type, headers=NO_STORE)


def kind_named(text: str) -> Kind:
    """The kind of that name.

    Raises:
        HTTPException: 400 for another name.
    """
    try:
        return Kind(text)
    except ValueError as error:
        names = ", ".join(Kind)
        raise HTTPException(400, f"'kind' is {text[:40]!r}; expected one of {names}") from error


def _challenge(request: Request) -> str:
    challenge: str = request.path_params["challenge"]
    if len(challenge) > _MAX_TEXT:
        raise HTTPException(404, "there is no such challenge")
    return challenge


def _needed(fields: Mapping[str, str], name: str) -> str:
    if not fields.get(name):
        raise HTTPException(400, f"{name!r} is missing")
    return fields[name]


def _challenge_words(issued: Issued, request: Request) -> dict[str, object]:
    words: dict[str, object] = {
        "id": issued.id,
        "kind": str(issued.kind),
        "expires": issued.expires.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "seconds": max(0, int((issued.expires - datetime.now(UTC)).total_seconds())),
        "answer": path_of(request, issued.id, "answer"),
    }
    if issued.work is not None:
        words["work"] = {"salt": issued.work.salt, "bits": issued.work.bits}
    else:
        words["length"] = issued.length
        words[str(issued.kind)] = path_of(request, issued.id, str(issued.kind))
    return words
