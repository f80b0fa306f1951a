"""`goodnoise-cloud hints`: training what makes a device's perturbation transfer."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from cloud_server.exits import EXIT_HELP, command_errors

if TYPE_CHECKING:
    from cloud_server.hints.data import FaceSet
    from models.store import Store

__all__ = ["app", "load_folder", "training_progress"]

app = typer.Typer(
    help="Train hints: perturbations that help a device's own to transfer.", no_args_is_help=True
)


class Pose(StrEnum):
    """Which way the heads are turned."""

    ALL = "all"
    LEFT = "left"
    RIGHT = "right"


class AnchorKind(StrEnum):
    """What a face is moved away from."""

    OWN = "own"
    PERSON = "person"


class BackendName(StrEnum):
    """What computes gradients."""

    AUTO = "auto"
    ONNX = "onnx"
    TORCH = "torch"


@app.callback()
def options() -> None:
    """Train hints: perturbations that help a device's own to transfer."""


@app.command(epilog=EXIT_HELP)
def train(
    faces: Annotated[
        Path, typer.Option(help="Photos: one folder a person, or all in this folder.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option(help="The hint's .npy file; a .json goes beside it.", show_default=False)
    ],
    data: Annotated[str, typer.Option(help="What the photos are, in words; devices show it.")] = "own photos",
    people: Annotated[Path | None, typer.Option(help="File with the folders to use, one a line.")] = None,
    per_person: Annotated[int | None, typer.Option(min=1, help="At most so many photos a person.")] = None,
    ensemble: Annotated[
        list[str] | None, typer.Option(help="A recogniser to attack; repeat. Default: three of the zoo.")
    ] = None,
    pose: Annotated[
        Pose, typer.Option(help="left and right mirror the faces that are turned the other way.")
    ] = Pose.ALL,
    anchors: Annotated[
        AnchorKind, typer.Option(help="Move away from the face's own embedding, or its person's.")
    ] = AnchorKind.OWN,
    levels: Annotated[int, typer.Option(min=1, max=127, help="Budget, Linf in levels of 8 bits.")] = 8,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the faces.")] = 5,
    batch: Annotated[int, typer.Option(min=1, help="Faces a step.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same hint.")] = 0,
    backend: Annotated[
        BackendName, typer.Option(help="auto takes torch where it is installed.")
    ] = BackendName.AUTO,
    threads: Annotated[int, typer.Option(min=1, help="Threads of a network's call.")] = 1,
    cache: Annotated[
        Path | None, typer.Option(help="A .npz file that keeps what the detector found.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from an interrupted training.")] = False,
) -> None:
    """Train a universal perturbation on a folder of faces.

    Ctrl-C leaves a state beside the output; the same command with --resume goes on from there and ends in the
    same bytes. 15 % of the people are held out, and the figures on them are printed and kept in the .json.
    """
    given = {key: str(value) if isinstance(value, StrEnum) else value for key, value in locals().items()}
    with command_errors(interrupted="interrupted; the same command with --resume goes on from here"):
        sidecar = _train(given)
    Console().print(_figures(sidecar))


@app.command(epilog=EXIT_HELP)
def student(
    faces: Annotated[
        Path, typer.Option(help="Photos: one folder a person, or all in this folder.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option(help="The student's .onnx file; card and figures go beside it.", show_default=False),
    ],
    name: Annotated[str, typer.Option(help="Its name in the zoo.")] = "student",
    teacher: Annotated[str, typer.Option(help="The recogniser that stays in the cloud.")] = "sface",
    body: Annotated[str, typer.Option(help="The recogniser it starts from.")] = "mobilefacenet-512",
    data: Annotated[str, typer.Option(help="What the photos are, in words; devices show it.")] = "own photos",
    people: Annotated[Path | None, typer.Option(help="File with the folders to use, one a line.")] = None,
    per_person: Annotated[int | None, typer.Option(min=1, help="At most so many photos a person.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Batches; three seconds each on one core.")] = 1200,
    batch: Annotated[int, typer.Option(min=2, help="Faces a batch.")] = 16,
    rate: Annotated[float, typer.Option(min=1e-7, max=1.0, help="Learning rate at its highest.")] = 3e-4,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same student.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads; several help only on idle cores.")] = 1,
    cache: Annotated[
        Path | None, typer.Option(help="A .npz file that keeps what the detector found.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from an interrupted training.")] = False,
) -> None:
    """Train a student: a small surrogate with the input gradients of a recogniser that stays in the cloud.

    Ctrl-C leaves a state beside the output; the same command with --resume goes on from there. 8 % of the
    people are held out, and the figures on them go into its card. 'goodnoise-models add' brings it into the
    zoo, 'goodnoise-cloud bundle build --surrogate' into a bundle.
    """
    given = dict(locals())
    with command_errors(interrupted="interrupted; the same command with --resume goes on from here"):
        figures = _student(given)
    Console().print(_student_figures(figures))


@app.command(epilog=EXIT_HELP)
def clusters(
    faces: Annotated[
        Path, typer.Option(help="Photos: one folder a person, or all in this folder.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for cluster-00.npy to cluster-15.npy.", show_default=False)
    ],
    data: Annotated[str, typer.Option(help="What the photos are, in words; devices show it.")] = "own photos",
    people: Annotated[Path | None, typer.Option(help="File with the folders to use, one a line.")] = None,
    per_person: Annotated[int | None, typer.Option(min=1, help="At most so many photos a person.")] = None,
    ensemble: Annotated[
        list[str] | None, typer.Option(help="A recogniser to attack; repeat. Default: three of the zoo.")
    ] = None,
    most: Annotated[int | None, typer.Option(min=4, help="At most so many faces a cluster.")] = None,
    levels: Annotated[int, typer.Option(min=1, max=127, help="Budget, Linf in levels of 8 bits.")] = 8,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the faces.")] = 3,
    batch: Annotated[int, typer.Option(min=1, help="Faces a step.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same hints.")] = 0,
    cache: Annotated[
        Path | None, typer.Option(help="A .npz file that keeps what the detector found.")
    ] = None,
    averages: Annotated[
        Path | None, typer.Option(help="Write the mean face of each kind there (.npz), for --public-faces.")
    ] = None,
) -> None:
    """Train the universal perturbations that answer level 'cluster': one a kind of face, sixteen files."""
    given = dict(locals())
    with command_errors(interrupted="interrupted; the clusters that are finished are kept"):
        made = _clusters(given)
    for number, about in made.items():
        drop = about["held_out"]["mean_similarity_drop"]
        typer.echo(f"cluster {number:2d}  {about['pose']}: mean drop of similarity {drop:.3f}")


def _clusters(given: dict[str, Any]) -> dict[int, dict[str, Any]]:
    import io

    import numpy as np

    from cloud_server.hints.clusters import average_faces, train_clusters
    from cloud_server.hints.nets import load_net
    from cloud_server.hints.train import ENSEMBLE, Provenance
    from cloud_server.hints.universal import Training
    from models.store import Store, default_store
    from shared.files import write_atomically

    store = Store(default_store())
    settings = Training(**{key: given[key] for key in ("levels", "epochs", "batch", "seed")})
    nets = [load_net(name, store) for name in given["ensemble"] or ENSEMBLE]
    given["out"].mkdir(parents=True, exist_ok=True)
    with _progress() as bar:
        step = _Steps(bar)
        faces = _faces(given, store, step)
        if given["averages"]:
            stream = io.BytesIO()
            np.savez_compressed(stream, faces=average_faces(faces))
            write_atomically(given["averages"], stream.getvalue())
        command = f"goodnoise-cloud hints clusters --faces FACES_DIR --epochs {settings.epochs}"
        return train_clusters(
            given["out"],
            faces,
            nets,
            settings,
            provenance=Provenance(data=given["data"], command=command, backend="onnx"),
            most=given["most"],
            reports=lambda number: (
                lambda done, total, similarity: step(
                    f"cluster {number}", done, total, f"similarity {similarity:.3f}"
                )
            ),
        )


def _student(given: dict[str, Any]) -> dict[str, Any]:
    from cloud_server.hints.nets import require_torch

    require_torch("a student")
    import torch

    from cloud_server.hints.students.make import Wanted, make_student
    from cloud_server.hints.students.training import Distillation
    from models.store import Store, default_store

    torch.set_num_threads(given["threads"])
    settings = Distillation(**{key: given[key] for key in ("steps", "batch", "rate", "seed")})
    wanted = Wanted(**{key: given[key] for key in ("name", "teacher", "body", "data")})
    store = Store(default_store())
    with _progress() as bar:
        step = _Steps(bar)
        return make_student(
            given["out"],
            wanted,
            _faces(given, store, step),
            settings,
            store,
            resume=given["resume"],
            report=lambda done, total, losses: step(
                "train", done, total, " ".join(f"{key} {value:.3f}" for key, value in losses.items())
            ),
        )


def _student_figures(figures: dict[str, Any]) -> Table:
    held = figures["held_out"]
    table = Table(title=f"Against {figures['teacher']}, on {held['people']} people held out")
    for column in ("network", "cosine of gradients", "equal signs", "similarity left by its attack"):
        table.add_column(column)
    for name, row in ((figures["body"], held["body"]), (figures["name"], held["student"])):
        values = (row["gradient_cosine"], row["sign_agreement"], row["transfer"])
        table.add_row(name, *(f"{value:.3f}" for value in values))
    return table


def _faces(given: dict[str, Any], store: Store, step: _Steps) -> FaceSet:
    """The folder's faces, found and aligned."""
    import cv2

    from cloud_server.hints.data import load_faces, people_of_file
    from models.store import load_card
    from shared.faces.detect import Detector

    # OpenCV 5 warns about a setting of its own that FaceDetectorYN makes.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    return load_faces(
        given["faces"],
        Detector(store.read(load_card("yunet"))),
        people=people_of_file(given["people"]) if given["people"] else None,
        per_person=given["per_person"],
        cache=given["cache"],
        progress=step,
    )


def load_folder(folder: Path, store: Store, step: _Steps) -> FaceSet:
    """All faces of a folder, with a bar."""
    nothing = {"people": None, "per_person": None, "cache": None}
    return _faces({"faces": folder, **nothing}, store, step)


@contextmanager
def training_progress() -> Iterator[_Steps]:
    """Bars on standard error, one for each thing that is named."""
    with _progress() as bar:
        yield _Steps(bar)


def _train(given: dict[str, Any]) -> dict[str, Any]:
    from cloud_server.hints.data import select_pose
    from cloud_server.hints.nets import default_backend, load_net
    from cloud_server.hints.train import ENSEMBLE, Provenance, train_hint
    from cloud_server.hints.universal import Training
    from models.store import Store, default_store

    store = Store(default_store())
    names = tuple(given["ensemble"] or ENSEMBLE)
    backend = default_backend() if given["backend"] == "auto" else given["backend"]
    settings = Training(**{key: given[key] for key in ("levels", "epochs", "batch", "seed", "anchors")})
    with _progress() as bar:
        step = _Steps(bar)
        nets = [load_net(name, store, backend=backend, threads=given["threads"]) for name in names]
        faces = _faces(given, store, step)
        return train_hint(
            given["out"],
            select_pose(faces, given["pose"]),
            nets,
            settings,
            provenance=Provenance(
                data=given["data"],
                command=_command({**given, "ensemble": names, "backend": backend}),
                backend=backend,
                pose=given["pose"],
            ),
            resume=given["resume"],
            report=lambda done, total, similarity: step("train", done, total, f"similarity {similarity:.3f}"),
        )


def _command(given: dict[str, Any]) -> str:
    """What makes the hint again; folders and files of this machine appear under general names."""
    words = ["goodnoise-cloud", "hints", "train", "--faces", "FACES_DIR", "--out", given["out"].name]
    if given["people"]:
        words += ["--people", "PEOPLE_FILE"]
    for key in (
        "data",
        "per_person",
        "ensemble",
        "pose",
        "anchors",
        "levels",
        "epochs",
        "batch",
        "seed",
        "backend",
    ):
        values = given[key] if isinstance(given[key], tuple) else (given[key],)
        for value in values:
            words += [] if value is None else [f"--{key.replace('_', '-')}", str(value)]
    return shlex.join(words)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True))


@dataclass(frozen=True)
class _Steps:
    """One bar for each thing that is done."""

    bar: Progress

    def __call__(self, what: str, done: int, total: int, note: str = "") -> None:
        """Move the bar of `what`, which begins when it is first named."""
        known = [task.id for task in self.bar.tasks if task.description == what]
        task: TaskID = known[0] if known else self.bar.add_task(what, total=total, note=note)
        self.bar.update(task, completed=done, total=total, note=note)


def _figures(sidecar: dict[str, Any]) -> Table:
    held = sidecar["held_out"]
    table = Table(
        title=f"Similarity to the clean face: {held['faces']} faces of {held['people']} people held out"
    )
    for column in ("recogniser", "hint", "random signs"):
        table.add_column(column)
    for name, row in held["recognisers"].items():
        table.add_row(name, f"{row['similarity']:.3f}", f"{row['similarity_random_signs']:.3f}")
    return table
