"""Making challenges: render, begin at what a network draws, attack readers in turn, let the gate decide."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import nn

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
from cloud_server.captcha.challenges.oracle import Misread
from cloud_server.captcha.challenges.recipe import Recipe
from cloud_server.captcha.challenges.render import draw_text, render
from cloud_server.captcha.challenges.start import drawn, scene_of
from cloud_server.captcha.challenges.types import ALPHABET, Made, Rendered
from cloud_server.captcha.challenges.witness import HardenedReaders
from cloud_server.threads import one_thread
from models.text.perturber import PERTURBER, load_perturber
from models.text.quick import quick
from models.text.readers import READERS, decode, load_reader, read_weights, weights_name
from models.text.recogniser import load_text_net
from shared.attack.attack import run
from shared.attack.budgets import Linf
from shared.attack.oracles import Alternating

__all__ = ["BATCH", "Maker", "load_maker", "load_network"]

# As many images are attacked at once: more gain nothing on one core.
BATCH = 32


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
        recipe, scene = self.recipe, scene_of(rendered, self.recipe, rng=rng)
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

    def _render(self, rng: np.random.Generator) -> Rendered:
        text = draw_text(rng, lengths=self.recipe.lengths, characters=self.recipe.characters)
        return render(text, rng=rng, style=self.recipe.style)


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
