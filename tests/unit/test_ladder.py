"""Budgets as users write them."""

from __future__ import annotations

import pytest

from edge_client.ladder import AUTO, CAP_LEVELS, STRONG, Rung, parse_budget
from shared.errors import Code, GoodnoiseError


def test_auto_is_the_ladder_smallest_change_first() -> None:
    psnrs = [rung.psnr_db for rung in parse_budget("auto")]
    assert parse_budget("") == parse_budget("AUTO") == AUTO
    assert psnrs == sorted(psnrs, reverse=True)
    assert psnrs[-1] >= 36.0


def test_strong_goes_on_from_auto_with_changes_that_can_be_seen() -> None:
    assert parse_budget("strong") == STRONG
    assert STRONG[: len(AUTO)] == AUTO
    assert not any(rung.rescue for rung in AUTO)
    assert all(rung.rescue for rung in STRONG[len(AUTO) :])


@pytest.mark.parametrize(
    ("text", "rung"),
    [
        ("8", Rung(8.0)),
        ("4.5 levels", Rung(4.5)),
        ("36dB", Rung(CAP_LEVELS, 36.0)),
        (" 38.5 DB ", Rung(CAP_LEVELS, 38.5)),
        ("33dB", Rung(12.0, 33.0)),
    ],
)
def test_a_fixed_budget_is_one_rung(text: str, rung: Rung) -> None:
    assert parse_budget(text) == (rung,)


@pytest.mark.parametrize("text", ["lots", "-8", "0.5", "33", "29dB", "61 dB", "8/255", "nan", "dB"])
def test_a_budget_that_is_none_names_itself_and_what_would_be_right(text: str) -> None:
    with pytest.raises(GoodnoiseError) as caught:
        parse_budget(text)
    assert caught.value.code is Code.INVALID_INPUT
    assert text in caught.value.message
    assert "budget" in caught.value.message
