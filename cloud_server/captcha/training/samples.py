"""Rendered samples with labels: what is written, and which character stands in which column."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from cloud_server.captcha.challenges.render import Style, draw_text, render
from cloud_server.captcha.challenges.types import ALPHABET, WIDTH, Plane
from models.text.networks import SLOTS
from models.text.readers import encode

__all__ = ["STRIPES", "TRAINING_STYLE", "Samples", "make_samples", "stripes"]

# Columns that parts are told for, each of eight pixels.
STRIPES = 32
# Broader than what is issued, so that a reader of any deployment's fonts and shades comes out.
TRAINING_STYLE = replace(
    Style(),
    contrast=(36, 64),
    grain=(2, 5),
    ink_grain=(5, 13),
    gap=(1, 8),
    rotation=9.0,
    shear=0.13,
    wave=1.4,
)


@dataclass(frozen=True)
class Samples:
    """Rendered images and what is known of them.

    Args:
        texts: N.
        images: float32 N 1 H W in [0,1].
        ink: share of each pixel that glyphs cover, as images.
        labels: classes, int64 N K, 0 behind the end.
        parts: place of the character in each stripe of eight columns, int64 N 32; K for none.
    """

    texts: tuple[str, ...]
    images: Tensor
    ink: Tensor
    labels: Tensor
    parts: Tensor

    def __len__(self) -> int:
        return len(self.texts)


def make_samples(
    count: int, *, rng: np.random.Generator, style: Style = TRAINING_STYLE, lengths: tuple[int, ...] = (5, 6)
) -> Samples:
    """Fresh samples; four milliseconds each.

    Args:
        count: how many.
        rng: of texts and looks.
        style: how they look.
        lengths: of texts, each as likely.
    """
    made = [render(draw_text(rng, lengths=lengths), rng=rng, style=style) for _ in range(count)]
    texts = tuple(item.text for item in made)
    return Samples(
        texts,
        _stack([item.image for item in made]),
        _stack([item.ink for item in made]),
        encode(texts, ALPHABET),
        torch.from_numpy(np.stack([stripes(item.letters) for item in made])),
    )


def stripes(letters: Plane) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Which character covers most of each stripe, int64 of length 32; `SLOTS` where none does.

    Args:
        letters: ink of each character, float32 K H W.
    """
    share = letters.sum(axis=1).reshape(len(letters), STRIPES, WIDTH // STRIPES).sum(axis=2)
    # Less than a pixel of ink is a glyph's soft rim.
    return np.where(share.max(axis=0) > 1.0, share.argmax(axis=0), SLOTS).astype(np.int64)


def _stack(planes: list[Plane]) -> Tensor:
    return torch.from_numpy(np.stack(planes)[:, None])
