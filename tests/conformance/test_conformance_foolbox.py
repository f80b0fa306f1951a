"""Agreement with foolbox for FGSM and PGD. Its Linf MI is another attack: it accumulates signs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from shared.attack.attack import run
from shared.attack.budgets import Linf
from shared.attack.oracles import Oracle
from shared.attack.table import ATTACKS

pytestmark = pytest.mark.torch

Pictures = tuple[torch.Tensor, torch.Tensor]


def _theirs(foolbox: Any, attack: Any, net: nn.Module, pictures: Pictures) -> torch.Tensor:
    model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    return attack.run(model, pictures[0], foolbox.criteria.Misclassification(pictures[1]), epsilon=8 / 255)


def test_fgsm(
    net: nn.Module,
    pictures: Pictures,
    cross_entropy: Callable[[torch.Tensor], Oracle],
    quiet: Callable[[str], Any],
) -> None:
    foolbox = quiet("foolbox")
    theirs = _theirs(foolbox, foolbox.attacks.LinfFastGradientAttack(random_start=False), net, pictures)
    ours = run(ATTACKS["fgsm"], cross_entropy(pictures[1]), pictures[0], Linf(8))
    assert (ours.images - theirs).abs().max() <= 1e-6


def test_pgd(
    net: nn.Module,
    pictures: Pictures,
    cross_entropy: Callable[[torch.Tensor], Oracle],
    quiet: Callable[[str], Any],
) -> None:
    foolbox = quiet("foolbox")
    peer = foolbox.attacks.LinfPGD(rel_stepsize=0.25, steps=10, random_start=False)
    theirs = _theirs(foolbox, peer, net, pictures)
    ours = run(replace(ATTACKS["pgd"], random_start=0.0), cross_entropy(pictures[1]), pictures[0], Linf(8))
    assert (ours.images - theirs).abs().max() <= 1e-6
