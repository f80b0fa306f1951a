"""The CAPTCHA desk over a real store: what visitors and sites get, and what they do not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from cloud_server.captcha import trials
from cloud_server.captcha.desk import CaptchaDesk
from cloud_server.captcha.keys import Keys
from cloud_server.captcha.limiting import open_limits
from cloud_server.captcha.settings import CaptchaSettings, LimitSettings, Rates
from cloud_server.captcha.sites import SiteBook
from cloud_server.captcha.state import Site, Store, open_store
from cloud_server.captcha.stock import Stock
from cloud_server.captcha.tokens import Token, read_token, write_token
from cloud_server.captcha.types import Captcha, Issued, Kind, Prepared, Visitor, Work
from cloud_server.captcha.work import solves
from shared.errors import Code, GoodnoiseError

NOW = 1_800_000_000.0
KEY = bytes(range(32))
VISITOR = Visitor("192.0.2.7", "www.example.org")
DUPLICATE = ("timeout-or-duplicate",)
INVALID = ("invalid-input-response",)


class EchoSpeaker:
    """Says what it is given as text, and remembers in which thread."""

    languages: Sequence[str] = ("en", "de")

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self.going = threading.Event()
        self.going.set()

    def speak(self, characters: str, *, language: str) -> bytes:
        self.threads.add(threading.get_ident())
        self.going.wait(10)
        return f"{language} {characters}".encode()


class Service:
    """A desk, its store and its clock."""

    def __init__(self, path: Path) -> None:
        self.now = NOW
        self.speaker = EchoSpeaker()
        self.store: Store = open_store(f"sqlite:{path}")
        self.book = SiteBook(self.store)
        self.desk = self.another()

    def another(
        self,
        *,
        limits: LimitSettings | None = None,
        ahead: float = 0.0,
        speaker: bool = True,
        **settings: Any,
    ) -> CaptchaDesk:
        """Another replica's desk over the same store, whose clock may differ."""

        def clock() -> float:
            return self.now + ahead

        return CaptchaDesk(
            self.store,
            open_limits("sqlite:x", limits or LimitSettings.off(), key=KEY, clock=clock),
            CaptchaSettings(**{"key": KEY, "work_bits": 4, **settings}),
            self.speaker if speaker else None,
            clock=clock,
        )

    async def fill(self, *answers: str) -> None:
        stock = Stock(self.store, key=KEY, style="1")
        await stock.put([Prepared(b"PNG " + answer.encode(), answer) for answer in answers])

    async def token(self, site: Site, desk: CaptchaDesk | None = None, **words: str) -> str:
        await self.fill("ACDEF")
        desk = desk or self.desk
        issued = await desk.issue(site.key, Kind.IMAGE, VISITOR, **words)
        return (await desk.answer(issued.id, "ACDEF", VISITOR)).token


@pytest_asyncio.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    made = Service(tmp_path / "state.db")
    yield made
    await made.store.close()


@pytest_asyncio.fixture
async def site(service: Service) -> Site:
    return (await service.book.create(hostnames=["www.example.org"]))[0]


async def refused(step: Any) -> GoodnoiseError:
    with pytest.raises(GoodnoiseError) as caught:
        await step
    return caught.value


def solve(work: Work | None) -> str:
    assert work is not None
    return next(str(n) for n in count() if solves(work, str(n)))


# Challenges


async def test_an_image_is_shown_again_until_it_is_answered(service: Service, site: Site) -> None:
    desk: Captcha = service.desk
    await service.fill("ACDEFH")
    issued = await desk.issue(site.key, Kind.IMAGE, VISITOR)
    assert issued.kind is Kind.IMAGE
    assert issued.length == 6
    assert issued.expires == datetime.fromtimestamp(NOW + 300, UTC)
    for _ in range(2):
        shown = await desk.image(issued.id, VISITOR)
        assert (shown.content, shown.media_type) == (b"PNG ACDEFH", "image/png")
    assert (await desk.answer(issued.id, " acd-efh ", VISITOR)).right
    assert (await refused(desk.image(issued.id, VISITOR))).code is Code.PRECONDITION


