"""Limits by address, subnet and site, and the counters in memory behind them."""

from __future__ import annotations

import asyncio

import pytest
from limits import parse
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from cloud_server.captcha.counting import MemoryCounts
from cloud_server.captcha.keys import Keys
from cloud_server.captcha.limiting import Act, Limits
from cloud_server.captcha.settings import LimitSettings, Rates
from shared.errors import Code, GoodnoiseError

NOW = 1_800_000_000.0  # a whole minute and hour
KEYS = Keys(bytes(32))


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limits(clock: Clock, **rates: Rates) -> Limits:
    off = {"issue": Rates(), "image": Rates(), "answer": Rates(), "unsolved": Rates()}
    return Limits(MemoryCounts(clock=clock), LimitSettings(**{**off, **rates}), KEYS)


async def allowed(found: Limits, address: str, tries: int, act: Act = Act.ISSUE) -> int:
    """How many of so many acts of an address were allowed."""
    caller = found.caller(address)
    said = await asyncio.gather(*(found.may(act, caller) for _ in range(tries)), return_exceptions=True)
    for error in said:
        if isinstance(error, GoodnoiseError):
            assert error.code is Code.EXHAUSTED
            assert float(error.details["retry_after_seconds"]) >= 1
    return said.count(None)


async def test_an_address_has_its_limit_and_another_its_own(clock: Clock) -> None:
    found = limits(clock, issue=Rates(address="3/minute"))
    assert await allowed(found, "192.0.2.1", 5) == 3
    assert await allowed(found, "192.0.2.2", 5) == 3


async def test_each_act_has_its_limit(clock: Clock) -> None:
    found = limits(clock, issue=Rates("1/minute"), image=Rates("2/minute"), answer=Rates("3/minute"))
    assert [await allowed(found, "192.0.2.1", 5, act) for act in Act] == [1, 2, 3]


async def test_a_limit_ends_with_its_window(clock: Clock) -> None:
    found = limits(clock, issue=Rates(address="3/minute"))
    await allowed(found, "192.0.2.1", 5)
    clock.now += 30
    assert await allowed(found, "192.0.2.1", 5) == 0
    clock.now += 90
    assert await allowed(found, "192.0.2.1", 5) == 3


@pytest.mark.parametrize(
    ("near", "far"),
    [
        (("192.0.2.1", "192.0.2.254"), "192.0.3.1"),
        (("2001:db8:1:1::1", "2001:db8:1:2::1"), "2001:db8:2::1"),
        (("::ffff:192.0.2.1", "192.0.2.9"), "192.0.3.1"),
    ],
)
async def test_a_subnet_is_limited_together(clock: Clock, near: tuple[str, str], far: str) -> None:
    found = limits(clock, issue=Rates(subnet="4/minute"))
    assert [await allowed(found, address, 3) for address in near] == [3, 1]
    assert await allowed(found, far, 3) == 3


async def test_addresses_of_one_ipv6_subscriber_are_one(clock: Clock) -> None:
    found = limits(clock, issue=Rates(address="3/minute"))
    assert await allowed(found, "2001:db8::1", 2) == 2
    assert await allowed(found, "2001:db8::ffff:1", 2) == 1
    assert await allowed(found, "2001:db8:0:1::1", 2) == 2


@pytest.mark.parametrize("address", ["", "unix", "999.1.1.1"])
async def test_unknown_addresses_are_limited_together_as_one_subnet(clock: Clock, address: str) -> None:
    found = limits(clock, issue=Rates(address="1/minute", subnet="4/minute"))
    assert await allowed(found, "", 2) == 2
    assert await allowed(found, address, 5) == 2


async def test_a_site_is_limited_over_all_visitors(clock: Clock) -> None:
    found = limits(clock, issue=Rates(site="2/minute"))
    visitors = [found.caller(f"10.{number}.0.1") for number in range(3)]
    for visitor in visitors[:2]:
        await found.may(Act.ISSUE, visitor, site="a")
    await found.may(Act.ISSUE, visitors[2], site="b")
    with pytest.raises(GoodnoiseError, match="one site"):
        await found.may(Act.ISSUE, visitors[2], site="a")


