"""Trained attackers: payload to embedding (linkage), and payload to face (inversion). Needs torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Draw", "Schedule", "train_inverter", "train_linkage"]

Floats = npt.NDArray[np.float32]
# Payloads of these training rows, drawn anew for each call: float32 N 12 56 56 for maps, N B for bits.
Draw = Callable[[npt.NDArray[np.intp], np.random.Generator], Floats]
Run = Callable[[Floats], Floats]
Report = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long an attacker is trained; bits are cheap, so they are seen more often than maps."""

    map_epochs: int = 8
    bit_epochs: int = 20
    drawing_epochs: int = 3
    batch: int = 64
    rate: float = 2e-3
    seed: int = 0


def train_linkage(draw: Draw, targets: Floats, schedule: Schedule, report: Report) -> Run:
    """Learn to predict embeddings from payloads.

    Args:
        draw: payloads of training rows.
        targets: unit embeddings of the clean faces, rows D, with the mean face taken off.
        schedule: see `Schedule`.
        report: called after each epoch.

    Returns:
        What maps payloads to unit embeddings N D.
    """
    shape = _begin(draw, schedule)
    net = nn.Sequential(_encoder(shape), nn.Linear(_WIDTH, targets.shape[1]))
    wanted = torch.from_numpy(targets)

    def loss(found: Tensor, chosen: npt.NDArray[np.intp]) -> Tensor:
        guess, truth = functional.normalize(found, dim=1), wanted[chosen]
        among = guess @ truth.T / 0.1
        # Who of the batch it is, beside how near: telling people apart is what is scored.
        return functional.cross_entropy(among, torch.arange(len(chosen))) - (guess * truth).sum(1).mean()

    epochs = schedule.bit_epochs if len(shape) == 1 else schedule.map_epochs
    _fit(net, loss, draw, len(targets), epochs, schedule, report)
    return lambda payloads: _normalised(_run(net, payloads))


def train_inverter(draw: Draw, faces: Floats, schedule: Schedule, report: Report) -> Run:
    """Learn to draw faces from payloads.

    Args:
        draw: payloads of training rows.
        faces: float32 rows 3 112 112 in [0,1].
        schedule: see `Schedule`.
        report: called after each epoch.

    Returns:
        What maps payloads to faces N 3 112 112 in [0,1].
    """
    shape = _begin(draw, schedule)
    small = functional.avg_pool2d(torch.from_numpy(faces), 2)
    net = _Inverter(shape, small.mean(0))
    epochs = schedule.bit_epochs if len(shape) == 1 else schedule.drawing_epochs

    def loss(found: Tensor, chosen: npt.NDArray[np.intp]) -> Tensor:
        return functional.l1_loss(found, small[chosen])

    _fit(net, loss, draw, len(faces), epochs, schedule, report)

    def reconstruct(payloads: Floats) -> Floats:
        drawn = torch.from_numpy(_run(net, payloads))
        whole = functional.interpolate(drawn, size=112, mode="bilinear", align_corners=False)
        return np.asarray(whole.numpy(), np.float32)

    return reconstruct


_WIDTH = 256


def _layer(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, 1), nn.GroupNorm(8, outputs), nn.SiLU())


def _encoder(shape: tuple[int, ...]) -> nn.Sequential:
    if len(shape) == 1:
        return nn.Sequential(
            nn.Linear(shape[0], _WIDTH), nn.SiLU(), nn.Linear(_WIDTH, _WIDTH), nn.SiLU(), nn.Dropout(0.1)
        )
    maps = [_layer(shape[0], 32), _layer(32, 64), _layer(64, 128)]
    return nn.Sequential(*maps, nn.Flatten(), nn.Dropout(0.2), nn.Linear(128 * 7 * 7, _WIDTH), nn.SiLU())


class _Inverter(nn.Module):
    """A payload to a face, N 3 56 56, as the mean face and what the payload adds to it."""

    def __init__(self, shape: tuple[int, ...], mean: Tensor) -> None:
        super().__init__()
        self.encoder = _encoder(shape)
        self.low = nn.Linear(_WIDTH, 3 * 14 * 14)
        # Detail of a map stays in its place; what the encoder keeps is rough.
        self.near = (
            nn.Sequential(nn.Conv2d(shape[0], 24, 5, 1, 2), nn.SiLU(), nn.Conv2d(24, 3, 5, 1, 2))
            if len(shape) == 3
            else None
        )
        self.mean = nn.Parameter(mean.clone(), requires_grad=False)

    def forward(self, payload: Tensor) -> Tensor:
        rough = self.low(self.encoder(payload)).reshape(-1, 3, 14, 14)
        face = self.mean + functional.interpolate(
            rough, scale_factor=4.0, mode="bilinear", align_corners=False
        )
        return face if self.near is None else face + self.near(payload)


def _begin(draw: Draw, schedule: Schedule) -> tuple[int, ...]:
    torch.manual_seed(schedule.seed)
    return draw(np.arange(1), np.random.default_rng(0)).shape[1:]


def _fit(
    net: nn.Module,
    loss: Callable[[Tensor, npt.NDArray[np.intp]], Tensor],
    draw: Draw,
    rows: int,
    epochs: int,
    schedule: Schedule,
    report: Report,
) -> None:
    batches = max(1, rows // schedule.batch)
    optimiser = torch.optim.AdamW(
        [p for p in net.parameters() if p.requires_grad], schedule.rate, weight_decay=1e-2
    )
    falling = torch.optim.lr_scheduler.OneCycleLR(optimiser, schedule.rate, total_steps=epochs * batches)
    net.train()
    for epoch in range(epochs):
        rng = np.random.default_rng([schedule.seed, epoch])
        order = rng.permutation(rows)
        for number in range(batches):
            chosen = order[number * schedule.batch : (number + 1) * schedule.batch]
            value = loss(net(torch.from_numpy(draw(chosen, rng))), chosen)
            optimiser.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            falling.step()
        report(epoch + 1, epochs)
    net.eval()


@torch.no_grad()
def _run(net: nn.Module, payloads: Floats) -> Floats:
    parts = torch.split(torch.from_numpy(payloads), 64)
    return np.asarray(torch.cat([net(part) for part in parts]).numpy(), np.float32)


def _normalised(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32)
