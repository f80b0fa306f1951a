"""What a study with people needs: images under opaque names, a balanced list and a page each, and the key."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cloud_server.paper.figure1.settings import LETTERS
from shared.errors import Code, GoodnoiseError
from shared.files import storage_errors, write_atomically

__all__ = ["COLUMNS", "NONE", "Pool", "Stimulus", "check_enough", "lists_of", "write_kit"]

Levels = npt.NDArray[np.uint8]
# Of level 0, which belongs to every distortion.
NONE = "none"
# Undisturbed images beyond the balanced ones: with 8 levels of two distortions they make 450 of 442.
_CATCH = 8
_STREAM = 20
COLUMNS = ("study", "participant", "trial", "image", "answer", "milliseconds")


@dataclass(frozen=True)
class Stimulus:
    """An image of the study.

    letter: right answer. distortion: its name, `NONE` at level 0. level: of it. base: number of the image
    among those of its letter.
    """

    letter: str
    distortion: str
    level: int
    base: int


@dataclass(frozen=True, eq=False)
class Pool:
    """What stimuli are taken from.

    Args:
        images: by distortion, uint8 1+L n S S; level 0 is the same in each.
        labels: index of the letter, n; the same number of images of each letter, in order.
        origin: names the run they come from.
    """

    images: Mapping[str, Levels]
    labels: npt.NDArray[np.int64]
    origin: str

    @property
    def bases(self) -> int:
        """Images of a letter."""
        return len(self.labels) // len(LETTERS)

    @property
    def conditions(self) -> list[tuple[str, int]]:
        """Distortion and level: undisturbed once, then every level of every distortion."""
        levels = {name: len(images) for name, images in self.images.items()}
        return [(NONE, 0), *((name, level) for name, count in levels.items() for level in range(1, count))]

    def pixels(self, stimulus: Stimulus) -> Levels:
        """The image, uint8 S S."""
        name = next(iter(self.images)) if stimulus.distortion == NONE else stimulus.distortion
        place = LETTERS.index(stimulus.letter) * self.bases + stimulus.base
        return np.asarray(self.images[name][stimulus.level, place])


def lists_of(pool: Pool, *, participants: int, seed: int) -> list[list[Stimulus]]:
    """The images of each participant, in order.

    Each sees every letter once in every condition, each time another image of that letter, so that nobody
    learns an image at a low level and knows it at a high one; over participants every image comes in every
    condition (a Latin square). Undisturbed images beyond these show who answers without looking.

    Raises:
        GoodnoiseError: PRECONDITION, as `check_enough`.
    """
    check_enough(pool.bases, len(pool.conditions))
    return [_list_of(pool, person, seed) for person in range(participants)]


def check_enough(bases: int, conditions: int) -> None:
    """Whether there is an image of each letter for every condition.

    Raises:
        GoodnoiseError: PRECONDITION when there is not.
    """
    if bases < conditions:
        raise GoodnoiseError(
            Code.PRECONDITION,
            f"a study of {conditions} conditions needs as many test images of a letter, got {bases}; raise "
            "--test, lower --levels, or leave out --participants",
        )


def _list_of(pool: Pool, person: int, seed: int) -> list[Stimulus]:
    conditions, bases = pool.conditions, pool.bases
    chosen = [
        Stimulus(letter, distortion, level, (number + person + place) % bases)
        for place, letter in enumerate(LETTERS)
        for number, (distortion, level) in enumerate(conditions)
    ]
    if bases > len(conditions):
        for extra in range(_CATCH):
            place = (person * _CATCH + extra) % len(LETTERS)
            base = (len(conditions) + person + place) % bases
            chosen.append(Stimulus(LETTERS[place], NONE, 0, base))
    order = np.random.default_rng([seed, _STREAM, person]).permutation(len(chosen))
    return [chosen[index] for index in order]


def write_kit(pool: Pool, folder: Path, *, participants: int, seed: int) -> None:
    """Write the kit into a folder, and its key beside the folder as NAME-key.json, for the owner alone.

    Args:
        pool: images.
        folder: gets stimuli/, lists/ and pages/, all of which may be given to participants.
        participants: how many lists and pages.
        seed: of the order.

    Raises:
        GoodnoiseError: as `lists_of`, and from the disk.
    """
    lists = lists_of(pool, participants=participants, seed=seed)
    study = hashlib.sha256(f"{pool.origin} {seed} {participants}".encode()).hexdigest()[:8]
    used = sorted({item for part in lists for item in part}, key=lambda item: _name(study, item))
    names = {item: _name(study, item) for item in used}
    pictures = {item: _png(pool.pixels(item)) for item in used}
    with storage_errors(folder, setting="--out"):
        for below in ("stimuli", "lists", "pages"):
            (folder / below).mkdir(parents=True, exist_ok=True)
        for item in used:
            write_atomically(folder / "stimuli" / f"{names[item]}.png", pictures[item])
        for number, part in enumerate(lists, start=1):
            person = f"p{number:03d}"
            write_atomically(folder / "lists" / f"{person}.csv", _list_csv(study, person, part, names))
            page = _page(study, person, [(names[item], pictures[item]) for item in part])
            write_atomically(folder / "pages" / f"{person}.html", page)
        key = folder.with_name(f"{folder.name}-key.json")
        write_atomically(key, _key(study, pool, participants, seed, names))
        key.chmod(0o600)


def _name(study: str, item: Stimulus) -> str:
    # Says nothing to whoever sees it; the same again from the same seed.
    told = f"{study} {item.letter} {item.distortion} {item.level} {item.base}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _key(study: str, pool: Pool, participants: int, seed: int, names: Mapping[Stimulus, str]) -> bytes:
    content: dict[str, Any] = {
        "study": study,
        "origin": pool.origin,
        "seed": seed,
        "participants": participants,
        "levels": {name: len(images) - 1 for name, images in pool.images.items()},
        "images": {
            name: {
                "letter": item.letter,
                "distortion": item.distortion,
                "level": item.level,
                "base": item.base,
            }
            for item, name in names.items()
        },
    }
    return json.dumps(content, indent=1).encode() + b"\n"


def _list_csv(study: str, person: str, part: Sequence[Stimulus], names: Mapping[Stimulus, str]) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS[:4])
    writer.writerows([study, person, number, names[item]] for number, item in enumerate(part, start=1))
    return stream.getvalue().encode()


def _page(study: str, person: str, trials: Sequence[tuple[str, bytes]]) -> bytes:
    content = {
        "study": study,
        "participant": person,
        "letters": LETTERS,
        "trials": [[name, base64.b64encode(picture).decode()] for name, picture in trials],
    }
    template = (files(__package__) / "page.html").read_text(encoding="utf-8")
    empty = '<script type="application/json" id="study">{}</script>'
    # Base64 and opaque names hold no '<', so the script cannot be closed early.
    filled = f'<script type="application/json" id="study">{json.dumps(content)}</script>'
    return template.replace(empty, filled).encode()


def _png(pixels: Levels) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return stream.getvalue()
