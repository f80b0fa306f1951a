"""`augment run --ray` on a real local cluster: the same bytes, also when a worker is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud_server.cli import app

pytestmark = pytest.mark.torch
pytest.importorskip("ray")


def descendants(root: int) -> dict[int, str]:
    """Command lines of the processes below one."""
    parents, names = {}, {}
    for entry in Path("/proc").iterdir():
        try:
            pid = int(entry.name)
            parents[pid] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            names[pid] = (entry / "cmdline").read_text().replace("\0", " ")
        except (ValueError, OSError):
            continue
    found: dict[int, str] = {}
    for pid, name in names.items():
        above: int | None = pid
        while above and above != root:
            above = parents.get(above)
        if above == root and pid != root:
            found[pid] = name
    return found


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A process, which does not outlive the block."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_a_shard(process: subprocess.Popen[str], work: Path) -> None:
    end = time.monotonic() + 240
    while not list(work.glob("shard-*.json")):
        # Not a loop that spins: the workers need the cores.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
            pytest.fail(f"it was over too soon: {process.communicate()}")
        assert time.monotonic() < end, "no shard was written"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the worker in /proc")
def test_a_cluster_writes_the_same_bytes_although_a_worker_is_killed(recipe_file, tree, tmp_path):
    recipe = recipe_file("m2m", "changes: {steps: 60, tries: 2}")
    arguments = ["augment", "run", str(recipe), "--in", str(recipe_file.dataset), "--out"]
    alone, out = tmp_path / "alone" / "out", tmp_path / "ray" / "out"
    alone.parent.mkdir()
    out.parent.mkdir()
    done = CliRunner().invoke(app, [*arguments, str(alone)])
    assert done.exit_code == 0, done.output
    command = [sys.executable, "-m", "cloud_server.cli", *arguments, str(out), "--ray", "--workers", "2"]
    work = out.parent / "out.augment"
    with running(command) as process:
        wait_for_a_shard(process, work)
        workers = [pid for pid, name in descendants(process.pid).items() if "MapWorker" in name]
        os.kill(workers[0], signal.SIGKILL)
        assert len(list(work.glob("shard-*.json"))) < 12, "it was over before a worker could be killed"
        output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert len(workers) == 2
    assert tree(out) == tree(alone)
    assert tree(work).keys() == tree(alone.parent / "out.augment").keys()
    report = "report.md"
    assert (work / report).read_text() == (alone.parent / "out.augment" / report).read_text()
