"""The leak gate's arithmetic: shares with intervals, verdicts, and what travels in a bundle."""

import json

import numpy as np
import pytest

from cloud_server.evaluation.leak.gate import MARGIN, Tried, judge
from cloud_server.evaluation.leak.report import markdown, picture, read_protection, read_report
from cloud_server.evaluation.leak.scores import Measured, Share, area_under_curve, measure, measured_from
from shared.errors import Code, GoodnoiseError
from shared.levels.labels import gate_words

PEOPLE = 500


def reached(rank1, tar, *, width=0.004, attacker="linkage", given="1 call", names=True):
    shares = [
        Share(value, max(0.0, value - width), value + width, chance)
        for value, chance in ((rank1, 1 / PEOPLE), (tar, 0.01))
    ]
    return Tried(attacker, given, Measured(PEOPLE, 1000, *shares, 0.5), names)


CHANCE = reached(0.002, 0.01)
WORKS = reached(0.2, 0.4)


@pytest.mark.parametrize(
    ("tried", "noise_off", "word"),
    [
        ([CHANCE], [WORKS], "passed"),
        ([CHANCE], [CHANCE], "not proven"),
        ([CHANCE], [], "not proven"),
        # A working attacker that only finds the published photo again proves nothing about persons.
        ([CHANCE], [reached(0.9, 0.9, attacker="published photo", names=False)], "not proven"),
        # Three times chance is not enough where the interval reaches down into the gate's margin.
        ([CHANCE], [reached(0.01, 0.031, width=0.002)], "not proven"),
        ([CHANCE, reached(0.002, 0.027)], [WORKS], "failed"),
        ([CHANCE, reached(0.03, 0.01)], [WORKS], "failed"),
        ([CHANCE, reached(0.002, 0.03, given="100 calls")], [WORKS], "failed"),
        # A leak is a leak, whatever the attacker does without noise.
        ([WORKS], [CHANCE], "failed"),
        ([CHANCE, reached(0.3, 0.3, attacker="published photo", names=False)], [WORKS], "failed"),
        # Chance in truth, but with too few people to know it.
        ([reached(0.002, 0.01, width=0.021)], [WORKS], "not proven"),
    ],
)
def test_a_level_passes_only_near_chance_and_by_an_attack_that_works_without_noise(tried, noise_off, word):
    assert judge("sketch", tried, noise_off).word == word


def test_the_margin_is_two_points_above_chance():
    width = 0.004
    assert MARGIN == 0.02
    assert judge("sketch", [reached(0.002, 0.0299 - width, width=width)], [WORKS]).word == "passed"
    assert judge("sketch", [reached(0.002, 0.0301 - width, width=width)], [WORKS]).word == "failed"


def test_the_worst_of_all_is_named_with_its_figures():
    verdict = judge("sketch", [CHANCE, reached(0.1, 0.2, attacker="inversion", given="10 calls")], [WORKS])
    assert "inversion, 10 calls" in verdict.reason
    assert "10.0 %" in verdict.reason
    assert verdict.proven == ("linkage",)


def test_pull_passes_by_construction_and_other_levels_must_be_tried():
    assert judge("pull", [], []).word == "by construction"
    with pytest.raises(ValueError, match="no attacker was tried"):
        judge("sketch", [], [WORKS])


def test_scores_that_tell_nothing_are_exactly_chance():
    measured = measure(np.zeros((40, 40), np.float32))
    assert measured.rank1.value == pytest.approx(1 / 40)
    assert measured.tar.value == pytest.approx(0.01)
    assert measured.auc == pytest.approx(0.5)


@pytest.mark.parametrize("people", [7, 494])
def test_an_interval_holds_its_value_to_the_last_digit(people):
    measured = measure(np.zeros((people, people), np.float32))
    for share in (measured.rank1, measured.tar):
        assert share.low <= share.value <= share.high


def test_random_scores_of_as_many_people_as_lfw_has_pass_the_gate(rng):
    owner = np.tile(np.arange(494), 2)
    scores = rng.normal(size=(len(owner), 494)).astype(np.float32)
    found = measure(scores, owner)
    assert judge("sketch", [Tried("linkage", "1 call", found)], [WORKS]).word == "passed"
    assert found.rank1.low <= 1 / 494 <= found.rank1.high
    assert found.tar.low <= 0.01 <= found.tar.high


def test_scores_that_tell_all_are_right_and_their_interval_is_narrow():
    measured = measure(np.eye(400, dtype=np.float32))
    assert measured.rank1.value == measured.tar.value == measured.auc == 1.0
    assert 0.98 < measured.rank1.low < measured.rank1.high == pytest.approx(1.0)


