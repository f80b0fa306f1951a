"""Training one reader, and what it reads afterwards."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from cloud_server.captcha.challenges.types import ALPHABET
from cloud_server.captcha.training.plan import Plan
from cloud_server.captcha.training.samples import STRIPES
from cloud_server.captcha.training.sources import Batch, Source
from cloud_server.captcha.training.updates import OnUpdate, Updates
from models.text.networks import TextOutput, build
from models.text.readers import Reader, decode, reading_loss, unpack_weights

__all__ = ["Trainer", "begin", "learning_loss", "share_read"]

_READ_AT_ONCE = 100


class Trainer:
    """Trains one reader.

    Args:
        reader: its row.
        network: where it begins; trained in place.
        plan: how.
        steps: updates in all.
        path: of the checkpoint.
        key: what the training depends on beside its plan.
    """

    def __init__(
        self, reader: Reader, network: nn.Module, plan: Plan, *, steps: int, path: Path, key: str
    ) -> None:
        self.network, self._batch = network, plan.batch
        self._updates = Updates(
            network, plan, name=reader.name, steps=steps, path=path, key=f"{key} {reader!r}"
        )

    @property
    def done(self) -> int:
        """Updates so far, those before an interruption included."""
        return self._updates.done

    def train(self, source: Source, on_update: OnUpdate) -> nn.Module:
        """The updates that are left, of batches of a source; see `Updates.run`."""

        def learn(rng: np.random.Generator) -> float:
            batch = source.batch(self.network, self._batch, rng)
            self.network.train()
            loss = learning_loss(self.network(batch.images), batch).mean()
            loss.backward()  # type: ignore[no-untyped-call]
            return float(loss.detach())

        return self._updates.run(learn, on_update)

    def forget(self) -> None:
        """Remove the checkpoint."""
        self._updates.forget()


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
