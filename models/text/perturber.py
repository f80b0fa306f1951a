"""A network that attacks readers in one forward pass (adversarial transformation network, arXiv 1703.09387).

It is told what an image shows, where, and what it shall be read as instead, and draws the change. What it
draws is where an attack on gradients begins, not an attack by itself: budgets are kept by the loop.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from models.text.readers import fold, read_weights, unpack_weights, weights_name

__all__ = ["PERTURBER", "Perturber", "load_perturber"]

# Its weights are `weights/text-perturber.npz`.
PERTURBER = "perturber"
_WIDTHS, _WORDS = (40, 80, 128), 8


class Perturber(nn.Module):
    """Convolutions over image, ink, noise, and what each column shows and shall be read as; a U-Net.

    Args:
        characters: size of the alphabet.
        widths: channels at a half, a quarter and an eighth of the image's size.
    """

    def __init__(self, characters: int, widths: tuple[int, int, int] = _WIDTHS) -> None:
        super().__init__()
        fine, middle, coarse = widths
        self.true, self.wanted = (nn.Embedding(characters + 1, _WORDS) for _ in range(2))
        self.fine = nn.Sequential(*_layer(3 * 4 + 2 * _WORDS, fine), *_layer(fine, fine))
        self.middle = nn.Sequential(*_layer(fine, middle, 2), *_layer(middle, middle))
        self.coarse = nn.Sequential(
            *_layer(middle, coarse, 2), *_layer(coarse, coarse), *_layer(coarse, coarse)
        )
        self.up_middle = nn.Sequential(*_layer(coarse + middle, middle))
        self.up_fine = nn.Sequential(*_layer(middle + fine, fine))
        self.head = nn.Conv2d(fine, 4, 3, padding=1)

    def forward(self, planes: Tensor, spans: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        """The change in [-1,1], as a share of the budget, N 1 H W.

        Args:
            planes: image in [0,1], share of ink in [0,1], and coarse standard normal noise: N 3 H W, H and
                W divisible by 8.
            spans: columns that each character takes, N K W/2 in [0,1].
            labels: classes of the characters, N K.
            targets: classes that they shall be read as, N K.
        """
        scaled = planes * planes.new_tensor([4.0, 1.0, 1.0])[:, None, None]
        seen = F.pixel_unshuffle(scaled - scaled.new_tensor([2.8, 0.0, 0.0])[:, None, None], 2)
        words = torch.cat([self.true(labels), self.wanted(targets)], dim=-1)[:, : spans.shape[1]]
        told = torch.einsum("nkw,nkc->ncw", spans, words)[:, :, None].expand(-1, -1, seen.shape[2], -1)
        fine = self.fine(torch.cat([seen, told], dim=1).contiguous(memory_format=torch.channels_last))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        middle = self.up_middle(torch.cat([F.interpolate(coarse, scale_factor=2), middle], dim=1))
        fine = self.up_fine(torch.cat([F.interpolate(middle, scale_factor=2), fine], dim=1))
        return torch.tanh(F.pixel_shuffle(self.head(fine).float(), 2))


def _layer(before: int, after: int, stride: int = 1) -> tuple[nn.Module, ...]:
    return nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()


def load_perturber(alphabet: str, folder: Path | None = None) -> Perturber:
    """The trained network in evaluation mode, without gradients for its weights.

    Args:
        alphabet: characters, in the order of classes 1 and up.
        folder: of weights that were trained elsewhere; None for those of this package.

    Raises:
        GoodnoiseError: NOT_FOUND when the folder has none; CORRUPT for weights of another alphabet or none.
    """
    network = Perturber(len(alphabet))
    unpack_weights(network, read_weights(PERTURBER, folder), alphabet, source=weights_name(PERTURBER))
    fold(network.eval().requires_grad_(requires_grad=False))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
