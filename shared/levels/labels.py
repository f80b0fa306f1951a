"""What a user is told of each wire level: what it sends, how noisy, and whether it passed the leak gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from shared.errors import Code, GoodnoiseError
from shared.levels.cluster import CLUSTER_EPSILON, CLUSTERS
from shared.levels.signs import SIGN_BITS
from shared.levels.sketch import SKETCH_BITS, SKETCH_EPSILON

__all__ = [
    "ASKING",
    "EPSILON_A_DAY",
    "LEVELS",
    "LEVEL_HELP",
    "SIGNS_A_DAY",
    "SKETCH_CALL_EPSILON",
    "Level",
    "gate_words",
    "level_label",
    "level_named",
]

Level = Literal["off", "pull", "cluster", "sketch", "sign"]
LEVELS: tuple[Level, ...] = get_args(Level)
# Those at which something that was made from a photo leaves the device.
ASKING: tuple[Level, ...] = ("cluster", "sketch", "sign")

SKETCH_CALL_EPSILON = SKETCH_BITS * SKETCH_EPSILON
# What the photos of one device may cost together in any 24 hours, and how many maps of signs may leave it.
EPSILON_A_DAY = 40.0
SIGNS_A_DAY = 10

_WHAT: dict[Level, str] = {
    "off": "contacts no cloud",
    "pull": "fetches the bundle; nothing that is made from a photo is sent",
    "cluster": (
        f"sends which of {CLUSTERS} public kinds a face is of, randomised: epsilon {CLUSTER_EPSILON:g} a "
        f"photo, at most {EPSILON_A_DAY:g} a day"
    ),
    "sketch": (
        f"sends {SKETCH_BITS} pooled signs of a gradient, randomised: epsilon {SKETCH_CALL_EPSILON:g} a "
        f"photo, at most {EPSILON_A_DAY:g} a day"
    ),
    "sign": f"sends the {SIGN_BITS} signs of a gradient as they are, at most {SIGNS_A_DAY} maps a day",
}

# For --help, where no bundle's figures are at hand.
LEVEL_HELP = (
    "How much may be sent. off: contact no cloud. pull: nothing made from the photo. cluster, sketch, sign "
    f"(with --cloud): one of {CLUSTERS} public kinds of face (epsilon {CLUSTER_EPSILON:g} a photo); "
    f"{SKETCH_BITS} noisy bits of a gradient (epsilon {SKETCH_CALL_EPSILON:g}); its whole map of signs, "
    "which LEAKS who is in the photo. Take cluster and sketch as leaking too, unless 'goodnoise bundle show' "
    "says that it passed the leak gate."
)


def level_named(text: str) -> Level:
    """The level of this name.

    Raises:
        GoodnoiseError: INVALID_INPUT naming those that exist.
    """
    for level in LEVELS:
        if level == text:
            return level
    raise GoodnoiseError(Code.INVALID_INPUT, f"level {text!r} is unknown; give {', '.join(LEVELS)}")


def level_label(level: Level, scores: Mapping[str, Any] | None = None) -> str:
    """One sentence for users: what a level sends, and what is known of its leak.

    Args:
        level: which one.
        scores: of a bundle's manifest; `scores["leak"][level]["verdict"]` is the gate's.
    """
    return f"level {level} {_WHAT[level]}; {gate_words(level, scores)}"


def gate_words(level: Level, scores: Mapping[str, Any] | None = None) -> str:
    """Whether a level passed the leak gate, in words. What was not measured is not called safe."""
    if level in ("off", "pull"):
        return "it passes the leak gate by construction"
    verdict = _verdict(level, scores or {})
    if verdict == "passed":
        return f"it passed the leak gate{_found(level, scores or {})}"
    if level == "sign":
        return f"it LEAKS: who receives it can tell who is in the photo{_found(level, scores or {})}"
    if verdict is None:
        return "its leak was NOT MEASURED for this bundle"
    if verdict == "not proven":
        return (
            "it did NOT PASS the leak gate: trained attackers found nobody beyond doubt, which proves too "
            f"little to rely on{_found(level, scores or {})}"
        )
    return (
        "it did NOT PASS the leak gate: who receives it may tell who is in the photo"
        f"{_found(level, scores or {})}"
    )


def _found(level: Level, scores: Mapping[str, Any]) -> str:
    """What the best attack reached, in brackets; nothing where a bundle has no figures that can be read."""
    try:
        entry = scores["leak"][level]
        shares = [(100 * float(entry[key][0]), 100 * float(entry["chance"][key])) for key in ("rank1", "tar")]
    except (KeyError, IndexError, TypeError, ValueError):
        return ""
    (named, by_chance), (matched, false) = shares
    return (
        f" (the best attack was right in {named:.1f} % of tries, {by_chance:.1f} % by chance; with "
        f"{false:.0f} % false alarms it recognised {matched:.1f} %)"
    )


def _verdict(level: Level, scores: Mapping[str, Any]) -> str | None:
    """The gate's word; None where a bundle has none, or none that can be read."""
    found: Any = scores
    for key in ("leak", level, "verdict"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, str) else None
