"""The CAPTCHA's state: one suite over SQLite and a real Redis, with races, other processes and crashes."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_asyncio
import redis

from cloud_server.captcha.desk import CaptchaDesk
from cloud_server.captcha.limiting import Act, open_limits
from cloud_server.captcha.settings import CaptchaSettings, LimitSettings, Rates
from cloud_server.captcha.sites import SiteBook
from cloud_server.captcha.state import Challenge, Pooled, Repeat, Sealed, Site, Store, open_store
from cloud_server.captcha.state.sqlite import SqliteStore
from cloud_server.captcha.stock import Stock
from cloud_server.captcha.types import Kind, Prepared, Visitor
from shared.errors import Code, GoodnoiseError

CHILD = Path(__file__).with_name("captcha_child.py")
NOW = 1_800_000_000.0
BACKENDS = ("sqlite", "redis")
T = TypeVar("T")


class RedisServer:
    """A `redis-server` of its own, on a socket in a folder with a short name."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.url = f"unix://{folder / 'redis.sock'}"
        self._folder = folder
        self._options = options
        self.start()

    def start(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is not installed")
        command = [program, "--port", "0", "--unixsocket", "redis.sock", "--save", "", *self._options]
        self._process = subprocess.Popen(command, cwd=self._folder, stdout=subprocess.DEVNULL)
        client = redis.Redis.from_url(self.url)
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(redis.RedisError):
                client.ping()
                break
            assert time.monotonic() < deadline, "redis-server does not answer"
        client.close()

    def flush(self) -> None:
        with contextlib.closing(redis.Redis.from_url(self.url)) as client:
            client.flushall()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="gn") as folder:
        server = RedisServer(Path(folder), *options)
        try:
            yield server
        finally:
            server.kill()


@pytest.fixture(scope="module")
def shared_redis() -> Iterator[RedisServer]:
    with redis_server("--appendonly", "no") as server:
        yield server


@pytest.fixture(params=BACKENDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'state.db'}"
    server: RedisServer = request.getfixturevalue("shared_redis")
    server.flush()
    return server.url


@pytest_asyncio.fixture
async def store(url: str) -> AsyncIterator[Store]:
    opened = open_store(url)
    yield opened
    await opened.close()


def pooled(name: str, style: str = "1") -> Pooled:
    return Pooled(name.encode(), Sealed(b"salt " + name.encode(), b"seal\x00\xff", 5), style)


def challenge(name: str, *, kind: Kind = Kind.IMAGE, now: float = NOW) -> Challenge:
    return Challenge(
        key=key(name),
        kind=kind,
        site="gn_site_x",
        created=now,
        expires=now + 300,
        hostname="example.org",
        action="log-in",
        cdata="ü\0|",
        owner="o",
        subnet="s",
    )


