"""The table of arms: what each training has that the others have not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from cloud_server.augment.distilling import MOVING
from cloud_server.augment.recipes import RECIPES, Recipe
from cloud_server.augment.weights import DEFERRAL

__all__ = ["ARMS", "Amount", "Arm", "Teaching"]

# 'double': as many samples as a rare class has images (the paper's +10 %). 'balance': up to the largest.
Amount = Literal["double", "balance"]


@dataclass(frozen=True)
class Teaching:
    """What a surrogate teaches, see `cloud_server.augment.distilling`.

    Args:
        recipe: how rows of frequent classes are moved toward rare ones.
        share: of those rows; with 0 only the surrogate's answers are learnt.
    """

    recipe: Recipe = MOVING
    share: float = 0.15


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Args:
        name: in the table.
        about: what it is, in a few words.
        control: whether it is one of those that a recipe has to beat.
        balanced: classes are drawn alike, otherwise as often as they have images.
        reweight: share of the updates after which losses are weighted by class; 1 is never.
        samples: the recipe of samples that are made before and drawn like images of their label.
        amount: how many of each rare class.
        mix: share of samples among the rows of a rare class; None leaves it to their numbers.
        hardened: half of the rare rows are moved meanwhile, see `cloud_server.augment.hardening`.
        taught: what a surrogate teaches meanwhile, one that deferred re-weighting made; None is nothing.
        adjusted: when the network is asked, logits are lowered by the logarithm of their class' share.
    """

    name: str
    about: str
    control: bool = True
    balanced: bool = False
    reweight: float = 1.0
    samples: Recipe | None = None
    amount: Amount = "double"
    mix: float | None = None
    hardened: bool = False
    taught: Teaching | None = None
    adjusted: bool = False

    @property
    def surrogate(self) -> bool:
        """Whether its samples need one."""
        return self.samples is not None and self.samples.surrogate


_ROWS = (
    Arm("nothing", "the imbalanced data as they are"),
    Arm(
        "duplicates",
        "rare images again, up to the largest class",
        samples=RECIPES["duplicate"],
        amount="balance",
    ),
    Arm("balanced", "classes drawn alike", balanced=True),
    Arm("deferred", "losses weighted by class in the last fifth (arXiv 1906.07413)", reweight=DEFERRAL),
    Arm(
        "adjusted",
        "as nothing, logits lowered by the log of the class' share (arXiv 2007.07314)",
        adjusted=True,
    ),
    Arm(
        "distilled",
        "deferred, and half of what is learnt is the answer of another network of that kind",
        reweight=DEFERRAL,
        taught=Teaching(share=0.0),
    ),
    Arm(
        "distilled-noise",
        "as distilled-adversarial, but its rows carry random noise of L2 2 in place of an attack",
        reweight=DEFERRAL,
        taught=Teaching(RECIPES["noise-relabelled"].with_(radius=2.0)),
    ),
    Arm(
        "noise",
        "classes drawn alike; rare images with random noise of L2 0.5 beside them",
        balanced=True,
        samples=RECIPES["noise"],
        amount="balance",
        mix=0.5,
    ),
    Arm("unperturbed", "as the paper's, but nothing is perturbed", samples=RECIPES["unperturbed"]),
    Arm(
        "relabelled",
        "as m2m-far, but its images carry random noise of L2 3 in place of an attack",
        balanced=True,
        samples=RECIPES["noise-relabelled"].with_(radius=3.0, start=0.5, parents="m2m"),
        amount="balance",
        mix=0.3,
    ),
    Arm(
        "relabelled-deferred",
        "as m2m-far-deferred, but its images carry random noise of L2 3 in place of an attack",
        reweight=DEFERRAL,
        samples=RECIPES["noise-relabelled"].with_(radius=3.0, parents="m2m"),
    ),
    Arm("paper", "the paper: +100 % of each rare class by L2 0.5", control=False, samples=RECIPES["paper"]),
    Arm(
        "m2m",
        "M2m: samples up to the largest class in the last fifth",
        control=False,
        samples=RECIPES["m2m"],
        amount="balance",
    ),
    Arm(
        "hardened",
        "classes drawn alike; half of the rare rows moved by L2 0.25 toward other classes, labels kept",
        control=False,
        balanced=True,
        hardened=True,
    ),
    Arm(
        "m2m-far",
        "classes drawn alike; three tenths of rare rows are m2m-far's samples in the second half",
        control=False,
        balanced=True,
        samples=RECIPES["m2m-far"],
        amount="balance",
        mix=0.3,
    ),
    Arm(
        "m2m-far-deferred",
        "deferred, with as many of m2m-far's samples as rare images from the beginning",
        control=False,
        reweight=DEFERRAL,
        samples=RECIPES["m2m-far"].with_(start=0.0),
    ),
    Arm(
        "m2m-far-distilled",
        "distilled, with the same samples",
        control=False,
        reweight=DEFERRAL,
        samples=RECIPES["m2m-far"].with_(start=0.0),
        taught=Teaching(share=0.0),
    ),
    Arm(
        "ours",
        "m2m-far, and hardened",
        control=False,
        balanced=True,
        samples=RECIPES["m2m-far"],
        amount="balance",
        mix=0.3,
        hardened=True,
    ),
    Arm(
        "distilled-adversarial",
        "distilled, and 15 % of frequent rows moved by L2 2 into rare classes, labelled by that network",
        control=False,
        reweight=DEFERRAL,
        taught=Teaching(),
    ),
)

ARMS: Mapping[str, Arm] = MappingProxyType({row.name: row for row in _ROWS})
