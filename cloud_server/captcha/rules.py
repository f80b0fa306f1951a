"""What the service takes from visitors and pages, and what it says when it does not."""

from __future__ import annotations

import base64
import hmac
import re
import secrets

from cloud_server.captcha.keys import Keys
from cloud_server.captcha.types import Kind, Visitor
from cloud_server.captcha.work import is_nonce
from shared.errors import Code, GoodnoiseError
from shared.wire.status import RETRY_AFTER

__all__ = [
    "MOST_ANSWER",
    "check_answer",
    "check_words",
    "gone",
    "is_challenge_id",
    "new_challenge_id",
    "no_challenge",
    "unavailable",
]

MOST_ANSWER = 64
_ID = re.compile(r"[A-Za-z0-9_-]{32}")
_RANDOM_BYTES = 16
_ACTION = re.compile(r"[A-Za-z0-9_/-]{0,32}")
_CDATA = re.compile(r"[ -~]{0,255}")
_HOSTNAME = re.compile(r"[a-z0-9_.:\[\]-]{0,255}")


def new_challenge_id(keys: Keys) -> str:
    """An id that nobody guesses, and that shows without a look into the store that it was issued here."""
    random = secrets.token_bytes(_RANDOM_BYTES)
    return base64.urlsafe_b64encode(random + _id_mac(keys, random)).decode("ascii")


def is_challenge_id(text: str, keys: Keys) -> bool:
    """Whether this service issued a challenge of this id, at any time."""
    if not _ID.fullmatch(text):
        return False
    raw = base64.urlsafe_b64decode(text)
    return hmac.compare_digest(_id_mac(keys, raw[:_RANDOM_BYTES]), raw[_RANDOM_BYTES:])


def check_words(visitor: Visitor, action: str, cdata: str) -> None:
    """What a page says of itself.

    Raises:
        GoodnoiseError: INVALID_INPUT, too long or other characters than a verdict repeats.
    """
    if not _ACTION.fullmatch(action):
        raise _invalid("action", "has at most 32 letters, digits, '-', '_' and '/'")
    if not _CDATA.fullmatch(cdata):
        raise _invalid("cdata", "has at most 255 printable ASCII characters")
    if not _HOSTNAME.fullmatch(visitor.hostname):
        raise _invalid("hostname", "is in lower case, without port, and has at most 255 characters")


def check_answer(kind: Kind, answer: str) -> None:
    """Whether a text can be an answer at all; what cannot does not spend the challenge.

    Raises:
        GoodnoiseError: INVALID_INPUT, empty, too long, or no answer to this kind of challenge.
    """
    plain = "".join(answer.split()).replace("-", "")
    if not plain or len(answer) > MOST_ANSWER:
        raise _invalid("answer", f"has 1 to {MOST_ANSWER} characters")
    if kind is Kind.WORK and not is_nonce(answer):
        raise _invalid("answer", "to proof of work is a number of at most 20 decimal digits")
    if kind is Kind.AUDIO and not plain.isdecimal():
        raise _invalid("answer", "to a sound has digits only")
    if kind is Kind.IMAGE and not plain.isalnum():
        raise _invalid("answer", "to an image has letters and digits only")


def no_challenge() -> GoodnoiseError:
    """For an id that was never issued."""
    return GoodnoiseError(Code.NOT_FOUND, "there is no such challenge; ask for a new one")


def gone() -> GoodnoiseError:
    """For a challenge that is answered or expired."""
    return GoodnoiseError(
        Code.PRECONDITION, "the challenge was answered before, or has expired; ask for a new one"
    )


def unavailable(message: str, seconds: float) -> GoodnoiseError:
    """For what may be there later."""
    return GoodnoiseError(Code.UNAVAILABLE, message, {RETRY_AFTER: f"{seconds:.3f}"})


def _id_mac(keys: Keys, random: bytes) -> bytes:
    return keys.mac("challenge", random)[:8]


def _invalid(field: str, rule: str) -> GoodnoiseError:
    # The value may be an answer or a person's, so it is not repeated.
    return GoodnoiseError(Code.INVALID_INPUT, f"{field!r} is not as expected: it {rule}", {"field": field})
