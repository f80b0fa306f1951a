"""The images a report is about: as the service issues them, without the attack, and with noise instead."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from cloud_server.captcha.challenges.types import Made
from cloud_server.captcha.report.harvest import MakesImages, Progress
from cloud_server.captcha.report.preprocess import Grey
from shared.errors import Code, GoodnoiseError

__all__ = ["Condition", "Sample", "random_noise", "take_sample"]

_AT_ONCE = 16
# A gate that lets less than this pass is broken, or the attack is.
_LEAST_PASSED = 0.02


class Condition(StrEnum):
    """What was done to an image."""

    CLEAN = "clean"  # rendered, nothing else
    NOISE = "noise"  # the control: noise without a plan, of the attack's size
    ATTACKED = "attacked"  # as issued


@dataclass(frozen=True)
class Sample:
    """The images of a report.

    Args:
        issued: what the gate let pass; solvers read these.
        held_back: what it did not.
        seed: they were made of.
    """

    issued: tuple[Made, ...]
    held_back: tuple[Made, ...]
    seed: int
    _noise: dict[int, Grey] = field(default_factory=dict, repr=False, compare=False)

    @property
    def texts(self) -> tuple[str, ...]:
        """What the issued images say."""
        return tuple(item.rendered.text for item in self.issued)

    def images(self, condition: Condition) -> list[Grey]:
        """The issued images in one condition, uint8 H W."""
        return [self.image(number, condition) for number in range(len(self.issued))]

    def image(self, number: int, condition: Condition) -> Grey:
        """One of them."""
        made = self.issued[number]
        if condition is Condition.ATTACKED:
            return made.attacked
        if condition is Condition.CLEAN:
            return clean_of(made)
        if number not in self._noise:
            rng = np.random.default_rng([self.seed, 4, number])
            self._noise[number] = random_noise(clean_of(made), made.attacked, rng=rng)
        return self._noise[number]

    @property
    def key(self) -> str:
        """What tells these images from others, hex."""
        content = b"".join(item.attacked.tobytes() + clean_of(item).tobytes() for item in self.issued)
        return hashlib.sha256(content + str(self.seed).encode()).hexdigest()


def clean_of(made: Made) -> Grey:
    """The image without the attack, uint8 H W."""
    return np.asarray(np.rint(255 * made.rendered.image), np.uint8)


def random_noise(clean: Grey, attacked: Grey, *, rng: np.random.Generator) -> Grey:
    """The control: the attack's own changes, each at a random pixel with a random sign.

    Largest change and energy are the attack's; where it goes is nobody's plan.

    Args:
        clean: uint8 H W.
        attacked: uint8 H W.
        rng: of places and signs.
    """
    change = attacked.astype(np.int64) - clean
    shuffled = rng.permutation(change.ravel()).reshape(change.shape) * rng.choice([-1, 1], change.shape)
    return np.asarray(np.clip(clean + shuffled, 0, 255), np.uint8)


def take_sample(maker: MakesImages, count: int, *, seed: int, progress: Progress) -> Sample:
    """Images made now, until the gate has let so many pass.

    Args:
        maker: with the service's settings.
        count: of issued images.
        seed: of all that is random.
        progress: told as they are made.

    Raises:
        GoodnoiseError: PRECONDITION when the gate lets next to nothing pass.
    """
    issued: list[Made] = []
    held_back: list[Made] = []
    while len(issued) < count:
        _add(_made(maker, seed, len(issued) + len(held_back)), issued, held_back)
        progress("images of the service to read", min(len(issued), count), count)
        total = len(issued) + len(held_back)
        if total >= 3 * _AT_ONCE and len(issued) < _LEAST_PASSED * total:
            raise GoodnoiseError(
                Code.PRECONDITION,
                f"the gate let {len(issued)} of {total} images pass; mend the recipe before measuring",
            )
    return Sample(tuple(issued[:count]), tuple(held_back), seed)


def _made(maker: MakesImages, seed: int, done: int) -> Sequence[Made]:
    words = np.random.SeedSequence([seed, 5, done]).generate_state(1, np.uint64)
    return maker.make(_AT_ONCE, seed=int(words[0] >> np.uint64(1)))


def _add(made: Sequence[Made], issued: list[Made], held_back: list[Made]) -> None:
    for item in made:
        (issued if item.passed else held_back).append(item)
