"""Training a surrogate on a dataset that is read lazily."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cloud_server.augment.pixels import Planes, as_planes
from cloud_server.augment.surrogate import Shape, Surrogate, as_surrogate, check_outputs, evaluating
from cloud_server.augment.types import Labels, Source
from cloud_server.augment.weights import DEFERRAL, Balance, effective_weights
from models.vision.networks import build_classifier
from models.vision.training import Batch, Training, fit

__all__ = ["SurrogateTraining", "Trained", "train_network", "train_surrogate"]

_WORD = (1 << 64) - 1
# Dense layers on raw columns do not stand the rate of networks that normalise.
_TABLE_RATE = 0.05


@dataclass(frozen=True)
class SurrogateTraining:
    """How a surrogate is trained.

    Args:
        network: a name of `models.vision.networks`; a table's rows, images of one line, get dense layers
            whatever it says.
        updates: steps of the optimiser.
        batch: images a step.
        rate: the highest learning rate.
        augment: 'flip-crop', or 'none'; rows of a table are never changed.
    """

    network: str = "small"
    updates: int = 2000
    batch: int = 128
    rate: float = 0.2
    augment: Literal["none", "flip-crop"] = "flip-crop"

    def training(self, shape: Shape) -> Training:
        """The settings of the optimiser for images of that shape.

        Raises:
            ValueError: for settings out of range.
        """
        table = shape[1] == 1
        augment = "none" if table else self.augment
        return Training(self.updates, self.batch, _TABLE_RATE if table else self.rate, augment=augment)


def train_surrogate(  # noqa: PLR0913 - the last five have defaults
    source: Source,
    settings: SurrogateTraining,
    *,
    seed: int,
    balance: Balance = "sampling",
    shape: Shape | None = None,
    groups: bool = False,
    resize: bool = False,
    state: Path | None = None,
    on_update: Callable[[int, float], None] | None = None,
) -> Surrogate:
    """A classifier of a dataset, for attacks on it; see `train_network` for the arguments."""
    network, names, shape = train_network(
        source,
        settings,
        seed=seed,
        balance=balance,
        shape=shape,
        groups=groups,
        resize=resize,
        state=state,
        on_update=on_update,
    )
    return as_surrogate(network, classes=names, shape=shape)


class Trained(NamedTuple):
    """What was trained, as it was built: in evaluation mode, with the names of its outputs and C H W."""

    network: nn.Module
    classes: tuple[str, ...]
    shape: Shape


def train_network(  # noqa: PLR0913 - as above
    source: Source,
    settings: SurrogateTraining,
    *,
    seed: int,
    balance: Balance = "sampling",
    shape: Shape | None = None,
    groups: bool = False,
    resize: bool = False,
    state: Path | None = None,
    on_update: Callable[[int, float], None] | None = None,
) -> Trained:
    """A classifier of a dataset, which can be saved.

    Args:
        source: where images are read from, a batch at a time.
        settings: how long, and on what.
        seed: of weights, batches and augmentation.
        balance: see `weights.Balance`. A network that saw the dataset's own shares takes nothing for a rare
            class, so that attacks toward one rarely arrive; one of few rare images knows its classes best
            with 'deferred'.
        shape: C H W; None takes the first image's.
        groups: tell the values of the bias attribute apart instead of the classes.
        resize: bring images of another size to `shape`.
        state: a file that the training is kept in and goes on from.
        on_update: called with the number of each update and its loss; may raise to cancel.

    Raises:
        ValueError: when there are no groups, or fewer than two classes.
    """
    values, names = _targets(source, groups=groups)
    if shape is None:
        height, width, channels = source.read(0).shape
        shape = (channels, height, width)
    network = _network(settings.network, len(names), shape, seed)
    check_outputs(network, len(names), shape)
    late = round(DEFERRAL * settings.updates) if balance == "deferred" else None
    reader = _Reader(
        source, values, len(names), shape, balanced=balance == "sampling", late=late, resize=resize
    )
    first = next(reader.batches(1, seed))
    # One thread, as everything that bytes follow from. `fit` looks at the images only for their number.
    with evaluating():
        trained = fit(
            network,
            first.images,
            first.labels,
            settings.training(shape),
            seed=seed,
            batches=reader.batches(settings.batch, seed),
            on_update=on_update,
            state=state,
        )
    return Trained(trained, names, shape)


def _targets(source: Source, *, groups: bool) -> tuple[Labels, tuple[str, ...]]:
    values, names = (source.groups, source.group_names) if groups else (source.labels, source.classes)
    if values is None:
        raise ValueError("surrogate: the dataset has no groups to tell apart; give the group of each image")
    if len(np.unique(values)) < 2:
        raise ValueError(f"surrogate: needs images of two classes or more, got {len(np.unique(values))}")
    return values, tuple(names)


def _network(name: str, classes: int, shape: Shape, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed & (_WORD >> 1))
        if shape[1] == 1:
            return _Dense(shape[0] * shape[2], classes)
        return build_classifier(name, classes, channels=shape[0], size=min(shape[1:]))


class _Dense(nn.Module):
    """For rows of a table: two dense layers on values around 0."""

    def __init__(self, values: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(values, 64), nn.ReLU(), nn.Linear(64, classes))

    def forward(self, rows: Tensor) -> Tensor:
        """Logits N K of N C 1 W in [0,1]."""
        found: Tensor = self.layers(rows.flatten(1) * 4.0 - 2.0)
        return found


@dataclass(frozen=True, eq=False)
class _Reader:
    """Batches that depend on the seed and their number alone; losses are weighted from number `late` on."""

    source: Source
    values: Labels
    classes: int
    shape: Shape
    balanced: bool
    late: int | None
    resize: bool

    def batches(self, size: int, seed: int) -> Iterator[Batch]:
        """Images N C H W and their labels N, without end."""
        weights, heavy = self._weights(), effective_weights(self.values, self.classes)
        number = 0
        while True:
            rng = np.random.default_rng([seed & _WORD, 4, number])
            chosen = rng.choice(len(self.values), size=size, p=weights)
            labels = self.values[chosen]
            weighted = self.late is not None and number >= self.late
            images = np.stack([self._read(int(i)) for i in chosen])
            yield Batch(images, labels, heavy[labels] if weighted else None)
            number += 1

    def _weights(self) -> npt.NDArray[np.float64] | None:
        if not self.balanced:
            return None
        counts = np.bincount(self.values, minlength=self.classes)
        weights = 1.0 / counts[self.values]
        return np.asarray(weights / weights.sum(), dtype=np.float64)

    def _read(self, index: int) -> Planes:
        picture = self.source.read(index)
        return as_planes(picture, self.shape, name=self.source.name(index), resize=self.resize)
