"""The adaptive solver's network, and how its training images are varied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, cast

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cloud_server.captcha.challenges.types import ALPHABET
from cloud_server.captcha.report.preprocess import PREPROCESSINGS, Grey

__all__ = ["AdaptiveNet", "batch_of", "vary"]

Batch: TypeAlias = npt.NDArray[np.uint8]


def _block(inputs: int, outputs: int, stride: int | tuple[int, int], kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class AdaptiveNet(nn.Module):
    """A CRNN with CTC (Shi et al., arXiv 1507.05717): as much as one core trains in a quarter of an hour.

    Args:
        classes: characters and blank.
    """

    def __init__(self, classes: int = len(ALPHABET) + 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _block(1, 20, 2, 5),
            _block(20, 40, 2),
            _block(40, 64, (2, 1)),
            _block(64, 96, (2, 1)),
            nn.Conv2d(96, 96, (4, 1), bias=False),
            nn.BatchNorm2d(96),
            nn.ReLU(inplace=True),
            nn.Dropout(0.1),
        )
        self.memory = nn.GRU(96, 64, bidirectional=True, batch_first=True)
        self.head = nn.Linear(128, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Log-probabilities N T C of images N 1 64 W in [0,1]; T is W / 4, class 0 is blank."""
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        deviation = images.std(dim=(1, 2, 3), keepdim=True)
        features = self.body((images - mean) / (deviation + 0.02)).squeeze(2).transpose(1, 2)
        return cast("Tensor", self.head(self.memory(features)[0]).log_softmax(dim=-1))


def batch_of(images: Sequence[Grey] | Batch) -> Tensor:
    """Images uint8 H W as one float32 N 1 H W in [0,1]."""
    stacked = np.stack(list(images))[:, None].astype(np.float32) / np.float32(255)
    # Convolutions are a fifth faster so on one core.
    return torch.from_numpy(stacked).contiguous(memory_format=torch.channels_last)


# What `vary` may do to an image beside moving it, and how often.
_CLEANING = ("nothing", "median 3", "blur", "jpeg 50", "noise")
_OFTEN = (0.4, 0.15, 0.2, 0.1, 0.15)


def vary(image: Grey, *, rng: np.random.Generator) -> Grey:
    """The image moved, turned and scaled a little, cleaned or made noisier, in another contrast.

    Args:
        image: uint8 H W.
        rng: all that is random.
    """
    moved = _moved(image, rng)
    choice = str(rng.choice(_CLEANING, p=_OFTEN))
    if choice == "noise":
        cleaned = moved + rng.normal(0, rng.uniform(2, 10), moved.shape)
    else:
        cleaned = PREPROCESSINGS[choice](moved).astype(np.float64)
    shown = (cleaned - 128) * rng.uniform(0.8, 1.2) + 128 + rng.uniform(-15, 15)
    return np.asarray(np.clip(shown, 0, 255), np.uint8)


def _moved(image: Grey, rng: np.random.Generator) -> Grey:
    height, width = image.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-2, 2), rng.uniform(0.94, 1.05))
    turn = turn + np.array([[0, 0, rng.uniform(-6, 6)], [0, 0, rng.uniform(-3, 3)]])
    return np.asarray(cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)
