"""What the trainings of one seed have in common."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn

from cloud_server.augment.evaluate.bias.planted import Grouped
from cloud_server.augment.surrogate import Surrogate
from models.vision.networks import build_classifier
from models.vision.training import Training

__all__ = ["BiasWork"]


@dataclass(frozen=True, eq=False)
class BiasWork:
    """What the arms of one seed have in common.

    Args:
        train: the biased data, two classes.
        test: held-out images.
        network: of `models.vision.networks`.
        training: of every arm, and of the classifier of groups.
        seed: of everything.
        known: the classifier of groups once one arm had it trained; no arm changes it.
    """

    train: Grouped
    test: Grouped
    network: str
    training: Training
    seed: int
    known: list[Surrogate] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, int, int]:
        """C H W."""
        _, channels, height, width = self.train.images.shape
        return (channels, height, width)

    def build(self, outputs: int, seed: int) -> nn.Module:
        """A new network; the same for the same seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            size = min(self.shape[1:])
            return build_classifier(self.network, outputs, channels=self.shape[0], size=size)

    @property
    def judge_seed(self) -> int:
        """Of the classifier of groups, which is another network than any arm's."""
        return (1 << 20) + self.seed

    def build_judge(self) -> nn.Module:
        """A new classifier of groups."""
        return self.build(len(self.train.group_names), self.judge_seed)