async def test_a_wrong_answer_spends_the_challenge(service: Service, site: Site) -> None:
    await service.fill("ACDEF")
    issued = await service.desk.issue(site.key, Kind.IMAGE, VISITOR)
    answered = await service.desk.answer(issued.id, "ACDEH", VISITOR)
    assert not answered.right
    assert (await refused(service.desk.answer(issued.id, "ACDEF", VISITOR))).code is Code.PRECONDITION


async def test_a_sound_has_other_noise_and_the_same_digits_each_time(service: Service, site: Site) -> None:
    issued = await service.desk.issue(site.key, Kind.AUDIO, VISITOR, language="de-AT")
    assert (issued.kind, issued.length) == (Kind.AUDIO, 6)
    said = [(await service.desk.audio(issued.id, VISITOR)).content.decode() for _ in range(3)]
    digits = said[0].split()[1]
    assert said == [f"de {digits}"] * 3
    assert len(digits) == 6
    assert threading.get_ident() not in service.speaker.threads
    assert (await service.desk.answer(issued.id, digits, VISITOR)).right


async def test_a_sound_is_played_so_often_that_its_noise_does_not_average_away(
    service: Service, site: Site
) -> None:
    desk = service.another(plays=3)
    issued = await desk.issue(site.key, Kind.AUDIO, VISITOR)
    for _ in range(3):
        await desk.audio(issued.id, VISITOR)
    assert (await refused(desk.audio(issued.id, VISITOR))).code is Code.EXHAUSTED


async def test_more_sounds_than_can_wait_are_refused_at_once(service: Service, site: Site) -> None:
    desk = service.another(plays=100)
    issued = await desk.issue(site.key, Kind.AUDIO, VISITOR)
    service.speaker.going.clear()
    asked = [asyncio.ensure_future(desk.audio(issued.id, VISITOR)) for _ in range(30)]
    done, waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    while len(done) < 12:
        more, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        done |= more
    service.speaker.going.set()
    for each in done:
        assert (await refused(each)).code is Code.UNAVAILABLE
    assert len(await asyncio.gather(*waiting)) == 18


async def test_work_is_done_by_finding_a_number(service: Service, site: Site) -> None:
    issued = await service.desk.issue(site.key, Kind.WORK, VISITOR)
    assert (issued.kind, issued.length) == (Kind.WORK, 0)
    assert (await service.desk.answer(issued.id, solve(issued.work), VISITOR)).right


async def test_a_wrong_number_spends_the_challenge(service: Service, site: Site) -> None:
    desk = service.another(work_bits=20)
    issued = await desk.issue(site.key, Kind.WORK, VISITOR)
    assert issued.work is not None
    wrong = next(str(n) for n in count() if not solves(issued.work, str(n)))
    assert not (await desk.answer(issued.id, wrong, VISITOR)).right
    assert (await refused(desk.answer(issued.id, wrong, VISITOR))).code is Code.PRECONDITION


@pytest.mark.parametrize("kind", [Kind.IMAGE, Kind.AUDIO])
async def test_without_image_or_speaker_there_is_work_or_nothing(service: Service, kind: Kind) -> None:
    desk = service.another(speaker=False)
    easy, _ = await service.book.create(work_allowed=True)
    strict, _ = await service.book.create(work_allowed=False)
    assert (await desk.issue(easy.key, kind, VISITOR)).kind is Kind.WORK
    error = await refused(desk.issue(strict.key, kind, VISITOR))
    assert error.code is Code.UNAVAILABLE
    assert error.details["retry_after_seconds"] == "10.000"
    assert (await refused(desk.issue(strict.key, Kind.WORK, VISITOR))).code is Code.PERMISSION


async def test_a_challenge_ends_at_its_time(service: Service, site: Site) -> None:
    desk = service.another(challenge_seconds=30, skew_seconds=0)
    await service.fill("ACDEF", "ACDEH")
    issued = [await desk.issue(site.key, Kind.IMAGE, VISITOR) for _ in range(2)]
    service.now += 29.9
    assert (await desk.answer(issued[0].id, "ACDEF", VISITOR)).right
    service.now += 0.1
    assert (await refused(desk.image(issued[1].id, VISITOR))).code is Code.PRECONDITION
    assert (await refused(desk.answer(issued[1].id, "ACDEH", VISITOR))).code is Code.PRECONDITION


