"""Training the adaptive solver in stages, each of which can be interrupted."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor

from cloud_server.captcha.challenges.types import ALPHABET
from cloud_server.captcha.report.checkpoints import read_checkpoint, write_checkpoint
from cloud_server.captcha.report.harvest import Progress, Readable
from cloud_server.captcha.report.network import AdaptiveNet, batch_of, vary

__all__ = ["Plan", "Point", "Trainer"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How an adaptive solver is trained.

    Args:
        sizes: numbers of the service's images after which it is measured, rising.
        plain: rendered images without the attack that it begins with.
        plain_epochs: over those.
        least_epochs: over the largest number of the service's images.
        most_epochs: over the smallest.
        batch: images an update.
        rate: highest learning rate of a stage; it falls to zero by a cosine.
        held_out: share of the images that decides which epoch was best.
        patience: epochs without a better one after which a stage ends early.
        lengths: of texts, which an attacker knows.
        seed: of weights, order and variation.
    """

    sizes: tuple[int, ...] = (1000, 2000, 4000, 8000)
    plain: int = 6000
    plain_epochs: int = 3
    least_epochs: int = 6
    most_epochs: int = 20
    batch: int = 32
    rate: float = 2e-3
    held_out: float = 0.1
    patience: int = 5
    lengths: tuple[int, ...] = (5, 6)
    seed: int = 0

    def epochs(self, size: int) -> int:
        """Epochs over so many images: 8 over 8,000, more over fewer."""
        return int(np.clip(round(8 * np.sqrt(8000 / size)), self.least_epochs, self.most_epochs))


@dataclass(frozen=True)
class Point:
    """One point of the learning curve.

    Args:
        images: of the service that it has learnt from, held-out ones included.
        epochs: over these.
        loss: of CTC on the held-out ones, in nats a character.
        seconds: CPU time of training up to here.
    """

    images: int
    epochs: int
    loss: float
    seconds: float


@dataclass
class _State:
    """Where a training stands; all of it goes into checkpoints."""

    stage: int = 0
    images: int = 0
    epoch: int = 0
    best_epoch: int = 0
    best: float = float("inf")
    seconds: float = 0.0
    curve: list[dict[str, Any]] = field(default_factory=list)


