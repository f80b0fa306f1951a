"""The report's section on sound: own solvers, their controls, and what it says of sound."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

from cloud_server.captcha.audio import open_speaker
from cloud_server.captcha.audio.engine import find_engine
from cloud_server.captcha.report.rows import Tries
from cloud_server.captcha.report.sound import SAYS, SoundPlan, measure_sound, sound_figures, sound_part

pytestmark = pytest.mark.torch

TRIES = (Tries("address", "20/minute", 20),)
PLAN = SoundPlan(sounds=15, steps=(1, 25), training={"batch": 4, "channels": 48})


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Figures of a small plan, and what a second run with the same folder was told."""
    work, told, engine = tmp_path_factory.mktemp("sound"), [], find_engine()
    speaker = open_speaker(engine=engine, cache=work / "cache", patience=600.0)
    first, again = (
        sound_figures(speaker, engine, PLAN, work, tries=TRIES, progress=lambda *step: told.append(step))
        for _ in range(2)
    )
    assert first == again
    assert [done for _, done, _ in told] == [1, 2]  # nothing is measured a second time
    return json.loads(json.dumps(first))


def test_a_solver_hears_what_is_issued_and_nothing_where_there_is_only_noise(found):
    first, last = found["curve"]
    assert (first["sounds"], last["sounds"]) == (4, 100)
    assert last["issued"]["digits"]["value"] > first["issued"]["digits"]["value"]
    # The controls: digits without noise are heard, and noise without digits is not.
    assert last["quiet"]["digits"]["value"] > last["drowned"]["digits"]["high"]
    assert last["drowned"]["whole"]["value"] == 0
    assert last["issued"]["digits"]["value"] > last["drowned"]["digits"]["high"]
    assert found["template_listener"] > 0.9


def test_the_page_says_that_sound_is_no_barrier(found):
    heading, paragraphs, (head, rows) = sound_part({"sound": found})
    assert heading == "Sound"
    assert "no barrier" in paragraphs[0]
    assert "no person listened" in paragraphs[1]
    assert len(head) == len(rows[0]) == 7
    assert "20 tries" in paragraphs[2]


def test_where_nothing_was_measured_the_page_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def told(*_):
        pytest.fail("nothing was to be done")

    section = measure_sound(None, tmp_path, tries=TRIES, progress=told)
    assert sound_part({"sound": section})[1] == [SAYS, "Not measured: it was not asked for."]
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    section = measure_sound(PLAN, tmp_path, tries=TRIES, progress=told)
    assert "no speech engine" in sound_part({"sound": section})[1][1]
