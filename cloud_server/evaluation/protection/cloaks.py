"""Cloaks of training people: photos protected by a row's own device, with the faces before and after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cloud_server.evaluation.protection.conditions import near, published
from cloud_server.evaluation.protection.device import Protected
from cloud_server.evaluation.protection.pairs import Task, main_face, read_pixels, training_tasks
from cloud_server.evaluation.protection.recognisers import detector_of
from cloud_server.evaluation.protection.rows import Row
from cloud_server.evaluation.protection.run import CHUNK, Run, in_parallel
from shared.errors import Code, GoodnoiseError
from shared.faces.detect import Detector, Face
from shared.faces.frames import FRAMES, crop

__all__ = ["Cloaked", "held_out_faces", "make_cloaks"]

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Progress = Callable[[str, int, int], None]

FRAME = FRAMES["arcface112"]


@dataclass(frozen=True, eq=False)
class Cloaked:
    """One training photo.

    `clean` and each of `cloaked` are aligned faces, float32 3 112 112 in [0,1]: as saved, and as shared.
    `before` and `after` are the face's surroundings in the photo's own pixels, uint8 h w 3.
    """

    person: str
    clean: Floats
    cloaked: tuple[Floats, ...]
    before: Pixels
    after: Pixels


def make_cloaks(run: Run, row: Row, lfw: Path, count: int, *, progress: Progress) -> list[Cloaked]:
    """Protect photos of people of sets 4-6 who are in no pair of the run, as the row does.

    Args:
        run: its devices work; what an earlier run protected is not protected again.
        row: of kind 'device', at a level that asks no cloud.
        lfw: LFW's folder.
        count: photos.
        progress: told how many are done.

    Raises:
        GoodnoiseError: INVALID_INPUT for another kind of row, and of the device.
    """
    if row.kind != "device" or row.level not in ("off", "pull"):
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"row {row.name!r} cannot be trained against; name one that asks no cloud"
        )
    tasks, _ = training_tasks(lfw, count, without=_people(run))
    made: dict[str, Protected] = {}
    chunks = [tasks[start : start + CHUNK] for start in range(0, len(tasks), CHUNK)]

    def work(chunk: Sequence[Task]) -> None:
        made.update(run.device.protect(row, f"train-{chunk[0].name}", chunk))
        progress(f"cloaks of {row.name}", len(made), len(tasks))

    in_parallel(work, chunks, count=run.processes, running=run.running)
    detector = detector_of(run.store)
    found = [_cloaked(task, made[task.name].photo, detector) for task in tasks]
    return [cloaked for cloaked in found if cloaked is not None]


def held_out_faces(
    run: Run, lfw: Path, count: int, *, most: int, progress: Progress
) -> tuple[Floats, list[str]]:
    """Aligned faces, N 3 112 112, of people of sets 4-6 in no pair and no cloak; the person of each."""
    _, paths = training_tasks(lfw, count, without=_people(run))
    detector, crops, people = detector_of(run.store), [], []
    for number, path in enumerate(paths[:most], start=1):
        pixels = read_pixels(path)
        face = main_face(detector, pixels)
        progress("faces held out", number, min(most, len(paths)))
        if face is not None:
            crops.append(crop(pixels, face.points(), FRAME))
            people.append(path.parent.name)
    return np.concatenate(crops), people


def _people(run: Run) -> frozenset[str]:
    return frozenset(pair.person for pair in run.pairs)


def _cloaked(task: Task, saved: Path | None, detector: Detector) -> Cloaked | None:
    before = read_pixels(task.target)
    face = main_face(detector, before)
    if saved is None or face is None:
        return None
    after = read_pixels(saved)
    seen = []
    for condition in ("png", "shared"):
        photo = published(after, condition)
        seen.append(crop(photo, near(detector.find(photo), face).points(), FRAME)[0])
    clean = crop(before, face.points(), FRAME)[0]
    return Cloaked(task.target.parent.name, clean, tuple(seen), around(before, face), around(after, face))


def around(pixels: Pixels, face: Face) -> Pixels:
    """The face's box with a quarter of its width on each side, a view."""
    top, bottom, left, right = window(pixels.shape, face)
    return pixels[top:bottom, left:right]


def window(shape: tuple[int, ...], face: Face) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of `around`."""
    x, y, width, height = face.box
    room = width / 4
    top, left = max(0, round(y - room)), max(0, round(x - room))
    return top, min(shape[0], round(y + height + room)), left, min(shape[1], round(x + width + room))