async def test_another_kind_than_the_challenges_is_refused(service: Service, site: Site) -> None:
    issued = await service.desk.issue(site.key, Kind.WORK, VISITOR)
    for step in (service.desk.image(issued.id, VISITOR), service.desk.audio(issued.id, VISITOR)):
        assert (await refused(step)).code is Code.PRECONDITION


# What is refused


@pytest.mark.parametrize("bad", ["", "x", "A" * 32, "é" * 32, "A" * 5000, "\udc80" * 32])
async def test_a_challenge_that_was_never_issued_is_unknown(service: Service, bad: str) -> None:
    steps = (service.desk.image, service.desk.audio)
    for step in steps:
        assert (await refused(step(bad, VISITOR))).code is Code.NOT_FOUND
    assert (await refused(service.desk.answer(bad, "ACDEF", VISITOR))).code is Code.NOT_FOUND


@pytest.mark.parametrize("key", ["", "gn_site_" + "A" * 22, "gn_site_é", trials.PASSES, "x" * 9999])
async def test_a_site_that_is_none_is_unknown(service: Service, key: str) -> None:
    assert (await refused(service.desk.issue(key, Kind.IMAGE, VISITOR))).code is Code.NOT_FOUND


async def test_a_disabled_site_gets_nothing(service: Service) -> None:
    site, secret = await service.book.create()
    token = await service.token(site)
    await service.book.change(site.key, disabled=True)
    desk = service.another()
    assert (await refused(desk.issue(site.key, Kind.IMAGE, VISITOR))).code is Code.NOT_FOUND
    assert (await desk.verify(secret, token)).error_codes == ("invalid-input-secret",)


@pytest.mark.parametrize("hostname", ["", "example.org", "evil.example"])
async def test_another_host_than_the_sites_is_refused(service: Service, site: Site, hostname: str) -> None:
    await service.fill("ACDEF")
    error = await refused(service.desk.issue(site.key, Kind.IMAGE, Visitor("192.0.2.1", hostname)))
    assert error.code is Code.PERMISSION
    assert await service.desk.depth() == 1


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (Kind.IMAGE, ""),
        (Kind.IMAGE, " - "),
        (Kind.IMAGE, "A" * 65),
        (Kind.IMAGE, "AC;EF"),
        (Kind.AUDIO, "12345a"),
        (Kind.WORK, "-1"),
        (Kind.WORK, "1" * 21),
        (Kind.WORK, "٣"),
    ],
)
async def test_what_can_be_no_answer_is_refused_and_spends_nothing(
    service: Service, site: Site, kind: Kind, answer: str
) -> None:
    await service.fill("ACDEF")
    issued = await service.desk.issue(site.key, kind, VISITOR)
    error = await refused(service.desk.answer(issued.id, answer, VISITOR))
    assert error.code is Code.INVALID_INPUT
    assert "AC;EF" not in error.message
    right = {Kind.IMAGE: "ACDEF", Kind.AUDIO: Keys(KEY).digits(issued.id, 6)}
    assert (await service.desk.answer(issued.id, right.get(kind) or solve(issued.work), VISITOR)).right


@pytest.mark.parametrize(
    ("action", "cdata", "hostname"),
    [
        ("a b", "", ""),
        ("a" * 33, "", ""),
        ("", "x" * 256, ""),
        ("", "\n", ""),
        ("", "\udc80", ""),
        ("", "", "A b"),
    ],
)
async def test_words_that_a_verdict_could_not_repeat_are_refused(
    service: Service, site: Site, action: str, cdata: str, hostname: str
) -> None:
    visitor = replace(VISITOR, hostname=hostname or VISITOR.hostname)
    error = await refused(service.desk.issue(site.key, Kind.WORK, visitor, action=action, cdata=cdata))
    assert error.code is Code.INVALID_INPUT


