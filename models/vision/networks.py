"""Classifiers of small pictures. Normalisation is inside, so that attacks and files know only [0,1]."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["NETWORKS", "Row", "build_classifier"]


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Args:
        widths: channels of the stages; each after the first halves height and width.
        blocks: residual blocks of each stage.
        fold: side of the squares of pixels that become channels before the first convolution: 2 makes a
            quarter of the work where nearly all of it is.
        purpose: what the row is for.
        shrink: how a stage halves height and width: 'stride' computes every other place of its convolution;
            'pool' all of them, and keeps the largest of four: better, and the only one that is quick in
            bfloat16, where strided convolutions reach a third of the speed.
    """

    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    fold: int
    purpose: str
    shrink: Literal["stride", "pool"] = "stride"


NETWORKS: Mapping[str, Row] = MappingProxyType(
    {
        "tiny": Row((16, 32), (0, 1), 2, "seconds: tests, and surrogates on the spot"),
        "small": Row((24, 48, 96), (1, 1, 1), 2, "minutes on one thread: the reduced protocol"),
        "medium": Row((32, 64, 128), (1, 1, 1), 2, "a better surrogate at 0.6 x the speed of 'small'"),
        "wide": Row(
            (64, 128, 256), (0, 1, 1), 2, "a quarter of an hour on one thread in bfloat16", shrink="pool"
        ),
        "fine": Row(
            (32, 64, 128, 256), (1, 1, 1, 1), 1, "every pixel at full size: learns more of what is fragile"
        ),
        "resnet18": Row(
            (64, 128, 256, 512), (2, 2, 2, 2), 1, "the full protocol; arXiv 1512.03385, CIFAR form"
        ),
    }
)


def build_classifier(name: str, classes: int, *, channels: int = 3, size: int = 32) -> nn.Module:
    """A network with new weights, drawn from torch's generator.

    Args:
        name: of the table.
        classes: K, how many logits.
        channels: C of the images.
        size: height and width; the network takes other sizes too, but nothing smaller than it can halve.

    Returns:
        Maps images N C H W in [0,1] to logits N K.

    Raises:
        ValueError: for an unknown name, fewer than two classes, or images that are too small.
    """
    if name not in NETWORKS:
        raise ValueError(f"network: there is no {name!r}; known are {', '.join(NETWORKS)}")
    row = NETWORKS[name]
    least = row.fold * 2 ** (len(row.widths) - 1)
    if classes < 2 or channels < 1:
        raise ValueError(f"network: needs 2 classes and 1 channel or more, got {classes} and {channels}")
    if size < least or size % row.fold:
        raise ValueError(
            f"network {name!r}: needs a size of {least} or more, divisible by {row.fold}: {size}"
        )
    network = _Residual(row, classes, channels)
    for parameter in network.parameters():
        if parameter.ndim == 4:
            # A fifth faster on a CPU than planes first.
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


class _Residual(nn.Module):
    def __init__(self, row: Row, classes: int, channels: int) -> None:
        super().__init__()
        self.fold = nn.PixelUnshuffle(row.fold)
        layers: list[nn.Module] = []
        before = channels * row.fold**2
        for i, (width, blocks) in enumerate(zip(row.widths, row.blocks, strict=True)):
            layers += [
                _layer(before, width) if i == 0 else _shrinking(before, width, row.shrink),
                *(_Block(width) for _ in range(blocks)),
            ]
            before = width
        self.stages = nn.Sequential(*layers)
        self.head = nn.Linear(before, classes)

    def forward(self, images: Tensor) -> Tensor:
        # CIFAR's own means and deviations are this within a twentieth, and any picture's roughly.
        x = self.fold((images - 0.5) * 4.0)
        x = self.stages(x.contiguous(memory_format=torch.channels_last))
        logits: Tensor = self.head(x.mean(dim=(2, 3)))
        return logits


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = _layer(width, width), _layer(width, width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.second(self.first(x))
        return y


def _layer(before: int, after: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


def _shrinking(before: int, after: int, how: Literal["stride", "pool"]) -> nn.Sequential:
    if how == "stride":
        return _layer(before, after, stride=2)
    convolution, *others = _layer(before, after)
    # Before normalisation: that costs a quarter on what is left.
    return nn.Sequential(convolution, nn.MaxPool2d(2), *others)
