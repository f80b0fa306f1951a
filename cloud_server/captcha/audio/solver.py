"""A digit solver of our own, trained on sounds of the same make: what an attacker has who reads this code.

It is a baseline and no bound: speech recognisers of today do better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from cloud_server.captcha.audio.bank import Bank
from cloud_server.captcha.audio.engine import RATE, Samples
from cloud_server.captcha.audio.listener import BANDS, HOP, loudness
from cloud_server.captcha.audio.mix import SoundStyle, mix
from cloud_server.captcha.audio.words import DIGITS

__all__ = ["DigitSolver", "TrainingPlan", "train_solver"]

_NOTHING = len(DIGITS)
_APART = int(0.35 * RATE / HOP)  # frames between the middles of two digits, at least
_SMOOTH = int(0.2 * RATE / HOP)


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """How the solver is trained.

    Args:
        steps: of Adam, each over fresh sounds.
        batch: sounds a step.
        length: digits of a sound.
        rate: of learning, at the beginning; it falls to 0.
        channels: of each layer.
    """

    steps: int = 400
    batch: int = 8
    length: int = 6
    rate: float = 3e-3
    channels: int = 96


class DigitSolver:
    """Reads sounds, without being told where the digits are.

    Args:
        network: features N `BANDS` T to logits N 11 T; the last class is no digit.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network.eval()

    def read(self, samples: Samples, length: int) -> str:
        """The `length` digits that it is surest of, in the order of time."""
        with torch.no_grad():
            logits = self._network(torch.from_numpy(_features(samples))[None])
        scores = _smoothed(logits.softmax(1)[0, :_NOTHING].numpy())
        found: list[tuple[int, int]] = []
        for _ in range(length):
            digit, frame = np.unravel_index(int(scores.argmax()), scores.shape)
            found.append((int(frame), int(digit)))
            scores[:, max(0, int(frame) - _APART) : int(frame) + _APART] = -1
        return "".join(DIGITS[digit] for _, digit in sorted(found))


def train_solver(
    bank: Bank, style: SoundStyle, rng: np.random.Generator, plan: TrainingPlan | None = None
) -> DigitSolver:
    """Trains on sounds mixed from the attacker's own recordings, with the places of digits known.

    Deterministic for one `rng`, machine and number of threads.
    """
    plan = plan or TrainingPlan()
    torch.manual_seed(int(rng.integers(2**31)))
    network = _network(plan.channels)
    optimiser = torch.optim.Adam(network.parameters(), lr=plan.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, plan.steps)
    for _ in range(plan.steps):
        features, labels = _batch(bank, style, rng, plan)
        loss = nn.functional.cross_entropy(network(features), labels, ignore_index=-1)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return DigitSolver(network)


def _network(channels: int) -> nn.Module:
    layers: list[nn.Module] = []
    width = BANDS
    for dilation in (1, 2, 4, 8):  # sees 0.6 s around a frame: one digit
        layers += [
            nn.Conv1d(width, channels, 5, padding=2 * dilation, dilation=dilation),
            nn.BatchNorm1d(channels),
            nn.ReLU(),
        ]
        width = channels
    return nn.Sequential(*layers, nn.Conv1d(width, _NOTHING + 1, 1))


def _batch(
    bank: Bank, style: SoundStyle, rng: np.random.Generator, plan: TrainingPlan
) -> tuple[torch.Tensor, torch.Tensor]:
    rows = [_row(bank, style, rng, plan.length) for _ in range(plan.batch)]
    longest = max(features.shape[1] for features, _ in rows)
    features = np.zeros((len(rows), BANDS, longest), np.float32)
    labels = np.full((len(rows), longest), -1, np.int64)
    for i, (one, label) in enumerate(rows):
        features[i, :, : one.shape[1]] = one
        labels[i, : len(label)] = label
    return torch.from_numpy(features), torch.from_numpy(labels)


def _row(
    bank: Bank, style: SoundStyle, rng: np.random.Generator, length: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    text = "".join(DIGITS[i] for i in rng.integers(len(DIGITS), size=length))
    mixed = mix(text, bank, style, rng)
    features = _features(mixed.samples)
    labels = np.full(features.shape[1], _NOTHING, np.int64)
    for digit, (begin, end) in zip(text, mixed.spans, strict=True):
        labels[begin // HOP : end // HOP] = DIGITS.index(digit)
    return features, labels


def _features(samples: Samples) -> npt.NDArray[np.float32]:
    features = loudness(samples)
    features = (features - features.mean(0)) / (features.std() + 1e-6)
    return np.ascontiguousarray(features.T)


def _smoothed(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    window = np.ones(_SMOOTH) / _SMOOTH
    return np.stack([np.convolve(row, window, mode="same") for row in scores])
