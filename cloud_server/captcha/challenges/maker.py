"""Making challenges: render, begin at what a network draws, attack readers in turn, let the gate decide."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cloud_server.captcha.challenges.fonts import choose_fonts
from cloud_server.captcha.challenges.gate import (
    LEAST_CONTRAST,
    LEAST_MARGIN,
    LEAST_MISREAD,
    MOST_TURNED,
    Levels,
    Witness,
    pass_gate,
)
from cloud_server.captcha.challenges.oracle import Misread, other_texts
from cloud_server.captcha.challenges.render import Style, draw_text, render
from cloud_server.captcha.challenges.start import Scene, drawn, spans_of
from cloud_server.captcha.challenges.types import ALPHABET, DRAWN, Made, Plane, Rendered
from cloud_server.captcha.challenges.witness import WITNESSES, HardenedReaders
from cloud_server.threads import one_thread
from models.text.perturber import PERTURBER, load_perturber
from models.text.quick import quick
from models.text.readers import READERS, decode, load_reader, read_weights, weights_name
from models.text.recogniser import load_text_net
from shared.attack.attack import Attack, run
from shared.attack.budgets import Linf
from shared.attack.oracles import Alternating
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

__all__ = [
    "ATTACK",
    "BATCH",
    "MISLED",
    "PREPROCESSING",
    "READERS_ATTACKED",
    "REFINE",
    "Maker",
    "Recipe",
    "load_maker",
    "load_network",
    "scene_of",
]

# As many images are attacked at once: more gain nothing on one core.
BATCH = 32


# An attack on the large readers of the zoo carries best to strange ones, so their turn comes often although
# it costs ten times as much. Of hardened readers there are but two: attacking what is robust changes what a
# reader sees. The gate asks hardened readers besides.
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
# 0.3 strange solvers read more than twice as many characters and people fewer.
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


class Maker:
    """Makes challenges; the same seed gives the same ones on one machine.

    Args:
        recipe: how.
        networks: the readers, in the order of the recipe.
        perturber: draws where the attack begins; wanted where the recipe says so.
        witness: of the gate; None for the template observer alone.
        weights: what tells these networks from others of the same names; empty for the project's own.
    """

    def __init__(
        self,
        recipe: Recipe,
        networks: Sequence[nn.Module],
        *,
        perturber: nn.Module | None = None,
        witness: Witness | None = None,
        weights: str = "",
    ) -> None:
        if recipe.start and perturber is None:
            raise ValueError(
                "maker: the recipe wants a perturbing network; give one, or a recipe of start=False"
            )
        self.recipe = recipe
        self._perturber = perturber if recipe.start else None
        self._witness = witness
        self._weights = weights
        self.networks = tuple(networks)
        by_name = dict(zip((name for name, _ in recipe.readers), networks, strict=True))
        self._readings = [_Reading(by_name[name]) for name in recipe.asked]

    @property
    def version(self) -> str:
        """Changes with recipe, weights and gate: images of another version are not issued beside these."""
        gate = (LEAST_CONTRAST, LEAST_MARGIN, LEAST_MISREAD, MOST_TURNED)
        made_by = f"{self.recipe!r} {self.recipe.loop!r} {self.recipe.asked} {self._weights} {gate}"
        return hashlib.sha256(made_by.encode()).hexdigest()[:16]

    def make(self, count: int, *, seed: int) -> list[Made]:
        """So many challenges, those that the gate holds back included.

        Args:
            count: how many.
            seed: of texts, looks and attack.
        """
        return list(islice(self.stream(seed=seed, batch=min(BATCH, count)), count))

    def stream(self, *, seed: int, batch: int = BATCH) -> Iterator[Made]:
        """Challenges without end."""
        number = 0
        while True:
            rng = np.random.default_rng([seed, number])
            rendered = [self._render(rng) for _ in range(batch)]
            yield from self.attack(rendered, rng=rng)
            number += 1

    def attack(self, rendered: Sequence[Rendered], *, rng: np.random.Generator) -> list[Made]:
        """Rendered images, attacked.

        Args:
            rendered: one batch.
            rng: of targets and of everything random in the attack.
        """
        recipe, scene = self.recipe, self._scene(rendered, rng)
        # Ground pixels may use the whole budget; a stroke's have spent a part on being darker.
        budget = Linf(recipe.levels, weight=scene.share)
        oracle = Alternating(
            [Misread(network, scene.labels, scene.targets) for network in self.networks],
            [weight for _, weight in recipe.readers],
        )
        start = None
        if self._perturber is not None:
            start = drawn(self._perturber, scene, levels=recipe.levels, rng=rng)
        found = run(recipe.loop, oracle, scene.dark, budget, seed=int(rng.integers(1 << 62)), start=start)
        gated = pass_gate(
            list(found.images[:, 0].numpy()),
            rendered,
            levels=recipe.levels,
            witness=self._witness,
            readings=self._readings,
        )
        return [Made(item, *passed) for item, passed in zip(rendered, gated, strict=True)]

    def _scene(self, rendered: Sequence[Rendered], rng: np.random.Generator) -> Scene:
        return scene_of(rendered, self.recipe, rng=rng)

    def _render(self, rng: np.random.Generator) -> Rendered:
        text = draw_text(rng, lengths=self.recipe.lengths, characters=self.recipe.characters)
        return render(text, rng=rng, style=self.recipe.style)


def scene_of(rendered: Sequence[Rendered], recipe: Recipe, *, rng: np.random.Generator) -> Scene:
    """A batch as the attack takes it.

    Args:
        rendered: the batch.
        recipe: by how much strokes are darkened, and what they may move.
        rng: of the texts that they shall be read as.
    """
    clean = _stack([item.image for item in rendered])
    ink = _stack([item.ink for item in rendered])
    labels, targets = other_texts([item.text for item in rendered], rng=rng)
    return Scene(
        dark=(clean - recipe.darker / 255 * ink).clamp(0, 1),
        ink=ink,
        share=1 - (1 - recipe.ink_levels / recipe.levels) * ink,
        spans=spans_of(rendered),
        labels=labels,
        targets=targets,
    )


class _Reading:
    """What a network reads of images, of the alphabet's characters alone: what else it knows is no answer."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network

    def __call__(self, images: Sequence[Levels]) -> list[str]:
        batch = torch.from_numpy(np.stack(images)[:, None].astype(np.float32) / 255)
        with torch.no_grad():
            output = self._network(batch)
        columns = None if output.columns is None else output.columns[..., : len(ALPHABET) + 1]
        return decode(output._replace(columns=columns), ALPHABET)


