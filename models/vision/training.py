"""Training a classifier on images in memory: same seed, same weights, also after an interruption."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from models.precision import PRECISIONS, Precision, at_precision, check_precision
from shared.errors import Code, GoodnoiseError
from shared.files import write_atomically

__all__ = [
    "Batch",
    "Images",
    "Labels",
    "Training",
    "augmented",
    "augmented_batch",
    "batches_of",
    "fit",
    "predict",
    "rate_at",
]

Images: TypeAlias = npt.NDArray[np.uint8]
Labels: TypeAlias = npt.NDArray[np.int64]
# Called after each update with its number, from 1, and the loss.
OnUpdate: TypeAlias = Callable[[int, float], None]

_SAVE_EVERY = 200
_WORD = (1 << 63) - 1


@dataclass(frozen=True)
class Training:
    """How to train: SGD with Nesterov momentum, one cycle.

    Args:
        updates: steps of the optimiser.
        batch: images of one update.
        rate: the highest learning rate.
        momentum: of SGD.
        weight_decay: on all weights but biases and normalisation.
        augment: 'flip-crop' mirrors half of the images and moves each by up to an eighth of its height.
        warm_up: share of the updates in which the rate rises; afterwards it falls to 0 along a cosine.
        smoothing: of the labels.
        precision: of convolutions and products, see `models.precision`; weights stay float32.
    """

    updates: int = 1000
    batch: int = 128
    rate: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 5e-4
    augment: Literal["none", "flip-crop"] = "flip-crop"
    warm_up: float = 0.2
    smoothing: float = 0.0
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        if self.updates < 1 or self.batch < 2:
            raise ValueError(f"training: needs 1 update of 2 images or more: {self.updates}, {self.batch}")
        if self.augment not in ("none", "flip-crop"):
            raise ValueError(f"training: augment must be none or flip-crop, got {self.augment!r}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"training: precision must be {' or '.join(PRECISIONS)}, got {self.precision!r}")
        if not 0.0 <= self.warm_up < 1.0:
            raise ValueError(f"training: warm_up is a share of the updates in [0,1), got {self.warm_up}")


class Batch(NamedTuple):
    """What one update sees.

    images: uint8 N C H W. labels: N. weights: of the losses, N, or None for 1. targets: what is learnt in
    place of the labels, shares of the classes N K that sum to 1 in each row, or None.
    """

    images: Images
    labels: Labels
    weights: npt.NDArray[np.float32] | None = None
    targets: npt.NDArray[np.float32] | None = None


def fit(  # noqa: PLR0913 - all but three by keyword, with defaults
    network: nn.Module,
    images: Images,
    labels: Labels,
    settings: Training,
    *,
    seed: int,
    batches: Iterator[Batch] | None = None,
    weights: npt.NDArray[np.float32] | None = None,
    on_update: OnUpdate | None = None,
    state: Path | None = None,
) -> nn.Module:
    """Train a network in place.

    Args:
        network: images N C H W in [0,1] to logits N K.
        images: N C H W.
        labels: N.
        settings: see there.
        seed: of the order of images and of their augmentation; initial weights are the network's own.
        batches: gives each update its images; by default all images in a new order each time through. It
            must give the same again from its beginning: what was used before an interruption is passed over.
        weights: of the losses, N; how often an image is drawn does not depend on them.
        on_update: called after each update.
        state: a file that training goes on from; it is removed when training has ended.

    Returns:
        The network, in evaluation mode.

    Raises:
        ValueError: when images and labels differ in number, or batches end too soon.
        GoodnoiseError: CORRUPT for a `state` that is not of this training; PRECONDITION for a precision that
            this machine does not have.
    """
    if len(images) != len(labels) or not len(images):
        raise ValueError(f"fit: got {len(images)} images and {len(labels)} labels, needs as many and one")
    check_precision(settings.precision)
    source = (
        batches_of(images, labels, settings.batch, seed=seed, weights=weights) if batches is None else batches
    )
    run = _Run(network, settings, seed)
    done = 0 if state is None else run.load(state)
    for _ in range(done):
        next(source, None)
    network.train()
    for update in range(done, settings.updates):
        batch = next(source, None)
        if batch is None:
            raise ValueError(f"fit: batches ended after {update} of {settings.updates} updates")
        loss = run.update(update, batch)
        if state is not None and (update + 1) % _SAVE_EVERY == 0:
            run.save(state, update + 1)
        if on_update is not None:
            on_update(update + 1, loss)
    if state is not None:
        state.unlink(missing_ok=True)
    return network.eval()


def predict(network: nn.Module, images: Images, batch: int = 256) -> npt.NDArray[np.float32]:
    """Logits N K of images N C H W; the network is left in evaluation mode."""
    network.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), batch):
            parts.append(network(_floats(images[start : start + batch])).numpy())
    return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)


def batches_of(
    images: Images,
    labels: Labels,
    size: int,
    *,
    seed: int,
    weights: npt.NDArray[np.float32] | None = None,
) -> Iterator[Batch]:
    """All images in a new order each time through, without end; no batch is smaller than the others."""
    rng = np.random.default_rng([seed & _WORD, 1])
    waiting = np.empty(0, np.int64)
    while True:
        while len(waiting) < size:
            waiting = np.concatenate([waiting, rng.permutation(len(images))])
        rows, waiting = waiting[:size], waiting[size:]
        yield Batch(images[rows], labels[rows], None if weights is None else weights[rows])


def rate_at(update: int, settings: Training) -> float:
    """The learning rate of an update, counted from 0."""
    rising = settings.warm_up * settings.updates
    if update < rising:
        return settings.rate * (update + 1) / (rising + 1)
    share = (update - rising) / max(settings.updates - rising, 1)
    return settings.rate * 0.5 * (1.0 + math.cos(math.pi * share))


def augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """Half of the images mirrored, each moved by up to an eighth of its height and width; N C H W.

    What a move uncovers is mirrored from inside.
    """
    n, channels, height, width = images.shape
    reach = max(height // 8, 1)
    moves = torch.randint(0, 2 * reach + 1, (2, n, 1), generator=generator)
    rows = moves[0] + torch.arange(height)
    columns = moves[1] + torch.arange(width)
    mirrored = torch.randint(0, 2, (n, 1), generator=generator).bool()
    columns = torch.where(mirrored, columns.flip(1), columns)
    rows, columns = _inside(rows - reach, height), _inside(columns - reach, width)
    # N H W C is how channels-last images lie, and one pixel is copied at once.
    flat = images.permute(0, 2, 3, 1).reshape(n * height * width, channels)
    place = torch.arange(n)[:, None, None] * (height * width) + rows[:, :, None] * width + columns[:, None, :]
    return flat[place.reshape(-1)].reshape(n, height, width, channels).permute(0, 3, 1, 2)


def augmented_batch(images: Images, settings: Training, *, seed: int, update: int) -> Images:
    """What an update sees of a batch N C H W, as `fit` makes it: numbered from 0, and drawn from the seed."""
    if settings.augment == "none":
        return images
    # Keyed by the update: nothing random has to be kept for an interruption.
    key = np.random.SeedSequence([seed & _WORD, 2, update]).generate_state(1, np.uint64)[0]
    moved: Images = augmented(
        torch.from_numpy(images), torch.Generator().manual_seed(int(key) & _WORD)
    ).numpy()
    return moved


def _inside(index: Tensor, size: int) -> Tensor:
    index = index.abs()
    return torch.where(index >= size, 2 * size - 2 - index, index)


def _floats(images: Images) -> Tensor:
    return torch.from_numpy(images).to(torch.float32, memory_format=torch.channels_last) / 255.0


class _Run:
    """The optimiser of one training and what it needs to go on."""

    def __init__(self, network: nn.Module, settings: Training, seed: int) -> None:
        self.network, self.settings, self.seed = network, settings, seed
        plain = [p for p in network.parameters() if p.ndim <= 1]
        decayed = [p for p in network.parameters() if p.ndim > 1]
        groups = [
            {"params": decayed, "weight_decay": settings.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.SGD(groups, lr=settings.rate, momentum=settings.momentum, nesterov=True)

    def update(self, number: int, batch: Batch) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = rate_at(number, self.settings)
        x = _floats(augmented_batch(batch.images, self.settings, seed=self.seed, update=number))
        with at_precision(self.settings.precision):
            logits = self.network(x)
        loss = self._loss(logits.float(), batch)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return float(loss.detach())

    def _loss(self, logits: Tensor, batch: Batch) -> Tensor:
        # Cross-entropy takes both: the number of a class, and shares of all.
        labels = torch.from_numpy(batch.labels if batch.targets is None else batch.targets)
        each = F.cross_entropy(logits, labels, reduction="none", label_smoothing=self.settings.smoothing)
        return each.mean() if batch.weights is None else (each * torch.from_numpy(batch.weights)).mean()

    def save(self, path: Path, done: int) -> None:
        content = io.BytesIO()
        momenta = [self.optimiser.state[p]["momentum_buffer"] for p in self._parameters()]
        torch.save(
            {"key": self._key(), "done": done, "weights": self.network.state_dict(), "momenta": momenta},
            content,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content.getvalue())

    def load(self, path: Path) -> int:
        if not path.exists():
            return 0
        try:
            known: dict[str, Any] = torch.load(path, weights_only=True)
            _check_key(known["key"], self._key())
            self.network.load_state_dict(known["weights"])
            for parameter, momentum in zip(self._parameters(), known["momenta"], strict=True):
                self.optimiser.state[parameter]["momentum_buffer"] = momentum
            return int(known["done"])
        except Exception as error:
            raise GoodnoiseError(
                Code.CORRUPT, f"{path} is not the state of this training; delete it to begin again"
            ) from error

    def _key(self) -> str:
        return f"{asdict(self.settings)} {self.seed}"

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.optimiser.param_groups for p in group["params"]]


def _check_key(found: str, own: str) -> None:
    if found != own:
        raise ValueError(f"it is of {found}, not of {own}")
