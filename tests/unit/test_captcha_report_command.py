"""`goodnoise-cloud captcha report`."""

from __future__ import annotations

import asyncio
import json

import pytest
from typer.testing import CliRunner

pytest.importorskip("torch")

from cloud_server.captcha.state import open_store
from cloud_server.cli import app

pytestmark = [pytest.mark.torch, pytest.mark.zoo]


def _report(*arguments):
    return CliRunner().invoke(app, ["captcha", "report", *map(str, arguments)])


def test_report_is_written_and_published_and_its_images_are_fresh(zoo, tmp_path):
    state = f"sqlite:{tmp_path / 'state.sqlite'}"
    options = (
        "--images",
        10,
        "--sounds",
        0,
        "--solvers",
        "whisperer",
        "--key-file",
        tmp_path / "key",
        "--state",
        state,
    )
    found = _report("--out", tmp_path / "a", *options, "--publish")
    assert found.exit_code == 0, found.output
    assert "the style counts" in found.output
    assert "legibility proxy, stroke contrast" in found.output
    content = (tmp_path / "a" / "report.json").read_bytes()
    assert asyncio.run(_published(state)) == content
    # The next report in this folder takes other images; an interrupted one goes on with its own.
    assert not (tmp_path / "a" / "work" / "seed").exists()
    assert json.loads(content)["images"]["seed"] > 0


async def _published(state):
    store = open_store(state)
    try:
        return await store.report_get()
    finally:
        await store.close()


@pytest.mark.parametrize("names", ["gocr", "", "whisperer,gocr"])
def test_unknown_solvers_are_refused_before_anything_is_made(names, tmp_path):
    found = _report("--out", tmp_path / "out", "--solvers", names)
    assert found.exit_code == 2
    assert "--solvers is" in found.output
    assert "tesseract" in found.output
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path, zoo):
    (tmp_path / "file").write_text("")
    found = _report("--out", tmp_path / "file", "--key-file", tmp_path / "key", "--solvers", "tesseract")
    assert found.exit_code != 0
    assert "--out" in found.output


def test_images_are_made_against_the_readers_that_are_named(tmp_path, zoo):
    (tmp_path / "readers").mkdir()
    given = ("--readers", tmp_path / "readers", "--key-file", tmp_path / "key", "--solvers", "tesseract")
    found = _report("--out", tmp_path / "out", *given)
    assert found.exit_code == 2
    assert "text-columns.npz" in found.output  # which the folder lacks
