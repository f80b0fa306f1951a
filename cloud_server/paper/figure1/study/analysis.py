"""From the participants' answers and the key to accuracy by distortion and level, with intervals."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cloud_server.intervals import wilson
from cloud_server.paper.figure1.study.kit import COLUMNS, NONE
from shared.errors import Code, GoodnoiseError

__all__ = ["Answer", "Key", "analyse", "read_answers", "read_key", "study_markdown"]

_DRAWS = 4000
# With fewer participants a bootstrap over them is too narrow.
_FEW = 5


@dataclass(frozen=True)
class Key:
    """What the images of a study show.

    study: its id. levels: of each distortion. images: letter, distortion and level by the image's name.
    """

    study: str
    levels: Mapping[str, int]
    images: Mapping[str, tuple[str, str, int]]


@dataclass(frozen=True)
class Answer:
    """A participant's answer to an image, '' for none; milliseconds as the page took them."""

    participant: str
    image: str
    answer: str
    milliseconds: int


def read_key(path: Path) -> Key:
    """The key that `write_kit` wrote.

    Raises:
        GoodnoiseError: NOT_FOUND or INVALID_INPUT.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        images = {
            str(name): (str(item["letter"]), str(item["distortion"]), int(item["level"]))
            for name, item in content["images"].items()
        }
        return Key(str(content["study"]), {str(k): int(v) for k, v in content["levels"].items()}, images)
    except OSError as error:
        raise GoodnoiseError(Code.NOT_FOUND, f"--key {path} cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise GoodnoiseError(Code.INVALID_INPUT, f"--key {path} is no key of a study ({error})") from error


def read_answers(paths: Sequence[Path], key: Key) -> list[Answer]:
    """All answers; a row that is there twice, word for word, counts once.

    Raises:
        GoodnoiseError: INVALID_INPUT naming file and line of what does not belong; NOT_FOUND.
    """
    found: dict[tuple[str, str], Answer] = {}
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise GoodnoiseError(Code.NOT_FOUND, f"{path} cannot be read ({error})") from error
        if not lines or tuple(lines[0].split(",")) != COLUMNS:
            raise GoodnoiseError(Code.INVALID_INPUT, f"{path}: expected the columns {','.join(COLUMNS)}")
        for number, row in enumerate(csv.reader(lines[1:]), start=2):
            answer = _answer(row, key, f"{path}, line {number}")
            before = found.setdefault((answer.participant, answer.image), answer)
            if before != answer:
                raise GoodnoiseError(
                    Code.INVALID_INPUT,
                    f"{path}, line {number}: {answer.participant} answered image {answer.image} before, "
                    "otherwise; keep one file a participant",
                )
    if not found:
        raise GoodnoiseError(Code.INVALID_INPUT, "the files hold no answers; give those that the page saved")
    return list(found.values())


def analyse(
    key: Key, answers: Sequence[Answer], *, least_clean: float = 0.0, seed: int = 0
) -> dict[str, Any]:
    """Accuracy with 95 % intervals by participant, as JSON values.

    Args:
        key: of the study.
        answers: of one participant or more; one may have stopped early.
        least_clean: participants with a lower share of undisturbed images right are left out.
        seed: of the bootstrap.

    Returns:
        `curves`, by distortion: level 0 and up, each `value`, `low`, `high`, `right`, `asked` (`value` is
        None for a level nobody saw); `participants`, by name, share of undisturbed images right, answers and
        median milliseconds; `left_out`; `interval`, how it was made.

    Raises:
        GoodnoiseError: INVALID_INPUT when nobody is left.
    """
    people = _people(key, answers)
    kept = [name for name, entry in people.items() if entry["clean"] >= least_clean]
    if not kept:
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"no participant reads {least_clean:.0%} of the undisturbed images; ask for less",
        )
    rng = np.random.default_rng(seed)
    curves = {
        name: [_share(key, answers, kept, _shown_at(name, level), rng) for level in range(levels + 1)]
        for name, levels in key.levels.items()
    }
    way = (
        f"Wilson's for {len(kept)} participants as one answer each: too few to draw from"
        if len(kept) < _FEW
        else "bootstrap over participants, no narrower than Wilson's over answers"
    )
    return {
        "study": key.study,
        "curves": curves,
        "participants": people,
        "left_out": sorted(set(people) - set(kept)),
        "interval": way,
    }


def study_markdown(found: Mapping[str, Any]) -> str:
    """The curves as a table."""
    levels = max(len(curve) for curve in found["curves"].values())
    head = ["distortion", *map(str, range(levels))]
    lines = [
        "# Figure 1: people",
        "",
        f"Study {found['study']}: {len(found['participants'])} participants"
        + (f", left out: {', '.join(found['left_out'])}" if found["left_out"] else "")
        + f". Letters read in %, with 95 % intervals ({found['interval']}), by level.",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
    ]
    for name, curve in found["curves"].items():
        lines.append("| " + " | ".join([name, *map(_cell, curve)]) + " |")
    return "\n".join([*lines, ""])


def _cell(share: Mapping[str, Any]) -> str:
    if share["value"] is None:
        return "none seen"
    return f"{100 * share['value']:.0f} ({100 * share['low']:.0f}-{100 * share['high']:.0f})"


def _answer(row: Sequence[str], key: Key, where: str) -> Answer:
    if len(row) != len(COLUMNS):
        raise GoodnoiseError(Code.INVALID_INPUT, f"{where}: expected {len(COLUMNS)} fields, got {len(row)}")
    study, participant, _, image, answer, milliseconds = row
    if study != key.study:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{where}: study {study!r}, but the key is of {key.study}; give its own key"
        )
    if image not in key.images or not milliseconds.isdigit() or not participant:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{where}: image {image!r}, {milliseconds!r} ms: not what the page saves"
        )
    return Answer(participant, image, answer.strip().upper(), int(milliseconds))


def _people(key: Key, answers: Sequence[Answer]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name in sorted({answer.participant for answer in answers}):
        own = [answer for answer in answers if answer.participant == name]
        clean = [_right(key, answer) for answer in own if key.images[answer.image][1] == NONE]
        found[name] = {
            # Whoever stopped before the first undisturbed image has not failed any.
            "clean": float(np.mean(clean)) if clean else 1.0,
            "answers": len(own),
            "median_ms": float(np.median([answer.milliseconds for answer in own])),
        }
    return found


def _right(key: Key, answer: Answer) -> bool:
    return key.images[answer.image][0] == answer.answer


def _shown_at(distortion: str, level: int) -> tuple[str, int]:
    return (distortion, level) if level else (NONE, 0)


def _share(
    key: Key, answers: Sequence[Answer], kept: Sequence[str], shown: tuple[str, int], rng: np.random.Generator
) -> dict[str, Any]:
    counts = {name: [0, 0] for name in kept}
    for answer in answers:
        if answer.participant in counts and key.images[answer.image][1:] == shown:
            counts[answer.participant][0] += _right(key, answer)
            counts[answer.participant][1] += 1
    seen = np.array([pair for pair in counts.values() if pair[1]]).reshape(-1, 2)
    right, asked = (int(total) for total in seen.sum(axis=0))
    if not asked:
        return {"value": None, "low": None, "high": None, "right": 0, "asked": 0}
    value = right / asked
    low, high = _interval(seen, rng)
    return {"value": value, "low": min(low, value), "high": max(high, value), "right": right, "asked": asked}


def _interval(seen: np.ndarray[Any, np.dtype[np.int64]], rng: np.random.Generator) -> tuple[float, float]:
    """Of rows (right, asked), a participant each."""
    people, (right, asked) = len(seen), seen.sum(axis=0)
    low, high = wilson(int(right), int(asked))
    if people < _FEW:
        # As unsure as if each had given one answer.
        fewest, most = int(np.floor(people * right / asked)), int(np.ceil(people * right / asked))
        return min(low, wilson(fewest, people)[0]), max(high, wilson(most, people)[1])
    drawn = rng.multinomial(people, np.full(people, 1 / people), _DRAWS) @ seen
    shares = drawn[:, 0] / drawn[:, 1]
    return min(low, float(np.quantile(shares, 0.025))), max(high, float(np.quantile(shares, 0.975)))
