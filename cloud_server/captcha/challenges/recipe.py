"""How challenges are made: looks, budgets, readers attacked, preprocessing, and the settings of the loop."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from cloud_server.captcha.challenges.render import Style
from cloud_server.captcha.challenges.types import DRAWN
from cloud_server.captcha.challenges.witness import WITNESSES
from shared.attack.attack import Attack
from shared.attack.transforms import (
    Binarise,
    Blur,
    Chain,
    Identity,
    Jpeg,
    MeanFilter,
    MedianFilter,
    OneOf,
    Resize,
    ToneCurve,
    Unshade,
)

__all__ = ["ATTACK", "MISLED", "PREPROCESSING", "READERS_ATTACKED", "REFINE", "Recipe"]

# An attack on the large readers of the zoo carries best to strange ones, so their turn comes often although
# it costs several times as much. Of hardened readers there are but two: attacking what is robust changes what
# a reader sees. The gate asks hardened readers besides.
READERS_ATTACKED = (
    ("columns", 1.0),
    ("attention", 1.0),
    ("segments", 1.0),
    ("attention-h1", 1.0),
    ("columns-h2", 1.0),
    ("ppocr-v6-rec", 1.5),
    ("captcha-whisperer", 1.5),
)
# Those that strange solvers are most like: what these still read, others do.
MISLED = ("captcha-whisperer", "ppocr-v6-rec")
# What solvers do to images first, one a step (expectation over transforms, arXiv 1707.07397).
PREPROCESSING = OneOf(
    (
        Identity(),
        Blur(),
        Resize(),
        MedianFilter(),
        MeanFilter(),
        Binarise(),
        Jpeg(),
        # Strokes are darker than anything an attack draws: a stretched range of tones would bring them out.
        Chain((Blur(0.3, 2.0), ToneCurve(white=(0.1, 0.6)))),
        Chain((Unshade(), Blur(0.3, 2.0), ToneCurve(white=(0.1, 0.6)))),
    ),
    (0.3, 0.11, 0.11, 0.03, 0.03, 0.03, 0.05, 0.22, 0.12),
)
# Where nothing draws a start: all of the way in long steps.
ATTACK = Attack(
    "captcha",
    "arXiv 1710.06081, algorithm 1",
    "MI from a random start, long steps, one reader and one preprocessing a step",
    steps=10,
    step_size=0.8,
    decay=1.0,
    transform=PREPROCESSING,
    random_start=0.5,
)
# From what the perturbing network drew one short step. More of them fit the readers attacked: after three of
# 0.3 strange solvers read three times as many characters, and the gate passes fewer (bench compare_recipes).
REFINE = replace(ATTACK, name="captcha-refine", steps=1, step_size=0.1, random_start=0.0)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How challenges are made. Levels are of 8 bits.

    Args:
        style: how they look before the attack.
        lengths: of texts, each as likely.
        characters: what texts are drawn from, of the alphabet.
        levels: how far any pixel may move.
        ink_levels: how far a pixel within a stroke may move about its shift.
        darker: levels by which strokes are darkened first, which pays for what the attack does in them.
        readers: the readers attacked, each with how often its turn comes, relative to the others.
        witnesses: hardened readers that the gate asks whether a character has turned into another one.
        misled: of `readers`, those that the gate asks whether they still read the image; None for those of
            `MISLED` among them.
        start: whether the attack begins at what the perturbing network draws; else at a random point.
        attack: the settings of the loop; None for `REFINE` after a start that was drawn, else `ATTACK`.
    """

    style: Style = field(default_factory=Style)
    lengths: tuple[int, ...] = (6,)
    characters: str = DRAWN
    levels: int = 24
    ink_levels: int = 14
    darker: int = 9
    readers: tuple[tuple[str, float], ...] = READERS_ATTACKED
    witnesses: tuple[str, ...] = WITNESSES
    misled: tuple[str, ...] | None = None
    start: bool = True
    attack: Attack | None = None

    def __post_init__(self) -> None:
        names = [name for name, _ in self.readers]
        strange = set(self.misled or ()) - set(names)
        if strange:
            raise ValueError(f"recipe: misled names {min(strange)!r}, which is not among its readers {names}")

    @property
    def loop(self) -> Attack:
        """The settings of the loop, whether given or not."""
        if self.attack is not None:
            return self.attack
        return REFINE if self.start else ATTACK

    @property
    def asked(self) -> tuple[str, ...]:
        """Names of the readers that the gate asks."""
        if self.misled is not None:
            return self.misled
        return tuple(name for name, _ in self.readers if name in MISLED)
