"""What an arm draws its batches from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.vision.training import Batch, Images, Labels

__all__ = ["Pool", "pool_batches"]

_WORD = (1 << 63) - 1


@dataclass(frozen=True, eq=False)
class Pool:
    """Images to draw from. images: N C H W. labels: N. made: N, whether an image is a sample, no original."""

    images: Images
    labels: Labels
    made: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, images: Images, labels: Labels) -> Pool:
        """Originals alone."""
        return cls(images, labels, np.zeros(len(labels), np.bool_))

    def joined(self, images: Images, labels: Labels) -> Pool:
        """With samples."""
        made = np.ones(len(labels), np.bool_)
        return Pool(
            np.concatenate([self.images, images]),
            np.concatenate([self.labels, labels]),
            np.concatenate([self.made, made]),
        )

    def chances(self, mix: float | None = None) -> npt.NDArray[np.float64]:
        """Chances (N) that make classes alike; `mix` is the share of samples in a class that has some."""
        classes = int(self.labels.max()) + 1
        cells = self.labels * 2 + self.made
        counts = np.bincount(cells, minlength=2 * classes).reshape(classes, 2)
        if mix is None:
            weights = 1.0 / counts.sum(axis=1)[self.labels]
        else:
            share = np.where(counts[:, 1] == 0, 0.0, mix)
            shares = np.stack([1.0 - share, share], axis=1)
            weights = (shares / np.maximum(counts, 1)).reshape(-1)[cells]
        return np.asarray(weights / weights.sum(), np.float64)


def pool_batches(
    pool: Callable[[int], Pool],
    size: int,
    *,
    seed: int,
    balanced: bool,
    mix: float | None = None,
    weights: Callable[[int], npt.NDArray[np.float32] | None] = lambda _: None,
) -> Iterator[Batch]:
    """Batches without end.

    Args:
        pool: for an update, counted from 0, what is drawn from.
        size: of a batch.
        seed: of what is drawn.
        balanced: classes alike; otherwise all images in a new order each time through.
        mix: see `Pool.chances`.
        weights: for an update, the weight of each class' losses (K), or None.
    """
    rng = np.random.default_rng([seed & _WORD, 12])
    known: Pool | None = None
    chances: npt.NDArray[np.float64] | None = None
    waiting, update = np.empty(0, np.int64), 0
    while True:
        current = pool(update)
        if current is not known:
            known, waiting = current, np.empty(0, np.int64)
            chances = np.cumsum(current.chances(mix)) if balanced else None
        if chances is not None:
            rows = np.minimum(np.searchsorted(chances, rng.random(size)), len(current.labels) - 1)
        else:
            while len(waiting) < size:
                waiting = np.concatenate([waiting, rng.permutation(len(current.labels))])
            rows, waiting = waiting[:size], waiting[size:]
        labels, factors = current.labels[rows], weights(update)
        yield Batch(current.images[rows], labels, None if factors is None else factors[labels])
        update += 1
