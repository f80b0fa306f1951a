"""`siteverify`: whether a token is good, told once."""

from __future__ import annotations

from datetime import UTC, datetime

from cloud_server.captcha.keys import Keys
from cloud_server.captcha.settings import CaptchaSettings
from cloud_server.captcha.sites import Sites, allows
from cloud_server.captcha.state.records import Repeat, Site
from cloud_server.captcha.state.store import Store
from cloud_server.captcha.tokens import Token, read_token
from cloud_server.captcha.trials import trial_verdict
from cloud_server.captcha.types import Kind, Verdict

__all__ = ["Verifier"]

_MOST_SECRET = 256
_MOST_REPEAT = 256


class Verifier:
    """Spends tokens for sites.

    Args:
        store: lists the tokens that are good.
        sites: by their secrets.
        keys: signed the tokens.
        settings: clocks, repeats, test keys.
    """

    def __init__(self, store: Store, sites: Sites, keys: Keys, settings: CaptchaSettings) -> None:
        self._store = store
        self._sites = sites
        self._keys = keys
        self._settings = settings

    async def verify(self, secret: str, token: str, *, idempotency_key: str, now: float) -> Verdict:
        """A verdict; it never raises for what a site sends.

        Raises:
            GoodnoiseError: UNAVAILABLE, the state cannot be reached; the token may be spent.
        """
        if wrong := _wrong(secret, token, idempotency_key):
            return _refused(*wrong)
        if self._settings.test_keys and (verdict := trial_verdict(secret, datetime.fromtimestamp(now, UTC))):
            return verdict
        site = await self._sites.of_secret(secret) if len(secret) <= _MOST_SECRET else None
        if site is None:
            return _refused("invalid-input-secret")
        said = read_token(token, self._keys)
        if said is None or not _is_of(said, site):
            return _refused("invalid-input-response")
        repeat = self._repeat(secret, said, idempotency_key, now)
        passes = await self._passes(said, repeat, now)
        return _good(said) if passes else _refused("timeout-or-duplicate", kind=said.kind)

    async def _passes(self, token: Token, repeat: Repeat | None, now: float) -> bool:
        if token.issued > now + self._settings.skew_seconds:
            return False  # of a clock that goes too wrong to say anything; the token is not spent
        return await self._store.token_take(token.key, now=now, repeat=repeat)

    def _repeat(self, secret: str, token: Token, key: str, now: float) -> Repeat | None:
        if not key:
            return None
        fields = (key.encode("utf-8", "surrogatepass"), secret.encode(), token.id)
        return Repeat(self._keys.mac("repeat", *fields), now + self._settings.repeat_seconds)


def _wrong(secret: str, token: str, idempotency_key: str) -> list[str]:
    given = (("secret", secret), ("response", token))
    missing = [f"missing-input-{name}" for name, text in given if not text]
    return missing or ["bad-request"] * (len(idempotency_key) > _MOST_REPEAT)


def _is_of(token: Token, site: Site) -> bool:
    """Whether a token is this site's, answered on a page that is still one of the site's."""
    return token.site == site.key and allows(site, token.hostname)


def _good(token: Token) -> Verdict:
    return Verdict(
        success=True,
        challenge_ts=datetime.fromtimestamp(token.issued, UTC),
        hostname=token.hostname,
        action=token.action,
        cdata=token.cdata,
        kind=token.kind,
    )


def _refused(*words: str, kind: Kind | None = None) -> Verdict:
    return Verdict(success=False, error_codes=words, kind=kind)
