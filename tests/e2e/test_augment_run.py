"""`goodnoise-cloud augment run`: the same bytes however the work was cut, and what it refuses."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud_server.cli import app

pytestmark = pytest.mark.torch

# So slow that a run can be caught in the middle.
SLOW = "changes: {steps: 60, tries: 2}"


def augment(*arguments: object):
    return CliRunner().invoke(app, ["augment", *map(str, arguments)])


def started(recipe: Path, dataset: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cloud_server.cli", "augment", "run", str(recipe)]
    return subprocess.Popen(
        [*command, "--in", str(dataset), "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def shards(work: Path) -> int:
    return len(list(work.glob("shard-*.json")))


def wait_for_shards(process: subprocess.Popen[str], work: Path, count: int) -> None:
    end = time.monotonic() + 200
    while shards(work) < count:
        # Not a loop that spins: the run needs the core.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.02)
            pytest.fail(f"it was over too soon: {process.communicate()}")
        if time.monotonic() > end:
            process.kill()
            pytest.fail(f"no shard was written: {process.communicate()}")


@pytest.fixture(scope="module")
def whole(recipe_file, tmp_path_factory, tree):
    """A run in one go: the recipe file, the digests of its output and the folder."""
    recipe, out = recipe_file("m2m", SLOW), tmp_path_factory.mktemp("whole") / "out"
    done = augment("run", recipe, "--in", recipe_file.dataset, "--out", out)
    assert done.exit_code == 0, done.output
    return recipe, tree(out), out


def test_a_run_balances_the_classes_and_says_what_it_made(whole, recipe_file, tree):
    _, written, out = whole
    originals = tree(recipe_file.dataset).values()
    assert set(originals) <= set(written.values())
    pictures = [path for path in out.rglob("*.png") if "emu" in path.parts]
    assert len(pictures) == 60
    report = (out.parent / "out.augment" / "report.md").read_text()
    assert "132 images became 180" in report
    assert "reached their target after rounding and encoding" in report
    assert (out.parent / "out.augment" / "examples.png").stat().st_size > 1000


def test_a_second_call_makes_nothing_again(whole, recipe_file, tree):
    recipe, written, out = whole
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    assert augment("run", recipe, "--in", recipe_file.dataset, "--out", out).exit_code == 0
    assert tree(out) == written
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.png")} == before


def test_a_killed_run_goes_on_to_the_same_bytes(whole, recipe_file, tree, tmp_path):
    recipe, written, _ = whole
    out = tmp_path / "out"
    process = started(recipe, recipe_file.dataset, out)
    wait_for_shards(process, tmp_path / "out.augment", 3)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert shards(tmp_path / "out.augment") < 12
    assert augment("run", recipe, "--in", recipe_file.dataset, "--out", out).exit_code == 0
    assert tree(out) == written


def test_ctrl_c_ends_after_a_shard_and_says_how_to_go_on(whole, recipe_file, tree, tmp_path):
    recipe, written, _ = whole
    out = tmp_path / "out"
    process = started(recipe, recipe_file.dataset, out)
    wait_for_shards(process, tmp_path / "out.augment", 2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 130
    assert "run it again to go on" in errors
    assert "Traceback" not in errors
    assert 2 <= shards(tmp_path / "out.augment") < 12
    assert augment("run", recipe, "--in", recipe_file.dataset, "--out", out).exit_code == 0
    assert tree(out) == written


def test_another_seed_needs_another_output(whole, recipe_file):
    _, _, out = whole
    other = augment("run", recipe_file("m2m", "seed: 9"), "--in", recipe_file.dataset, "--out", out)
    assert other.exit_code == 2
    assert "another --out" in other.output


def test_only_the_samples_are_written_where_it_is_asked(recipe_file, tmp_path):
    done = augment(
        "run", recipe_file("duplicate"), "--in", recipe_file.dataset, "--out", tmp_path / "o", "--only-new"
    )
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "o").rglob("*.png"))) == 48


def test_a_plan_says_what_would_be_made_and_writes_nothing(recipe_file, tree):
    before = tree(recipe_file.dataset.parent, recipe_file.folder)
    recipe = recipe_file("m2m", "sampling_strategy: {emu: 20}")
    planned = augment("plan", recipe, "--in", recipe_file.dataset)
    recipe.unlink()
    assert planned.exit_code == 0, planned.output
    assert "8 samples in 2 shards" in planned.output
    assert ["emu", "12", "8", "20"] in [line.split() for line in planned.output.splitlines()]
    assert tree(recipe_file.dataset.parent, recipe_file.folder) == before


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_test_split_is_refused(recipe_file, tmp_path, command):
    shutil.copytree(recipe_file.dataset, tmp_path / "pictures" / "test")
    where = ["--in", tmp_path / "pictures" / "test"]
    if command == "run":
        where += ["--out", tmp_path / "out"]
    refused = augment(command, recipe_file(), *where)
    assert refused.exit_code == 2
    assert "test" in refused.output
    assert not (tmp_path / "out").exists()


def test_what_does_not_fit_the_dataset_is_said(recipe_file, tmp_path):
    for line, said in (
        ("sampling_strategy: {gnu: 20}", "gnu"),
        ("sampling_strategy: {emu: 3}", "12 images"),
        ("recipe: m2m", "line 4"),
    ):
        refused = augment(
            "run", recipe_file("m2m", line), "--in", recipe_file.dataset, "--out", tmp_path / "o"
        )
        assert refused.exit_code == 2
        assert said in refused.output
    assert augment("run", recipe_file(), "--in", tmp_path / "no", "--out", tmp_path / "o").exit_code == 2
    wrong = augment(
        "run", recipe_file(), "--in", recipe_file.dataset, "--out", tmp_path / "o", "--workers", 2
    )
    assert wrong.exit_code == 2
    assert "--ray" in wrong.output


def test_the_table_of_recipes_is_printed():
    printed = augment("recipes").output
    for name in ("m2m", "paper", "universal", "duplicate"):
        assert name in printed
    assert "2004.00431" in augment("recipes", "m2m").output
    assert augment("recipes", "m3m").exit_code == 2