# Verdicts


async def test_a_token_tells_the_site_where_and_for_what_it_was_given(service: Service) -> None:
    site, secret = await service.book.create()
    token = await service.token(site, action="log-in", cdata="visit 7")
    service.now += 100
    verdict = await service.desk.verify(secret, token, address="198.51.100.1")
    assert verdict.success
    assert verdict.challenge_ts == datetime.fromtimestamp(NOW, UTC)
    assert (verdict.hostname, verdict.action, verdict.cdata) == ("www.example.org", "log-in", "visit 7")
    assert verdict.error_codes == ()
    assert (await service.desk.verify(secret, token)).error_codes == DUPLICATE


async def test_a_token_ends_at_its_time(service: Service) -> None:
    site, secret = await service.book.create()
    desk = service.another(token_seconds=60, skew_seconds=0)
    tokens = [await service.token(site, desk) for _ in range(2)]
    service.now += 59.9
    assert (await desk.verify(secret, tokens[0])).success
    service.now += 0.1
    assert (await desk.verify(secret, tokens[1])).error_codes == DUPLICATE


@pytest.mark.parametrize("ahead", [-5.0, -1.0, 1.0, 5.0])
async def test_replicas_whose_clocks_differ_a_little_agree(service: Service, ahead: float) -> None:
    site, secret = await service.book.create()
    other = service.another(ahead=ahead)
    token = await service.token(site)
    service.now += 119.9 if ahead > 0 else 0.0
    assert (await other.verify(secret, token)).success
    assert not (await service.desk.verify(secret, token)).success


async def test_a_replica_far_behind_takes_no_token_of_the_future_and_does_not_spend_it(
    service: Service,
) -> None:
    site, secret = await service.book.create()
    token = await service.token(site)
    assert (await service.another(ahead=-60).verify(secret, token)).error_codes == DUPLICATE
    assert (await service.desk.verify(secret, token)).success


async def test_a_clock_that_is_put_back_lets_no_token_pass_again(service: Service) -> None:
    site, secret = await service.book.create()
    token = await service.token(site)
    service.now += 50
    assert (await service.desk.verify(secret, token)).success
    service.now -= 50
    assert (await service.desk.verify(secret, token)).error_codes == DUPLICATE


async def test_another_sites_token_is_refused_and_stays_good(service: Service) -> None:
    site, secret = await service.book.create()
    _, other = await service.book.create()
    token = await service.token(site)
    assert (await service.desk.verify(other, token)).error_codes == INVALID
    assert (await service.desk.verify(secret, token)).success


async def test_a_token_of_a_host_that_the_site_gave_up_is_refused(service: Service) -> None:
    site, secret = await service.book.create(hostnames=["www.example.org"])
    token = await service.token(site)
    await service.book.change(site.key, hostnames=["other.example"])
    assert (await service.another().verify(secret, token)).error_codes == INVALID


async def test_both_secrets_of_a_rotation_are_good(service: Service) -> None:
    site, old = await service.book.create()
    _, new = await service.book.rotate(site.key)
    for secret in (old, new):
        assert (await service.desk.verify(secret, await service.token(site))).success


async def test_a_token_signed_with_the_key_and_never_issued_does_not_pass(service: Service) -> None:
    site, secret = await service.book.create()
    keys = Keys(KEY)
    issued = read_token(await service.token(site), keys)
    assert issued is not None
    made = Token(bytes(16), site.key, Kind.IMAGE, NOW, NOW + 120)
    assert (await service.desk.verify(secret, write_token(made, keys))).error_codes == DUPLICATE
    forged = write_token(replace(issued, action="admin"), Keys(bytes(32)))
    assert (await service.desk.verify(secret, forged)).error_codes == INVALID


@pytest.mark.parametrize(
    "token", ["x", "gn1.", "gn1." + "A" * 100, "é", "gn1.\udc80", "A" * 100_000, trials.DUMMY]
)
async def test_a_text_that_is_no_token_is_invalid(service: Service, token: str) -> None:
    _, secret = await service.book.create()
    assert (await service.desk.verify(secret, token)).error_codes == INVALID


