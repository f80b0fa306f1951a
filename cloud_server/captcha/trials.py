"""Test keys for sites' own tests, in the spelling of Turnstile's; only a setting turns them on."""

from __future__ import annotations

import hmac
from datetime import datetime

from cloud_server.captcha.state.records import Site
from cloud_server.captcha.types import Verdict

__all__ = ["DUMMY", "FAILS", "FORCES", "PASSES", "trial_site", "trial_verdict"]

PASSES = "1x00000000000000000000AA"  # every answer is right
FAILS = "2x00000000000000000000AB"  # every answer is wrong
FORCES = "3x00000000000000000000FF"  # an image, and a right answer to it

# What an answer to a test site brings. No secret of a real site takes it.
DUMMY = "XXXX.DUMMY.TOKEN.XXXX"
HOSTNAME = "example.com"

_PASSING = b"1x0000000000000000000000000000000AA"
_FAILING = {
    b"2x0000000000000000000000000000000AA": "invalid-input-response",
    b"3x0000000000000000000000000000000AA": "timeout-or-duplicate",
}


def trial_site(key: str) -> Site | None:
    """The test site of a key; None for any other key."""
    if key not in (PASSES, FAILS, FORCES):
        return None
    return Site(key=key, secrets=(), created=0.0, name="test key", work_allowed=key != FORCES)


def trial_verdict(secret: str, now: datetime) -> Verdict | None:
    """The verdict of a test secret, on any token; None for any other secret."""
    given = secret.encode("utf-8", "replace")
    if hmac.compare_digest(given, _PASSING):
        return Verdict(success=True, challenge_ts=now, hostname=HOSTNAME)
    for known, word in _FAILING.items():
        if hmac.compare_digest(given, known):
            return Verdict(success=False, error_codes=(word,))
    return None
