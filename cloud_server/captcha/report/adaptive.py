"""The adaptive solver: an attacker's own network, trained on images that the service issued.

It begins on rendered images without the attack, which cost an attacker nothing, and then learns from more and
more of the service's images, whose texts somebody typed for him. What it reads after each number of images is
the learning curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor

from cloud_server.captcha.challenges.render import Style, draw_text, render
from cloud_server.captcha.challenges.types import HEIGHT, WIDTH
from cloud_server.captcha.report.ctc import read_lengths
from cloud_server.captcha.report.harvest import Harvest, Progress, Readable
from cloud_server.captcha.report.network import AdaptiveNet, batch_of
from cloud_server.captcha.report.preprocess import Grey
from cloud_server.captcha.report.training import Plan, Point, Trainer

__all__ = ["AdaptiveSolver", "plain_images", "train_adaptive"]

_BATCH = 64


@dataclass(frozen=True)
class AdaptiveSolver:
    """A trained network as a solver.

    Args:
        network: in evaluation mode.
        lengths: that texts may have, which an attacker knows.
        version: what it learnt from.
        seen: never; the images were not made against it.
    """

    network: AdaptiveNet
    lengths: tuple[int, ...]
    version: str
    seen: bool = False
    name: str = "adaptive"

    def read(self, images: Sequence[Grey]) -> list[str]:
        """Texts of images uint8 H W, all of one size; enlarged ones are made as high again as it learnt."""
        parts = [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
        with torch.inference_mode():
            scores = [self.network(_fitted(batch_of(part))).numpy() for part in parts]
        return [read_lengths(row, self.lengths) for part in scores for row in part]


def _fitted(batch: Tensor) -> Tensor:
    if batch.shape[2] == HEIGHT:
        return batch
    return F.interpolate(batch, scale_factor=HEIGHT / batch.shape[2], mode="area")


def plain_images(count: int, *, style: Style, lengths: tuple[int, ...], seed: int) -> Readable:
    """Rendered images without the attack, as anybody can make them.

    Args:
        count: how many.
        style: as the service's.
        lengths: of texts.
        seed: of texts and looks.
    """
    rng = np.random.default_rng([seed, 2])
    images, texts = np.empty((count, HEIGHT, WIDTH), np.uint8), []
    for number in range(count):
        item = render(draw_text(rng, lengths=lengths), rng=rng, style=style)
        images[number] = np.rint(255 * item.image)
        texts.append(item.text)
    return Readable(images, tuple(texts))


def train_adaptive(
    harvest: Harvest, plan: Plan, *, style: Style, progress: Progress
) -> list[tuple[Point, AdaptiveSolver]]:
    """The learning curve: the solver after each number of images.

    Each epoch ends in a checkpoint beside the harvest; a second call goes on from there and ends as if there
    had been no first. A longer list of sizes goes on from a shorter one.

    Args:
        harvest: the service's images.
        plan: how.
        style: of the plain images it begins with.
        progress: told after each epoch.

    Raises:
        ValueError: when the plan has no sizes, or they do not rise.
    """
    if not plan.sizes or list(plan.sizes) != sorted(set(plan.sizes)):
        raise ValueError(f"sizes are {plan.sizes}, expected rising numbers of images")
    torch.set_num_threads(1)
    trainer = Trainer(plan, harvest.folder / "adaptive.pt", f"{harvest.key} {style!r}", progress)
    if trainer.stage == 0:
        begin = plain_images(plan.plain, style=style, lengths=plan.lengths, seed=plan.seed)
        trainer.train(begin, plan.plain_epochs, "on plain images")
    for size in plan.sizes[trainer.stage - 1 :]:
        trainer.train(harvest.first(size, progress), plan.epochs(size), f"on {size} images of the service")
    return [
        (point, AdaptiveSolver(trainer.network_of(number), plan.lengths, trainer.version(point)))
        for number, point in enumerate(trainer.curve[: len(plan.sizes)])
    ]
