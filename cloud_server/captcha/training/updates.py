"""The one loop of updates, which can be interrupted at any of them and ends in the same weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from torch import nn

from cloud_server.captcha.challenges.types import ALPHABET
from cloud_server.captcha.report.checkpoints import read_checkpoint, write_checkpoint
from cloud_server.captcha.training.plan import Plan

__all__ = ["Learn", "OnUpdate", "Updates"]

# Called after each update with how many there were, and the loss of the last.
OnUpdate = Callable[[int, float], None]
# Leaves gradients on the network's weights, drawing from the generator alone; returns the loss.
Learn = Callable[[np.random.Generator], float]

# Share of the updates over which the learning rate rises.
_RISE = 0.1


class Updates:
    """Updates of one network.

    Args:
        network: where it begins; trained in place.
        plan: how.
        name: of what is trained; everything random depends on it.
        steps: updates in all.
        path: of the checkpoint, which is read first where it is of the same training.
        key: what the training depends on beside its plan.
    """

    def __init__(
        self, network: nn.Module, plan: Plan, *, name: str, steps: int, path: Path, key: str
    ) -> None:
        self.network = network
        self._name, self._plan, self._steps, self._path = name, plan, steps, path
        self._key = sha256(f"{key} {plan!r} {steps} {ALPHABET}".encode()).hexdigest()
        self._optimiser = torch.optim.AdamW(network.parameters(), lr=plan.rate, weight_decay=plan.decay)
        self._done = 0
        self._resume()

    @property
    def done(self) -> int:
        """Updates so far, those before an interruption included."""
        return self._done

    def run(self, learn: Learn, on_update: OnUpdate) -> nn.Module:
        """The updates that are left.

        Args:
            learn: of one update.
            on_update: told of each; may raise to interrupt.

        Returns:
            The network, in evaluation mode.
        """
        while self._done < self._steps:
            loss = self._update(learn)
            self._done += 1
            if self._done % self._plan.keep_every == 0 or self._done == self._steps:
                self._keep()
            on_update(self._done, loss)
        return self.network.eval()

    def forget(self) -> None:
        """Remove the checkpoint."""
        self._path.unlink(missing_ok=True)

    def _update(self, learn: Learn) -> float:
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate()
        self._optimiser.zero_grad()
        # Each update draws from a generator of its own, so that nothing random crosses an interruption.
        loss = learn(np.random.default_rng([self._plan.seed, crc32(self._name.encode()), self._done]))
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        self._optimiser.step()
        return loss

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