async def test_what_a_site_states_counts_at_that_site_alone(clock: Clock) -> None:
    found = limits(clock, issue=Rates(address="1/minute", subnet="1/minute"))
    for stated_by in ("", "a", "b"):
        caller = found.caller("192.0.2.1", stated_by=stated_by)
        await found.may(Act.ISSUE, caller)
        with pytest.raises(GoodnoiseError, match="one address"):
            await found.may(Act.ISSUE, caller)


async def test_what_is_not_solved_counts_and_what_is_solved_does_not(clock: Clock) -> None:
    found = limits(clock, unsolved=Rates(address="3/hour"))
    caller = found.caller("192.0.2.1")
    for _ in range(3):
        async with found.issuing(caller):
            pass
    with pytest.raises(GoodnoiseError, match="not solved") as caught:
        async with found.issuing(caller):
            pytest.fail("it was allowed")
    assert 3500 < float(caught.value.details["retry_after_seconds"]) <= 3600
    await found.solved(caller)
    async with found.issuing(caller):
        pass
    clock.now += 3600
    async with found.issuing(caller):
        pass


async def test_a_challenge_that_could_not_be_given_does_not_count(clock: Clock) -> None:
    found = limits(clock, unsolved=Rates(address="1/hour", subnet="1/hour"))
    caller = found.caller("192.0.2.1")
    for _ in range(3):
        with pytest.raises(KeyError):
            async with found.issuing(caller):
                raise KeyError
    async with found.issuing(caller):
        pass


async def test_who_hangs_up_has_not_solved_anything(clock: Clock) -> None:
    found = limits(clock, unsolved=Rates(address="1/hour"))
    caller = found.caller("192.0.2.1")
    with pytest.raises(asyncio.CancelledError):
        async with found.issuing(caller):
            raise asyncio.CancelledError
    with pytest.raises(GoodnoiseError, match="not solved"):
        async with found.issuing(caller):
            pytest.fail("it was allowed")


async def test_solving_more_than_was_issued_gives_no_credit(clock: Clock) -> None:
    found = limits(clock, unsolved=Rates(address="1/hour"))
    caller = found.caller("192.0.2.1")
    for _ in range(5):
        await found.solved(caller)
    async with found.issuing(caller):
        pass
    with pytest.raises(GoodnoiseError):
        async with found.issuing(caller):
            pass


async def test_plays_of_a_challenge_are_counted_for_its_life(clock: Clock) -> None:
    found = limits(clock)
    assert [await found.plays("a", seconds=10.5) for _ in range(3)] == [1, 2, 3]
    assert await found.plays("b", seconds=10.5) == 1
    clock.now += 11
    assert await found.plays("a", seconds=10) == 1


async def test_hits_at_once_are_all_counted(clock: Clock) -> None:
    found = limits(clock, issue=Rates(address="50/minute"))
    caller = found.caller("192.0.2.1")
    hits = (found.may(Act.ISSUE, caller) for _ in range(200))
    said = await asyncio.gather(*hits, return_exceptions=True)
    assert said.count(None) == 50


async def test_counters_hold_no_address(clock: Clock) -> None:
    counts = MemoryCounts(clock=clock)
    found = Limits(counts, LimitSettings(), KEYS)
    await found.may(Act.ISSUE, found.caller("192.0.2.77"))
    assert len(counts) == 2
    assert not any("192.0" in key for key in counts.held())


async def test_counters_are_forgotten_when_they_end_and_when_there_are_too_many(clock: Clock) -> None:
    counts = MemoryCounts(clock=clock, most=100)
    for number in range(500):
        await counts.incr(f"a{number}", 60)
    assert len(counts) <= 101
    clock.now += 61
    for number in range(120):
        await counts.incr(f"b{number}", 60)
    assert not any(key.startswith("a") for key in counts.held())


async def test_a_window_weighs_the_one_before(clock: Clock) -> None:
    counter = SlidingWindowCounterRateLimiter(MemoryCounts(clock=clock))
    rate = parse("10/minute")
    clock.now += 59
    assert [await counter.hit(rate, "x") for _ in range(11)] == [True] * 10 + [False]
    clock.now += 31  # half of the next window: 5 of 10 still count
    assert [await counter.hit(rate, "x") for _ in range(6)] == [True] * 5 + [False]
    await counter.clear(rate, "x")
    assert (await counter.get_window_stats(rate, "x")).remaining == 10
