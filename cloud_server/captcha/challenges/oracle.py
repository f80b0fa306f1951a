"""What the attack asks of readers: that every character be read as another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from cloud_server.captcha.challenges.types import ALPHABET
from models.text.readers import encode, reading_loss
from shared.attack.keys import Keys
from shared.attack.oracles import LossGradient

__all__ = ["Misread", "StillRead", "other_texts"]

# Nats a character below which a text counts as read.
_READ = 0.15


@dataclass(frozen=True)
class Misread:
    """How much likelier a reader finds other texts than the true ones; attacks ascend it.

    Of CTC all alignments of both texts count, so that the attack cannot be undone by another path. The
    difference of two losses has a gradient where one alone has none left.

    Args:
        network: reader, images N 1 H W to its output.
        labels: true classes, int64 N K.
        targets: classes to be read instead, int64 N K, another one in every place.
    """

    network: nn.Module
    labels: Tensor
    targets: Tensor

    def __call__(self, images: Tensor, keys: Keys, /) -> LossGradient:
        """Loss (N) and gradient (N 1 H W); nothing is random here."""
        with torch.enable_grad():
            leaf = images.detach().requires_grad_()
            output = self.network(leaf)
            loss = reading_loss(output, self.labels) - reading_loss(output, self.targets)
            (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        return LossGradient(loss.detach(), gradient)


@dataclass(frozen=True)
class StillRead:
    """How far a reader is from reading the true text: 0 where it reads it clearly. Descended, not ascended.

    Args:
        network: reader, images N 1 H W to its output.
        labels: true classes, int64 N K.
    """

    network: nn.Module
    labels: Tensor

    def __call__(self, images: Tensor, keys: Keys, /) -> LossGradient:
        """Loss (N) and gradient (N 1 H W); nothing is random here."""
        with torch.enable_grad():
            leaf = images.detach().requires_grad_()
            loss = (reading_loss(self.network(leaf), self.labels) - _READ).clamp_min(0)
            (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        return LossGradient(loss.detach(), gradient)


def other_texts(texts: Sequence[str], *, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Classes of the texts, and of texts as long that differ from them in every place, int64 N K each."""
    labels = encode(texts, ALPHABET)
    steps = torch.from_numpy(rng.integers(1, len(ALPHABET), size=tuple(labels.shape)))
    targets = (labels - 1 + steps) % len(ALPHABET) + 1
    return labels, torch.where(labels > 0, targets, 0)
