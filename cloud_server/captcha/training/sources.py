"""What each stage learns from: rendered samples, the same under attack, or what the service would issue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from cloud_server.captcha.challenges.oracle import Misread, other_texts
from cloud_server.captcha.challenges.recipe import Recipe
from cloud_server.captcha.challenges.types import ALPHABET
from cloud_server.captcha.report.harvest import Readable
from cloud_server.captcha.training.samples import Samples, make_samples
from models.text.readers import encode
from shared.attack.attack import Attack, run
from shared.attack.budgets import Linf

__all__ = ["INNER", "Attacked", "Batch", "Issued", "Rendered", "Source", "attacked"]

# Long steps from a random start: two reach the corners of the budget.
INNER = Attack(
    "inner",
    "arXiv 1706.06083, section 3",
    "sign steps from a random start",
    steps=2,
    step_size=0.65,
    random_start=1.0,
)
# Learning from somewhat more than is issued leaves a margin.
_MARGIN = 1.2
# Some samples stay clean, so that a hardened reader reads those too.
_CLEAN = 0.05


@dataclass(frozen=True)
class Batch:
    """What one update learns from.

    Args:
        images: float32 N 1 H W.
        labels: int64 N K.
        parts: as of `Samples`, or None where they are not known.
    """

    images: Tensor
    labels: Tensor
    parts: Tensor | None = None


class Source(Protocol):
    """Makes batches."""

    def batch(self, network: nn.Module, size: int, rng: np.random.Generator) -> Batch:
        """A batch, from the generator alone.

        Args:
            network: as it is now; left in training mode or not, as it likes.
            size: samples.
            rng: of everything random.
        """


@dataclass(frozen=True)
class Rendered:
    """Fresh rendered samples, varied.

    Args:
        lengths: of texts.
    """

    lengths: tuple[int, ...]

    def batch(self, network: nn.Module, size: int, rng: np.random.Generator) -> Batch:
        """Samples without any attack."""
        samples = make_samples(size, rng=rng, lengths=self.lengths)
        return Batch(_varied(samples.images, _generator(rng)), samples.labels, samples.parts)


@dataclass(frozen=True)
class Attacked:
    """Fresh samples that are attacked with the reader as it is at that moment (arXiv 1706.06083).

    Args:
        lengths: of texts.
        recipe: budgets of the service.
    """

    lengths: tuple[int, ...]
    recipe: Recipe

    def batch(self, network: nn.Module, size: int, rng: np.random.Generator) -> Batch:
        """Samples under an attack of two steps, with budgets from none to a little above the service's."""
        samples = make_samples(size, rng=rng, lengths=self.lengths)
        images = _varied(samples.images, _generator(rng)).clamp(0, 1)
        varied = replace(samples, images=images)
        found = attacked(network, varied, self.recipe, share=float(rng.uniform(0, _MARGIN)), rng=rng)
        clean = torch.from_numpy(rng.random(size) < _CLEAN)[:, None, None, None]
        return Batch(torch.where(clean, images, found), samples.labels, samples.parts)


def attacked(
    network: nn.Module,
    samples: Samples,
    recipe: Recipe,
    *,
    share: float,
    rng: np.random.Generator,
    attack: Attack = INNER,
) -> Tensor:
    """The samples as an attack on this reader leaves them, float32 N 1 H W.

    Args:
        network: put into evaluation mode.
        samples: before.
        recipe: budgets of the service.
        share: of these budgets.
        rng: of targets and start.
        attack: the settings of the loop.
    """
    network.eval()
    dark = (samples.images - share * recipe.darker / 255 * samples.ink).clamp(0, 1)
    weight = 1 - (1 - recipe.ink_levels / recipe.levels) * samples.ink
    oracle = Misread(network, *other_texts(samples.texts, rng=rng))
    found = run(attack, oracle, dark, Linf(share * recipe.levels, weight=weight), seed=_seed(rng))
    images: Tensor = found.images
    return images


class Issued:
    """Images that the service would issue, shifted and varied.

    Args:
        images: to learn from.
    """

    def __init__(self, images: Readable) -> None:
        self._images = torch.from_numpy(images.images)[:, None]
        self._labels = encode(images.texts, ALPHABET)

    def __len__(self) -> int:
        return len(self._labels)

    def all(self) -> Batch:
        """Every image as it is."""
        return Batch(self._images.float() / 255, self._labels)

    def batch(self, network: nn.Module, size: int, rng: np.random.Generator) -> Batch:
        """Some of the images, each as likely."""
        places = torch.from_numpy(rng.integers(len(self), size=size))
        down, right = int(rng.integers(-3, 4)), int(rng.integers(-6, 7))
        images = torch.roll(self._images[places].float() / 255, (down, right), (2, 3))
        return Batch(_varied(images, _generator(rng)), self._labels[places])


def _varied(images: Tensor, generator: torch.Generator) -> Tensor:
    """Other lightness and contrast, a little noise, now and then a blur."""

    def each(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(len(images), 1, 1, 1, generator=generator)

    varied = (images - 0.5) * each(0.7, 1.3) + 0.5 + each(-0.1, 0.1)
    varied = varied + each(0, 0.04) * torch.randn(images.shape, generator=generator)
    if float(torch.rand((), generator=generator)) < 0.3:
        varied = F.avg_pool2d(varied, 3, 1, 1)
    return varied


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(1 << 62))


def _generator(rng: np.random.Generator) -> torch.Generator:
    return torch.Generator().manual_seed(_seed(rng))
