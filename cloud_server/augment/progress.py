"""How far a run is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

__all__ = ["OnProgress", "Progress", "Stage"]


class Stage(StrEnum):
    """What a run is at."""

    SURROGATE = "surrogate"  # counted in updates
    UNIVERSAL = "universal"  # counted in steps
    SAMPLES = "samples"  # counted in draws


@dataclass(frozen=True)
class Progress:
    """How far a stage is.

    Args:
        stage: which.
        done: of it.
        total: of it.
        made: samples until now.
        accepted: of them, those whose target was reached.
    """

    stage: Stage
    done: int
    total: int
    made: int = 0
    accepted: int = 0


OnProgress: TypeAlias = Callable[[Progress], None]
