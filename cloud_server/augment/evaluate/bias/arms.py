"""The table of remedies against a bias."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from cloud_server.augment.recipes import RECIPES, Recipe

__all__ = ["BIAS_ARMS", "BiasArm", "Draws"]

# 'plain': images as often as there are. 'cells': class and group alike. 'least': only as many of each class
# and group as of the smallest.
Draws = Literal["plain", "cells", "least"]


@dataclass(frozen=True)
class BiasArm:
    """One way to train.

    Args:
        name: in the table.
        about: what it is, in a few words.
        control: whether it is one that a recipe has to beat.
        draws: see `Draws`.
        weighted: losses are weighted so that class and group count alike.
        samples: made before; None for none.
        mix: share of samples among the rows of a class and group; None leaves it to their numbers.
        coupled: the same recipe online: the classifier of the groups learns meanwhile, also from what was
            made against it.
    """

    name: str
    about: str
    control: bool = True
    draws: Draws = "plain"
    weighted: bool = False
    samples: Recipe | None = None
    mix: float | None = None
    coupled: Recipe | None = None


_AEDA, _BOTH = RECIPES["aeda"], RECIPES["aeda-both"]
_ROWS = (
    BiasArm("nothing", "the biased data as they are"),
    BiasArm("re-weighting", "losses weighted by class and group", weighted=True),
    BiasArm("over-sampling", "class and group drawn alike", draws="cells"),
    BiasArm("under-sampling", "as many of each class and group as of the smallest", draws="least"),
    BiasArm(
        "noise",
        "over-sampling; half of the rows under noise of L2 6.5, as large as aeda-both's attacks",
        draws="cells",
        samples=RECIPES["noise"].with_(radius=6.5),
        mix=0.5,
    ),
    BiasArm("aeda", "AEDA offline: groups of each class evened out by attacks", control=False, samples=_AEDA),
    BiasArm(
        "aeda-coupled", "AEDA online, coupled with the classifier of groups", control=False, coupled=_AEDA
    ),
    BiasArm(
        "aeda-sampled",
        "over-sampling; half of the rows of a short group are AEDA's",
        control=False,
        draws="cells",
        samples=_AEDA,
        mix=0.5,
    ),
    BiasArm(
        "aeda-both",
        "over-sampling; half of the rows were attacked toward the other group, from both sides",
        control=False,
        draws="cells",
        samples=_BOTH,
        mix=0.5,
    ),
    BiasArm(
        "aeda-both-coupled",
        "the same online, coupled with the classifier of groups",
        control=False,
        draws="cells",
        coupled=_BOTH,
    ),
)

BIAS_ARMS: Mapping[str, BiasArm] = MappingProxyType({row.name: row for row in _ROWS})
