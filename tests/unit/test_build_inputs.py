"""What a build reads beside the zoo: margins, scores, hints and the time."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from cloud_server.bundles.build import build_time
from cloud_server.bundles.figures import read_margins, read_scores
from cloud_server.hints.files import prebuilt_hints, read_hint, write_hint
from shared.errors import Code, GoodnoiseError


def test_the_time_given_goes_before_the_environment():
    given = build_time("2025-01-31T13:00:00+01:00", {"SOURCE_DATE_EPOCH": "0"})
    assert given == datetime(2025, 1, 31, 12, tzinfo=UTC)
    assert build_time("2025-01-31", {}) == datetime(2025, 1, 31, tzinfo=UTC)
    assert build_time(None, {"SOURCE_DATE_EPOCH": "86400"}) == datetime(1970, 1, 2, tzinfo=UTC)
    assert build_time(None, {}).microsecond == 0


@pytest.mark.parametrize(
    ("given", "epoch", "words"),
    [("yesterday", "0", "--created is 'yesterday'"), (None, "soon", "SOURCE_DATE_EPOCH is 'soon'")],
)
def test_a_bad_time_is_named(given: str | None, epoch: str, words: str):
    with pytest.raises(GoodnoiseError, match=words):
        build_time(given, {"SOURCE_DATE_EPOCH": epoch})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[phone.sface]\nmargin = -0.1\n", r"\[phone.sface\]: margin is -0.1"),
        ("[phone.sface]\nmargin = nan\n", "margin is nan"),
        ("[phone.sface]\ncalibration = 'x'\n", "margin is None"),
        ("[phone]\nsface = 0.1\n", r"\[phone.sface\]: expected a table"),
        ("phone = 1\n", "holds no tables"),
        ("[phone", "no valid TOML"),
    ],
)
def test_bad_margins_are_named(tmp_path: Path, text: str, words: str):
    path = tmp_path / "m.toml"
    path.write_text(text)
    with pytest.raises(GoodnoiseError, match=words) as caught:
        read_margins("phone", path)
    assert str(path) in caught.value.message


def test_scores_are_plain_json(tmp_path: Path):
    path = tmp_path / "s.toml"
    path.write_text("[phone]\nmeasured = 2025-01-31\n")
    with pytest.raises(GoodnoiseError, match="use numbers, text"):
        read_scores("phone", path)


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path):
    with pytest.raises(GoodnoiseError) as caught:
        read_margins("phone", tmp_path / "nothing.toml")
    assert caught.value.code is Code.NOT_FOUND


def test_a_hint_is_read_as_it_was_written(tmp_path: Path, rng: np.random.Generator):
    levels = rng.integers(-8, 9, (3, 112, 112)).astype(np.int8)
    write_hint(tmp_path / "My_hint.npy", levels, {"trained_on": "noise"})
    hint, content = read_hint(tmp_path / "My_hint.npy")
    assert (hint.name, hint.object_name, hint.trained_on) == ("my-hint", "hints/my-hint.npy", "noise")
    assert content == (tmp_path / "My_hint.npy").read_bytes()


def _drop_sidecar(path: Path) -> None:
    path.with_suffix(".json").unlink()


def _swap_content(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"\x02")


def _spoil_sidecar(path: Path) -> None:
    path.with_suffix(".json").write_text("{")


def _as_float(path: Path) -> None:
    write_hint(path, np.zeros((3, 112, 112), np.float32), {})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (_drop_sidecar, "is missing"),
        (_swap_content, "do not belong together"),
        (_spoil_sidecar, "cannot be read"),
        (_as_float, "float32 of shape"),
    ],
)
def test_a_damaged_hint_is_refused(tmp_path: Path, harm: Callable[[Path], None], words: str):
    path = tmp_path / "hint.npy"
    write_hint(path, np.ones((3, 112, 112), np.int8), {})
    harm(path)
    with pytest.raises(GoodnoiseError, match=words):
        read_hint(path)


def test_a_hint_whose_name_cannot_travel_is_refused(tmp_path: Path):
    path = tmp_path / "a hint.npy"
    write_hint(path, np.ones((3, 112, 112), np.int8), {})
    with pytest.raises(GoodnoiseError, match="rename the file"):
        read_hint(path)


def test_the_hints_of_the_project_are_whole_and_within_eight_levels():
    paths = prebuilt_hints()
    assert paths
    for path in paths:
        hint, _ = read_hint(path)
        assert "sets 4 to 6" in hint.trained_on
        assert np.abs(np.load(path).astype(int)).max() <= 8
        command = json.loads(path.with_suffix(".json").read_text())["command"]
        assert command in (path.parent / "README.md").read_text()