def load_maker(recipe: Recipe | None = None, *, deployment: int = 0, readers: Path | None = None) -> Maker:
    """A maker with the project's readers, or with those of a folder.

    Args:
        recipe: how challenges are made; None for the default.
        deployment: seed of the choice of fonts; each deployment has its own.
        readers: folder of weights of `captcha train`; None for those that come along.

    Raises:
        GoodnoiseError: as of `load_reader`, `load_text_net` and `choose_fonts`.
    """
    recipe = recipe or Recipe()
    if not recipe.style.fonts:
        recipe = replace(recipe, style=replace(recipe.style, fonts=choose_fonts(deployment)))
    one_thread()
    names = [name for name, _ in recipe.readers]
    networks = [quick(load_network(name, readers)) for name in names]
    # A folder of readers need not have a perturber of its own.
    drawer = readers if readers is not None and (readers / weights_name(PERTURBER)).is_file() else None
    perturber = quick(load_perturber(ALPHABET, drawer)) if recipe.start else None
    # Witnesses judge and are not attacked: those that come along serve any readers.
    judges = [quick(load_reader(name, ALPHABET)) for name in recipe.witnesses]
    drawing = (PERTURBER,) if recipe.start else ()
    weights = f"{_digest(names, readers)} {_digest(drawing, drawer)} {_digest(recipe.witnesses, None)}"
    return Maker(
        recipe,
        networks,
        perturber=perturber,
        witness=HardenedReaders(judges) if judges else None,
        weights=weights,
    )


def load_network(name: str, folder: Path | None = None) -> nn.Module:
    """A reader of the project's own, of a folder or those that come along, or one of the zoo.

    Raises:
        GoodnoiseError: as of `load_reader` and `load_text_net`.
    """
    if name in READERS:
        return load_reader(name, ALPHABET, folder)
    return load_text_net(name, ALPHABET, latin_only=True)


def _digest(names: Sequence[str], folder: Path | None) -> str:
    own = [name for name in names if name in READERS or name == PERTURBER]
    return " ".join(hashlib.sha256(read_weights(name, folder)).hexdigest() for name in own)


def _stack(planes: Sequence[Plane]) -> Tensor:
    return torch.from_numpy(np.stack(planes)[:, None])
