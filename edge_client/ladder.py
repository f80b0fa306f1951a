"""Budgets as a user writes them, and the ladder that `auto` climbs, smallest first."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.errors import Code, GoodnoiseError

__all__ = ["AUTO", "CAP_LEVELS", "STRONG", "Rung", "parse_budget"]

# The cap of an L2 budget: above it eyes and mouth are redrawn, which PSNR does not notice.
CAP_LEVELS = 8.0
_LEVELS = re.compile(r"(\d+(?:\.\d+)?)(?:\s*levels?)?", re.IGNORECASE)
_PSNR = re.compile(r"(\d+(?:\.\d+)?)\s*db", re.IGNORECASE)


@dataclass(frozen=True)
class Rung:
    """One budget.

    With `psnr_db` set: L2 steps down to that PSNR over the face box, no pixel further than `levels`. Without:
    sign steps up to `levels`, levels of 8 bits. `rescue` marks a budget whose change can be
    seen: it is taken for faces that a recogniser still matches, not for those that lack the margin alone.
    """

    levels: float
    psnr_db: float | None = None
    rescue: bool = False

    def __str__(self) -> str:
        if self.psnr_db is None:
            return f"{self.levels:g} levels"
        return f"{self.psnr_db:g} dB, at most {self.levels:g} levels"


# The product's ladder: the last is the ceiling that `auto` does not pass.
AUTO: tuple[Rung, ...] = (Rung(CAP_LEVELS, 40.0), Rung(CAP_LEVELS, 38.0), Rung(CAP_LEVELS, 36.0))
# For who would rather see a change than be matched: on from the ceiling, for faces that still match.
STRONG: tuple[Rung, ...] = (
    *AUTO,
    Rung(12.0, 34.5, rescue=True),
    Rung(12.0, 33.0, rescue=True),
    Rung(16.0, 32.0, rescue=True),
)


def parse_budget(text: str) -> tuple[Rung, ...]:
    """The rungs that a budget names: the ladder for `auto`, one rung for a fixed one.

    Args:
        text: "auto", "strong", levels such as "8", or PSNR over the face box such as "36dB".

    Raises:
        GoodnoiseError: INVALID_INPUT when it is none of these or out of range.
    """
    cleaned = text.strip()
    if cleaned.lower() in ("", "auto"):
        return AUTO
    if cleaned.lower() == "strong":
        return STRONG
    if match := _PSNR.fullmatch(cleaned):
        psnr_db = _within(float(match[1]), 30.0, 60.0, cleaned, "dB")
        return (Rung(_cap(psnr_db), psnr_db),)
    if match := _LEVELS.fullmatch(cleaned):
        return (Rung(_within(float(match[1]), 1.0, 32.0, cleaned, "levels")),)
    raise GoodnoiseError(
        Code.INVALID_INPUT,
        f"budget {text!r} is not understood; give 'auto', 'strong', levels such as 8, or PSNR such as 36dB",
    )


def _cap(psnr_db: float) -> float:
    """The ladder's cap at this PSNR: the caps of the rungs that are as strong or weaker, at most."""
    return max(
        (r.levels for r in STRONG if r.psnr_db is not None and r.psnr_db >= psnr_db), default=CAP_LEVELS
    )


def _within(value: float, low: float, high: float, text: str, unit: str) -> float:
    if not low <= value <= high:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"budget {text!r} is out of range: {low:g} to {high:g} {unit}"
        )
    return value
