"""Three small readers of text, trained here: columns with CTC, attention, and segments that are classified.

All take grey images N 1 H W in [0,1] and return log-probabilities; class 0 is blank or end, class 1 + i is
character i of the alphabet. Their differences are on purpose: an attack on one alone fits its body too well.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

__all__ = [
    "ARCHITECTURES",
    "SLOTS",
    "Architecture",
    "Attention",
    "Columns",
    "Segments",
    "TextOutput",
    "build",
]

Architecture = Literal["columns", "attention", "segments"]
ARCHITECTURES: tuple[Architecture, ...] = ("columns", "attention", "segments")
# Characters at most.
SLOTS = 6


class TextOutput(NamedTuple):
    """What a reader says.

    columns: log-probabilities N T C for CTC, or None. slots: log-probabilities N K C, or None.
    parts: share of each slot in each column, log-probabilities N K+1 W', the last for none of them, or None.
    """

    columns: Tensor | None = None
    slots: Tensor | None = None
    parts: Tensor | None = None


def build(architecture: Architecture, characters: int, *, width: float = 1.0) -> nn.Module:
    """A network with random weights from torch's generator.

    Args:
        architecture: which.
        characters: size of the alphabet.
        width: factor of its channels.
    """
    makers = {"columns": Columns, "attention": Attention, "segments": Segments}
    return makers[architecture](characters, width)


def _channels(count: int, width: float) -> int:
    return max(8, 8 * round(count * width / 8))


def _block(inputs: int, outputs: int, stride: int | tuple[int, int], kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.SiLU(),
    )


class _Standardise(nn.Module):
    """Each image less its mean over its deviation, so that contrast does not matter."""

    def forward(self, images: Tensor) -> Tensor:
        centred = images - images.mean(dim=(1, 2, 3), keepdim=True)
        # As `std`, which takes four times as long.
        variance = centred.square().sum(dim=(1, 2, 3), keepdim=True) / (images[0].numel() - 1)
        return centred / (variance.sqrt() + 0.02)


class Columns(nn.Module):
    """Convolutions, a bidirectional GRU over columns, CTC (Shi et al., arXiv 1507.05717)."""

    def __init__(self, characters: int, width: float) -> None:
        super().__init__()
        sizes = [_channels(n, width) for n in (16, 32, 48, 64, 96)]
        self.body = nn.Sequential(
            _Standardise(),
            _block(1, sizes[0], 2, 5),
            _block(sizes[0], sizes[1], 2),
            _block(sizes[1], sizes[2], 1),
            _block(sizes[2], sizes[3], (2, 1)),
            _block(sizes[3], sizes[4], (2, 1)),
            nn.Conv2d(sizes[4], sizes[4], (4, 1)),
            nn.SiLU(),
        )
        self.memory = nn.GRU(sizes[4], 48, bidirectional=True, batch_first=True)
        self.head = nn.Linear(96, characters + 1)

    def forward(self, images: Tensor) -> TextOutput:
        """Images N 1 H W to `columns`, N W/4 C."""
        features = self.body(images).squeeze(2).transpose(1, 2)
        return TextOutput(columns=self.head(self.memory(features)[0]).log_softmax(dim=-1))


class Attention(nn.Module):
    """Convolutions with a residual body, then one learned question a character that attends over the map."""

    def __init__(self, characters: int, width: float) -> None:
        super().__init__()
        sizes = [_channels(n, width) for n in (24, 48, 64, 96)]
        self.body = nn.Sequential(
            _Standardise(),
            _block(1, sizes[0], 2, 3),
            _block(sizes[0], sizes[1], 2),
            _Residual(sizes[1]),
            _block(sizes[1], sizes[2], 2),
            _Residual(sizes[2]),
            _block(sizes[2], sizes[3], (2, 1)),
            _Residual(sizes[3]),
        )
        self.memory = nn.GRU(sizes[3], 48, bidirectional=True, batch_first=True)
        self.keys = nn.Conv2d(sizes[3] + 96, 64, 1)
        self.questions = nn.Parameter(torch.randn(SLOTS, 64) * 0.3)
        self.head = nn.Sequential(nn.Linear(sizes[3], 96), nn.SiLU(), nn.Linear(96, characters + 1))

    def forward(self, images: Tensor) -> TextOutput:
        """Images N 1 H W to `slots`, N K C."""
        features = self.body(images)
        order = self.memory(features.mean(dim=2).transpose(1, 2))[0].transpose(1, 2)
        both = torch.cat([features, order[:, :, None].expand(-1, -1, features.shape[2], -1)], dim=1)
        scores = torch.einsum("kd,ndhw->nkhw", self.questions, self.keys(both)).flatten(2)
        found = torch.einsum("nkp,ncp->nkc", scores.softmax(dim=-1), features.flatten(2))
        return TextOutput(slots=self.head(found).log_softmax(dim=-1))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        return cast("Tensor", features + self.inner(features))


class Segments(nn.Module):
    """Where each character stands is told first, column by column; then each part is classified alone."""

    def __init__(self, characters: int, width: float) -> None:
        super().__init__()
        sizes = [_channels(n, width) for n in (24, 48, 64, 64)]
        self.body = nn.Sequential(
            _Standardise(),
            _block(1, sizes[0], 2, 5),
            _block(sizes[0], sizes[1], 1, 3),
            nn.MaxPool2d(2),
            _block(sizes[1], sizes[2], 1, 3),
            nn.MaxPool2d(2),
            _block(sizes[2], sizes[3], 1, 3),
        )
        self.order = nn.GRU(sizes[3], 32, bidirectional=True, batch_first=True)
        self.parts = nn.Linear(64, SLOTS + 1)
        # A part is its height by five columns, stretched over where it was found.
        self.head = nn.Sequential(nn.Linear(sizes[3] * 8 * 5, 128), nn.SiLU(), nn.Linear(128, characters + 1))

    def forward(self, images: Tensor) -> TextOutput:
        """Images N 1 H W to `slots`, N K C, and `parts`, N K+1 W/8."""
        features = self.body(images)
        parts = self.parts(self.order(features.mean(dim=2).transpose(1, 2))[0]).log_softmax(dim=-1)
        slots = self.head(_cut(features, parts.exp())).log_softmax(dim=-1)
        return TextOutput(slots=slots, parts=parts.transpose(1, 2))


def _cut(features: Tensor, parts: Tensor) -> Tensor:
    """Features N C H W and shares N W K+1 to the parts themselves, N K C*H*5."""
    columns = torch.arange(features.shape[3], device=features.device, dtype=features.dtype)
    shares = parts[:, :, :SLOTS].transpose(1, 2)
    total = shares.sum(dim=-1, keepdim=True) + 1e-3
    middle = (shares * columns).sum(dim=-1, keepdim=True) / total
    reach = torch.sqrt((shares * (columns - middle) ** 2).sum(dim=-1, keepdim=True) / total + 0.3) * 0.9
    points = middle + reach * torch.linspace(-2, 2, 5, device=features.device, dtype=features.dtype)
    # Linear interpolation as a product, so that it needs no special operator: N K 5 W.
    weights = (1 - (points[..., None] - columns).abs()).clamp_min(0)
    found = torch.einsum("nksw,nchw->nkchs", weights, features)
    return found.flatten(2) * (total / (total + 0.2))
