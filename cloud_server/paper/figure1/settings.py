"""What decides the figures of figure 1: the protocol, and the recognisers that are trained."""

from __future__ import annotations

import hashlib
import json
import string
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

__all__ = [
    "BODIES",
    "FULL",
    "LETTERS",
    "NOISES",
    "REDUCED",
    "SIDE",
    "Body",
    "Distortion",
    "Net",
    "Noise",
    "Protocol",
    "Unit",
]

LETTERS = string.ascii_uppercase
# Pixels each way.
SIDE = 32

Body = Literal["lstm", "cnn"]
BODIES: tuple[Body, ...] = ("lstm", "cnn")
# Of the training images: none; the set's own, as in the paper; any up to the last level's.
Noise = Literal["clean", "noise", "heavy"]
NOISES: tuple[Noise, ...] = ("clean", "noise", "heavy")
Distortion = Literal["fgsm", "fgsm-once", "gaussian", "gaussian-sum", "signs"]


@dataclass(frozen=True)
class Net:
    """A recogniser: its body, and the noise in its training images."""

    body: Body
    noise: Noise

    @property
    def name(self) -> str:
        """In reports."""
        return f"{self.body}-{self.noise}"


@dataclass(frozen=True)
class Unit:
    """A distortion, and the recogniser whose gradients it follows ('' for noise)."""

    distortion: Distortion
    source: str = ""

    @property
    def name(self) -> str:
        """In files and reports."""
        return f"{self.distortion} of {self.source}" if self.source else self.distortion


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Everything that decides a figure. Intensities and deviations are shares of the range [0,1].

    Args:
        train: training images a letter.
        test: test images a letter.
        updates: of each recogniser.
        batch: images an update.
        rate: Adam's learning rate at its highest; it falls as half a cosine.
        levels: of distortion.
        additions: one-time distortions a level.
        step: length of one FGSM step.
        variance: of one addition of Gaussian noise.
        noise: deviation of the set's own noise, in test images and in training images of kind 'noise'.
        heavy: largest deviation in training images of kind 'heavy', drawn anew for each image.
        read: images a letter for readers that were not trained here, at most.
        kept: images a letter that the proxies look at, pictures show and the study takes, at most.
        seed: of images, noise, weights and batches.
    """

    train: int = 200
    test: int = 20
    updates: int = 1500
    batch: int = 64
    rate: float = 3e-3
    levels: int = 8
    additions: int = 5
    step: float = 0.02
    variance: float = 0.01
    noise: float = 0.1
    heavy: float = 0.6
    read: int = 3
    kept: int = 20
    seed: int = 0

    @property
    def nets(self) -> tuple[Net, ...]:
        """The recognisers."""
        return tuple(Net(body, noise) for body in BODIES for noise in NOISES)

    @property
    def units(self) -> tuple[Unit, ...]:
        """What is measured, noise first."""
        attacks: tuple[Distortion, ...] = ("fgsm", "fgsm-once")
        adversarial = (Unit(distortion, net.name) for distortion in attacks for net in self.nets)
        return (Unit("gaussian"), Unit("gaussian-sum"), Unit("signs"), *adversarial)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    def key(self) -> str:
        """Tells results of one protocol from those of another."""
        return _digest(self.to_dict())

    def training_key(self) -> str:
        """Tells recognisers of one training from those of another."""
        names = ("train", "updates", "batch", "rate", "noise", "heavy", "seed")
        values = self.to_dict()
        return _digest({name: values[name] for name in names})


def _digest(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


REDUCED = Protocol()
FULL = replace(REDUCED, train=1000, test=200, updates=8000, read=20)