@pytest.mark.parametrize("secret", ["x", "gn_secret_x", "é", "\udc80", "A" * 100_000, "1x" + 31 * "0" + "AA"])
async def test_a_text_that_is_no_secret_is_invalid(service: Service, site: Site, secret: str) -> None:
    token = await service.token(site)
    assert (await service.desk.verify(secret, token)).error_codes == ("invalid-input-secret",)


async def test_what_is_missing_is_named(service: Service) -> None:
    verdict = await service.desk.verify("", "")
    assert verdict.error_codes == ("missing-input-secret", "missing-input-response")
    assert (await service.desk.verify("x", "")).error_codes == ("missing-input-response",)
    assert (await service.desk.verify("", "x")).error_codes == ("missing-input-secret",)


async def test_a_repeat_is_told_the_same_also_after_the_token_has_expired(service: Service) -> None:
    site, secret = await service.book.create()
    token = await service.token(site)
    first = await service.desk.verify(secret, token, idempotency_key="k-1")
    service.now += 200
    assert await service.desk.verify(secret, token, idempotency_key="k-1") == first
    assert (await service.desk.verify(secret, token, idempotency_key="k-2")).error_codes == DUPLICATE
    service.now += 101
    assert (await service.desk.verify(secret, token, idempotency_key="k-1")).error_codes == DUPLICATE


@pytest.mark.parametrize(("key", "words"), [("k" * 257, ("bad-request",)), ("\udc80", ()), ("é" * 256, ())])
async def test_keys_of_repeats_are_any_text_up_to_a_length(
    service: Service, key: str, words: tuple[str, ...]
) -> None:
    site, secret = await service.book.create()
    token = await service.token(site)
    for _ in range(2):
        assert (await service.desk.verify(secret, token, idempotency_key=key)).error_codes == words


# Limits


async def try_issue(desk: CaptchaDesk, site: Site, visitor: Visitor, times: int) -> list[Issued]:
    asked = (desk.issue(site.key, Kind.WORK, visitor) for _ in range(times))
    said = await asyncio.gather(*asked, return_exceptions=True)
    errors = [each.code for each in said if isinstance(each, GoodnoiseError)]
    assert set(errors) <= {Code.EXHAUSTED}
    return [each for each in said if isinstance(each, Issued)]


async def test_challenges_images_and_answers_are_limited(service: Service, site: Site) -> None:
    off = LimitSettings.off()
    desk = service.another(limits=replace(off, issue=Rates("2/minute"), image=Rates("3/minute")))
    await service.fill("ACDEF", "ACDEF")
    issued = [await desk.issue(site.key, Kind.IMAGE, VISITOR) for _ in range(2)]
    assert (await refused(desk.issue(site.key, Kind.IMAGE, VISITOR))).code is Code.EXHAUSTED
    for _ in range(3):
        await desk.image(issued[0].id, VISITOR)
    assert (await refused(desk.image(issued[0].id, VISITOR))).code is Code.EXHAUSTED
    slow = service.another(limits=replace(off, answer=Rates("1/minute")))
    assert (await slow.answer(issued[0].id, "ACDEF", VISITOR)).right
    assert (await refused(slow.answer(issued[1].id, "ACDEF", VISITOR))).code is Code.EXHAUSTED
    assert (await desk.answer(issued[1].id, "ACDEF", VISITOR)).right


async def test_who_only_fetches_challenges_is_stopped_and_who_solves_them_is_not(
    service: Service, site: Site
) -> None:
    desk = service.another(limits=replace(LimitSettings.off(), unsolved=Rates("5/hour")))
    for _ in range(12):
        issued = await desk.issue(site.key, Kind.WORK, VISITOR)
        assert (await desk.answer(issued.id, solve(issued.work), VISITOR)).right
    assert len(await try_issue(desk, site, VISITOR, 12)) == 5
    neighbour = replace(VISITOR, address="192.0.2.8")
    assert len(await try_issue(desk, site, neighbour, 12)) == 5