def test_the_interval_draws_people_and_not_their_photos(rng):
    # 20 people with 50 photos each that are all found or all missed: as good as 20 photos.
    found = np.repeat(np.arange(20) < 10, 50)
    owner = np.repeat(np.arange(20), 50)
    scores = rng.random((1000, 20)).astype(np.float32)
    scores[np.arange(1000), owner] = np.where(found, 2.0, -1.0)
    share = measure(scores, owner).rank1
    assert share.value == pytest.approx(0.5)
    assert share.high - share.low > 0.35


def test_no_hit_among_few_people_is_no_proof_of_nothing():
    scores = np.ones((10, 10), np.float32) - np.eye(10, dtype=np.float32)
    share = measure(scores).rank1
    assert share.value == share.low == 0.0
    assert share.high > 0.2


def test_area_under_the_curve_counts_pairs():
    own, others = np.array([1.0, 0.5], np.float32), np.array([0.0, 0.5], np.float32)
    assert area_under_curve(own, others) == pytest.approx((1 + 1 + 1 + 0.5) / 4)


def report_of(word_by_level):
    cells = [
        {"attacker": t.attacker, "given": t.given, "names": True, "measured": t.measured.to_json()}
        for t in (CHANCE, WORKS)
    ]
    tried = {"sketch": ([CHANCE], [WORKS]), "cluster": ([CHANCE], [CHANCE]), "sign": ([WORKS], [WORKS])}
    found = {"pull": judge("pull", [], []), **{level: judge(level, *given) for level, given in tried.items()}}
    assert {level: verdict.word for level, verdict in found.items()} == word_by_level
    return {
        "options": {"linked": "sface", "judges": ["a", "b"], "frames": 10},
        "data": {
            "learnt_from": {"faces": 9, "people": 3},
            "tried_on": {"people": 500, "photos": 1500, "cloaked": 300},
        },
        "kinds": {level: {"cells": cells, "seconds": 1.0} for level in found},
        "verdicts": {
            level: {**verdict.to_json(), "epsilon": 4.0, "data": "some people"}
            for level, verdict in found.items()
        },
    }


WORDS = {"pull": "by construction", "sketch": "passed", "cluster": "not proven", "sign": "failed"}


def test_verdicts_travel_as_plain_values_and_are_told_in_words(tmp_path):
    path = tmp_path / "leak.json"
    path.write_text(json.dumps(report_of(WORDS)))
    carried = read_report(path)
    assert {level: entry["verdict"] for level, entry in carried.items()} == WORDS
    assert carried["sign"]["rank1"] == [0.2, 0.196, 0.204]
    assert carried["sign"]["chance"] == {"rank1": 0.002, "tar": 0.01}
    assert carried["pull"]["rank1"] is None
    json.dumps(carried, allow_nan=False)
    scores = {"leak": carried}
    assert "passed" in gate_words("sketch", scores)
    assert "NOT PASS" in gate_words("cluster", scores)
    assert "LEAKS" in gate_words("sign", scores)


@pytest.mark.parametrize("content", ["[]", "{}", '{"verdicts": {"sketch": {}}}', '{"verdicts": 1}', "no"])
def test_a_file_that_is_no_report_is_refused_by_name(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(GoodnoiseError, match=r"other\.json") as caught:
        read_report(path)
    assert caught.value.code == Code.INVALID_INPUT


def test_the_report_shows_every_cell_and_the_picture_is_a_png(tmp_path):
    report = report_of(WORDS)
    text = markdown(report)
    assert text.count("| linkage | 1 call | 20.0 (19.6-20.4) |") == 4
    assert "| cluster | **not proven** |" in text
    protection = tmp_path / "protection.json"
    protection.write_text('{"pull": 0.62, "sketch": 0.63}')
    bars, points = picture(report), picture(report, read_protection(protection))
    assert bars.startswith(b"\x89PNG")
    assert points.startswith(b"\x89PNG")
    assert bars != points


@pytest.mark.parametrize("content", ['{"pull": 62}', '{"other": 0.5}', "[0.5]", "{}", '{"pull": "a"}'])
def test_protection_for_the_picture_is_shares_by_level(tmp_path, content):
    path = tmp_path / "protection.json"
    path.write_text(content)
    with pytest.raises(GoodnoiseError, match=r"shares by level"):
        read_protection(path)


def test_a_stored_measurement_comes_back_as_it_was(rng):
    measured = measure(rng.normal(size=(30, 30)).astype(np.float32))
    assert measured_from(json.loads(json.dumps(measured.to_json()))) == measured