class Trainer:
    """Trains one network stage by stage. Stage 0 is the beginning on plain images.

    Args:
        plan: how; its sizes may grow from one call to the next.
        path: of the checkpoint, which is read first if there is one of the same plan.
        key: what the images depend on.
        progress: told after each epoch.
    """

    def __init__(self, plan: Plan, path: Path, key: str, progress: Progress) -> None:
        self._plan, self._path, self._progress = plan, path, progress
        self._key = sha256(f"{key} {replace(plan, sizes=())!r} {ALPHABET}".encode()).hexdigest()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(plan.seed)
            network = AdaptiveNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._network: AdaptiveNet = network
        self._best = _copied(self._network)
        self._ended: list[dict[str, Tensor]] = []
        self._state = _State()
        self._optimiser = self._new_optimiser()
        self._resume()

    @property
    def stage(self) -> int:
        """The stage that comes next, or goes on."""
        return self._state.stage

    @property
    def curve(self) -> list[Point]:
        """A point for each stage on the service's images that has ended."""
        return [Point(**point) for point in self._state.curve]

    def version(self, point: Point) -> str:
        """What a network of the curve learnt from, and under which settings."""
        return f"{point.images} images, {self._key[:8]}"

    def network_of(self, number: int) -> AdaptiveNet:
        """The best network of a stage on the service's images, by its place in `curve`."""
        network = AdaptiveNet()
        network.load_state_dict(self._ended[number])
        return network.eval()

    def train(self, images: Readable, epochs: int, name: str) -> None:
        """The next stage to its end, from the last checkpoint within it.

        Args:
            images: to learn from; every tenth or so decides which epoch was best.
            epochs: at most.
            name: for progress.
        """
        state, (learn, held_out) = self._state, _split(images, self._plan)
        state.images = len(images)
        while state.epoch < epochs and state.epoch - state.best_epoch < self._plan.patience:
            began = time.process_time()
            self._epoch(learn, epochs)
            self._judge(held_out)
            state.seconds += time.process_time() - began
            self._keep()
            self._progress(f"adaptive solver {name}", state.epoch, epochs)
        self._end_stage()

    def _new_optimiser(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self._network.parameters(), lr=self._plan.rate, weight_decay=1e-3)

    def _resume(self) -> None:
        found = read_checkpoint(self._path, self._key)
        if found is None or not _fits(_State(**found["state"]), self._plan):
            return
        self._network.load_state_dict(found["network"])
        self._optimiser.load_state_dict(found["optimiser"])
        self._best, self._ended = found["best"], found["ended"]
        self._state = _State(**found["state"])

    def _keep(self) -> None:
        content = {
            "network": self._network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "best": self._best,
            "ended": self._ended,
            "state": asdict(self._state),
        }
        write_checkpoint(self._path, self._key, content)

    def _epoch(self, learn: Readable, epochs: int) -> None:
        state, batch = self._state, self._plan.batch
        rng = np.random.default_rng([self._plan.seed, 3, state.stage, state.epoch])
        order = rng.permutation(len(learn))
        starts = range(0, len(order), batch)
        self._network.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(1 << 62)))
            for number, start in enumerate(starts):
                done = (state.epoch + number / len(starts)) / epochs
                self._update(learn.take(order[start : start + batch]), done, rng)
        state.epoch += 1

    def _update(self, part: Readable, done: float, rng: np.random.Generator) -> None:
        for group in self._optimiser.param_groups:
            # A short rise, then a cosine.
            group["lr"] = self._plan.rate * min(1.0, done / 0.08 + 0.05) * (1 + math.cos(math.pi * done)) / 2
        scores = self._network(batch_of([vary(image, rng=rng) for image in part.images]))
        self._optimiser.zero_grad()
        _loss(scores, part.texts).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), 5.0)
        self._optimiser.step()

    def _judge(self, held_out: Readable) -> None:
        """Whether this epoch was the best so far."""
        self._network.eval()
        batch, losses = 64, []
        with torch.inference_mode():
            for start in range(0, len(held_out), batch):
                part = held_out.take(range(start, min(start + batch, len(held_out))))
                losses += [float(_loss(self._network(batch_of(part.images)), part.texts))] * len(part)
        loss = float(np.mean(losses))
        if loss < self._state.best:
            self._state.best, self._state.best_epoch = loss, self._state.epoch
            self._best = _copied(self._network)

    def _end_stage(self) -> None:
        self._network.load_state_dict(self._best)
        state = self._state
        if state.stage:
            self._ended.append(_copied(self._network))
            state.curve.append(asdict(Point(state.images, state.epoch, state.best, state.seconds)))
        state.stage, state.epoch, state.best_epoch, state.best = state.stage + 1, 0, 0, float("inf")
        self._optimiser = self._new_optimiser()
        self._keep()


def _fits(state: _State, plan: Plan) -> bool:
    """Whether what was trained is the beginning of what is wanted, or the other way round."""
    sizes = [point["images"] for point in state.curve]
    if state.epoch and state.stage:
        sizes.append(state.images)
    return all(a == b for a, b in zip(sizes, plan.sizes, strict=False))


def _copied(network: AdaptiveNet) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _split(images: Readable, plan: Plan) -> tuple[Readable, Readable]:
    """What is learnt from, and what decides; what decided over few images decides over many."""
    places = np.arange(len(images))
    decides = places % max(2, round(1 / plan.held_out)) == 0
    return images.take(places[~decides]), images.take(places[decides])


def _loss(scores: Tensor, texts: Sequence[str]) -> Tensor:
    labels = torch.tensor([1 + ALPHABET.index(character) for text in texts for character in text])
    steps = torch.full((len(texts),), scores.shape[1])
    lengths = torch.tensor([len(text) for text in texts])
    return F.ctc_loss(scores.transpose(0, 1), labels, steps, lengths, zero_infinity=True)
