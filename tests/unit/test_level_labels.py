"""What users are told of each level."""

import pytest

from shared.errors import Code, GoodnoiseError
from shared.levels.labels import ASKING, LEVEL_HELP, LEVELS, level_label, level_named

FAILED = {"leak": {level: {"verdict": "failed"} for level in ASKING}}
PASSED = {"leak": {level: {"verdict": "passed"} for level in ASKING}}


def test_the_default_passes_by_construction_and_says_why():
    assert "nothing that is made from a photo is sent" in level_label("pull")
    assert "by construction" in level_label("pull", FAILED)


@pytest.mark.parametrize("level", ["cluster", "sketch"])
def test_a_level_is_called_safe_only_where_the_gate_says_so(level):
    assert "NOT MEASURED" in level_label(level)
    assert "NOT PASS" in level_label(level, FAILED)
    assert "it passed" in level_label(level, PASSED)
    assert "epsilon" in level_label(level)


@pytest.mark.parametrize("scores", [None, {}, FAILED, {"leak": "no"}, {"leak": {"sign": {"verdict": 1}}}])
def test_the_map_of_signs_is_always_labelled(scores):
    assert "LEAKS" in level_label("sign", scores)


@pytest.mark.parametrize("scores", [{"leak": None}, {"leak": {"sketch": "passed"}}, {"leak": {"sketch": {}}}])
def test_scores_that_cannot_be_read_make_nothing_safe(scores):
    assert "NOT MEASURED" in level_label("sketch", scores)


def test_what_was_measured_is_told_with_chance_beside_it():
    entry = {"verdict": "not proven", "rank1": [0.004, 0, 0.01], "tar": [0.012, 0, 0.02]}
    scores = {"leak": {"sketch": {**entry, "chance": {"rank1": 0.002, "tar": 0.01}}}}
    label = level_label("sketch", scores)
    assert "NOT PASS" in label
    assert "0.4 % of tries, 0.2 % by chance" in label
    assert "1 % false alarms it recognised 1.2 %" in label


@pytest.mark.parametrize("broken", [{"rank1": None}, {"tar": ["a", 0, 0]}, {"chance": 1}, {"rank1": []}])
def test_figures_that_cannot_be_read_are_left_out(broken):
    entry = {"rank1": [0, 0, 0], "tar": [0, 0, 0], "chance": {"rank1": 0.1, "tar": 0.01}, "verdict": "passed"}
    label = level_label("sketch", {"leak": {"sketch": {**entry, **broken}}})
    assert label.endswith("it passed the leak gate")


def test_the_help_names_every_level_and_what_leaks():
    assert all(level in LEVEL_HELP for level in LEVELS)
    assert "LEAKS" in LEVEL_HELP


def test_another_level_is_refused_by_name():
    with pytest.raises(GoodnoiseError, match="'all'") as caught:
        level_named("all")
    assert caught.value.code is Code.INVALID_INPUT
