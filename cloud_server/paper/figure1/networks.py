"""The recognisers of letters: a bidirectional LSTM over columns read by CTC, and a small CNN."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from cloud_server.paper.figure1.settings import LETTERS, SIDE, Body
from shared.attack.keys import Keys
from shared.attack.oracles import LossGradient

__all__ = ["ColumnLstm", "LetterOracle", "Recogniser", "SmallCnn", "build"]

# What a reader answers that does not see exactly one letter.
NOTHING = -1


class Recogniser(nn.Module, ABC):
    """Grey images N 1 S S in [0,1] in; a loss for training and attack, and letters, out."""

    @abstractmethod
    def losses(self, images: Tensor, labels: Tensor) -> Tensor:
        """The loss (N) of the right letters (N)."""

    @abstractmethod
    def read(self, images: Tensor) -> Tensor:
        """The letters' indices (N), `NOTHING` where it is not one letter."""


class ColumnLstm(Recogniser):
    """Columns of the image as a sequence, a bidirectional LSTM, CTC: the model that the paper cites as [6].

    Source: Breuel et al., ICDAR 2013. Class 0 is the blank. No language model, no line normalisation: these
    images hold one letter.
    """

    def __init__(self, hidden: int = 100) -> None:
        super().__init__()
        self.lstm = nn.LSTM(SIDE, hidden, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * hidden, 1 + len(LETTERS))

    def forward(self, images: Tensor) -> Tensor:
        """Log-probabilities N W 1+C."""
        columns = (0.5 - images[:, 0]).transpose(1, 2) * 4
        return functional.log_softmax(self.head(self.lstm(columns)[0]), dim=-1)

    def losses(self, images: Tensor, labels: Tensor) -> Tensor:
        """Minus the log-probability of the letter over all alignments."""
        columns = self(images)
        count, length = columns.shape[:2]
        lengths = torch.full((count,), length), torch.ones(count, dtype=torch.long)
        targets = (labels + 1)[:, None]
        return functional.ctc_loss(columns.transpose(0, 1), targets, *lengths, reduction="none")

    def read(self, images: Tensor) -> Tensor:
        """The best path, collapsed."""
        best = self(images).argmax(dim=-1)
        begins = best != functional.pad(best, (1, 0))[:, :-1]
        seen = (best > 0) & begins
        letters = (best * seen).sum(dim=1) - 1
        return torch.where(seen.sum(dim=1) == 1, letters, torch.full_like(letters, NOTHING))


class SmallCnn(Recogniser):
    """Three convolutions and a linear layer, trained on cross-entropy."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        sizes = (1, width, 2 * width, 3 * width)
        self.body = nn.Sequential(
            *(
                part
                for before, after in itertools.pairwise(sizes)
                for part in (nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
            )
        )
        self.head = nn.Linear(3 * width * (SIDE // 8) ** 2, len(LETTERS))

    def forward(self, images: Tensor) -> Tensor:
        """Scores N C."""
        return self.head(self.body((0.5 - images) * 4).flatten(1))  # type: ignore[no-any-return]

    def losses(self, images: Tensor, labels: Tensor) -> Tensor:
        """The cross-entropy."""
        return functional.cross_entropy(self(images), labels, reduction="none")

    def read(self, images: Tensor) -> Tensor:
        """The best letter."""
        return self(images).argmax(dim=-1)  # type: ignore[no-any-return]


def build(body: Body) -> Recogniser:
    """A recogniser with random weights of torch's generator."""
    return ColumnLstm() if body == "lstm" else SmallCnn()


@dataclass(frozen=True)
class LetterOracle:
    """A recogniser's loss of the right letters: ascending it is the untargeted attack of FGSM.

    Args:
        network: frozen.
        labels: the letters' indices (N) of the images it will be called with.
    """

    network: Recogniser
    labels: Tensor

    def __call__(self, images: Tensor, keys: Keys, /) -> LossGradient:
        """Loss (N) and gradient (N 1 S S); nothing is random here."""
        with torch.enable_grad():
            leaf = images.detach().requires_grad_()
            losses = self.network.losses(leaf, self.labels)
            (gradient,) = torch.autograd.grad(losses.sum(), leaf)
        return LossGradient(losses.detach(), gradient)
