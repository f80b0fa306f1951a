"""What a bundle's hints are made from: a folder of faces, trained once, resumed where it was cut off.

Three things come out, in the order of what they bring: a student of a recogniser that stays in the cloud
(`hints.students`), and universal perturbations for heads turned left and right. Each is measured on people
held out, and what was measured goes into the bundle.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud_server.hints.data import FaceSet, select_pose
from cloud_server.hints.nets import load_net
from cloud_server.hints.train import ENSEMBLE, Provenance, train_hint
from cloud_server.hints.universal import Training
from models.own import add_recogniser
from models.store import Store
from shared.bundle import sha256_hex
from shared.files import write_atomically

__all__ = ["Trained", "TrainingOrder", "train_for_bundle"]

STUDENT = "own-student"
_POSES = ("left", "right")

# Called with what is being trained, steps done, steps in all, and a note.
Report = Callable[[str, int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class TrainingOrder:
    """What to train.

    Args:
        work: folder that keeps what is finished and what was interrupted.
        data: what the faces are, in words; devices show it.
        teacher: the recogniser that stays in the cloud.
        body: the recogniser that the student starts from.
        student_steps: batches of the student's training.
        epochs: passes over the faces for each universal perturbation.
        seed: of everything.
    """

    work: Path
    data: str = "own photos"
    teacher: str = "sface"
    body: str = "mobilefacenet-512"
    student_steps: int = 900
    epochs: int = 3
    seed: int = 0


@dataclass(frozen=True)
class Trained:
    """What a bundle gets: the student's name in the zoo, the hints' files, what was measured."""

    student: str
    hints: tuple[Path, ...]
    measured: dict[str, Any]


def train_for_bundle(faces: FaceSet, order: TrainingOrder, store: Store, *, report: Report) -> Trained:
    """Train what is missing in `order.work`, bring the student into the zoo, and say what was measured.

    Args:
        faces: of many people, none of whom is measured on later.
        order: see `TrainingOrder`.
        store: the zoo; the student is added to it.
        report: called after each step; may raise to stop, and the next call goes on.

    Raises:
        GoodnoiseError: PRECONDITION for too little data or without torch, and as of the trainings.
    """
    order.work.mkdir(parents=True, exist_ok=True)
    student = _student(faces, order, store, report)
    hints = {pose: _universal(faces, pose, order, store, report) for pose in _POSES}
    return Trained(
        STUDENT,
        tuple(path for path, _ in hints.values()),
        {
            "student": student,
            **{f"universal-{pose}": about["held_out"] for pose, (_, about) in hints.items()},
        },
    )


def _student(faces: FaceSet, order: TrainingOrder, store: Store, report: Report) -> dict[str, Any]:
    from cloud_server.hints.students.make import Wanted, make_student
    from cloud_server.hints.students.training import Distillation

    out = order.work / f"{STUDENT}.onnx"
    settings = Distillation(steps=order.student_steps, rate=4e-4, seed=order.seed)
    wanted = Wanted(name=STUDENT, teacher=order.teacher, body=order.body, data=order.data)
    figures = _finished(out, order, faces, settings.to_dict())
    if figures is None:

        def tell(done: int, total: int, losses: dict[str, float]) -> None:
            report("student", done, total, f"difference {losses['difference']:.3f}")

        figures = make_student(out, wanted, faces, settings, store, resume=True, report=tell)
        _mark(out, order, faces, settings.to_dict())
    add_recogniser(out, out.with_suffix(".toml"), store)
    return {key: figures[key] for key in ("teacher", "body", "trained_on", "held_out")}


def _universal(
    faces: FaceSet, pose: str, order: TrainingOrder, store: Store, report: Report
) -> tuple[Path, dict[str, Any]]:
    out = order.work / f"universal-{pose}.npy"
    settings = Training(epochs=order.epochs, seed=order.seed)
    sidecar = _finished(out, order, faces, settings.to_dict())
    if sidecar is None:
        nets = [load_net(name, store) for name in ENSEMBLE]

        def tell(done: int, total: int, similarity: float) -> None:
            report(f"universal-{pose}", done, total, f"similarity {similarity:.3f}")

        sidecar = train_hint(
            out,
            select_pose(faces, pose),
            nets,
            settings,
            provenance=Provenance(
                data=order.data, command="goodnoise-cloud bundle build --faces", backend="onnx", pose=pose
            ),
            resume=True,
            report=tell,
        )
        _mark(out, order, faces, settings.to_dict())
    return out, sidecar


def _finished(
    out: Path, order: TrainingOrder, faces: FaceSet, settings: dict[str, Any]
) -> dict[str, Any] | None:
    """The figures of a training that was finished with the same faces and settings, else None."""
    try:
        mark = out.with_suffix(".done").read_text(encoding="utf-8")
        figures: dict[str, Any] = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return figures if out.exists() and mark == _run(order, faces, settings) else None


def _mark(out: Path, order: TrainingOrder, faces: FaceSet, settings: dict[str, Any]) -> None:
    write_atomically(out.with_suffix(".done"), _run(order, faces, settings).encode())


def _run(order: TrainingOrder, faces: FaceSet, settings: dict[str, Any]) -> str:
    people = "\n".join(faces.people).encode()
    parts = [sha256_hex(faces.levels.tobytes() + people), order.teacher, order.body, settings, order.data]
    return sha256_hex(json.dumps(parts, sort_keys=True).encode())
