"""The distortions, level by level: FGSM steps through the one attack loop, Gaussian noise, random signs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from cloud_server.paper.figure1.networks import LetterOracle, Recogniser
from cloud_server.paper.figure1.settings import Protocol
from shared.attack.attack import Attack, run
from shared.attack.budgets import Linf
from shared.attack.table import ATTACKS

__all__ = ["fgsm", "fgsm_once", "gaussian", "gaussian_sum", "random_signs", "rmse"]

Floats = npt.NDArray[np.float32]
_GAUSSIAN, _SIGNS = 10, 11
# Images a gradient call.
_BATCH = 130


def fgsm(network: Recogniser, now: Floats, labels: npt.NDArray[np.int64], protocol: Protocol) -> Floats:
    """One level more: FGSM steps, each along the sign of the gradient at the image as it is by then.

    Args:
        network: attacked, frozen.
        now: images at the level before, N 1 S S.
        labels: right letters, N.
        protocol: length and number of steps.
    """
    row = replace(ATTACKS["fgsm"], steps=protocol.additions, step_size=protocol.step)
    # The radius is the whole range: the steps are the only bound, as in the paper.
    return _attacked(row, network, now, labels, Linf(255.0))


def fgsm_once(
    network: Recogniser, original: Floats, labels: npt.NDArray[np.int64], protocol: Protocol, *, level: int
) -> Floats:
    """The level's image where all steps keep the direction of the gradient at the original.

    Steps along one direction with clipping after each are one step of their summed length, clipped.
    """
    reach = min(protocol.step * protocol.additions * level, 1.0)
    return _attacked(ATTACKS["fgsm"], network, original, labels, Linf(255.0 * reach))


def gaussian(now: Floats, protocol: Protocol, *, level: int) -> Floats:
    """One level more of white Gaussian noise, clipped to [0,1] after each addition.

    Args:
        now: images at the level before, N 1 S S; an image's noise depends on its place in the set.
        protocol: variance and number of additions.
        level: to reach, from 1.
    """
    result = now.copy()
    for noise in _additions(now, protocol, level):
        result = np.clip(result + noise, 0, 1)
    return result


def gaussian_sum(now: Floats, protocol: Protocol, *, level: int) -> Floats:
    """The same noise, never clipped in between: the result leaves [0,1] and is clipped where it is read."""
    result = now.copy()
    for noise in _additions(now, protocol, level):
        result += noise
    return result


def _additions(images: Floats, protocol: Protocol, level: int) -> list[Floats]:
    shape = (protocol.additions, *images.shape[1:])
    draws = [
        np.random.default_rng([protocol.seed, _GAUSSIAN, index, level]).standard_normal(shape, np.float32)
        for index in range(len(images))
    ]
    return list(np.sqrt(np.float32(protocol.variance)) * np.stack(draws, axis=1))


def random_signs(original: Floats, protocol: Protocol, *, level: int) -> Floats:
    """The control of FGSM: as long a step from the original, along signs drawn by lot for each image."""
    reach = np.float32(protocol.step * protocol.additions * level)
    signs = np.empty_like(original)
    for index in range(len(original)):
        rng = np.random.default_rng([protocol.seed, _SIGNS, index])
        signs[index] = rng.choice([-1.0, 1.0], original[index].shape)
    return np.clip(original + reach * signs, 0, 1)


def rmse(images: npt.NDArray[np.uint8], original: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Root of the mean squared change of each image (N), as a share of the range; of 8-bit images."""
    change = (images.astype(np.float64) - original) / 255
    return np.asarray(np.sqrt(np.square(change).mean(axis=(1, 2, 3))))


def _attacked(
    row: Attack, network: Recogniser, images: Floats, labels: npt.NDArray[np.int64], budget: Linf
) -> Floats:
    parts = []
    for start in range(0, len(images), _BATCH):
        chosen = slice(start, start + _BATCH)
        oracle = LetterOracle(network, torch.from_numpy(labels[chosen]))
        parts.append(run(row, oracle, torch.from_numpy(images[chosen]), budget).images.numpy())
    return np.concatenate(parts)
