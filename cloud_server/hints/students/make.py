"""A student from a folder of faces: trained, measured on people held out, written as ONNX with its card."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cloud_server.hints.data import FaceSet, split_people
from cloud_server.hints.students.agreement import agreement, one_a_person
from cloud_server.hints.students.card import Made, card_text
from cloud_server.hints.students.faces import draw
from cloud_server.hints.students.network import Student, student_onnx, unit
from cloud_server.hints.students.training import Distillation, Progress, train_student
from models.store import Store, load_card
from models.torch_graph import TorchGraph
from models.torch_oracle import frozen
from models.verification import measure_threshold
from shared.bundle import sha256_hex
from shared.cards import Card
from shared.errors import Code, GoodnoiseError
from shared.files import write_atomically

__all__ = ["HELD_OUT", "Wanted", "make_student", "state_path"]

HELD_OUT = 0.08
_MEASURED = 64
_HEAD_BATCHES = 40
_FAR = 1e-3


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which student.

    Args:
        name: its name in the zoo.
        teacher: recogniser that stays in the cloud.
        body: recogniser that the student starts from.
        data: what the faces are, in words.
    """

    name: str
    teacher: str
    body: str
    data: str


def state_path(out: Path) -> Path:
    """Where an interrupted training of `out` leaves its state."""
    return out.with_name(f".{out.name}.state.pt")


def make_student(
    out: Path,
    wanted: Wanted,
    faces: FaceSet,
    settings: Distillation,
    store: Store,
    *,
    resume: bool = False,
    report: Progress,
) -> dict[str, Any]:
    """Train a student, measure it and write `out` (ONNX) with its card (.toml) and figures (.json).

    Args:
        out: the `.onnx` file.
        wanted: teacher, body and name.
        faces: of two people or more; 8 % of the people are held out.
        settings: see `Distillation`.
        store: the zoo.
        resume: go on from an interrupted training, where there is one.
        report: called after each step; may raise to stop.

    Returns:
        The figures, as in the `.json`.

    Raises:
        GoodnoiseError: INVALID_INPUT for a network in another frame, PRECONDITION for too little data or a
            state of another training, NOT_FOUND for unknown names.
    """
    teacher_card, body_card = (_recogniser(name, store) for name in (wanted.teacher, wanted.body))
    body = store.read(body_card)
    teacher = frozen(TorchGraph(store.read(teacher_card)))
    used, held = split_people(faces, share=HELD_OUT, seed=settings.seed)
    student = Student(body, width=body_card.embedding, embedding=teacher_card.embedding)
    _fit_head(student, teacher, used, settings)
    run_id = _run_id(used, wanted, settings, sha256_hex(body), sha256_hex(store.read(teacher_card)))
    train_student(
        student,
        teacher,
        used,
        settings,
        state=state_path(out),
        run_id=run_id,
        resume=resume,
        report=report,
    )
    student.eval().requires_grad_(requires_grad=False)
    figures = _figures(student, teacher, frozen(TorchGraph(body)), held, wanted, settings, used)
    content = student_onnx(body, student)
    threshold = measure_threshold(
        _embeddings(student, faces), faces.people, "cosine", far=_threshold_far(faces), data=wanted.data
    )
    made = Made(wanted.name, teacher_card, body_card, content, threshold, figures, _parameters(student))
    write_atomically(out, content)
    write_atomically(
        out.with_suffix(".json"), (json.dumps(figures, indent=1, sort_keys=True) + "\n").encode()
    )
    write_atomically(out.with_suffix(".toml"), card_text(made, file=out.name).encode())
    state_path(out).unlink(missing_ok=True)
    return figures


def _recogniser(name: str, store: Store) -> Card:
    card = load_card(name, store.folder)
    if card.kind != "recogniser" or card.frame != "arcface112" or card.metric != "cosine":
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"{name!r} is a {card.kind} in frame {card.frame!r} with metric {card.metric!r}; teacher and "
            "body are recognisers in 'arcface112' with metric 'cosine'",
        )
    return card


@torch.no_grad()
def _fit_head(student: Student, teacher: torch.nn.Module, faces: FaceSet, settings: Distillation) -> None:
    features, targets = [], []
    for number in range(min(_HEAD_BATCHES, 5 + settings.steps)):
        rng = np.random.default_rng([settings.seed, 1, number])
        batch = torch.from_numpy(draw(faces, settings.batch, settings.views, rng))
        features.append(student.body(batch))
        targets.append(unit(teacher(batch)))
    student.fit_head(torch.cat(features), torch.cat(targets))


def _figures(
    student: Student,
    teacher: torch.nn.Module,
    body: torch.nn.Module,
    held: FaceSet,
    wanted: Wanted,
    settings: Distillation,
    used: FaceSet,
) -> dict[str, Any]:
    faces = one_a_person(held, most=_MEASURED)
    with torch.no_grad():
        match = (student(faces) * unit(teacher(faces))).sum(1).mean()
    return {
        "name": wanted.name,
        "teacher": wanted.teacher,
        "body": wanted.body,
        "trained_on": f"{wanted.data}: {len(used)} faces of {len(set(used.people))} people",
        "settings": settings.to_dict(),
        "held_out": {
            "people": len(faces),
            "embedding_cosine": round(float(match), 4),
            "student": agreement(student, teacher, faces, seed=settings.seed),
            "body": agreement(body, teacher, faces, seed=settings.seed),
        },
    }


@torch.no_grad()
def _embeddings(student: Student, faces: FaceSet) -> np.ndarray[Any, np.dtype[np.float32]]:
    parts = range(0, len(faces), 64)
    rows = [np.arange(start, min(start + 64, len(faces))) for start in parts]
    return np.concatenate([student(torch.from_numpy(faces.images(part))).numpy() for part in rows])


def _threshold_far(faces: FaceSet) -> float:
    """1e-3, or as low as the number of pairs of different people allows."""
    _, counts = np.unique(np.array(faces.people), return_counts=True)
    pairs = (len(faces) ** 2 - int((counts**2).sum())) // 2
    return max(_FAR, 10 / max(pairs, 1)) if pairs else _FAR


def _parameters(student: Student) -> int:
    return sum(parameter.numel() for parameter in student.parameters())


def _run_id(faces: FaceSet, wanted: Wanted, settings: Distillation, *networks: str) -> str:
    people = "\n".join(faces.people).encode()
    parts = [sha256_hex(faces.levels.tobytes() + people), *networks, settings.to_dict()]
    return sha256_hex(json.dumps([*parts, replace(wanted, data="").__dict__], sort_keys=True).encode())
