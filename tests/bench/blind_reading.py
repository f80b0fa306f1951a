"""A blind reading of challenges: sheets without their texts, clean controls among them, and the score.

    python tests/bench/blind_reading.py make OUT [--attacked 36] [--clean 12] [--seed 1] [--deployment 0]
    python tests/bench/blind_reading.py score OUT ANSWERS.txt

`make` writes sheet-1.png, sheet-2.png, ... (twelve images each, enlarged, numbered, shuffled), and key.json,
which the reader does not open. ANSWERS.txt has the texts in the order of the numbers. `score` prints
JSON: texts and characters read right of attacked images and of the control, with the 95 % interval of Wilson.
One reader is no study with people: `goodnoise-cloud paper figure1 --participants` writes the kit of one.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from cloud_server.captcha.challenges.maker import load_maker
from cloud_server.intervals import wilson

_ACROSS, _ON_ONE, _SCALE = 2, 12, 2.5


def make(out: Path, *, attacked: int, clean: int, seed: int, deployment: int) -> None:
    """Images that would be issued, and the clean forms of others, shuffled."""
    maker = load_maker(deployment=deployment)
    issued = (item for item in maker.stream(seed=seed) if item.passed)
    items = [next(issued) for _ in range(attacked + clean)]
    kinds = ["attacked"] * attacked + ["clean"] * clean
    order = np.random.default_rng(seed).permutation(len(items))
    shown = [items[k].attacked if kinds[k] == "attacked" else _levels(items[k].rendered.image) for k in order]
    out.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(shown), _ON_ONE):
        cells = [_cell(image, start + i + 1) for i, image in enumerate(shown[start : start + _ON_ONE])]
        cells += [np.full_like(cells[0], 255)] * (-len(cells) % _ACROSS)
        rows = [np.hstack(cells[i : i + _ACROSS]) for i in range(0, len(cells), _ACROSS)]
        cv2.imwrite(str(out / f"sheet-{start // _ON_ONE + 1}.png"), np.vstack(rows))
    key = [{"text": items[k].rendered.text, "kind": kinds[k], "font": items[k].rendered.font} for k in order]
    (out / "key.json").write_text(json.dumps(key, indent=1) + "\n", encoding="utf-8")


def score(out: Path, answers: Path) -> dict[str, object]:
    """Texts and characters read right, by kind; and what was taken for what."""
    key = json.loads((out / "key.json").read_text(encoding="utf-8"))
    read = answers.read_text(encoding="utf-8").upper().split()
    if len(read) != len(key):
        raise SystemExit(f"{answers} has {len(read)} answers, the sheets have {len(key)} images")
    found: dict[str, object] = {}
    for kind in ("attacked", "clean"):
        pairs = [(row["text"], text) for row, text in zip(key, read, strict=True) if row["kind"] == kind]
        right = sum(truth == text for truth, text in pairs)
        characters = [letters for truth, text in pairs for letters in zip(truth, text.ljust(6), strict=False)]
        wrong = Counter(f"{a} as {b}" for a, b in characters if a != b)
        found[kind] = {
            "images": len(pairs),
            "texts": right / max(1, len(pairs)),
            "interval": wilson(right, len(pairs)) if pairs else None,
            "characters": 1 - sum(wrong.values()) / max(1, len(characters)),
            "taken_for_others": dict(wrong.most_common()),
        }
    return found


def _levels(image: np.ndarray) -> np.ndarray:
    return np.rint(255 * image).astype(np.uint8)


def _cell(image: np.ndarray, number: int) -> np.ndarray:
    large = cv2.resize(image, None, fx=_SCALE, fy=_SCALE, interpolation=cv2.INTER_CUBIC)
    framed = cv2.copyMakeBorder(large, 26, 6, 6, 6, cv2.BORDER_CONSTANT, value=255)
    return cv2.putText(framed, str(number), (8, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 0, 1)


def main() -> None:
    """See the module."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("what", choices=("make", "score"))
    parser.add_argument("out", type=Path)
    parser.add_argument("answers", type=Path, nargs="?")
    parser.add_argument("--attacked", type=int, default=36)
    parser.add_argument("--clean", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--deployment", type=int, default=0)
    given = parser.parse_args()
    if given.what == "score":
        if given.answers is None:
            parser.error("score needs ANSWERS.txt")
        print(json.dumps(score(given.out, given.answers), indent=1))  # noqa: T201 - a program's output
        return
    make(given.out, attacked=given.attacked, clean=given.clean, seed=given.seed, deployment=given.deployment)


if __name__ == "__main__":
    main()
