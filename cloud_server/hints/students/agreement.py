"""How far a student stands in for its teacher, on people that were not trained on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from cloud_server.hints.data import FaceSet
from cloud_server.hints.students.network import unit
from cloud_server.hints.students.training import input_gradient

__all__ = ["agreement", "one_a_person"]

_CHUNK = 16
_LEVELS = 8.0
_STEPS = 8
# Root mean square of the attack, in levels: 36 dB.
_REACH = 4.05
_LENGTH = (3 * 112 * 112) ** 0.5


def one_a_person(faces: FaceSet, *, most: int) -> Tensor:
    """The first face of each person, N 3 112 112 in [0,1], at most so many."""
    _, rows = np.unique(np.array(faces.people), return_index=True)
    return torch.from_numpy(faces.images(np.sort(rows)[:most]))


def agreement(network: nn.Module, teacher: nn.Module, faces: Tensor, *, seed: int) -> dict[str, float]:
    """What a network's gradients are worth against the teacher.

    Args:
        network: the student, or another surrogate for comparison; its embedding may have any length.
        teacher: the recogniser that stays in the cloud.
        faces: N 3 112 112 in [0,1].
        seed: of the random start.

    Returns:
        `gradient_cosine`: mean cosine between both input gradients at a random start within 8 levels;
        `sign_agreement`: share of equal signs; `transfer`: the teacher's mean similarity to the clean face
        after an attack on the network alone (8 steps, 36 dB, 8 levels; lower is better).
    """
    noise = np.random.default_rng(seed).uniform(-_LEVELS, _LEVELS, tuple(faces.shape)) / 255
    start = torch.from_numpy(noise.astype(np.float32))
    mine, theirs = _embed(network, faces), _embed(teacher, faces)
    ours = _gradient(network, faces + start, mine)
    other = _gradient(teacher, faces + start, theirs)
    moved = faces + _attack(lambda at: _gradient(network, at, mine), faces, start)
    return {
        "gradient_cosine": _mean(nn.functional.cosine_similarity(ours.flatten(1), other.flatten(1))),
        "sign_agreement": _mean((ours.sign() == other.sign()).float()),
        "transfer": _mean((_embed(teacher, moved) * theirs).sum(1)),
    }


def _attack(gradient: Callable[[Tensor], Tensor], faces: Tensor, start: Tensor) -> Tensor:
    """A plain normalised descent; it compares networks, and is no attack of the product."""
    delta = 0.3 * start
    radius = _REACH / 255 * _LENGTH
    for _ in range(_STEPS):
        step = gradient(faces + delta)
        delta = delta - step / step.flatten(1).norm(dim=1)[:, None, None, None] * radius / 4
        delta = delta.clamp(-_LEVELS / 255, _LEVELS / 255)
        length = delta.flatten(1).norm(dim=1)[:, None, None, None]
        delta = delta * (radius / length).clamp(max=1)
    return delta


def _embed(network: nn.Module, faces: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([unit(network(part)) for part in torch.split(faces, _CHUNK)])


def _gradient(network: nn.Module, faces: Tensor, anchors: Tensor) -> Tensor:
    parts = zip(torch.split(faces, _CHUNK), torch.split(anchors, _CHUNK), strict=True)
    return torch.cat([input_gradient(network, part, anchor) for part, anchor in parts])


def _mean(values: Tensor) -> float:
    return round(float(values.mean()), 4)
