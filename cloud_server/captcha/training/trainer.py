"""The one loop of updates, which can be interrupted at any of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from cloud_server.captcha.challenges.types import ALPHABET
from cloud_server.captcha.report.checkpoints import read_checkpoint, write_checkpoint
from cloud_server.captcha.training.plan import Plan
from cloud_server.captcha.training.samples import STRIPES
from cloud_server.captcha.training.sources import Batch, Source
from models.text.networks import TextOutput, build
from models.text.readers import Reader, decode, reading_loss, unpack_weights

__all__ = ["OnUpdate", "Trainer", "begin", "learning_loss", "share_read"]

# Called after each update with how many there were, and the loss of the last.
OnUpdate = Callable[[int, float], None]

# Share of the updates over which the learning rate rises.
_RISE = 0.1
_READ_AT_ONCE = 100


class Trainer:
    """Trains one reader. An interrupted training ends in the same weights as one that was not.

    Args:
        reader: its row.
        network: where it begins; trained in place.
        plan: how.
        steps: updates in all.
        path: of the checkpoint, which is read first where it is of the same training.
        key: what the training depends on beside its plan.
    """

    def __init__(
        self, reader: Reader, network: nn.Module, plan: Plan, *, steps: int, path: Path, key: str
    ) -> None:
        self.network = network
        self._name, self._plan, self._steps, self._path = reader.name, plan, steps, path
        self._key = sha256(f"{key} {reader!r} {plan!r} {steps} {ALPHABET}".encode()).hexdigest()
        self._optimiser = torch.optim.AdamW(network.parameters(), lr=plan.rate, weight_decay=plan.decay)
        self._done = 0
        self._resume()

    @property
    def done(self) -> int:
        """Updates so far, those before an interruption included."""
        return self._done

    def train(self, source: Source, on_update: OnUpdate) -> nn.Module:
        """The updates that are left.

        Args:
            source: of batches.
            on_update: told of each; may raise to interrupt.

        Returns:
            The network, in evaluation mode.
        """
        while self._done < self._steps:
            loss = self._update(source)
            self._done += 1
            if self._done % self._plan.keep_every == 0 or self._done == self._steps:
                self._keep()
            on_update(self._done, loss)
        return self.network.eval()

    def forget(self) -> None:
        """Remove the checkpoint."""
        self._path.unlink(missing_ok=True)

    def _update(self, source: Source) -> float:
        # Each update draws from a generator of its own, so that nothing random crosses an interruption.
        rng = np.random.default_rng([self._plan.seed, crc32(self._name.encode()), self._done])
        batch = source.batch(self.network, self._plan.batch, rng)
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate()
        self.network.train()
        loss = learning_loss(self.network(batch.images), batch).mean()
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        self._optimiser.step()
        return float(loss.detach())

    def _rate(self) -> float:
        cosine = (1 + math.cos(math.pi * self._done / self._steps)) / 2
        return self._plan.rate * min(1.0, (self._done + 1) / (_RISE * self._steps)) * cosine

    def _resume(self) -> None:
        found = read_checkpoint(self._path, self._key)
        if found is None:
            return
        self.network.load_state_dict(found["network"])
        self._optimiser.load_state_dict(found["optimiser"])
        self._done = found["done"]

    def _keep(self) -> None:
        content = {
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "done": self._done,
        }
        write_checkpoint(self._path, self._key, content)


def begin(reader: Reader, *, seed: int, weights: bytes | None = None) -> nn.Module:
    """A reader before its training.

    Args:
        reader: its row.
        seed: of random weights.
        weights: packed, of the reader that it begins as; None for random ones.

    Raises:
        GoodnoiseError: CORRUPT when the weights do not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(
            int(np.random.SeedSequence([seed, crc32(reader.name.encode())]).generate_state(1)[0])
        )
        network = build(reader.architecture, len(ALPHABET), width=reader.width)
    if weights is not None:
        unpack_weights(network, weights, ALPHABET, source=f"what {reader.name} begins as")
    return network


def learning_loss(output: TextOutput, batch: Batch) -> Tensor:
    """What training lessens, N: the reading's loss, and where known that of each column and part.

    CTC alone takes long to find where characters stand.
    """
    loss = reading_loss(output, batch.labels)
    if batch.parts is None:
        return loss
    if output.columns is not None:
        loss = loss + 0.5 * _column_loss(output.columns, batch.labels, batch.parts)
    if output.parts is not None:
        loss = loss + F.nll_loss(output.parts, batch.parts, reduction="none").mean(dim=1)
    return loss


def _column_loss(columns: Tensor, labels: Tensor, parts: Tensor) -> Tensor:
    """Loss of each column's class, N; columns of no character are blank."""
    blank = torch.zeros(len(labels), 1, dtype=labels.dtype)
    classes = torch.cat([labels, blank], dim=1).gather(1, parts)
    wide = classes.repeat_interleave(columns.shape[1] // STRIPES, dim=1)
    return F.nll_loss(columns.transpose(1, 2), wide, reduction="none").mean(dim=1)


def share_read(network: nn.Module, batch: Batch) -> float:
    """Share of texts that a reader reads whole; the network is left in evaluation mode."""
    network.eval()
    right = 0
    with torch.inference_mode():
        for start in range(0, len(batch.images), _READ_AT_ONCE):
            read = decode(network(batch.images[start : start + _READ_AT_ONCE]), ALPHABET)
            right += sum(
                text == _text(row)
                for text, row in zip(read, batch.labels[start : start + _READ_AT_ONCE], strict=True)
            )
    return right / len(batch.images)


def _text(labels: Tensor) -> str:
    return "".join(ALPHABET[k - 1] for k in labels.tolist() if k)
