"""State in Redis, for replicas on several machines.

Redis may lose what it wrote last when it crashes, or when a replica takes over, and a token or an image that
comes back would pass twice. So a restart ends all challenges and tokens of before (`scripts`), whatever its
settings, and the pool too, unless every write was forced to disk (`appendfsync always`) and no replica has
taken over. Without that setting a warning is logged at the first call.
"""

from __future__ import annotations

from collections.abc import Sequence

from cloud_server.captcha.state import scripts
from cloud_server.captcha.state.records import (
    Challenge,
    Pooled,
    Repeat,
    Sealed,
    Site,
    challenge_from_json,
    challenge_to_json,
    site_from_json,
    site_to_json,
)
from cloud_server.captcha.state.redisbatch import Word
from cloud_server.captcha.state.redislink import IMAGES, POOL, PREFIX, RedisLink

__all__ = ["RedisStore"]

_NUMBERS, _REPORT = PREFIX + "numbers", PREFIX + "report"
_SITES, _SECRETS = PREFIX + "sites", PREFIX + "secrets"
# A script blocks the server; so many images of some kilobytes take it a millisecond.
_PUT = 64
_LOOKED_AT = 500
# A record is good until its time by the caller's clock. Redis forgets it a little later, by its own.
_GRACE_MS = 60_000


class RedisStore:
    """`Store` over one Redis server.

    Args:
        url: `redis://`, `rediss://` or `unix://`.

    Raises:
        GoodnoiseError: INVALID_INPUT, the address cannot be read.
    """

    def __init__(self, url: str) -> None:
        self._link = RedisLink(url)

    async def pool_put(self, images: Sequence[Pooled]) -> None:
        """Add images behind those that wait; in parts, so that nobody waits long."""
        for begin in range(0, len(images), _PUT):
            fields: list[Word] = [IMAGES]
            for image in images[begin : begin + _PUT]:
                answer = image.answer
                fields += [image.image, answer.salt, answer.seal, answer.length, image.style]
            await self._link.call(scripts.POOL_PUT, fields, keys=[POOL, _NUMBERS])

    async def pool_depth(self) -> int:
        """Images that wait."""
        await self._link.settled()
        return int(await self._link.send("ZCARD", POOL))

    async def pool_drop(self, *, keep: str) -> int:
        """Remove the images that wait and have another style than `keep`; how many there were."""
        await self._link.settled()
        numbers = await self._link.send("ZRANGE", POOL, 0, -1)
        dropped = 0
        for begin in range(0, len(numbers), _LOOKED_AT):
            fields = [IMAGES, keep, *numbers[begin : begin + _LOOKED_AT]]
            dropped += int(await self._link.call(scripts.POOL_DROP, fields, keys=[POOL]))
        return dropped

    async def pool_take(self, challenge: Challenge) -> Challenge | None:
        """Keep a challenge with the oldest image; None when no image waits."""
        record = challenge_to_json(challenge)
        lasting = _lasting(challenge.expires, challenge.created)
        fields: list[Word] = [IMAGES, record, challenge.expires, lasting]
        found = await self._link.call(
            scripts.POOL_TAKE, fields, keys=[POOL], passing=[_challenge_name(challenge.key)]
        )
        return None if found is None else _challenge(challenge.key, [record, *found])

    async def challenge_put(self, challenge: Challenge) -> None:
        """Keep a challenge that has no image."""
        lasting = _lasting(challenge.expires, challenge.created)
        fields: list[Word] = [challenge_to_json(challenge), challenge.expires, lasting]
        await self._link.call(scripts.CHALLENGE_PUT, fields, passing=[_challenge_name(challenge.key)])

    async def challenge_get(self, key: bytes, *, now: float) -> Challenge | None:
        """A challenge that is neither spent nor expired."""
        found = await self._link.call(scripts.CHALLENGE_GET, [now], passing=[_challenge_name(key)])
        return None if found is None else _challenge(key, found)

    async def challenge_image(self, key: bytes, *, now: float) -> bytes | None:
        """The image of such a challenge."""
        found: bytes | None = await self._link.call(
            scripts.CHALLENGE_IMAGE, [now], passing=[_challenge_name(key)]
        )
        return found

    async def challenge_take(self, key: bytes, *, now: float) -> Challenge | None:
        """Spend such a challenge: of all callers one gets it, and its image is gone."""
        found = await self._link.call(scripts.CHALLENGE_TAKE, [now], passing=[_challenge_name(key)])
        return None if found is None else _challenge(key, found)

    async def token_put(self, key: bytes, *, expires: float, now: float) -> None:
        """Let a token pass once until `expires`."""
        fields = [expires, _lasting(expires, now)]
        await self._link.call(scripts.TOKEN_PUT, fields, passing=[f"token:{key.hex()}"])

    async def token_take(self, key: bytes, *, now: float, repeat: Repeat | None = None) -> bool:
        """Spend a token: of all callers one gets True, and those who come again with `repeat`."""
        names, fields = [f"token:{key.hex()}"], [now]
        if repeat is not None:
            names.append(f"repeat:{repeat.key.hex()}")
            fields += [repeat.expires, _lasting(repeat.expires, now)]
        return bool(await self._link.call(scripts.TOKEN_TAKE, fields, passing=names))

    async def site_put(self, site: Site) -> None:
        """Add a site, or replace the one of the same key."""
        fields: list[Word] = [site.key, site_to_json(site), *site.secrets]
        await self._link.call(scripts.SITE_PUT, fields, keys=[_SITES, _SECRETS])

    async def site_get(self, key: str) -> Site | None:
        """The site of a public key."""
        found = await self._link.send("HGET", _SITES, key)
        return None if found is None else site_from_json(found)

    async def site_of_secret(self, secret: bytes) -> Site | None:
        """The site that has a secret with this SHA-256."""
        key = await self._link.send("HGET", _SECRETS, secret)
        return None if key is None else await self.site_get(key.decode())

    async def site_list(self) -> tuple[Site, ...]:
        """All sites, by age."""
        found = await self._link.send("HVALS", _SITES)
        sites = (site_from_json(content) for content in found)
        return tuple(sorted(sites, key=lambda site: (site.created, site.key)))

    async def site_remove(self, key: str) -> bool:
        """Forget a site; whether there was one."""
        return bool(await self._link.call(scripts.SITE_REMOVE, [key], keys=[_SITES, _SECRETS]))

    async def report_put(self, content: bytes) -> None:
        """Keep the last report, JSON."""
        await self._link.send("SET", _REPORT, content)

    async def report_get(self) -> bytes | None:
        """The last report."""
        found: bytes | None = await self._link.send("GET", _REPORT)
        return found

    async def close(self) -> None:
        """Let go of the connections."""
        await self._link.close()


def _challenge_name(key: bytes) -> str:
    return f"challenge:{key.hex()}"


def _challenge(key: bytes, found: Sequence[bytes | None]) -> Challenge:
    record, salt, seal, length = found
    sealed = None if salt is None or seal is None or length is None else Sealed(salt, seal, int(length))
    return challenge_from_json(key, record or b"", sealed)


def _lasting(expires: float, now: float) -> int:
    """Milliseconds that Redis keeps a record."""
    return max(0, round(1000 * (expires - now))) + _GRACE_MS
