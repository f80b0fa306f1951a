"""`goodnoise-cloud augment serve` as a real process: jobs that outlive a kill, and the owners' commands."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from cloud_server.augment.jobs.places import Places
from cloud_server.rpc.augment.client import AugmentClient, labelled_images
from shared.errors import Code, GoodnoiseError
from shared.wire.goodnoise.v1 import augment_pb2 as pb

pytestmark = pytest.mark.torch

COMMAND = (sys.executable, "-m", "cloud_server.cli", "augment")
RECIPE = """
recipe: m2m
changes: {steps: 4, radius: 4, confidence: 0}
surrogate: {train: {network: tiny, updates: 30, batch: 16, augment: none}}
shard: 2
"""
LONG = "recipe: m2m\nsurrogate: {train: {network: tiny, updates: 20000, batch: 64, augment: none}}\n"


class Service:
    """A folder of state, and processes that serve it."""

    def __init__(self, folder: Path) -> None:
        self.data, self.folder = folder / "data", folder
        self.process: subprocess.Popen[str] | None = None
        self.token = json.loads(self.run("owners", "add", "ann", "--data", str(self.data)))["token"]
        self.environment = {"GOODNOISE_AUGMENT_TOKEN": self.token}
        self.address = ""

    def run(self, *arguments: str, code: int = 0, **environment: str) -> str:
        done = subprocess.run(
            [*COMMAND, *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=100,
            env={**os.environ, **environment},
        )
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    def command(self, *arguments: str, code: int = 0) -> str:
        return self.run(*arguments, "--server", self.address, code=code, **self.environment)

    def start(self, *arguments: str) -> None:
        port_file = self.folder / "ports.json"
        port_file.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [*COMMAND, "serve", *self._options(port_file), *arguments],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if json.loads(line)["event"] == "serving":
                break
        self.address = f"127.0.0.1:{json.loads(port_file.read_text())['listen']}"

    def _options(self, port_file: Path) -> list[str]:
        told = {"data": self.data, "listen": "127.0.0.1:0", "nice": 0, "port-file": port_file}
        return [part for name, value in told.items() for part in (f"--{name}", str(value))]

    def end(self, number: int = signal.SIGTERM) -> str:
        process, self.process = self.process, None
        if process is None:
            return ""
        process.send_signal(number)
        _, logged = process.communicate(timeout=60)
        assert process.returncode == (0 if number == signal.SIGTERM else -number)
        return logged

    def client(self) -> AugmentClient:
        return AugmentClient(self.address, token=self.token)


@pytest.fixture
def service(tmp_path):
    running = Service(tmp_path)
    yield running
    running.end()


def _samples(least: int, job: pb.AugmentJob) -> bool:
    return job.progress.stage == pb.AUGMENT_STAGE_SAMPLES and job.progress.done >= least


def submit(client: AugmentClient, folder: Path, recipe: str = RECIPE, key: str = "one") -> pb.AugmentJob:
    images = labelled_images(folder)
    return client.submit(pb.AugmentOrder(key=key, recipe=recipe, images=len(images)), images).job


def until(client: AugmentClient, job: str, wished) -> pb.AugmentJob:
    return next(found for found in client.watch(job) if wished(found))


def fetched(client: AugmentClient, job: str, out: Path, tree) -> dict[str, str]:
    for _ in client.fetch(job, out):
        pass
    return tree(out)


def test_a_killed_server_goes_on_and_gives_the_same_bytes(service, short_class, tmp_path, tree):
    service.start()
    client = service.client()
    whole = submit(client, short_class, key="whole")
    done = until(client, whole.job_id, lambda job: job.state == pb.AUGMENT_STATE_DONE)
    assert done.progress.done == done.progress.total == 48
    expected = fetched(client, whole.job_id, tmp_path / "whole", tree)
    assert sum("adversarial" in name for name in expected) > 8
    assert {"uploads.csv", "report/report.html", "dataset/train/metadata.csv"} <= set(expected)

    cut = submit(client, short_class, key="cut")
    records = Places(service.data).of(cut.job_id).work
    for least in (2, 12):
        until(client, cut.job_id, partial(_samples, least))
        client.close()
        service.end(signal.SIGKILL)
        kept = {path: path.stat().st_mtime_ns for path in records.glob("shard-*.json")}
        assert 0 < len(kept) < 24
        service.start()
        client = service.client()
    again = client.submit(pb.AugmentOrder(key="cut", recipe=RECIPE, images=132))
    assert (again.job.job_id, again.repeated_call) == (cut.job_id, True)
    done = until(client, cut.job_id, lambda job: job.state == pb.AUGMENT_STATE_DONE)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert done.crashes == 0
    assert fetched(client, cut.job_id, tmp_path / "cut", tree) == expected
    client.close()


def test_owners_use_the_commands(service, short_class, tmp_path, tree):
    service.start("--allow-dataset", f"pets={short_class}")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("recipe: duplicate\nseed: 4\n")
    made = json.loads(service.command("submit", str(recipe), "--dataset", "pets", "--key", "k"))
    assert made["repeated_call"] is False
    assert json.loads(service.command("watch", made["job"]))["state"] == "done"
    told = json.loads(service.command("fetch", made["job"], "--out", str(tmp_path / "out")))
    before = tree(tmp_path / "out")
    assert told["files"] == len(before) > 48
    # The same bytes as the command's that needs no service.
    service.run(
        "run", str(recipe), "--in", str(short_class), "--out", str(tmp_path / "own" / "dataset"), "--only-new"
    )
    own = {
        name: digest for name, digest in tree(tmp_path / "own" / "dataset").items() if ".parts" not in name
    }
    assert own == tree(tmp_path / "out" / "dataset")
    damaged = tmp_path / "out" / "report" / "report.md"
    damaged.write_text("other")
    service.command("fetch", made["job"], "--out", str(tmp_path / "out"))
    assert tree(tmp_path / "out") == before
    listed = json.loads(service.command("list"))
    assert [job["job"] for job in listed] == [made["job"]]
    assert "cannot be cancelled" in service.command("cancel", made["job"], code=2)
    service.command("delete", made["job"])
    assert json.loads(service.command("list")) == []
    assert list((service.data / "jobs").iterdir()) == []
    assert "no such job" in service.command("watch", made["job"], code=2)


def test_a_cancelled_job_stops_and_a_crashing_one_is_given_up(service, short_class):
    service.start("--crashes", "2")
    client = service.client()
    folder = Places(service.data)
    first = submit(client, short_class, LONG, key="first")
    until(client, first.job_id, lambda job: job.progress.done > 0)
    begun = time.monotonic()
    assert client.cancel(first.job_id).state == pb.AUGMENT_STATE_CANCELLED
    assert time.monotonic() - begun < 10
    assert not folder.of(first.job_id).path.exists()
    second = submit(client, short_class, LONG, key="second")
    killed: set[int] = set()
    for job in client.watch(second.job_id):
        if job.state == pb.AUGMENT_STATE_RUNNING and job.progress.done > 0 and job.crashes == len(killed):
            killed |= {kill_worker(second.job_id)}
    assert len(killed) == 2
    assert (job.state, job.crashes) == (pb.AUGMENT_STATE_FAILED, 2)
    assert "died 2 times" in job.failure.message
    assert "memory" in job.failure.message
    assert not folder.of(second.job_id).path.exists()
    client.close()
    logged = service.end()
    assert service.token not in logged
    assert str(short_class) not in logged


def kill_worker(job: str) -> int:
    """Kill the process whose command line names the job, as the system does when memory runs out."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and job.encode() in (entry / "cmdline").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)
                return int(entry.name)
    raise AssertionError("there is no worker")


