"""Training a recogniser of letters with Adam; an interrupted training goes on where it stopped."""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from cloud_server.paper.figure1.letters import Letters, with_noise
from cloud_server.paper.figure1.networks import Recogniser, build
from cloud_server.paper.figure1.settings import Net, Protocol
from models.torch_oracle import frozen
from shared.errors import Code, GoodnoiseError
from shared.files import storage_errors, write_atomically

__all__ = ["trained", "training_images"]

# Called with updates done.
Report = Callable[[int], None]
_SAVE_EVERY = 200


def training_images(letters: Letters, net: Net, protocol: Protocol) -> npt.NDArray[np.uint8]:
    """What a recogniser learns from, uint8 N 1 S S: the letters with its kind of noise, drawn once."""
    deviations: dict[str, float | tuple[float, float]] = {
        "clean": 0.0,
        "noise": protocol.noise,
        "heavy": (0.0, protocol.heavy),
    }
    return with_noise(letters, deviations[net.noise], seed=protocol.seed)


def trained(net: Net, protocol: Protocol, letters: Letters, *, folder: Path, report: Report) -> Recogniser:
    """The recogniser after its training, frozen; read from the folder when it was trained before.

    Args:
        net: which.
        protocol: updates, batch, rate, seed.
        letters: to train on, without noise.
        folder: where its weights and the state of an interrupted training are kept.
        report: called after each update.

    Raises:
        GoodnoiseError: CORRUPT for a damaged state; PERMISSION, EXHAUSTED or PRECONDITION from the disk.
    """
    run = _Run(net, protocol, folder / f"{net.name}.pt")
    if run.step < protocol.updates:
        images = torch.from_numpy(training_images(letters, net, protocol))
        labels = torch.from_numpy(letters.labels)
        try:
            while run.step < protocol.updates:
                run.update(images, labels)
                if run.step % _SAVE_EVERY == 0:
                    run.save()
                report(run.step)
        finally:
            run.save()
    report(run.step)
    frozen(run.network)
    return run.network


class _Run:
    """A training, and everything that an interruption must not lose."""

    def __init__(self, net: Net, protocol: Protocol, path: Path) -> None:
        # Weights of their own for each recogniser, whatever was trained before it.
        self._seeds = [protocol.seed, zlib.crc32(net.name.encode())]
        with torch.random.fork_rng():
            torch.manual_seed(int(np.random.default_rng(self._seeds).integers(2**62)))
            self.network = build(net.body)
        self._optimiser = torch.optim.Adam(self.network.parameters(), lr=protocol.rate)
        self._protocol, self._path, self.step = protocol, path, 0
        if path.exists():
            self._load()

    def update(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """One batch, which depends on seed and step alone."""
        rng = np.random.default_rng([*self._seeds, self.step])
        chosen = torch.from_numpy(rng.integers(len(images), size=self._protocol.batch))
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate()
        self._optimiser.zero_grad()
        loss = self.network.losses(images[chosen].float() / 255, labels[chosen]).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self._optimiser.step()
        self.step += 1

    def save(self) -> None:
        """Write weights and the optimiser's state, whole or not at all."""
        state = {
            "training": self._protocol.training_key(),
            "step": self.step,
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }
        stream = io.BytesIO()
        torch.save(state, stream)
        with storage_errors(self._path.parent, setting="--out"):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, stream.getvalue())

    def _load(self) -> None:
        try:
            state = torch.load(self._path, weights_only=True)
            if state["training"] == self._protocol.training_key():
                self.network.load_state_dict(state["network"])
                self._optimiser.load_state_dict(state["optimiser"])
                self.step = int(state["step"])
        except Exception as error:  # torch answers a damaged file with almost any exception
            raise GoodnoiseError(
                Code.CORRUPT, f"{self._path} cannot be read ({error}); remove it to train anew"
            ) from error

    def _rate(self) -> float:
        share = self.step / self._protocol.updates
        return self._protocol.rate * (0.5 + 0.5 * math.cos(math.pi * share)) + 1e-6
