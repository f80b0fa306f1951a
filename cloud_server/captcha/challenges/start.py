"""Where the attack on a challenge begins: at what a network draws in one pass, in place of a random point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from cloud_server.captcha.challenges.oracle import other_texts
from cloud_server.captcha.challenges.recipe import Recipe
from cloud_server.captcha.challenges.types import Plane, Rendered

__all__ = ["Scene", "drawn", "scene_of", "spans_of"]

# A column belongs to a character where it has this much ink, and a little to either side.
_INK, _REACH = 0.1, 9
# Noise is coarse, so that a network can let a whole pattern depend on it; pixels.
_GRAIN = 8


@dataclass(frozen=True)
class Scene:
    """A batch before the attack, as the perturbing network and the budget see it.

    Args:
        dark: images whose strokes were darkened, float32 N 1 H W in [0,1].
        ink: share of ink, N 1 H W.
        share: of the budget that each pixel may use, N 1 H W in [0,1].
        spans: columns that each character takes, N K W/2 in [0,1].
        labels: classes of the characters, int64 N K.
        targets: classes that they shall be read as, int64 N K.
    """

    dark: Tensor
    ink: Tensor
    share: Tensor
    spans: Tensor
    labels: Tensor
    targets: Tensor


def drawn(network: nn.Module, scene: Scene, *, levels: int, rng: np.random.Generator) -> Tensor:
    """The change that a perturbing network draws, N 1 H W, within `levels` of 8 bits.

    Args:
        network: as `models.text.perturber.Perturber`.
        scene: the batch.
        levels: how far any pixel may move.
        rng: of the noise that makes it another one each time.
    """
    count, _, height, width = scene.dark.shape
    coarse = rng.standard_normal((count, 1, height // _GRAIN, width // _GRAIN), dtype=np.float32)
    noise = torch.from_numpy(coarse).repeat_interleave(_GRAIN, 2).repeat_interleave(_GRAIN, 3)
    planes = torch.cat([scene.dark, scene.ink, noise], dim=1)
    change: Tensor = network(planes, scene.spans, scene.labels, scene.targets)
    return change * scene.share * (levels / 255)


def scene_of(rendered: Sequence[Rendered], recipe: Recipe, *, rng: np.random.Generator) -> Scene:
    """A batch as the attack takes it.

    Args:
        rendered: the batch.
        recipe: by how much strokes are darkened, and what they may move.
        rng: of the texts that they shall be read as.
    """
    clean = _stack([item.image for item in rendered])
    ink = _stack([item.ink for item in rendered])
    labels, targets = other_texts([item.text for item in rendered], rng=rng)
    return Scene(
        dark=(clean - recipe.darker / 255 * ink).clamp(0, 1),
        ink=ink,
        share=1 - (1 - recipe.ink_levels / recipe.levels) * ink,
        spans=spans_of(rendered),
        labels=labels,
        targets=targets,
    )


def spans_of(rendered: Sequence[Rendered]) -> Tensor:
    """Which columns each character takes, at half the width: float32 N K W/2."""
    return torch.from_numpy(np.stack([_columns(item.letters) for item in rendered]))


def _columns(letters: Plane) -> Plane:
    inked = (letters.max(axis=1) > _INK).astype(np.uint8)
    near = cv2.dilate(inked, np.ones((1, _REACH), np.uint8))
    return np.asarray(near.reshape(len(near), -1, 2).max(axis=2), np.float32)


def _stack(planes: Sequence[Plane]) -> Tensor:
    return torch.from_numpy(np.stack(planes)[:, None])