def test_the_server_loads_no_torch_and_shares_its_folder_with_no_other(service, short_class):
    service.start()
    client = service.client()
    job = submit(client, short_class, "recipe: duplicate\n")
    until(client, job.job_id, lambda found: found.state == pb.AUGMENT_STATE_DONE)
    client.close()
    assert service.process is not None
    maps = Path(f"/proc/{service.process.pid}/maps").read_text()
    assert "numpy" in maps
    assert "libtorch" not in maps
    refused = service.run("serve", "--data", str(service.data), "--listen", "127.0.0.1:0", code=2)
    assert "another server works in" in refused


def test_what_commands_refuse(service, short_class, tmp_path):
    service.start()
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("recipe: m2m\nsurrogate: {path: /etc/passwd}\n")
    assert "files cannot be named" in service.command("submit", str(recipe), "--in", str(short_class), code=2)
    recipe.write_text("recipe: m2m\n")
    assert "give one of" in service.command("submit", str(recipe), code=2)
    assert "not allowed here" in service.command("submit", str(recipe), "--dataset", "etc/x", code=2)
    service.environment = {"GOODNOISE_AUGMENT_TOKEN": "wrong"}
    assert "nobody's token" in service.command("list", code=1)
    service.environment = {"GOODNOISE_AUGMENT_TOKEN": ""}
    assert "there is no token" in service.command("list", code=1)
    with pytest.raises(GoodnoiseError) as caught:
        AugmentClient("nonsense", token="x")  # noqa: S106
    assert caught.value.code is Code.INVALID_INPUT
