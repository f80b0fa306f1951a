"""What is trained after what: the table of readers, in rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from models.text.networks import Architecture
from models.text.readers import READERS, Reader

__all__ = ["HARDENED_ROUNDS", "Plan", "Stage", "Task", "tasks"]

# Hardened readers of one body: so many are attacked while they learn, those after them learn from what the
# service would issue.
HARDENED_ROUNDS = 2


class Stage(StrEnum):
    """How a reader learns."""

    PLAIN = "plain"
    HARDENED = "hardened"
    ADAPTED = "adapted"


_STEPS = MappingProxyType({Stage.PLAIN: 1000, Stage.HARDENED: 600, Stage.ADAPTED: 450})


@dataclass(frozen=True)
class Task:
    """One reader to train.

    Args:
        reader: its row.
        stage: how it learns.
        round: readers of one round learn from the same; 0 is plain.
        before: the reader that it begins as, of the round before; None for random weights.
    """

    reader: Reader
    stage: Stage
    round: int
    before: Reader | None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How readers are trained.

    Args:
        steps: updates of a reader; None takes the stage's own number.
        batch: samples an update.
        rate: highest learning rate; it rises over the first steps and falls to nothing by a cosine.
        decay: of weights.
        images: of the service that an adapted reader learns from, held-out ones included.
        held_out: samples that it is measured on.
        keep_every: steps between two checkpoints.
        seed: of weights, samples and attacks.
        lengths: of texts in rendered samples, each as likely.
    """

    steps: int | None = None
    batch: int = 48
    rate: float = 2e-3
    decay: float = 1e-4
    images: int = 2500
    held_out: int = 400
    keep_every: int = 25
    seed: int = 0
    lengths: tuple[int, ...] = (5, 6)

    def __post_init__(self) -> None:
        if self.images <= self.held_out:
            raise ValueError(f"images is {self.images}, expected more than the {self.held_out} held out")

    def steps_of(self, stage: Stage) -> int:
        """Updates of a reader of this stage."""
        return _STEPS[stage] if self.steps is None else self.steps


def tasks(rows: Sequence[Reader] = tuple(READERS.values())) -> tuple[Task, ...]:
    """All readers in the order in which they can be trained.

    Args:
        rows: of the table; hardened ones stand behind the plain one of the same body, in the order of rounds.

    Raises:
        ValueError: for a hardened reader without a plain one of its body before it.
    """
    last: dict[tuple[Architecture, float], Task] = {}
    found = []
    for row in rows:
        body = (row.architecture, row.width)
        task = _hardened(row, last.get(body)) if row.hardened else Task(row, Stage.PLAIN, 0, None)
        last[body] = task
        found.append(task)
    return tuple(sorted(found, key=lambda task: task.round))


def _hardened(row: Reader, before: Task | None) -> Task:
    if before is None:
        raise ValueError(f"{row.name}: expected a plain reader of its architecture and width before it")
    number = before.round + 1
    stage = Stage.HARDENED if number <= HARDENED_ROUNDS else Stage.ADAPTED
    return Task(row, stage, number, before.reader)
