"""Figures of a solver report."""

from __future__ import annotations

import pytest

from cloud_server.captcha.report.scores import (
    Share,
    characters,
    matched,
    relative_drop,
    share,
    whole,
    within,
)


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    # Of Newcombe 1998, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_share_has_the_published_intervals(right, total, low, high):
    found = share(right, total)
    assert found.value == right / total
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_share_of_all_and_of_none_ends_exactly():
    assert share(0, 200).low == 0.0
    assert share(200, 200).high == 1.0
    for right, total in ((1, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match=f"{right} right of {total}"):
            share(right, total)


@pytest.mark.parametrize(
    ("text", "reading", "right"),
    [
        ("ABC", "ABC", 3),
        ("ABC", "AXC", 2),
        ("ABC", "BC", 2),
        ("ABC", "AABC", 3),
        ("ABC", "", 0),
        ("ABC", "CAB", 2),
        ("AAB", "AB", 2),
        ("ABCDEF", "FEDCBA", 1),
    ],
)
def test_characters_match_after_the_cheapest_alignment(text, reading, right):
    assert matched(text, reading) == right


def test_whole_and_characters_of_several_images():
    texts, readings = ["AB", "CDEF", "HJ"] * 10, ["AB", "CDXF", ""] * 10
    assert whole(texts, readings).value == pytest.approx(1 / 3)
    found = characters(texts, readings)
    assert found.value == pytest.approx(5 / 8)
    assert found.low < found.value < found.high
    assert found == characters(texts, readings)
    one = characters(["AB"] * 5, ["AB"] * 5)
    assert one == Share(1.0, 1.0, 1.0)


def test_drop_is_relative_to_the_clean_rate():
    assert relative_drop(0.8, 0.2) == pytest.approx(0.75)
    assert relative_drop(0.0, 0.1) is None


def test_success_within_tries():
    found = within(Share(0.05, 0.02, 0.1), 20)
    assert found.value == pytest.approx(1 - 0.95**20)
    assert found.low == pytest.approx(1 - 0.98**20)
    assert found.high == pytest.approx(1 - 0.9**20)
    assert within(Share(0.5, 0.4, 0.6), 0).high == 0
    with pytest.raises(ValueError, match="-1"):
        within(Share(0.5, 0.4, 0.6), -1)
