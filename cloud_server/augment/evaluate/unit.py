"""One unit of an evaluation: one arm, one seed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from cloud_server.augment.distilling import Distiller
from cloud_server.augment.engine import Engine
from cloud_server.augment.evaluate.arms import Arm, Teaching
from cloud_server.augment.evaluate.pools import Pool, pool_batches
from cloud_server.augment.evaluate.protocols import Protocol
from cloud_server.augment.hardening import Hardener
from cloud_server.augment.plan import plan_counts
from cloud_server.augment.recipes import Recipe
from cloud_server.augment.rows import Rows, Unencoded, scale_of
from cloud_server.augment.surrogate import Surrogate, as_surrogate
from cloud_server.augment.types import Kind
from cloud_server.augment.weights import DEFERRAL, effective_weights
from models.precision import in_precision
from models.vision.cifar import Labelled
from models.vision.networks import build_classifier
from models.vision.saving import load_classifier, save_classifier
from models.vision.training import Batch, Images, Labels, augmented_batch, fit, predict

__all__ = ["Made", "Unit", "Work", "hardened_batches", "make_samples", "taught_batches", "train_arm"]

# The surrogate is another network than any arm's.
_SURROGATE = 1 << 20
_BALANCED = Arm("surrogate", "classes drawn alike", balanced=True)
_DEFERRED = Arm("surrogate-deferred", "losses weighted by class in the last fifth", reweight=DEFERRAL)
_PART = 64
OnUpdate = Callable[[int, float], None]


@dataclass(frozen=True, eq=False)
class Made:
    """Samples of an arm. images: N C H W. labels: N. accepted: share that reached its target, in [0,1]."""

    images: Images
    labels: Labels
    accepted: float


@dataclass(frozen=True, eq=False)
class Unit:
    """What a unit left. predicted: labels that the network gave the test images, N. accepted: see `Made`."""

    predicted: npt.NDArray[np.int64]
    accepted: float


@dataclass(frozen=True)
class Work:
    """What the units of one seed have in common.

    Args:
        train: the imbalanced data.
        test: all held-out images.
        rare: indices of the rare classes.
        protocol: see there.
        seed: of everything.
        folder: where surrogates are kept between units.
    """

    train: Labelled
    test: Labelled
    rare: Labels
    protocol: Protocol
    seed: int
    folder: Path

    @property
    def shape(self) -> tuple[int, int, int]:
        """C H W."""
        _, channels, height, width = self.train.images.shape
        return (channels, height, width)

    def network(self, seed: int) -> nn.Module:
        """A new network; the same for the same seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            channels, height, width = self.shape
            return build_classifier(
                self.protocol.network,
                len(self.train.classes),
                channels=channels,
                size=min(height, width),
            )

    def surrogate(self, on_update: OnUpdate | None = None, *, arm: Arm = _BALANCED) -> Surrogate:
        """Trained on the imbalanced data as that arm is; kept for the other arms."""
        path = self.folder / f"{arm.name}-{self._key()}-{self.seed}.npz"
        if path.is_file():
            network = load_classifier(path).network
        else:
            network = self._train(arm, None, _SURROGATE + self.seed, on_update)
            name = self.protocol.network
            save_classifier(path, network, name=name, classes=self.train.classes, shape=self.shape)
        return as_surrogate(network, classes=self.train.classes, shape=self.shape)

    def _key(self) -> str:
        """Of all that a surrogate depends on but its seed."""
        digest = hashlib.sha256(f"{self.protocol} {self.train.classes}".encode())
        digest.update(self.train.labels.tobytes())
        digest.update(np.ascontiguousarray(self.train.images).data)
        return digest.hexdigest()[:12]

    def train_arm(self, arm: Arm, on_update: OnUpdate | None = None) -> tuple[nn.Module, float]:
        """The arm's network, and what share of its samples reached their target."""
        made = None
        if arm.samples is not None:
            surrogate = self.surrogate(on_update, arm=_rival(arm)) if arm.surrogate else None
            made = make_samples(self, arm.samples, arm.amount == "balance", surrogate)
        network = self._train(arm, made, self.seed, on_update)
        return network, 0.0 if made is None else made.accepted

    def _train(self, arm: Arm, made: Made | None, seed: int, on_update: OnUpdate | None) -> nn.Module:
        network, settings = self.network(seed), self.protocol.training
        batches = _batches(self, arm, made, seed)
        if arm.hardened:
            batches = hardened_batches(self, network, batches, seed=seed)
        if arm.taught is not None:
            teacher = self.surrogate(on_update, arm=_DEFERRED)
            batches = taught_batches(self, arm.taught, teacher, batches, seed=seed)
            # Done already: the teacher has to see the very pixels.
            settings = replace(settings, augment="none")
        data = self.train
        return fit(
            network, data.images, data.labels, settings, seed=seed, batches=batches, on_update=on_update
        )


