"""Agreement with torchattacks 3.5.1 on a trained network (install it with `pip install --no-deps`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from shared.attack.attack import Attack, run
from shared.attack.budgets import Linf
from shared.attack.oracles import Negated, Oracle
from shared.attack.steps import Smoothing
from shared.attack.table import ATTACKS
from shared.attack.transforms import Pad

pytestmark = pytest.mark.torch

EPS, ALPHA = 8 / 255, 2 / 255
Make = Callable[[torch.Tensor], Oracle]
Pictures = tuple[torch.Tensor, torch.Tensor]

CASES: dict[str, tuple[Attack, str, dict[str, Any]]] = {
    "fgsm": (ATTACKS["fgsm"], "FGSM", {"eps": EPS}),
    "i-fgsm": (
        replace(ATTACKS["i-fgsm"], step_size=0.25),
        "BIM",
        {"eps": EPS, "alpha": ALPHA, "steps": 10},
    ),
    "pgd": (
        replace(ATTACKS["pgd"], random_start=0.0),
        "PGD",
        {"eps": EPS, "alpha": ALPHA, "steps": 10, "random_start": False},
    ),
    "mi": (
        replace(ATTACKS["mi-fgsm"], step_size=0.25),
        "MIFGSM",
        {"eps": EPS, "alpha": ALPHA, "steps": 10, "decay": 1.0},
    ),
    "ni": (
        replace(ATTACKS["ni-fgsm"], step_size=0.25),
        "NIFGSM",
        {"eps": EPS, "alpha": ALPHA, "steps": 10, "decay": 1.0},
    ),
    "si": (
        replace(ATTACKS["si"], step_size=0.25),
        "SINIFGSM",
        {"eps": EPS, "alpha": ALPHA, "steps": 10, "decay": 1.0, "m": 5},
    ),
    "ti": (
        replace(ATTACKS["ti"], step_size=0.25, smoothing=Smoothing(7, 3.0)),
        "TIFGSM",
        {"eps": EPS, "alpha": ALPHA, "steps": 10, "decay": 1.0, "diversity_prob": 0.0, "len_kernel": 7},
    ),
    "di without chance": (
        replace(ATTACKS["m-di2-fgsm"], step_size=0.25, transform=Pad("torchattacks", p=0.0)),
        "DIFGSM",
        {"eps": EPS, "alpha": ALPHA, "steps": 10, "decay": 1.0, "diversity_prob": 0.0},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_same_images_as_torchattacks(
    name: str, net: nn.Module, pictures: Pictures, cross_entropy: Make, quiet: Callable[[str], Any]
) -> None:
    attack, peer, settings = CASES[name]
    images, labels = pictures
    theirs = getattr(quiet("torchattacks"), peer)(net, **settings)(images, labels)

    ours = run(attack, cross_entropy(labels), images, Linf(8))

    assert (ours.images - theirs).abs().max() <= 1e-6
    assert ours.gradient_calls == attack.steps * attack.scale_copies


def test_targeted_is_the_negated_oracle(
    net: nn.Module, pictures: Pictures, cross_entropy: Make, quiet: Callable[[str], Any]
) -> None:
    images, labels = pictures
    targets = (labels + 1) % 6
    peer = quiet("torchattacks").MIFGSM(net, eps=EPS, alpha=ALPHA, steps=10, decay=1.0)
    peer.set_mode_targeted_by_label(quiet=True)

    ours = run(replace(ATTACKS["mi-fgsm"], step_size=0.25), Negated(cross_entropy(targets)), images, Linf(8))

    assert (ours.images - peer(images, targets)).abs().max() <= 1e-6


def test_the_conventions_can_be_told_apart_on_this_network(pictures: Pictures, cross_entropy: Make) -> None:
    """Without this the agreement above would prove nothing."""
    images, labels = pictures
    oracle = cross_entropy(labels)
    made = [
        run(replace(ATTACKS[name], random_start=0.0, step_size=0.25), oracle, images, Linf(8)).images
        for name in ("pgd", "mi-fgsm", "ni-fgsm", "ti", "si")
    ]
    for i, one in enumerate(made):
        for other in made[:i]:
            assert ((one - other).abs() > 1e-6).float().mean() > 0.02
