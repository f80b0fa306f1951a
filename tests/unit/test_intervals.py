"""Wilson's interval against published ones."""

from __future__ import annotations

import pytest

from cloud_server.intervals import wilson


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        # By hand.
        (0, 10, 0.0, 0.2775),
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1.0),
        (139, 146, 0.9043, 0.9766),
        (2.5, 10, 0.0809, 0.5578),
    ],
)
def test_intervals_are_as_published(hits: float, total: int, low: float, high: float) -> None:
    assert wilson(hits, total) == pytest.approx((low, high), abs=5e-5)


def test_the_interval_of_a_certain_share_reaches_it_and_has_a_width() -> None:
    low, high = wilson(50, 50)
    assert high == 1.0
    assert 0.9 < low < 1.0


@pytest.mark.parametrize(("hits", "total"), [(0, 0), (-1, 3), (4, 3), (1, 0)])
def test_a_share_that_cannot_be_is_refused(hits: float, total: int) -> None:
    with pytest.raises(ValueError, match="0 <= hits <= total and total >= 1"):
        wilson(hits, total)
