"""What a report's figures say of the goals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cloud_server.captcha.report.rows import Row

__all__ = ["LEAST_CLEAN", "goals", "verdict"]

# A style counts when so many solvers that the generator has not seen read so much of it without the attack.
LEAST_CLEAN, LEAST_SOLVERS = 0.5, 2
MOST_UNSEEN, MOST_ADAPTIVE, LEAST_LEGIBLE = 0.05, 0.2, 0.95


def verdict(row: Row) -> str:
    """One sentence on one solver."""
    clean, attacked = row.clean.value, row.attacked
    if clean < LEAST_CLEAN:
        return f"proves nothing: reads {clean:.0%} without the attack, less than {LEAST_CLEAN:.0%}"
    if row.seen:
        return "seen by the generator: says nothing of other programs"
    most = MOST_ADAPTIVE if row.adaptive else MOST_UNSEEN
    if attacked.value > most:
        return f"reads {attacked.value:.1%}, more than the goal of {most:.0%}"
    sure = "its interval too" if attacked.high <= most else "its interval reaches beyond"
    return f"within the goal of {most:.0%}; {sure}"


def goals(rows: Sequence[Row], legibility: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The goals, what was found, and whether they hold; None where nothing could tell.

    Args:
        rows: of all solvers that were here.
        legibility: of `legible.legibility`.
    """
    unseen = [row for row in rows if not row.seen and not row.adaptive]
    counting = [row for row in unseen if row.clean.value >= LEAST_CLEAN]
    # A learning curve's last point has learnt from most.
    adaptive = [row for row in rows if row.adaptive][-1:]
    proxies = legibility["issued"]
    return [
        _goal(
            "the style counts",
            f"at least {LEAST_SOLVERS} unseen solvers read {LEAST_CLEAN:.0%} without the attack",
            f"{len(counting)} of {len(unseen)} do",
            len(counting) >= LEAST_SOLVERS,
        ),
        _at_most("unseen solvers", counting, MOST_UNSEEN),
        _at_most("adaptive solver", adaptive, MOST_ADAPTIVE),
        _legible("stroke contrast", proxies["stroke_contrast"]["ratio"]),
        _legible("template observer", proxies["template_observer"]["ratio"]),
    ]


def _at_most(name: str, rows: Sequence[Row], most: float) -> dict[str, Any]:
    wanted = f"at most {most:.0%} whole string"
    if not rows:
        return _goal(name, wanted, "nobody was measured who counts", None)
    worst = max(rows, key=lambda row: row.attacked.value)
    share = worst.attacked
    found = f"{worst.name} reads most: {share.value:.1%} ({share.low:.1%} to {share.high:.1%})"
    return _goal(name, wanted, found, share.value <= most)


def _legible(name: str, ratio: float) -> dict[str, Any]:
    wanted = f"at least {LEAST_LEGIBLE:.0%} of the clean image's"
    return _goal(f"legibility proxy, {name}", wanted, f"{ratio:.1%}", ratio >= LEAST_LEGIBLE)


def _goal(name: str, wanted: str, found: str, holds: bool | None) -> dict[str, Any]:  # noqa: FBT001
    return {"goal": name, "wanted": wanted, "found": found, "holds": holds}
