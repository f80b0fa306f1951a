"""The gate between attack and pool: budget, strokes and characters are kept, or the image is not issued."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import cv2
import numpy as np
import numpy.typing as npt

from cloud_server.captcha.challenges.legibility import stroke_contrast, template_scores
from cloud_server.captcha.challenges.types import ALPHABET, Plane, Rendered

__all__ = [
    "LEAST_CONTRAST",
    "LEAST_MARGIN",
    "LEAST_MISREAD",
    "MOST_TURNED",
    "Levels",
    "Reading",
    "Witness",
    "characters_read",
    "even_strokes",
    "pass_gate",
]

Levels = npt.NDArray[np.uint8]
Places = npt.NDArray[np.bool_]
# What a reader reads of images.
Reading = Callable[[Sequence[Levels]], Sequence[str]]
# How sure hardened readers are of a wrong character in each place: images, what they show, to K shares each.
Witness = Callable[[Sequence[Levels], Sequence[Rendered]], Sequence[npt.NDArray[np.float64]]]

# Of the clean image's stroke contrast.
LEAST_CONTRAST = 0.95
# Of the template observer: correlation with the character itself less that with any other one.
LEAST_MARGIN = 0.01
# Of the witness: surer of another character than this, and the character has turned into that one. By eye.
MOST_TURNED = 0.35
# Characters that a reader which was attacked must miss. What it reads, strange solvers of its kind read too:
# of 186 images PP-OCR read 12.4 % and ddddocr 5.4 %, of those that this left 4.4 and 1.5 %.
LEAST_MISREAD = 2
# A little more is aimed at, since rounding takes some back.
_AIM = 0.97
# As in the proxy: pixels at a stroke's edge count for neither side.
_INK = 0.8
# How often, and how much of, the attack around a character is taken back before the image is given up.
_REPAIRS, _TAKEN_BACK = 3, 0.4


def even_strokes(attacked: Plane, rendered: Rendered, *, levels: int) -> Levels:
    """The attacked image with the grain inside its strokes damped until they stand out as before.

    What is damped is the strokes' own grain and what the attack added to it alike; a pixel moves no further
    than `levels` from the clean image.

    Args:
        attacked: grey, float32 H W in [0,1].
        rendered: before the attack.
        levels: cap, of 8 bits.

    Returns:
        Levels of 8 bits, uint8 H W.
    """
    clean = np.rint(255 * rendered.image)
    image = 255 * attacked
    aim = _AIM * stroke_contrast(rendered.image, rendered.ink)
    share = min(1.0, stroke_contrast(attacked, rendered.ink) / aim)
    if share < 1.0:
        inside = rendered.ink > _INK
        middle = float(image[inside].mean())
        weight = np.clip((rendered.ink - 0.5) / (_INK - 0.5), 0, 1)
        image = image + weight * (share - 1) * (image - middle)
    low, high = np.maximum(clean - levels, 0), np.minimum(clean + levels, 255)
    return np.asarray(np.clip(np.rint(image), low, high), np.uint8)


@dataclass
class _Trial:
    """One image on its way through the gate.

    change: what is left of the attack, H W in [0,1]. image: as it would be issued. wrong: characters that are
        not what they were, K. doubtful: those that were mended last and are to be looked at again, K.
    """

    rendered: Rendered
    change: Plane
    image: Levels
    wrong: Places
    doubtful: Places


def pass_gate(
    attacked: Sequence[Plane],
    rendered: Sequence[Rendered],
    *,
    levels: int,
    witness: Witness | None = None,
    readings: Sequence[Reading] = (),
) -> list[tuple[Levels, bool]]:
    """Attacked images as they may be issued, and whether they may.

    A character has to look most like itself to the template observer, and hardened readers must not agree on
    another one. Where it does not hold, the attack around the character is taken back in parts. What a reader
    still reads after that is not issued.

    Args:
        attacked: grey, each float32 H W in [0,1].
        rendered: before the attack.
        levels: cap, of 8 bits.
        witness: the hardened readers; None asks the template observer alone.
        readings: of readers, each of which has to miss `LEAST_MISREAD` characters or more.
    """
    trials = [_begin(image, item, levels) for image, item in zip(attacked, rendered, strict=True)]
    _look(trials, witness)
    for _ in range(_REPAIRS):
        open_trials = [trial for trial in trials if trial.wrong.any()]
        if not open_trials:
            break
        for trial in open_trials:
            _take_back(trial, levels)
        _look(open_trials, witness)
    passed = [bool(_stands_out(trial) and not trial.wrong.any()) for trial in trials]
    for reading in readings:
        # Only those that would be issued are worth a reader's time.
        left = [i for i, good in enumerate(passed) if good]
        texts = reading([trials[i].image for i in left]) if left else ()
        for i, text in zip(left, texts, strict=True):
            truth = rendered[i].text
            passed[i] = len(truth) - characters_read(truth, text) >= LEAST_MISREAD
    return [(trial.image, good) for trial, good in zip(trials, passed, strict=True)]


def characters_read(truth: str, text: str) -> int:
    """How many characters of the truth are in a reading, in their order."""
    blocks = SequenceMatcher(None, truth, text, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks)


def _begin(attacked: Plane, rendered: Rendered, levels: int) -> _Trial:
    everywhere = np.ones(len(rendered.text), dtype=bool)
    image = even_strokes(attacked, rendered, levels=levels)
    return _Trial(rendered, attacked - rendered.image, image, everywhere, everywhere)


def _look(trials: Sequence[_Trial], witness: Witness | None) -> None:
    """Finds the characters that are wrong; only doubtful ones are compared with templates again."""
    for trial in trials:
        wrong = np.zeros(len(trial.rendered.text), dtype=bool)
        places = np.flatnonzero(trial.doubtful)
        wrong[places] = ~_clear(trial.image, trial.rendered, places.tolist())
        trial.wrong = wrong
    if witness is not None:
        turned = witness([trial.image for trial in trials], [trial.rendered for trial in trials])
        for trial, shares in zip(trials, turned, strict=True):
            trial.wrong = trial.wrong | (shares > MOST_TURNED)


def _take_back(trial: _Trial, levels: int) -> None:
    trial.change = trial.change * (1 - _TAKEN_BACK * _around(trial.rendered.letters[trial.wrong]))
    trial.image = even_strokes(trial.rendered.image + trial.change, trial.rendered, levels=levels)
    trial.doubtful = trial.wrong


def _stands_out(trial: _Trial) -> bool:
    before = stroke_contrast(trial.rendered.image, trial.rendered.ink)
    return stroke_contrast(trial.image, trial.rendered.ink) >= LEAST_CONTRAST * before


def _clear(image: Levels, rendered: Rendered, places: Sequence[int]) -> Places:
    """Whether each character looks more like itself than like any other one, and clearly so."""
    scores = template_scores(image, rendered, places=places)
    own = np.array([ALPHABET.index(rendered.text[place]) for place in places])
    rows = np.arange(len(own))
    itself = scores[rows, own].copy()
    scores[rows, own] = -1.0
    return np.asarray(itself - scores.max(axis=1) >= LEAST_MARGIN)


def _around(letters: Plane) -> Plane:
    """1 on characters and a little around them, falling softly to 0."""
    box = cv2.dilate(letters.max(axis=0), np.ones((9, 9), np.uint8))
    return np.asarray(cv2.GaussianBlur(box, (0, 0), 2.0), np.float32)