async def test_solving_from_another_address_frees_the_one_that_fetched(service: Service, site: Site) -> None:
    desk = service.another(limits=replace(LimitSettings.off(), unsolved=Rates("2/hour")))
    fetched = await try_issue(desk, site, VISITOR, 2)
    assert not await try_issue(desk, site, VISITOR, 1)
    other = replace(VISITOR, address="198.51.100.9")
    assert (await desk.answer(fetched[0].id, solve(fetched[0].work), other)).right
    assert len(await try_issue(desk, site, VISITOR, 2)) == 1
    assert len(await try_issue(desk, site, other, 3)) == 2


async def test_a_site_has_a_limit_over_all_addresses(service: Service, site: Site) -> None:
    desk = service.another(limits=replace(LimitSettings.off(), issue=Rates(site="3/minute")))
    given = [await try_issue(desk, site, replace(VISITOR, address=f"10.{n}.0.1"), 1) for n in range(6)]
    assert len([each for each in given if each]) == 3


async def test_an_empty_pool_costs_the_visitor_no_unsolved_challenge(service: Service) -> None:
    site, _ = await service.book.create(work_allowed=False)
    desk = service.another(limits=replace(LimitSettings.off(), unsolved=Rates("1/hour")))
    for _ in range(3):
        assert (await refused(desk.issue(site.key, Kind.IMAGE, VISITOR))).code is Code.UNAVAILABLE
    await service.fill("ACDEF")
    assert (await desk.issue(site.key, Kind.IMAGE, VISITOR)).kind is Kind.IMAGE


# Test keys

PASSING, FAILING, SPENT = (f"{n}x0000000000000000000000000000000AA" for n in (1, 2, 3))


@pytest.mark.parametrize(("key", "right"), [(trials.PASSES, True), (trials.FAILS, False)])
async def test_test_sites_need_no_pool_and_always_say_the_same(
    service: Service, key: str, right: bool
) -> None:
    desk = service.another(test_keys=True)
    issued = await desk.issue(key, Kind.IMAGE, VISITOR)
    assert issued.kind is Kind.WORK
    answered = await desk.answer(issued.id, "1", VISITOR)
    assert answered.token == (trials.DUMMY if right else "")


async def test_the_test_site_that_forces_an_image_wants_it_read(service: Service) -> None:
    desk = service.another(test_keys=True)
    assert (await refused(desk.issue(trials.FORCES, Kind.IMAGE, VISITOR))).code is Code.UNAVAILABLE
    await service.fill("ACDEF", "ACDEF")
    issued = [await desk.issue(trials.FORCES, Kind.IMAGE, VISITOR) for _ in range(2)]
    assert not (await desk.answer(issued[0].id, "WRONG", VISITOR)).right
    assert (await desk.answer(issued[1].id, "ACDEF", VISITOR)).token == trials.DUMMY


async def test_test_secrets_say_the_same_of_any_token(service: Service) -> None:
    desk = service.another(test_keys=True)
    for token in (trials.DUMMY, "anything"):
        for _ in range(2):
            assert (await desk.verify(PASSING, token)).success
        assert (await desk.verify(FAILING, token)).error_codes == INVALID
        assert (await desk.verify(SPENT, token)).error_codes == DUPLICATE


async def test_test_keys_are_off_unless_they_are_turned_on(service: Service, site: Site) -> None:
    token = await service.token(site)
    for secret in (PASSING, FAILING, SPENT):
        for given in (token, trials.DUMMY):
            assert (await service.desk.verify(secret, given)).error_codes == ("invalid-input-secret",)
    for key in (trials.PASSES, trials.FAILS, trials.FORCES):
        assert (await refused(service.desk.issue(key, Kind.IMAGE, VISITOR))).code is Code.NOT_FOUND


async def test_a_dummy_token_is_worth_nothing_to_a_real_site(service: Service) -> None:
    _, secret = await service.book.create()
    desk = service.another(test_keys=True)
    assert (await desk.verify(secret, trials.DUMMY)).error_codes == INVALID
