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
    ],
)
def test_wilson_intervals_as_published(hits: int, total: int, low: float, high: float) -> None:
    assert wilson(hits, total) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [
        (0, 0, 0.0, 1.0),
        (0, 10, 0.0, 0.2775),
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1.0),
        (139, 146, 0.9044, 0.9766),
        (2.5, 10, 0.0809, 0.5578),
    ],
)
def test_intervals_at_the_ends_and_of_parts(hits: float, total: int, low: float, high: float) -> None:
    assert wilson(hits, total) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(("hits", "total"), [(-1, 3), (4, 3), (1, 0)])
def test_a_share_that_cannot_be_is_refused(hits: float, total: int) -> None:
    with pytest.raises(ValueError, match="0 <= hits <= total"):
        wilson(hits, total)
