"""A process that shares the CAPTCHA's state: `captcha_child.py race|tokens|images URL COUNT`.

It says `ready`, waits for a line, and prints a line for each token that it spent or image that it took.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
import time

from cloud_server.captcha.state import Challenge, Store, open_store
from cloud_server.captcha.types import Kind


def token(number: int) -> bytes:
    return hashlib.sha256(b"token %d" % number).digest()


async def spend(store: Store, number: int) -> None:
    if await store.token_take(token(number), now=time.time()):
        say(str(number))


async def take_image(store: Store, name: str) -> None:
    key = hashlib.sha256(name.encode()).digest()
    now = time.time()
    challenge = Challenge(key=key, kind=Kind.IMAGE, site="site", created=now, expires=now + 300)
    if await store.pool_take(challenge) is None:
        say("none")
        return
    image = await store.challenge_image(key, now=now)
    say((image or b"").decode())


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main() -> None:
    what, url, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    store = open_store(url)
    await store.pool_depth()
    say("ready")
    sys.stdin.readline()
    if what == "race":
        await asyncio.gather(*(spend(store, number) for number in range(count)))
    for number in range(count if what != "race" else 0):
        await (spend(store, number) if what == "tokens" else take_image(store, f"{url} {number}"))
    await store.close()


asyncio.run(main())
