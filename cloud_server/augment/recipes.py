"""The table of recipes and controls; `Recipe.with_` makes a variant of a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from cloud_server.augment.recipe import Fallback, Loss, Parents, Recipe, Size, Targets
from cloud_server.augment.types import Kind
from shared.attack.attack import Attack
from shared.attack.steps import Smoothing
from shared.attack.table import ATTACKS

__all__ = ["RECIPES", "Fallback", "Loss", "Parents", "Recipe", "Size", "Targets", "recipe"]


def _l2(radius: float, step: float, steps: int, *, noise: float = 0.0) -> Attack:
    """Normalised gradient steps of that length, all in the units of [0,1]."""
    return Attack(
        "pgd-l2",
        "arXiv 1706.06083, section 2.1",
        "steps along the normalised gradient",
        steps=steps,
        step_size=step / radius,
        rule="l2",
        random_start=noise / radius,
    )


_ILYAS = "arXiv 1905.02175, section 3.2 and appendix C"

_ROWS = (
    Recipe(
        "paper",
        "Benign adversarial attack, section 3.3, observation III",
        "it names no attack; that of observation II (Ilyas et al.): L2 0.5, 100 steps of 0.1, all kept",
        _l2(0.5, 0.1, 100),
        Size("l2", 0.5),
    ),
    Recipe(
        "m2m",
        "arXiv 2004.00431 (CVPR 2020), algorithm 1",
        "authors' code for CIFAR: L2 0.5 noise, then 10 steps of 0.1 that nothing projects, so at most 1.5; "
        "lambda 0.5, gamma 0.9, beta 0.999, from 160 of 200 epochs on. The second draw that rejects by "
        "beta^(N_parent - N_target) is left out: how many are made is the strategy's",
        _l2(1.5, 0.1, 10, noise=0.5),
        Size("l2", 1.5),
        suppress=0.5,
        confidence=0.9,
        fallback="duplicate",
        parents="m2m",
        start=0.8,
    ),
    Recipe(
        "m2m-far",
        "arXiv 2004.00431, changed",
        "m2m with room to arrive: L2 1 noise, then 20 steps of 0.2 inside L2 3, where most images reach a "
        "rare class with a confidence of 0.9 and of m2m's few do. Train on them from half-way on, as three "
        "tenths of a rare class, classes drawn alike",
        _l2(3.0, 0.2, 20, noise=1.0),
        Size("l2", 3.0),
        suppress=0.5,
        confidence=0.9,
        fallback="duplicate",
        parents="m2m",
        start=0.5,
    ),
    Recipe(
        "d-rand",
        _ILYAS,
        "CIFAR: L2 0.5, 100 steps of 0.1; target never the image's own class, as our paper says",
        _l2(0.5, 0.1, 100),
        Size("l2", 0.5),
        targets="random",
    ),
    Recipe(
        "d-det",
        _ILYAS,
        "CIFAR: L2 0.5, 100 steps of 0.1; target the next class, after the last the first",
        _l2(0.5, 0.1, 100),
        Size("l2", 0.5),
        targets="next",
    ),
    Recipe(
        "universal",
        "Benign adversarial attack, section 3.3, observation I; arXiv 1811.11304, algorithm 2",
        "one perturbation a class, trained on images of all others, added to each parent",
        replace(ATTACKS["uap"], name="uap-targeted"),
        Size("linf", 8.0),
        universal=True,
    ),
    Recipe(
        "aeda",
        "Zhang and Sang, ACM MM 2020 (arXiv 2007.13632), section 4",
        "a classifier of the bias attribute is attacked, the target label kept; ours is 10 sign steps of 1 "
        "level at 8, all kept",
        replace(ATTACKS["i-fgsm"], step_size=0.125),
        Size("linf", 8.0),
        bias=True,
    ),
    Recipe(
        "aeda-both",
        "Zhang and Sang, as above, changed",
        "every image once toward another group, drawn at random: an attack from one side alone would tell "
        "the class. 4 smoothed sign steps of 16 levels at 32, about what a tint changes; draw class, group "
        "and kind alike when you train on it",
        replace(ATTACKS["i-fgsm"], steps=4, step_size=0.5, smoothing=Smoothing(7)),
        Size("linf", 32.0),
        targets="random",
        bias=True,
    ),
    Recipe(
        "noise",
        "control",
        "the class's own images with random noise of the budget's size, their label kept",
        None,
        Size("l2", 0.5),
        parents="own",
        control=Kind.NOISE,
    ),
    Recipe(
        "noise-relabelled",
        "control",
        "other classes' images with random noise of the budget's size and the target label",
        None,
        Size("l2", 0.5),
        control=Kind.NOISE,
    ),
    Recipe(
        "unperturbed",
        "control",
        "other classes' images as they are, with the target label",
        None,
        Size("l2", 0.0),
        control=Kind.UNPERTURBED,
    ),
    Recipe(
        "duplicate",
        "control",
        "the class's own images again",
        None,
        Size("l2", 0.0),
        parents="own",
        control=Kind.DUPLICATE,
    ),
)

RECIPES: Mapping[str, Recipe] = MappingProxyType({row.name: row for row in _ROWS})


def recipe(name: str) -> Recipe:
    """The row of that name.

    Raises:
        ValueError: naming the rows there are.
    """
    if name not in RECIPES:
        raise ValueError(f"recipe: there is no {name!r}; known are {', '.join(RECIPES)}")
    return RECIPES[name]
