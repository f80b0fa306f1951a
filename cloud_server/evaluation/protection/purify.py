"""Purifiers: what somebody does to published photos to undo a cloak before recognising."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from cloud_server.evaluation.protection.cloaks import Cloaked, window
from cloud_server.evaluation.protection.conditions import as_jpeg
from cloud_server.evaluation.protection.measure import Treatment
from shared.faces.detect import Face
from shared.faces.frames import FRAMES, similarity_to_frame

__all__ = ["Denoiser", "plain_purifiers", "purifier_of", "train_denoiser"]

Pixels = npt.NDArray[np.uint8]

_BATCH, _PATCH, _RATE = 16, 48, 1e-3


def plain_purifiers() -> dict[str, Treatment]:
    """Those that learn nothing, by name."""
    return {"blur": _blurred, "JPEG 50": lambda pixels, _: as_jpeg(pixels, 50), "resize x0.5": _resampled}


def _blurred(pixels: Pixels, face: Face) -> Pixels:
    """Gaussian of one pixel of the recogniser's frame, in the photo's own pixels."""
    matrix = similarity_to_frame(face.points(), FRAMES["arcface112"])
    sigma = 1.0 / float(np.hypot(matrix[0, 0], matrix[1, 0]))
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8)


def _resampled(pixels: Pixels, _: Face) -> Pixels:
    height, width = pixels.shape[:2]
    half = (max(1, width // 2), max(1, height // 2))
    small = cv2.resize(pixels, half, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


class Denoiser(nn.Module):
    """Five convolutions that name the change to take away (residual learning, arXiv 1608.03981).

    Args:
        width: channels.
    """

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        sizes = (3, width, width, width, width, 3)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(sizes))

    def forward(self, images: Tensor) -> Tensor:
        """Images N 3 H W in [0,1] without what the network takes for a cloak."""
        found = images - 0.5
        for layer in self.layers[:-1]:
            found = functional.relu(layer(found))
        cleaned: Tensor = images - self.layers[-1](found)
        return cleaned


def train_denoiser(
    cloaks: Sequence[Cloaked], *, steps: int, seed: int, progress: Callable[[int, int], None]
) -> tuple[Denoiser, float]:
    """Train on patches of cloaked faces and the same patches before.

    Args:
        cloaks: training photos, one or more.
        steps: batches of 16 patches of 48 x 48 pixels.
        seed: of weights and patches.
        progress: told steps done and all.

    Returns:
        The network, and the share of the cloak's energy that it leaves on the last tenth of the batches; 1
        is a network that does nothing.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = Denoiser()
    optimiser = torch.optim.Adam(network.parameters(), lr=_RATE)
    left = []
    for step in range(steps):
        before, after = _patches(cloaks, rng)
        loss = functional.mse_loss(network(after), before)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        left.append(float(loss.detach()) / max(float(functional.mse_loss(after, before)), 1e-12))
        progress(step + 1, steps)
    return network.eval().requires_grad_(requires_grad=False), float(np.mean(left[-max(1, steps // 10) :]))


def _patches(cloaks: Sequence[Cloaked], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    before: list[npt.NDArray[np.float32]] = []
    after: list[npt.NDArray[np.float32]] = []
    for index in rng.integers(0, len(cloaks), _BATCH):
        cloak = cloaks[index]
        height, width = cloak.before.shape[:2]
        side_y, side_x = min(_PATCH, height), min(_PATCH, width)
        y, x = rng.integers(0, height - side_y + 1), rng.integers(0, width - side_x + 1)
        flip = bool(rng.integers(0, 2))
        for kept, pixels in ((before, cloak.before), (after, cloak.after)):
            patch = np.zeros((_PATCH, _PATCH, 3), np.float32)
            patch[:side_y, :side_x] = pixels[y : y + side_y, x : x + side_x] / np.float32(255)
            kept.append(patch[:, ::-1] if flip else patch)
    stacked = [np.ascontiguousarray(np.stack(kept).transpose(0, 3, 1, 2)) for kept in (before, after)]
    return torch.from_numpy(stacked[0]), torch.from_numpy(stacked[1])


def purifier_of(network: Denoiser) -> Treatment:
    """The network over the face's surroundings; the rest of the photo stays."""

    def clean(pixels: Pixels, face: Face) -> Pixels:
        top, bottom, left, right = window(pixels.shape, face)
        part = pixels[top:bottom, left:right].transpose(2, 0, 1)[None] / np.float32(255)
        with torch.no_grad():
            found = network(torch.from_numpy(np.ascontiguousarray(part)))[0].numpy()
        result = pixels.copy()
        levels = np.rint(np.clip(found, 0, 1) * 255).astype(np.uint8)
        result[top:bottom, left:right] = levels.transpose(1, 2, 0)
        return result

    return clean
