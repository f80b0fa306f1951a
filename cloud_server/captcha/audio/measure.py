"""What the audio challenge is worth: a proxy for how well it is heard, and one attack as a baseline."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from cloud_server.captcha.audio.bank import VARIANTS, record_bank
from cloud_server.captcha.audio.engine import Engine
from cloud_server.captcha.audio.listener import TemplateListener
from cloud_server.captcha.audio.mix import Mixed
from cloud_server.captcha.audio.speaker import DigitSpeaker
from cloud_server.captcha.audio.words import DIGITS
from cloud_server.intervals import wilson

if TYPE_CHECKING:
    from cloud_server.captcha.audio.solver import TrainingPlan

__all__ = ["AttackFigure", "Legibility", "attack_figure", "legibility"]

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


@dataclass(frozen=True)
class AttackFigure:
    """How often a solver trained on sounds of the same make reads a whole sound. A baseline, no bound.

    Args:
        language: such as `en`.
        sounds: how many were tried.
        whole: share of sounds read whole; chance is 1e-6.
        whole_interval: 95 %, Wilson.
        digits: share of digits right at their place; chance is 0.1.
    """

    language: str
    sounds: int
    whole: float
    whole_interval: tuple[float, float]
    digits: float

    def as_json(self) -> dict[str, object]:
        """As a report holds it."""
        return {**asdict(self), "solver": "own digit solver, trained on the service's own make (baseline)"}


def legibility(
    speaker: DigitSpeaker, language: str, rng: np.random.Generator, *, sounds: int = 100
) -> Legibility:
    """The proxy over fresh sounds of a speaker."""
    tried = _sounds(speaker, language, rng, sounds)
    heard = TemplateListener.of(speaker.bank(language)).share_heard(tried)
    return Legibility(language, sounds, min(mixed.snr for _, mixed in tried), heard)


def attack_figure(
    speaker: DigitSpeaker,
    engine: Engine,
    language: str,
    rng: np.random.Generator,
    *,
    sounds: int = 200,
    plan: TrainingPlan | None = None,
) -> AttackFigure:
    """Trains the solver on an attacker's own recordings and lets it read a speaker's sounds. Needs torch.

    The attacker has engine, code and style, not the service's recordings. Takes about two minutes of a core.
    """
    from cloud_server.captcha.audio.solver import train_solver

    solver = train_solver(record_bank(language, engine, rng, variants=3 * VARIANTS), speaker.style, rng, plan)
    tried = _sounds(speaker, language, rng, sounds)
    read = [(text, solver.read(mixed.samples, _LENGTH)) for text, mixed in tried]
    whole = sum(text == guess for text, guess in read)
    right = [a == b for text, guess in read for a, b in zip(text, guess, strict=True)]
    return AttackFigure(language, sounds, whole / sounds, wilson(whole, sounds), float(np.mean(right)))


def _sounds(
    speaker: DigitSpeaker, language: str, rng: np.random.Generator, count: int
) -> list[tuple[str, Mixed]]:
    texts = ["".join(DIGITS[i] for i in row) for row in rng.integers(len(DIGITS), size=(count, _LENGTH))]
    return [(text, speaker.mixed(text, language=language, rng=rng)) for text in texts]
