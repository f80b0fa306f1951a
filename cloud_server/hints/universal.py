"""Training one universal perturbation on an ensemble, by the attack core's loop over batches of faces."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from cloud_server.hints.data import FaceSet
from cloud_server.hints.nets import Net
from shared.attack.attack import Attack, State
from shared.attack.budgets import Linf
from shared.attack.oracles import Ensemble, Expectation, Oracle
from shared.attack.table import ATTACKS
from shared.attack.transforms import Affine, Jitter
from shared.attack.universal import Batch, train_universal

__all__ = ["Anchors", "Training", "embed_all", "to_levels", "train"]

Floats = npt.NDArray[np.float32]
Levels = npt.NDArray[np.int8]
Anchors = Literal["own", "person"]
# Called after each batch with the state so far, the batches of the whole training and the batch's mean loss.
OnBatch = Callable[[State, int, float], None]

_EMBED_BATCH = 32
# Streams of randomness that the loop does not use.
_ORDER = 1


@dataclass(frozen=True, kw_only=True)
class Training:
    """Settings of a training.

    Args:
        levels: budget, Linf in levels of 8 bits, 1 to 127.
        epochs: passes over the faces.
        batch: faces a step.
        step_levels: length of a sign step at the start; it falls along half a cosine to a tenth of it.
        decay: of the momentum over batches.
        seed: of order, start and jitter.
        anchors: 'own' moves each face away from its own clean embedding, 'person' from its person's mean one.
        jitter: of the aligner, drawn anew for each face and step.
    """

    levels: float = 8.0
    epochs: int = 5
    batch: int = 16
    step_levels: float = 1.0
    decay: float = 0.9
    seed: int = 0
    anchors: Anchors = "own"
    jitter: Jitter = field(default=Jitter(scale=0.05, rotation=5.0, shift=0.03))

    def __post_init__(self) -> None:
        if not 1.0 <= self.levels <= 127.0:
            raise ValueError(f"levels: expected 1 to 127 levels of 8 bits, got {self.levels}")
        if self.epochs < 1 or self.batch < 1:
            raise ValueError(f"expected 1 epoch and a batch of 1 or more, got {self.epochs} and {self.batch}")
        if self.anchors not in ("own", "person"):
            raise ValueError(f"anchors: expected own or person, got {self.anchors!r}")

    def steps(self, faces: int) -> int:
        """Batches of the whole training."""
        return self.epochs * math.ceil(faces / self.batch)

    def to_dict(self) -> dict[str, object]:
        """Plain JSON values."""
        return asdict(self)


def train(
    faces: FaceSet, nets: Sequence[Net], settings: Training, *, state: State | None = None, on_batch: OnBatch
) -> State:
    """Train, or go on from a state; a training in parts ends in the same bytes as one in a piece.

    Args:
        faces: aligned, of one person or more.
        nets: the ensemble; each counts the same.
        settings: see `Training`.
        state: where an earlier call ended.
        on_batch: called after each batch; may raise to stop, the last state that it saw is whole.

    Returns:
        The state after the last batch.
    """
    run = _Run(nets, [_anchors(net, faces, settings.anchors) for net in nets], faces, settings)
    start = 0 if state is None else state.step
    for step in range(start, run.total):
        state, loss = run.step(step, state)
        on_batch(state, run.total, loss)
    if state is None:
        raise ValueError("faces: expected one or more, got none")
    return state


@dataclass(frozen=True, eq=False)
class _Run:
    """One training: what does not change from step to step. `anchors` is N D for each net."""

    nets: Sequence[Net]
    anchors: Sequence[Floats]
    faces: FaceSet
    settings: Training

    @property
    def total(self) -> int:
        return self.settings.steps(len(self.faces))

    def step(self, step: int, state: State | None) -> tuple[State, float]:
        """One batch; the state after it and its mean loss."""
        rows = _rows(step, len(self.faces), self.settings)
        losses: list[float] = []
        after = train_universal(
            self._oracle,
            [Batch(self.faces.images(rows), tuple(int(row) for row in rows))],
            _attack(step, self.total, self.settings),
            Linf(self.settings.levels),
            seed=self.settings.seed,
            state=state,
            on_batch=lambda _, loss: losses.append(float(loss[0])),
        )
        return after, losses[0]

    def _oracle(self, batch: Batch) -> Oracle:
        ids = list(batch.ids)
        pairs = zip(self.nets, self.anchors, strict=True)
        members = [net.away_from(vectors[ids]) for net, vectors in pairs]
        return Expectation(Ensemble(members), Affine(self.settings.jitter))


def to_levels(state: State, levels: float) -> Levels:
    """The perturbation as int8 levels, 3 112 112, never beyond the budget."""
    cap = math.floor(levels)
    return np.asarray(np.clip(np.rint(np.asarray(state.delta)[0] * 255.0), -cap, cap), np.int8)


def embed_all(net: Net, images: Floats) -> Floats:
    """Unit embeddings, float32 N D, of faces in [0,1], in parts."""
    parts = [net.embed(images[at : at + _EMBED_BATCH]) for at in range(0, len(images), _EMBED_BATCH)]
    return _unit(np.concatenate(parts))


def _attack(step: int, total: int, settings: Training) -> Attack:
    # One row of the table for each step, since the step's length falls: the loop holds what carries over.
    fall = 0.1 + 0.9 * 0.5 * (1.0 + math.cos(math.pi * step / total))
    share = settings.step_levels * fall / settings.levels
    return replace(ATTACKS["uap"], steps=total, step_size=share, decay=settings.decay, random_start=0.5)


def _rows(step: int, count: int, settings: Training) -> npt.NDArray[np.intp]:
    each = math.ceil(count / settings.batch)
    epoch, place = divmod(step, each)
    order = np.random.default_rng((settings.seed, _ORDER, epoch)).permutation(count)
    return order[place * settings.batch : (place + 1) * settings.batch]


def _anchors(net: Net, faces: FaceSet, kind: Anchors) -> Floats:
    vectors = embed_all(net, faces.images())
    if kind == "own":
        return vectors
    _, person = np.unique(np.asarray(faces.people), return_inverse=True)
    sums = np.zeros((person.max() + 1, vectors.shape[1]), np.float32)
    np.add.at(sums, person, vectors)
    return _unit(sums)[person]


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32)
