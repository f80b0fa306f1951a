"""The best reading of a known length: who knows a service knows how many characters it asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from cloud_server.captcha.challenges.types import ALPHABET

__all__ = ["read_lengths"]

Scores: TypeAlias = npt.NDArray[np.float32]
Steps: TypeAlias = npt.NDArray[np.int64]


def read_lengths(scores: Scores, lengths: Sequence[int]) -> str:
    """The text on the likeliest path of CTC among texts of the given lengths (Viterbi).

    Args:
        scores: log-probabilities of one image, T C; class 0 is blank, class 1 + i is character i.
        lengths: that a text may have; at most T.

    Raises:
        ValueError: for a length that no path has.
    """
    if not lengths or min(lengths) < 1 or max(lengths) > len(scores):
        raise ValueError(f"lengths are {tuple(lengths)}, expected 1 to {len(scores)}")
    final, came_from = _forward(scores, max(lengths))
    length = max(lengths, key=lambda wanted: float(final[wanted].max()))
    state = int(final[length].argmax())
    found: list[int] = []
    for back in reversed(came_from):
        before = int(back[length, state])
        if before < 0:  # this character began here
            found.append(state)
            length, before = length - 1, -before - 1
        state = before
    return "".join(ALPHABET[k - 1] for k in reversed(found))


def _forward(scores: Scores, most: int) -> tuple[Scores, list[Steps]]:
    """Best scores by characters told so far and class of the last column, and where each came from.

    A step that begins a character is written as -1 - class of the column before.
    """
    classes = scores.shape[1]
    best = np.full((most + 1, classes), -np.inf, np.float32)
    best[0, 0] = 0.0
    came_from: list[Steps] = []
    for column in scores:
        stay, stay_from = best.copy(), np.tile(np.arange(classes), (most + 1, 1))
        # A blank follows anything.
        stay[:, 0], stay_from[:, 0] = best.max(axis=1), best.argmax(axis=1)
        begin, begin_from = _begin(best)
        better = begin > stay
        came_from.append(np.where(better, -begin_from - 1, stay_from))
        best = np.where(better, begin, stay) + column
    return best, came_from


def _begin(best: Scores) -> tuple[Scores, Steps]:
    """A character begins after anything but itself, one character more than before."""
    classes = best.shape[1]
    order = np.argsort(best, axis=1)
    first, second = order[:, -1:], order[:, -2:-1]
    source = np.where(np.arange(classes) == first, second, first)
    value = np.take_along_axis(best, source, axis=1)
    begin, begin_from = np.full_like(best, -np.inf), np.zeros_like(source)
    begin[1:, 1:], begin_from[1:, 1:] = value[:-1, 1:], source[:-1, 1:]
    return begin, begin_from
