"""A proxy for how well the audio challenge is heard; what programs hear is in `report.sound`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cloud_server.captcha.audio.listener import TemplateListener
from cloud_server.captcha.audio.mix import Mixed
from cloud_server.captcha.audio.speaker import DigitSpeaker
from cloud_server.captcha.audio.words import DIGITS

__all__ = ["Legibility", "legibility"]

_LENGTH = 6


@dataclass(frozen=True)
class Legibility:
    """A proxy for legibility; no person listened.

    Args:
        language: such as `en`.
        sounds: how many were tried.
        snr: of the quietest, dB.
        heard: share of digits that a template listener hears right when it is told where they are.
    """

    language: str
    sounds: int
    snr: float
    heard: float


def legibility(
    speaker: DigitSpeaker, language: str, rng: np.random.Generator, *, sounds: int = 100
) -> Legibility:
    """The proxy over fresh sounds of a speaker."""
    tried = _sounds(speaker, language, rng, sounds)
    heard = TemplateListener.of(speaker.bank(language)).share_heard(tried)
    return Legibility(language, sounds, min(mixed.snr for _, mixed in tried), heard)


def _sounds(
    speaker: DigitSpeaker, language: str, rng: np.random.Generator, count: int
) -> list[tuple[str, Mixed]]:
    texts = ["".join(DIGITS[i] for i in row) for row in rng.integers(len(DIGITS), size=(count, _LENGTH))]
    return [(text, speaker.mixed(text, language=language, rng=rng)) for text in texts]
