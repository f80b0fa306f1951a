"""`goodnoise-cloud evaluate leak`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from cloud_server.exits import command_errors

if TYPE_CHECKING:
    from cloud_server.evaluation.leak.options import LeakOptions
    from cloud_server.hints.data import FaceSet, Progress
    from models.store import Store

__all__ = ["leak"]

_Given = dict[str, Any]


def leak(
    faces: Annotated[
        Path,
        typer.Option(help="Photos, one folder a person; such as LFW's folder.", show_default=False),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for the report and what a rerun needs.", show_default=False)
    ],
    train_people: Annotated[
        Path | None, typer.Option(help="File with people to learn from, one a line; else LFW's sets 4-6.")
    ] = None,
    test_people: Annotated[
        Path | None, typer.Option(help="File with people to be tried on; else LFW's sets 1-3.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="In minutes: to see that it works; too few people to pass.")
    ] = False,
    train_faces: Annotated[
        int | None, typer.Option(min=2, help="At most so many faces to learn from.")
    ] = None,
    people: Annotated[int | None, typer.Option(min=2, help="At most so many people to be tried on.")] = None,
    photos: Annotated[
        int | None, typer.Option(min=1, help="At most so many photos of each beside the enrolled one.")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Gradients of a photo that calls go round.")
    ] = None,
    train_frames: Annotated[
        int | None, typer.Option(min=1, help="The same, of faces that are learnt from.")
    ] = None,
    train_cloaks: Annotated[
        int | None, typer.Option(min=2, help="Faces to learn the predecessor's payload from.")
    ] = None,
    cloaks: Annotated[
        int | None, typer.Option(min=2, help="People whose photo is published with a cloak.")
    ] = None,
    protection: Annotated[
        Path | None, typer.Option(help='JSON for the picture: protection by level, {"pull": 0.62, ...}.')
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="A .npz file that keeps what the detector found.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same figures.")] = 0,
) -> None:
    """Let trained attackers try to tell who is in the photo from what each wire level sends.

    Writes leak.json, leak.md and leak.png. Ctrl-C is safe: the same command goes on where it stopped.
    'goodnoise-cloud bundle build --leak leak.json' puts the verdicts into a bundle.
    """
    given = dict(locals())
    with command_errors(interrupted="interrupted; the same command goes on from here"):
        report = _run(given)
    console = Console()
    for level, verdict in report["verdicts"].items():
        console.print(f"{level}: {verdict['reason']}", markup=False, highlight=False, soft_wrap=True)


def _run(given: _Given) -> dict[str, Any]:
    from cloud_server.hints.nets import require_torch

    require_torch("an attacker")
    import torch

    from cloud_server.evaluation.leak.evaluate import evaluate_leak
    from cloud_server.evaluation.leak.report import markdown, picture, read_protection
    from cloud_server.hints.commands import training_progress
    from models.store import Store, default_store
    from shared.files import storage_errors, write_atomically

    torch.set_num_threads(1)
    protection = read_protection(given["protection"]) if given["protection"] else None
    store, out = Store(default_store()), given["out"]
    with training_progress() as step, storage_errors(out, setting="--out"):
        learn, candidates = (_faces(given, people, store, step) for people in _people(given))
        report = evaluate_leak(learn, candidates, _options(given), store, out / "work", step)
        write_atomically(out / "leak.json", (json.dumps(report, indent=1) + "\n").encode())
        write_atomically(out / "leak.md", markdown(report).encode())
        write_atomically(out / "leak.png", picture(report, protection))
    return report


def _options(given: _Given) -> LeakOptions:
    from dataclasses import replace

    from cloud_server.evaluation.leak.options import FULL, QUICK

    names = ("train_faces", "people", "photos", "frames", "train_frames", "train_cloaks", "cloaks")
    changed = {name: given[name] for name in names if given[name] is not None}
    return replace(QUICK if given["quick"] else FULL, seed=given["seed"], **changed)


def _faces(given: _Given, people: tuple[str, ...], store: Store, step: Progress) -> FaceSet:
    """The faces of some people; those who have no folder are passed over."""
    import cv2

    from cloud_server.hints.data import load_faces
    from models.lfw import images_folder
    from models.store import load_card
    from shared.faces.detect import Detector

    # OpenCV 5 warns about a setting of its own that FaceDetectorYN makes.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    here = [name for name in people if (images_folder(given["faces"]) / name).is_dir()]
    detector = Detector(store.read(load_card("yunet")))
    return load_faces(given["faces"], detector, people=here, cache=given["cache"], progress=step)


def _people(given: _Given) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Whom to learn from and whom to try: the two files, or LFW's sets 4 to 6 and 1 to 3."""
    from cloud_server.hints.data import people_of_file
    from models.lfw import read_sets
    from shared.errors import Code, GoodnoiseError

    learn, tried = given["train_people"], given["test_people"]
    if learn and tried:
        return people_of_file(learn), people_of_file(tried)
    sets = read_sets(given["faces"])
    if learn or tried or not set(range(1, 7)) <= set(sets):
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            "it is not stated who is learnt from and who is tried; give --train-people and --test-people, "
            f"or LFW's folder as --faces ({given['faces']} has no people.txt of six sets)",
        )
    parts = ((4, 5, 6), (1, 2, 3))
    learnt, probed = (tuple(name for number in part for name in sets[number]) for part in parts)
    return learnt, probed
