"""What all attackers share: sources of payloads, people, networks; and how training draws from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cloud_server.evaluation.leak.harvest import Report
from cloud_server.evaluation.leak.networks import Draw, Schedule
from cloud_server.evaluation.leak.payloads import Calls, Kind, Seen
from cloud_server.evaluation.leak.people import Trial
from cloud_server.evaluation.leak.recognisers import Recogniser, unit

__all__ = ["Setting", "calls_in_words", "draw_of", "gallery_of", "named", "train_rows"]

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Setting:
    """What all experiments share.

    Args:
        train: sources of payloads of the people that attackers learn from.
        known: their clean faces' embeddings by `linked`.
        test: sources of payloads of the trial's rows.
        expected: of the published photos of `test.cloaked`, what their payloads are on average.
        trial: the people attackers are tried on.
        surrogate: the device's network, which the attackers have.
        linked: the recogniser whose embeddings linkage predicts.
        judges: recognisers that are in no training; they say whom an inverted face shows.
        schedule: of training.
        redraws: how often noise is drawn anew for each probe, so that chance has a narrow interval.
        enrolled: embeddings of the gallery's photos by each recogniser's name, P D.
        seed: of noise in what is tried.
    """

    train: Seen
    known: Floats
    test: Seen
    expected: dict[str, npt.NDArray[Any]]
    trial: Trial
    surrogate: Recogniser
    linked: Recogniser
    judges: tuple[Recogniser, ...]
    schedule: Schedule
    redraws: int
    enrolled: Mapping[str, Floats]
    seed: int

    def rows_of(self, kind: Kind, rows: Rows) -> Rows:
        """Those rows of the trial that a kind is there for."""
        return np.intersect1d(rows, self.test.cloaked) if kind.cloaked else rows

    def centred(self, embeddings: Floats) -> Floats:
        """Embeddings by `linked` less the mean face of training, which tells nobody apart."""
        return unit(embeddings - self.known.mean(axis=0))

    def repeats(self, kind: Kind) -> int:
        """How often a kind is drawn for each probe: once where nothing in it is random."""
        return self.redraws if kind.noise and kind.level in ("cluster", "sketch") else 1


def gallery_of(setting: Setting) -> Floats:
    """What linkage compares its guesses with, P D."""
    return setting.centred(setting.enrolled[setting.linked.name])


def train_rows(kind: Kind, setting: Setting) -> Rows:
    """Rows of training that a kind is there for."""
    return setting.train.cloaked if kind.cloaked else np.arange(len(setting.train.faces))


def draw_of(kind: Kind, setting: Setting, rows: Rows, calls: int) -> Draw:
    """Payloads of some of these training rows, of so many calls each, with fresh noise."""

    def draw(chosen: npt.NDArray[np.intp], rng: np.random.Generator) -> Floats:
        first = int(rng.integers(len(setting.train.fresh)))
        return kind.make(setting.train, rows[chosen], Calls(calls, first), rng)

    return draw


def named(report: Report, name: str) -> Callable[[int, int], None]:
    """A report of one thing."""
    return lambda done, total: report(name, done, total)


def calls_in_words(count: int) -> str:
    """Such as '10 calls'."""
    return f"{count} call" if count == 1 else f"{count} calls"
