"""Processes of a pool end with the one that asked them, also when it was killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from cloud_server.pools import spawned_pool

ASKS = """
import sys, time
from cloud_server.pools import spawned_pool

def hold(path):
    with open(path, "wb", buffering=0) as line:
        line.write(b"x")
        time.sleep(3600)

if __name__ == "__main__":
    with spawned_pool(1) as pool:
        pool.submit(hold, sys.argv[1]).result()
"""


def test_processes_do_not_outlive_a_killed_one_that_asked(tmp_path: Path) -> None:
    line, program = tmp_path / "line", tmp_path / "asks.py"
    os.mkfifo(line)
    program.write_text(ASKS)
    asking = subprocess.Popen([sys.executable, program, line], cwd=Path(__file__).parents[2])
    with line.open("rb", buffering=0) as held:
        assert held.read(1) == b"x"
        asking.kill()
        asking.wait()
        # The end of the file comes when the last process that could write is gone.
        assert held.read(1) == b""


def test_a_pool_begins_as_it_was_told() -> None:
    with spawned_pool(1, mark) as pool:
        assert pool.submit(marked).result() == "yes"


def mark() -> None:
    os.environ["GOODNOISE_TEST_MARK"] = "yes"


def marked() -> str | None:
    return os.environ.get("GOODNOISE_TEST_MARK")
