"""Jobs of the agent: their order, their steps, and that stopping one stops it."""

import asyncio
import threading

import pytest

from edge_client.agent.worker import Worker
from shared.errors import Code, GoodnoiseError


@pytest.fixture
async def worker():
    running = Worker("test")
    yield running
    running.close()
    await asyncio.to_thread(running.join, 30)


async def read(job):
    return [step async for step in job.steps()]


async def test_a_job_gives_its_result(worker):
    job = worker.start(lambda _tell: 7)
    await read(job)
    assert job.result() == 7
    assert worker.jobs == []


async def test_a_job_raises_what_its_work_raised(worker):
    def work(_tell):
        raise GoodnoiseError(Code.NO_FACE, "none")

    job = worker.start(work)
    await read(job)
    with pytest.raises(GoodnoiseError, match="none"):
        job.result()


async def test_steps_come_in_order_and_the_last_is_seen(worker):
    read_one = threading.Event()

    def work(tell):
        tell("first", 0, 100)
        read_one.wait(30)
        for done in range(100):
            tell("more", done + 1, 100)

    job, seen = worker.start(work), []
    async for step in job.steps():
        seen.append(step.done)
        read_one.set()
    assert seen[0] == 0
    assert seen[-1] == 100
    assert seen == sorted(seen)


async def test_a_reader_who_is_slow_sees_the_latest_step_only(worker):
    def work(tell):
        for done in range(10_000):
            tell("work", done, 10_000)

    job = worker.start(work)
    await asyncio.to_thread(job.ended.wait, 30)
    assert [step.done for step in await read(job)] == [9_999]


async def test_a_stopped_job_does_not_pass_its_next_step(worker):
    stopped, passed = threading.Event(), []

    def work(tell):
        tell("before", 0, 2)
        stopped.wait(30)
        tell("after", 1, 2)
        passed.append("after")

    job = worker.start(work)
    async for _ in job.steps():
        job.stop()
        stopped.set()
    with pytest.raises(GoodnoiseError) as caught:
        job.result()
    assert caught.value.code is Code.CANCELLED
    assert passed == []


async def test_a_job_stopped_while_it_waits_is_never_begun(worker):
    gate, begun = threading.Event(), []
    first = worker.start(lambda _tell: gate.wait(30))
    second = worker.start(lambda _tell: begun.append("second"))
    third = worker.start(lambda _tell: begun.append("third"))
    second.stop()
    gate.set()
    for job in (first, second, third):
        await read(job)
    assert begun == ["third"]
    with pytest.raises(GoodnoiseError):
        second.result()


async def test_a_closed_worker_ends_its_jobs_and_takes_no_more(worker):
    gate = threading.Event()
    running = worker.start(lambda _tell: gate.wait(30))
    waiting = worker.start(lambda _tell: 1)
    worker.close()
    gate.set()
    await read(running)
    await read(waiting)
    for call in (waiting.result, lambda: worker.start(lambda _tell: 1)):
        with pytest.raises(GoodnoiseError) as caught:
            call()
        assert caught.value.code is Code.UNAVAILABLE


async def test_failed_work_holds_on_to_nothing(worker):
    class Photo:
        pass

    kept = []

    def work(_tell):
        import weakref

        photo = Photo()
        kept.append(weakref.ref(photo))
        raise ValueError("bad")

    job = worker.start(work)
    await read(job)
    await asyncio.to_thread(job.ended.wait, 30)
    assert kept[0]() is None
    with pytest.raises(ValueError, match="bad"):
        job.result()