def key(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


async def take_all(store: Store, count: int, now: float = NOW) -> list[str]:
    """Names of `count` images that as many challenges got."""
    names = []
    for number in range(count):
        if await store.pool_take(challenge(f"all {number} {now}", now=now)) is not None:
            image = await store.challenge_image(key(f"all {number} {now}"), now=now)
            names.append((image or b"").decode())
    return names


# Images


async def test_images_go_out_in_their_order_each_once(store: Store) -> None:
    await store.pool_put([pooled(f"image {n}") for n in range(150)])
    assert await store.pool_depth() == 150
    assert await take_all(store, 151) == [f"image {n}" for n in range(150)]
    assert await store.pool_depth() == 0


async def test_no_image_no_challenge(store: Store) -> None:
    assert await store.pool_take(challenge("a")) is None
    assert await store.challenge_get(key("a"), now=NOW) is None


async def test_a_challenge_keeps_the_answer_of_its_image(store: Store) -> None:
    await store.pool_put([pooled("image")])
    asked = challenge("a")
    expected = replace(asked, answer=pooled("image").answer)
    assert await store.pool_take(asked) == expected
    assert await store.challenge_get(asked.key, now=NOW) == expected
    assert await store.challenge_image(asked.key, now=NOW) == b"image"


async def test_of_many_takers_at_once_no_two_get_the_same_image(store: Store) -> None:
    await store.pool_put([pooled(f"image {n}") for n in range(600)])
    asked = [challenge(f"c{n}") for n in range(700)]
    taken = await asyncio.gather(*(store.pool_take(each) for each in asked))
    images = [await store.challenge_image(each.key, now=NOW) for each in taken if each]
    assert len(images) == len(set(images)) == 600


async def test_images_of_another_style_can_be_dropped(store: Store) -> None:
    await store.pool_put([pooled("old", "1"), pooled("new", "2"), pooled("older", "0")])
    assert await store.pool_drop(keep="2") == 2
    assert await take_all(store, 3) == ["new"]


# Challenges


@pytest.mark.parametrize("kind", [Kind.AUDIO, Kind.WORK])
async def test_a_challenge_without_image_comes_back_as_it_was(store: Store, kind: Kind) -> None:
    asked = replace(challenge("a", kind=kind), salt="salt", bits=17, language="de")
    await store.challenge_put(asked)
    assert await store.challenge_get(asked.key, now=NOW + 1) == asked
    assert await store.challenge_image(asked.key, now=NOW + 1) is None


async def test_a_challenge_is_spent_by_one_of_many(store: Store) -> None:
    await store.pool_put([pooled("image")])
    asked = challenge("a")
    await store.pool_take(asked)
    taken = await asyncio.gather(*(store.challenge_take(asked.key, now=NOW) for _ in range(300)))
    assert [each.key for each in taken if each] == [asked.key]
    assert await store.challenge_get(asked.key, now=NOW) is None
    assert await store.challenge_image(asked.key, now=NOW) is None


async def test_a_challenge_expires_by_the_callers_clock(store: Store) -> None:
    asked = challenge("a", kind=Kind.WORK)
    await store.challenge_put(asked)
    assert await store.challenge_take(asked.key, now=asked.expires) is None
    assert await store.challenge_get(asked.key, now=asked.expires) is None
    assert await store.challenge_take(asked.key, now=asked.expires - 0.001) == asked


# Tokens


async def test_a_token_passes_once(store: Store) -> None:
    await store.token_put(key("t"), expires=NOW + 120, now=NOW)
    assert await store.token_take(key("t"), now=NOW)
    assert not await store.token_take(key("t"), now=NOW)
    assert not await store.token_take(key("other"), now=NOW)


async def test_a_token_expires_by_the_callers_clock(store: Store) -> None:
    await store.token_put(key("t"), expires=NOW + 120, now=NOW)
    assert not await store.token_take(key("t"), now=NOW + 120)
    assert await store.token_take(key("t"), now=NOW + 119.999)


async def test_who_spent_with_a_repeat_is_told_again_until_it_expires(store: Store) -> None:
    await store.token_put(key("t"), expires=NOW + 120, now=NOW)
    repeat, other = Repeat(key("r"), NOW + 300), Repeat(key("other"), NOW + 300)
    assert await store.token_take(key("t"), now=NOW, repeat=repeat)
    assert await store.token_take(key("t"), now=NOW + 299, repeat=repeat)
    assert not await store.token_take(key("t"), now=NOW, repeat=other)
    assert not await store.token_take(key("t"), now=NOW)
    assert not await store.token_take(key("t"), now=NOW + 300, repeat=repeat)


async def test_a_repeat_comes_not_too_late_for_who_had_spent_without(store: Store) -> None:
    await store.token_put(key("t"), expires=NOW + 120, now=NOW)
    assert await store.token_take(key("t"), now=NOW)
    assert not await store.token_take(key("t"), now=NOW, repeat=Repeat(key("r"), NOW + 300))
    assert not await store.token_take(key("t"), now=NOW, repeat=Repeat(key("r"), NOW + 300))


async def test_of_repeats_that_race_the_equal_ones_are_told_the_same(store: Store) -> None:
    await store.token_put(key("t"), expires=NOW + 120, now=NOW)
    repeats = [Repeat(key(f"r{n % 10}"), NOW + 300) for n in range(500)]
    passed = await asyncio.gather(*(store.token_take(key("t"), now=NOW, repeat=each) for each in repeats))
    winners = {repeat.key for repeat, each in zip(repeats, passed, strict=True) if each}
    assert len(winners) == 1
    assert sum(passed) == 50


# Sites and the report


async def test_sites_are_found_by_key_and_by_each_secret(store: Store) -> None:
    site = Site(key="gn_site_a", secrets=(key("new"), key("old")), created=2.0, hostnames=("example.org",))
    await store.site_put(site)
    await store.site_put(Site(key="gn_site_b", secrets=(key("b"),), created=1.0, name="é", disabled=True))
    assert await store.site_get("gn_site_a") == site
    assert await store.site_of_secret(key("old")) == await store.site_of_secret(key("new")) == site
    assert [each.key for each in await store.site_list()] == ["gn_site_b", "gn_site_a"]


async def test_a_secret_that_a_site_gave_up_is_nobodys(store: Store) -> None:
    site = Site(key="gn_site_a", secrets=(key("old"),), created=1.0)
    await store.site_put(site)
    await store.site_put(replace(site, secrets=(key("new"),)))
    assert await store.site_of_secret(key("old")) is None
    assert await store.site_of_secret(key("new")) is not None


async def test_a_removed_site_is_gone_with_its_secrets(store: Store) -> None:
    await store.site_put(Site(key="gn_site_a", secrets=(key("s"),), created=1.0))
    assert await store.site_remove("gn_site_a")
    assert not await store.site_remove("gn_site_a")
    assert await store.site_get("gn_site_a") is None
    assert await store.site_of_secret(key("s")) is None


async def test_the_last_report_is_kept(store: Store) -> None:
    assert await store.report_get() is None
    await store.report_put(b'{"a": 1}')
    await store.report_put(b'{"a": 2}')
    assert await store.report_get() == b'{"a": 2}'


# Other processes, and crashes of ours


async def test_another_process_finds_everything(url: str) -> None:
    first = open_store(url)
    await first.pool_put([pooled("one"), pooled("two")])
    await first.pool_take(challenge("a"))
    await first.token_put(key("t"), expires=NOW + 120, now=NOW)
    await first.close()
    second = open_store(url)
    assert await second.challenge_image(key("a"), now=NOW) == b"one"
    assert await second.pool_depth() == 1
    assert await second.token_take(key("t"), now=NOW)
    await second.close()


def child(what: str, url: str, count: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, str(CHILD), what, url, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def kill_after(process: subprocess.Popen[str], lines: int) -> list[str]:
    """What a process said before it was killed in the middle of its work."""
    assert process.stdout is not None
    begin(process)
    said = [process.stdout.readline().strip() for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    said += process.stdout.read().split("\n")
    process.wait()
    process.stdout.close()
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close() if process.stdin else None
    return [line for line in said if line]


def child_token(number: int) -> bytes:
    return hashlib.sha256(b"token %d" % number).digest()


async def put_tokens(store: Store, count: int) -> float:
    now = time.time()
    puts = (store.token_put(child_token(n), expires=now + 1000, now=now) for n in range(count))
    await asyncio.gather(*puts)
    return now


async def spend_all(store: Store, count: int, now: float) -> set[int]:
    """Numbers of the tokens that still pass."""
    passed = await asyncio.gather(*(store.token_take(child_token(n), now=now) for n in range(count)))
    return {number for number, each in enumerate(passed) if each}


async def test_of_processes_that_race_one_spends_each_token(store: Store, url: str) -> None:
    await put_tokens(store, 300)
    racers = [child("race", url, 300) for _ in range(3)]
    for racer in racers:
        begin(racer)
    said = [await asyncio.to_thread(racer.communicate) for racer in racers]
    spent = [int(line) for out, _ in said for line in out.split()]
    assert sorted(spent) == list(range(300))


async def test_no_token_passes_twice_when_a_process_is_killed_in_between(store: Store, url: str) -> None:
    now = await put_tokens(store, 2000)
    said = {int(line) for line in kill_after(child("tokens", url, 2000), 100)}
    after = await spend_all(store, 2000, now)
    assert len(said) >= 100
    assert not said & after
    # At most the one that was being spent is lost; none passes a second time.
    assert len(said | after) >= 1999
    assert not await spend_all(store, 2000, now)


async def test_no_image_goes_out_twice_when_a_process_is_killed_in_between(store: Store, url: str) -> None:
    await store.pool_put([pooled(f"image-{n}") for n in range(600)])
    said = kill_after(child("images", url, 600), 60)
    after = await take_all(store, 600, now=time.time())
    assert len(said) >= 60
    assert len(set(said)) == len(said)
    assert not set(said) & set(after)
    assert len(said) + len(after) >= 599


# The whole way


class Service:
    """A desk over a store, with one site."""

    def __init__(self, store: Store, url: str) -> None:
        self.key = secrets.token_bytes(32)
        self.store = store
        self.limits = open_limits(url, LimitSettings.off(), key=self.key)
        self.desk = CaptchaDesk(store, self.limits, CaptchaSettings(key=self.key))
        self.visitor = Visitor("192.0.2.7", "example.org")

    async def token(self) -> tuple[str, str]:
        """A site's secret and a token for it."""
        site, secret = await SiteBook(self.store).create(hostnames=["example.org"])
        await Stock(self.store, key=self.key, style="1").put([Prepared(b"png", "ACDEF")])
        issued = await self.desk.issue(site.key, Kind.IMAGE, self.visitor, action="join", cdata="c 1")
        assert (await self.desk.image(issued.id, self.visitor)).content == b"png"
        return secret, (await self.desk.answer(issued.id, "acdef", self.visitor)).token


@pytest_asyncio.fixture
async def service(store: Store, url: str) -> AsyncIterator[Service]:
    made = Service(store, url)
    yield made
    await made.limits.close()


async def test_ten_thousand_verifications_of_one_token_at_once_give_one_success(service: Service) -> None:
    secret, token = await service.token()
    verdicts = await asyncio.gather(*(service.desk.verify(secret, token) for _ in range(10_000)))
    good = [verdict for verdict in verdicts if verdict.success]
    assert len(good) == 1
    assert (good[0].hostname, good[0].action, good[0].cdata) == ("example.org", "join", "c 1")
    assert {verdict.error_codes for verdict in verdicts if not verdict.success} == {("timeout-or-duplicate",)}


async def test_a_repeat_with_its_key_gets_the_same_verdict_also_in_a_race(service: Service) -> None:
    secret, token = await service.token()
    repeated = [service.desk.verify(secret, token, idempotency_key="k") for _ in range(200)]
    verdicts = await asyncio.gather(*repeated)
    assert len(set(verdicts)) == 1
    assert verdicts[0].success
    assert not (await service.desk.verify(secret, token)).success
    assert not (await service.desk.verify(secret, token, idempotency_key="other")).success


async def test_a_challenge_has_one_answer_under_a_race(service: Service) -> None:
    site, _ = await SiteBook(service.store).create()
    await Stock(service.store, key=service.key, style="1").put([Prepared(b"png", "ACDEF")])
    issued = await service.desk.issue(site.key, Kind.IMAGE, service.visitor)
    answers = (service.desk.answer(issued.id, "ACDEF", service.visitor) for _ in range(100))
    said = await asyncio.gather(*answers, return_exceptions=True)
    errors = [each.code for each in said if isinstance(each, GoodnoiseError)]
    assert errors == [Code.PRECONDITION] * 99


async def test_no_store_holds_an_address_an_answer_a_secret_or_a_token(service: Service, url: str) -> None:
    site, secret = await SiteBook(service.store).create()
    await Stock(service.store, key=service.key, style="1").put([Prepared(b"png", "ACDEFH")] * 2)
    await service.desk.issue(site.key, Kind.IMAGE, service.visitor)
    issued = await service.desk.issue(site.key, Kind.IMAGE, service.visitor)
    token = (await service.desk.answer(issued.id, "ACDEFH", service.visitor)).token
    kept = everything(url)
    assert site.key.encode() in kept
    for private in ("192.0.2", "ACDEFH", secret, token[10:40], issued.id):
        assert private.encode() not in kept


def everything(url: str) -> bytes:
    if url.startswith("sqlite:"):
        path = Path(url.removeprefix("sqlite:"))
        return b"".join(each.read_bytes() for each in path.parent.glob("state.db*"))
    with contextlib.closing(redis.Redis.from_url(url)) as client:
        return b"".join(each + (client.dump(each) or b"") for each in client.scan_iter())


async def test_limits_hold_beside_either_store(store: Store, url: str) -> None:
    rates = replace(LimitSettings.off(), answer=Rates(address="5/hour"), unsolved=Rates(address="3/hour"))
    limits = open_limits(url, rates, key=bytes(32))
    caller = limits.caller("192.0.2.7")
    hits = [limits.may(Act.ANSWER, caller) for _ in range(50)]
    assert (await asyncio.gather(*hits, return_exceptions=True)).count(None) == 5
    for _ in range(3):
        async with limits.issuing(caller):
            pass
    for _ in range(2):
        with pytest.raises(GoodnoiseError) as caught:
            async with limits.issuing(caller):
                pytest.fail("it was allowed")
        assert 3000 < float(caught.value.details["retry_after_seconds"]) <= 3600
    for _ in range(9):
        await limits.solved(caller)
    async with limits.issuing(caller):
        pass
    assert [await limits.plays("c", seconds=60) for _ in range(2)] == [1, 2]
    assert b"192.0.2" not in everything(url)
    await limits.close()


async def test_a_call_waits_few_times_for_redis(shared_redis: RedisServer) -> None:
    """Each time is a write to its disk where Redis forces them, so they are what a call costs."""
    shared_redis.flush()
    store = open_store(shared_redis.url)
    key = bytes(32)
    limits = open_limits(shared_redis.url, LimitSettings(issue=Rates("9/hour", "9/hour", "9/hour")), key=key)
    desk = CaptchaDesk(store, limits, CaptchaSettings(key=key))
    site, secret = await SiteBook(store).create()
    await Stock(store, key=key, style="1").put([Prepared(b"png", "ACDEF")] * 2)
    visitor = Visitor("192.0.2.7")
    issued = await desk.issue(site.key, Kind.IMAGE, visitor)

    async def steps(call: Awaitable[T]) -> tuple[int, T]:
        with contextlib.closing(redis.Redis.from_url(shared_redis.url)) as client:
            client.config_resetstat()
            said = await call
            return client.info("commandstats")["cmdstat_eval"]["calls"], said

    assert (await steps(desk.issue(site.key, Kind.IMAGE, visitor)))[0] == 2  # limits; image and challenge
    assert (await steps(desk.image(issued.id, visitor)))[0] == 3  # two of them at once
    found, answered = await steps(desk.answer(issued.id, "ACDEF", visitor))
    assert found == 5  # two of them at once
    await desk.verify(secret, "x")  # the secret is looked up once
    found, verdict = await steps(desk.verify(secret, answered.token))
    assert (found, verdict.success) == (1, True)
    await limits.close()
    await store.close()


# SQLite alone


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.db"
    opened = SqliteStore(path)
    assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}
    asyncio.run(opened.close())


async def test_after_a_crash_of_the_machine_nothing_of_before_is_good(tmp_path: Path) -> None:
    # The machine forgot the last steps: the file is as it was before token, challenge and images were spent.
    path, copy = tmp_path / "state.db", tmp_path / "copy.db"
    before = SqliteStore(path, start="one")
    await before.pool_put([pooled(f"image {n}") for n in range(600)])
    await before.token_put(key("t"), expires=NOW + 120, now=NOW)
    await before.challenge_put(challenge("c", kind=Kind.WORK))
    first = await before.pool_take(challenge("a"))
    with (
        contextlib.closing(sqlite3.connect(path)) as source,
        contextlib.closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
    taken = await before.pool_take(challenge("b"))
    await before.close()
    assert first is not None
    assert taken is not None

    after = SqliteStore(copy, start="two")
    assert not await after.token_take(key("t"), now=NOW)
    assert await after.challenge_take(key("c"), now=NOW) is None
    left = await take_all(after, 600)
    assert left == [f"image {n}" for n in range(256, 600)]
    await after.close()


def copy_database(path: Path, copy: Path) -> None:
    closing = contextlib.closing
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


async def test_a_start_of_the_service_loses_no_image(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    before = SqliteStore(path, start="one")
    await before.pool_put([pooled(f"image {n}") for n in range(600)])
    await before.pool_take(challenge("a"))
    await before.close()
    after = SqliteStore(path, start="one")
    assert await after.pool_depth() == 599
    await after.close()


async def test_without_a_name_of_the_machines_start_images_go_out_too(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state.db", start="")
    await store.pool_put([pooled("image")])
    assert await take_all(store, 2) == ["image"]
    await store.close()


async def test_what_has_expired_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud_server.captcha.state.sqlite._TIDY_SECONDS", 0.0)
    path = tmp_path / "state.db"
    store = SqliteStore(path)
    await store.pool_put([pooled("image")])
    await store.pool_take(challenge("a"))
    await store.token_put(key("t"), expires=NOW + 120, now=NOW)
    await store.token_take(key("u"), now=NOW, repeat=Repeat(key("r"), NOW + 1))
    await store.challenge_put(challenge("later", kind=Kind.WORK, now=NOW + 1000))
    await store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for table, count in (("challenges", 1), ("images", 0), ("tokens", 0), ("repeats", 0)):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (count,)  # noqa: S608


@pytest.mark.parametrize("content", [b"no database, whatever its name says" * 40, None])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "state.db"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(GoodnoiseError, match=r"state\.db"):
        open_store(f"sqlite:{path}")


def test_a_file_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=9")
    with pytest.raises(GoodnoiseError, match="version 9, expected 1"):
        open_store(f"sqlite:{path}")


async def test_a_step_that_fails_leaves_the_others_whole(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state.db")
    twice = [store.token_put(key("t"), expires=NOW + 1, now=NOW) for _ in range(2)]
    done = await asyncio.gather(*twice, store.report_put(b"{}"), return_exceptions=True)
    assert [each.code if isinstance(each, GoodnoiseError) else each for each in done] == [
        None,
        Code.UNAVAILABLE,
        None,
    ]
    assert await store.report_get() == b"{}"
    assert await store.token_take(key("t"), now=NOW)
    await store.close()


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state.db")
    await store.close()
    await store.close()
    with pytest.raises(GoodnoiseError, match="closed"):
        await store.pool_depth()


# Redis alone


async def fill(store: Store) -> None:
    await store.pool_put([pooled(f"image {n}") for n in range(20)])
    await store.pool_take(challenge("a"))
    await store.token_put(key("t"), expires=NOW + 120, now=NOW)
    await store.site_put(Site(key="gn_site_a", secrets=(key("s"),), created=1.0))


async def after_crash(server: RedisServer) -> tuple[bool, Challenge | None, list[str], bool]:
    """What passes after a crash of Redis: token, challenge, images; and whether sites stayed."""
    store = open_store(server.url)
    await fill(store)
    server.kill()
    server.start()
    token = await store.token_take(key("t"), now=NOW)
    found = await store.challenge_take(key("a"), now=NOW)
    images = await take_all(store, 20)
    site = await store.site_get("gn_site_a")
    await store.close()
    return token, found, images, site is not None


async def test_redis_that_may_forget_gives_nothing_out_after_a_crash(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with redis_server("--appendonly", "yes", "--appendfsync", "everysec") as server:
        token, found, images, _ = await after_crash(server)
    assert (token, found, images) == (False, None, [])
    assert "captcha.redis_may_forget" in caplog.messages


async def test_redis_that_forces_every_write_keeps_its_pool(caplog: pytest.LogCaptureFixture) -> None:
    with redis_server("--appendonly", "yes", "--appendfsync", "always") as server:
        token, found, images, site = await after_crash(server)
    assert (token, found) == (False, None)
    assert images == [f"image {n}" for n in range(1, 20)]
    assert site
    assert "captcha.redis_may_forget" not in caplog.messages


async def test_redis_that_is_away_is_unavailable_with_a_time_to_wait() -> None:
    with redis_server() as server:
        store = open_store(server.url)
        await store.report_put(b"{}")
        server.kill()
        limits = open_limits(server.url, key=bytes(32))
        steps = (
            store.report_get(),
            store.token_take(key("t"), now=NOW),
            store.pool_depth(),
            limits.may(Act.ISSUE, limits.caller("192.0.2.7")),
        )
        for step in steps:
            with pytest.raises(GoodnoiseError) as caught:
                await step
            assert caught.value.code is Code.UNAVAILABLE
            assert float(caught.value.details["retry_after_seconds"]) > 0
        await store.close()
        await limits.close()


@pytest.mark.parametrize(
    "open_it", [open_store, lambda url: open_limits(url, key=bytes(32))], ids=["store", "limits"]
)
@pytest.mark.parametrize("url", ["redis://:hunter2@host:port", "redis://:hunter2@host:99999999/x"])
def test_an_address_that_cannot_be_read_is_not_repeated(open_it: Callable[[str], object], url: str) -> None:
    with pytest.raises(GoodnoiseError) as caught:
        open_it(url)
    assert caught.value.code is Code.INVALID_INPUT
    assert "hunter2" not in caught.value.message


@pytest.mark.parametrize("url", ["memory:", "", "sqlite:", "postgres://:hunter2@host"])
def test_an_address_of_another_store_is_refused(url: str) -> None:
    with pytest.raises(GoodnoiseError, match="sqlite:PATH") as caught:
        open_store(url)
    assert "hunter2" not in caught.value.message
