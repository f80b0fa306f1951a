"""Training the network that draws where an attack begins: readers shall misread, hardened ones read on."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from cloud_server.captcha.challenges.fonts import installed_fonts
from cloud_server.captcha.challenges.maker import load_network
from cloud_server.captcha.challenges.oracle import Misread, StillRead
from cloud_server.captcha.challenges.recipe import MISLED, PREPROCESSING, Recipe
from cloud_server.captcha.challenges.render import draw_text, render
from cloud_server.captcha.challenges.start import Scene, drawn, scene_of
from cloud_server.captcha.challenges.types import ALPHABET
from cloud_server.captcha.challenges.witness import WITNESSES
from cloud_server.captcha.training.plan import Plan
from cloud_server.captcha.training.updates import OnUpdate, Updates
from models.text.perturber import PERTURBER, Perturber
from models.text.quick import quick
from models.text.readers import READERS, load_reader, pack_weights, weights_name
from shared.attack.keys import Keys
from shared.attack.oracles import Expectation
from shared.files import write_atomically

__all__ = ["PERTURBER_BATCH", "PERTURBER_STEPS", "Lesson", "alike", "load_lesson", "train_perturber"]

PERTURBER_STEPS, PERTURBER_BATCH = 2600, 16
_SUMMARY = "perturber.json"
# An image that a reader misreads by this margin, in nats a character, is pushed no further.
_MARGIN, _SOFTNESS = 1.5, 0.7
# Of the readers attacked in an update, a large one and a small one; of a hardened one that shall read on.
_LARGE, _SMALL, _LEGIBLE = 1.0, 0.5, 1.5
# Of how alike changes of different images are, above what is left be: one pattern for all could be averaged
# and taken away.
_ALIKE, _ALIKE_ENOUGH = 3.0, 0.1
# Shades of the ground that are learnt from, in levels; what is issued lies among them.
_CLOUDS = (10.0, 18.0, 26.0)
_CONTRAST = (52.0, 78.0)


class Lesson:
    """What one update learns from.

    Args:
        recipe: budgets and looks of the service.
        large: readers that solvers are most like, in turn.
        small: the project's own readers, one at random.
        hardened: readers that people's reading is compared with, one at random.
        size: images an update.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        large: tuple[nn.Module, ...],
        small: tuple[nn.Module, ...],
        hardened: tuple[nn.Module, ...],
        size: int,
    ) -> None:
        self._recipe, self._size = recipe, size
        self._large, self._small, self._hardened = large, small, hardened

    def learn(self, network: nn.Module, rng: np.random.Generator) -> float:
        """Leave gradients on the network's weights; returns the share of the loss still to be gained."""
        scene = self._scene(rng)
        network.train()
        change = drawn(quick(network), scene, levels=self._recipe.levels, rng=rng)
        images = (scene.dark + change).clamp(0, 1)
        gradient, left = self._slopes(images.detach(), scene, rng)
        loss = (images * gradient).sum() / self._size + _ALIKE * (alike(change) - _ALIKE_ENOUGH).clamp_min(0)
        loss.backward()  # type: ignore[no-untyped-call]
        return left

    def _scene(self, rng: np.random.Generator) -> Scene:
        style = replace(
            self._recipe.style,
            fonts=installed_fonts(),
            contrast=_CONTRAST,
            clouds=_CLOUDS[int(rng.integers(len(_CLOUDS)))],
        )
        texts = [
            draw_text(rng, lengths=self._recipe.lengths, characters=self._recipe.characters)
            for _ in range(self._size)
        ]
        return scene_of([render(text, rng=rng, style=style) for text in texts], self._recipe, rng=rng)

    def _slopes(self, images: Tensor, scene: Scene, rng: np.random.Generator) -> tuple[Tensor, float]:
        """The gradient of the loss on the images, N 1 H W, and how far the readers are from misreading."""
        keys = Keys(int(rng.integers(1 << 62)), tuple(range(self._size)))
        total, left = torch.zeros_like(images), 0.0
        attacked = ((_pick(self._large, rng), _LARGE), (_pick(self._small, rng), _SMALL))
        for place, (reader, weight) in enumerate(attacked):
            misread = Expectation(Misread(reader, scene.labels, scene.targets), PREPROCESSING)
            loss, slope = misread(images, keys.fork(place))
            due = torch.sigmoid((_MARGIN - loss) / _SOFTNESS)
            total -= weight * due[:, None, None, None] * slope
            left += weight * float(due.mean())
        kept = StillRead(_pick(self._hardened, rng), scene.labels)(images, keys)
        return total + _LEGIBLE * kept.gradient, left


def alike(changes: Tensor) -> Tensor:
    """Mean squared cosine between the changes of different images, in [0,1]; 0 for fewer than two.

    Args:
        changes: N 1 H W.
    """
    rows = F.normalize(changes.flatten(1), dim=1)
    cosines = rows @ rows.T
    others = 1 - torch.eye(len(rows))
    return (cosines * others).square().sum() / others.sum().clamp_min(1)


def _pick(networks: tuple[nn.Module, ...], rng: np.random.Generator) -> nn.Module:
    return networks[int(rng.integers(len(networks)))]


def load_lesson(plan: Plan, readers: Path | None = None) -> Lesson:
    """A lesson with the service's readers and witnesses.

    Args:
        plan: says how many images an update has.
        readers: folder of weights of `captcha train`; None for those that come along.

    Raises:
        GoodnoiseError: as of `load_network`.
    """
    plain = [name for name, row in READERS.items() if not row.hardened]
    return Lesson(
        Recipe(),
        large=tuple(quick(load_network(name)) for name in MISLED),
        small=tuple(quick(load_network(name, readers)) for name in plain),
        hardened=tuple(quick(load_reader(name, ALPHABET, readers)) for name in WITNESSES),
        size=plan.batch,
    )


def train_perturber(
    out: Path, plan: Plan, lesson: Lesson, *, steps: int = PERTURBER_STEPS, on_update: OnUpdate
) -> dict[str, Any]:
    """Train the network into a folder; an interrupted training goes on where it stopped.

    Args:
        out: folder of weights, as `load_perturber` reads them, and of perturber.json.
        plan: how.
        lesson: what it learns from.
        steps: updates.
        on_update: told of each.

    Returns:
        What perturber.json says.

    Raises:
        OSError: as the system says it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        network = Perturber(len(ALPHABET)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    updates = Updates(
        network,
        plan,
        name=PERTURBER,
        steps=steps,
        path=out / "work" / f"{PERTURBER}.checkpoint",
        key=PERTURBER,
    )
    updates.run(lambda rng: lesson.learn(network, rng), on_update)
    weights = pack_weights(network, ALPHABET)
    write_atomically(out / weights_name(PERTURBER), weights)
    found = {"steps": updates.done, "seed": plan.seed, "sha256": sha256(weights).hexdigest()}
    write_atomically(out / _SUMMARY, (json.dumps(found, indent=2) + "\n").encode())
    updates.forget()
    return found
