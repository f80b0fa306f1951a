"""Reading a known length off CTC scores, against every path."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from cloud_server.captcha.challenges.types import ALPHABET
from cloud_server.captcha.report.ctc import read_lengths


def _slow(scores, lengths):
    best, text = -np.inf, ""
    for path in product(range(scores.shape[1]), repeat=len(scores)):
        collapsed = [k for k, before in zip(path, (0, *path), strict=False) if k and k != before]
        score = sum(scores[t, k] for t, k in enumerate(path))
        if len(collapsed) in lengths and score > best:
            best, text = score, "".join(ALPHABET[k - 1] for k in collapsed)
    return text


@pytest.mark.parametrize("lengths", [(1,), (2,), (3,), (2, 3), (1, 4)])
def test_the_reading_is_that_of_the_best_path_of_such_a_length(lengths):
    rng = np.random.default_rng(3)
    for _ in range(12):
        scores = rng.normal(0, 2, (6, 4)).astype(np.float32)
        assert read_lengths(scores, lengths) == _slow(scores, lengths)


def test_a_doubled_character_needs_a_blank_between():
    scores = np.full((3, 3), -5.0, np.float32)
    scores[:, 1] = -0.1
    assert read_lengths(scores, (2,)) in {"AA", "AC", "CA"}
    scores[1, 0] = -1.0
    assert read_lengths(scores, (2,)) == "AA"
    assert read_lengths(scores, (1,)) == "A"


@pytest.mark.parametrize("lengths", [(), (0,), (4,)])
def test_lengths_that_no_path_has_are_refused(lengths):
    with pytest.raises(ValueError, match="expected 1 to 3"):
        read_lengths(np.zeros((3, 4), np.float32), lengths)
