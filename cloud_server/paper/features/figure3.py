"""Figure 3: one perturbation for each class, what it does to held-out images, and what it says alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cloud_server.augment.recipe import Recipe
from cloud_server.augment.recipes import RECIPES
from cloud_server.augment.surrogate import Surrogate
from cloud_server.augment.universal import universal_for
from cloud_server.paper.features.common import (
    Report,
    accuracy,
    attacked,
    images_of,
    keep_arrays,
    keyed,
    rows_of,
    settings_of,
    trained,
    work_folder,
    write_results,
)
from cloud_server.paper.features.settings import Protocol, Universal
from models.vision.cifar import Labelled
from models.vision.training import predict
from shared.files import write_atomically

__all__ = ["GROUNDS", "Figure3", "make_figure3"]

Pattern = npt.NDArray[np.float32]
# Blank images, levels of 8 bits.
GROUNDS = {"black": 0, "grey": 128, "white": 255}


@dataclass(frozen=True, eq=False)
class Figure3:
    """What was found.

    classes: names. levels: budgets. patterns: by budget, K C H W in [0,1]. success: by budget, for each
    class the share of held-out images of other classes that are named so. noise: the same for random signs
    of the size. blank: by budget and ground, for each class the confidence on the perturbation alone.
    clean: accuracy of the network on held-out images.
    """

    classes: tuple[str, ...]
    levels: tuple[float, ...]
    patterns: dict[float, Pattern]
    success: dict[float, list[float]]
    noise: dict[float, list[float]]
    blank: dict[float, dict[str, list[float]]]
    clean: float

    def as_json(self) -> dict[str, Any]:
        """Figures without pictures, budgets as text."""
        return {
            "classes": list(self.classes),
            "accuracy_of_the_network": self.clean,
            "named_as_target_on_held_out_images": {f"{k:g}": v for k, v in self.success.items()},
            "the_same_for_random_signs": {f"{k:g}": v for k, v in self.noise.items()},
            "confidence_on_blank_images": {f"{k:g}": v for k, v in self.blank.items()},
        }


def make_figure3(data: Path, out: Path, protocol: Protocol, *, note: str, report: Report) -> str:
    """Train the network and the perturbations, measure, and write figure3.json, .md and .png.

    Args:
        data: folder of train.tar and test.tar.
        out: folder of the results; a run goes on there.
        protocol: how much.
        note: on the data, printed with the figures.
        report: called as work goes on.

    Returns:
        The Markdown.
    """
    train, test = images_of(data, out, protocol)
    work = work_folder(out, protocol, train)
    network = trained("f-ori", train.images, train.labels, train.classes, protocol, work=work, report=report)
    held = _some(test, protocol)
    found = {
        levels: _patterns(network, train, levels, protocol, work=work, report=report)
        for levels in protocol.levels
    }
    figure = Figure3(
        train.classes,
        protocol.levels,
        found,
        {levels: [_named(network, held, p, k) for k, p in enumerate(ps)] for levels, ps in found.items()},
        {levels: _noise(network, held, levels, protocol.seed) for levels in found},
        {levels: _blank(network, ps) for levels, ps in found.items()},
        accuracy(network, held),
    )
    text = _markdown(figure, protocol, note, len(train.labels))
    write_results(
        out, "figure3", {"protocol": settings_of(protocol, train), "note": note, **figure.as_json()}, text
    )
    from cloud_server.paper.features.pictures import draw_figure3

    write_atomically(out / "figure3.png", draw_figure3(figure, held.images))
    return text


def _some(test: Labelled, protocol: Protocol) -> Labelled:
    if protocol.held_out is None or protocol.held_out >= len(test.labels):
        return test
    rng = np.random.default_rng([protocol.seed, 22])
    return test.take(np.sort(rng.permutation(len(test.labels))[: protocol.held_out]))


def _recipe(levels: float, settings: Universal) -> Recipe:
    recipe = RECIPES["universal"].with_(radius=levels, steps=settings.steps, loss=settings.loss)
    if recipe.attack is None:
        return recipe
    attack = replace(recipe.attack, step_size=settings.step, decay=settings.momentum)
    return replace(recipe, attack=attack)


def _patterns(
    network: Surrogate, train: Labelled, levels: float, protocol: Protocol, *, work: Path, report: Report
) -> Pattern:
    """K C H W; each is kept as soon as it is there."""
    settings = protocol.universal
    path = work / f"{keyed(f'universal-{levels:g}', settings)}.npz"
    done = dict(np.load(path)) if path.is_file() else {}
    source, recipe = rows_of(train), _recipe(levels, settings)
    for k, name in enumerate(train.classes):
        report(f"perturbations of {levels:g} levels", k, len(train.classes))
        if str(k) not in done:
            done[str(k)] = universal_for(
                recipe,
                attacked(network, settings.gradients),
                source,
                k,
                seed=protocol.seed,
                batch=settings.batch,
                halvings=settings.halvings,
            )
            keep_arrays(path, done)
        if done[str(k)].shape != network.shape:
            raise ValueError(f"{path}: the perturbation of {name} has shape {done[str(k)].shape}")
    return np.stack([done[str(k)] for k in range(len(train.classes))])


def _named(network: Surrogate, held: Labelled, pattern: Pattern, target: int) -> float:
    """Share of images of other classes that are named as the target, after rounding to 8 bits."""
    others = held.images[held.labels != target]
    moved = np.rint(others + 255.0 * pattern[None]).clip(0, 255).astype(np.uint8)
    return float((predict(network.network, moved).argmax(axis=1) == target).mean())


def _noise(network: Surrogate, held: Labelled, levels: float, seed: int) -> list[float]:
    rng = np.random.default_rng([seed, 23])
    signs = rng.choice((-1.0, 1.0), size=network.shape).astype(np.float32) * np.float32(levels / 255)
    moved = np.rint(held.images + 255.0 * signs[None]).clip(0, 255).astype(np.uint8)
    named = predict(network.network, moved).argmax(axis=1)
    return [float((named[held.labels != k] == k).mean()) for k in range(len(network.classes))]


def _blank(network: Surrogate, patterns: Pattern) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for name, level in GROUNDS.items():
        moved = np.rint(level + 255.0 * patterns).clip(0, 255).astype(np.uint8)
        share = torch.softmax(torch.from_numpy(predict(network.network, moved)), dim=1).numpy()
        found[name] = [float(share[k, k]) for k in range(len(patterns))]
    return found


def _markdown(figure: Figure3, protocol: Protocol, note: str, images: int) -> str:
    lines = [
        "# Figure 3: one perturbation for each class",
        "",
        (
            f"Protocol {protocol.name}: {images} training images, network {protocol.network}, "
            f"{protocol.training.updates} updates ({protocol.training.precision}), seed {protocol.seed}, "
            f"{protocol.universal.steps} steps of {protocol.universal.batch} images "
            f"({protocol.universal.gradients}); accuracy without a perturbation {figure.clean:.1%}. {note}"
        ),
        "",
        (
            "| levels | named as the target, held-out images (lowest to highest class) | random signs | "
            "confidence on black | on grey | on white |"
        ),
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for levels in figure.levels:
        won, chance, blank = figure.success[levels], figure.noise[levels], figure.blank[levels]
        lines.append(
            f"| {levels:g} | {np.mean(won):.1%} ({min(won):.1%} to {max(won):.1%}) | {np.mean(chance):.1%} | "
            + " | ".join(f"{np.mean(blank[name]):.1%} (least {min(blank[name]):.1%})" for name in GROUNDS)
            + " |"
        )
    goal = all(x >= 0.99 for x in figure.success[max(figure.levels)])
    sure = all(x >= 0.99 for x in figure.blank[max(figure.levels)]["grey"])
    lines += [
        "",
        (
            f"Goal (99 % for every class at {max(figure.levels):g} levels): held-out images {_said(goal)}, "
            f"blank grey image {_said(sure)}. The paper: 100.00 % on a blank image, none for images."
        ),
        "",
    ]
    return "\n".join(lines)


def _said(holds: bool) -> str:  # noqa: FBT001 - a word for it
    return "reached" if holds else "not reached"
