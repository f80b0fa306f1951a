"""The child that fills the pool: started again when it ends, and ended with its parent, even a killed one."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys

from cloud_server.captcha.filling import Backoff, filling

# Stand-ins for `captcha fill`: what is proven here is how a child is kept, whatever it does.
WRITES = """
import os, sys
with open(sys.argv[1], "a") as file:
    print(os.getpid(), os.getpriority(os.PRIO_PROCESS, 0), os.environ.get("GIVEN"), file=file, flush=True)
"""
WAITS = WRITES + "sys.stdin.read()\n"
DEAF = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAITS


def command(script, *arguments):
    return (sys.executable, "-c", script, *arguments)


async def lines(path, count):
    """What the children wrote, once there are so many lines."""
    async with asyncio.timeout(30):
        while not path.exists() or len(path.read_text().splitlines()) < count:
            await asyncio.sleep(0.01)
    return [line.split() for line in path.read_text().splitlines()]


def alive(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(pid), 0)
        return True
    return False


async def test_a_child_that_ends_is_started_again(tmp_path):
    out = tmp_path / "out"
    async with filling(command(WRITES, str(out)), backoff=Backoff(first=0.01, most=0.02)):
        found = await lines(out, 3)
    assert len({pid for pid, *_ in found}) == len(found) >= 3
    assert not any(alive(pid) for pid, *_ in found)


async def test_a_child_that_cannot_be_started_is_tried_again(tmp_path, caplog):
    caplog.set_level("INFO", "goodnoise.cloud")
    async with filling((str(tmp_path / "nothing"),), backoff=Backoff(first=0.01)), asyncio.timeout(30):
        while len(caplog.records) < 3:
            await asyncio.sleep(0.01)
    assert {record.getMessage() for record in caplog.records} == {"captcha.fill_ended"}


async def test_the_child_ends_with_the_block(tmp_path):
    out = tmp_path / "out"
    async with filling(command(WAITS, str(out)), environment={"GIVEN": "given"}):
        [[pid, _, given]] = await lines(out, 1)
        assert alive(pid)
    assert given == "given"
    assert not alive(pid)


async def test_a_child_that_does_not_listen_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("cloud_server.captcha.filling._END_SECONDS", 0.2)
    out = tmp_path / "out"
    async with filling(command(DEAF, str(out))):
        [[pid, *_]] = await lines(out, 1)
    assert not alive(pid)


async def test_visitors_go_before_the_child(tmp_path):
    out = tmp_path / "out"
    async with filling(command(WAITS, str(out))):
        [[pid, *_]] = await lines(out, 1)
        async with asyncio.timeout(10):
            while os.getpriority(os.PRIO_PROCESS, int(pid)) < 10:
                await asyncio.sleep(0.01)


def test_waits_double_up_to_the_most_and_begin_anew_after_a_steady_run():
    backoff = Backoff(first=1.0, most=5.0, steady=60.0)
    waits = [0.0]
    for ran in (0.1, 0.1, 0.1, 0.1, 0.1, 61.0, 0.1):
        waits.append(backoff.after(waits[-1], ran))
    assert waits[1:] == [1.0, 2.0, 4.0, 5.0, 5.0, 1.0, 2.0]


PARENT = """
import asyncio, sys
from cloud_server.captcha.filling import filling
from cloud_server.logs import configure_logs

async def main():
    async with filling(tuple(sys.argv[1:])):
        await asyncio.Event().wait()

configure_logs()
asyncio.run(main())
"""


def test_a_killed_parent_leaves_no_child(tmp_path):
    # A command of the project that would run for ever, in place of `captcha fill`.
    child = (sys.executable, "-m", "cloud_server.captcha.fill_child", "captcha", "serve", "--no-fill")
    state = ("--state", f"sqlite:{tmp_path / 'state'}", "--key-file", str(tmp_path / "key"), "--no-speech")
    places = ("--http", "off", "--grpc", "127.0.0.1:0", "--port-file", str(tmp_path / "ports"))
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, *child, *state, *places], stderr=subprocess.PIPE, text=True
    )
    for line in parent.stderr:
        if '"serving"' in line:
            break
    parent.kill()
    # The child holds the same standard error, so this returns when it has ended too.
    assert '"stopped"' in parent.communicate(timeout=60)[1]
    assert parent.returncode == -signal.SIGKILL