def train_arm(work: Work, arm: Arm, on_update: OnUpdate | None = None) -> Unit:
    """Train the arm, and ask its network about the test images."""
    network, accepted = work.train_arm(arm, on_update)
    logits = predict(network, work.test.images)
    if arm.adjusted:
        counts = np.bincount(work.train.labels, minlength=len(work.train.classes))
        logits = logits - np.log(counts / counts.sum()).astype(np.float32)
    return Unit(logits.argmax(axis=1).astype(np.int64), accepted)


def make_samples(work: Work, recipe: Recipe, balance: bool, surrogate: Surrogate | None) -> Made:  # noqa: FBT001
    """Samples of the rare classes: up to the largest class, or as many as they have images."""
    counts = np.bincount(work.train.labels, minlength=len(work.train.classes))
    extra = {int(k): int(counts.max() - counts[k] if balance else counts[k]) for k in work.rare}
    draws = plan_counts(
        work.train.labels, extra, classes=len(work.train.classes), recipe=recipe, seed=work.seed
    )
    x = np.ascontiguousarray(work.train.images.transpose(0, 2, 3, 1))
    source = Rows(x, scale_of(x, None), work.train.labels, work.train.classes)
    codec = Unencoded(x.shape[1:])
    engine = Engine(recipe, surrogate, codec=codec, seed=work.seed, batch=_PART, shape=work.shape)
    parts = (draws[start : start + _PART] for start in range(0, len(draws), _PART))
    samples = [sample for part in parts for sample in engine.make(part, source)]
    images = np.stack([sample.picture for sample in samples]).transpose(0, 3, 1, 2)
    labels = np.array([sample.draw.label for sample in samples], np.int64)
    reached = np.mean([sample.provenance.kind is Kind.ADVERSARIAL for sample in samples])
    return Made(np.ascontiguousarray(images), labels, float(reached))


def _rival(arm: Arm) -> Arm:
    """How the surrogate of an arm's samples is trained: with few rare images deferred knows them better."""
    return _DEFERRED if arm.reweight < 1.0 else _BALANCED


def _batches(work: Work, arm: Arm, made: Made | None, seed: int) -> Iterator[Batch]:
    settings, data = work.protocol.training, work.train
    originals = Pool.of(data.images, data.labels)
    joined = originals if made is None else originals.joined(made.images, made.labels)
    later = (0.0 if arm.samples is None else arm.samples.start) * settings.updates
    # By what is drawn: samples have made rare classes less rare. Weighted as if there were none, the frequent
    # classes lost (2.5 points); with each counted as an image, the rare ones did.
    shares = np.where(joined.made, 0.5, 1.0)
    heavy = effective_weights(joined.labels, len(data.classes), shares=shares)
    return pool_batches(
        lambda update: joined if update >= later else originals,
        settings.batch,
        seed=seed,
        balanced=arm.balanced,
        mix=arm.mix,
        weights=lambda update: heavy if update >= arm.reweight * settings.updates else None,
    )


def hardened_batches(
    work: Work, network: nn.Module, batches: Iterator[Batch], *, seed: int
) -> Iterator[Batch]:
    """The batches, with some rare rows moved against the network as it is at that update."""
    harden = Hardener(
        in_precision(network, work.protocol.training.precision),
        classes=work.train.classes,
        shape=work.shape,
        rare=work.rare.tolist(),
        seed=seed,
    )
    for batch in batches:
        yield batch._replace(images=harden(batch.images, batch.labels))


def taught_batches(
    work: Work, taught: Teaching, teacher: Surrogate, batches: Iterator[Batch], *, seed: int
) -> Iterator[Batch]:
    """The batches, augmented, with what the surrogate says of them; some frequent rows moved."""
    settings = work.protocol.training
    distil = Distiller(
        replace(teacher, network=in_precision(teacher.network, settings.precision)),
        rare=work.rare.tolist(),
        share=taught.share,
        recipe=taught.recipe,
        seed=seed,
    )
    for update, batch in enumerate(batches):
        images = augmented_batch(batch.images, settings, seed=seed, update=update)
        yield batch._replace(**distil(images, batch.labels)._asdict())
