"""Training a student: the teacher is followed at faces, and where the student's own attack leads from them.

Matching embeddings at faces alone leaves a student free to be moved by perturbations that leave the teacher
where it is. So every batch holds, for each face, a point along the student's own gradient, and the student
must move there as the teacher does: a finite difference that makes input gradients agree, at the cost of two
forward passes of the teacher and no second derivative.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cloud_server.hints.data import FaceSet
from cloud_server.hints.students.faces import Views, draw
from cloud_server.hints.students.network import Student, unit
from shared.errors import Code, GoodnoiseError
from shared.files import write_atomically

__all__ = ["Distillation", "Progress", "input_gradient", "train_student"]

# Called with steps done, steps in all, and the losses of the last step by name. May raise to stop.
Progress = Callable[[int, int, dict[str, float]], None]

_SAVE_EVERY = 25
_LENGTH = math.sqrt(3 * 112 * 112)


@dataclass(frozen=True)
class Distillation:
    """How a student is trained.

    Args:
        steps: batches.
        batch: faces a batch.
        rate: learning rate of the body at its highest; the head's is twice that.
        warm_up: steps until the rate is reached; from there it falls as a cosine.
        noise: the start of the student's attack, uniform, in levels.
        reach: shortest and longest perturbation, root mean square in levels.
        follow: weight of the teacher's embedding at the perturbed face.
        differences: weight of the squared difference of how far both moved.
        average: decay of the average over steps that is kept as the student.
        seed: of faces, views and perturbations.
        views: how faces are varied.
    """

    steps: int = 1200
    batch: int = 16
    rate: float = 3e-4
    warm_up: int = 40
    noise: float = 8.0
    reach: tuple[float, float] = (1.5, 5.0)
    follow: float = 1.0
    differences: float = 1.0
    average: float = 0.98
    seed: int = 0
    views: Views = field(default_factory=Views)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@dataclass
class _Run:
    """Everything that an interruption must not lose."""

    student: Student
    optimiser: torch.optim.Optimizer
    averages: list[Tensor]
    step: int = 0

    def save(self, path: Path, run_id: str) -> None:
        stream = io.BytesIO()
        torch.save(
            {
                "run": run_id,
                "step": self.step,
                "student": self.student.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "averages": self.averages,
            },
            stream,
        )
        write_atomically(path, stream.getvalue())

    def load(self, path: Path, run_id: str) -> None:
        try:
            state = torch.load(path, weights_only=True)
        except Exception as error:  # torch answers a damaged file with almost any exception
            raise GoodnoiseError(
                Code.CORRUPT, f"{path} cannot be read ({error}); remove it, or leave --resume out"
            ) from error
        if state["run"] != run_id:
            raise GoodnoiseError(
                Code.PRECONDITION,
                f"{path} is of a training with other faces, networks or settings; give the same, "
                "or leave --resume out to begin again",
            )
        self.student.load_state_dict(state["student"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.averages = list(state["averages"])
        self.step = int(state["step"])


def train_student(
    student: Student,
    teacher: nn.Module,
    faces: FaceSet,
    settings: Distillation,
    *,
    state: Path,
    run_id: str,
    resume: bool,
    report: Progress,
) -> None:
    """Train in place; at the end the student holds the average over its last steps.

    Args:
        student: with its head fitted.
        teacher: frozen; maps faces to unit embeddings.
        faces: to train on.
        settings: see `Distillation`.
        state: the file that an interrupted training leaves.
        run_id: tells trainings apart.
        resume: go on from `state` where it is.
        report: called after each step.

    Raises:
        GoodnoiseError: CORRUPT or PRECONDITION for a state that does not belong here.
    """
    groups = [
        {"params": list(student.body.parameters()), "lr": settings.rate},
        {"params": list(student.head.parameters()), "lr": 2 * settings.rate},
    ]
    run = _Run(student, torch.optim.AdamW(groups, weight_decay=1e-4), [])
    if resume and state.exists():
        run.load(state, run_id)
    try:
        while run.step < settings.steps:
            losses = _step(run, teacher, faces, settings)
            if run.step % _SAVE_EVERY == 0:
                run.save(state, run_id)
            report(run.step, settings.steps, losses)
    except BaseException:
        run.save(state, run_id)
        raise
    with torch.no_grad():
        for parameter, average in zip(student.parameters(), run.averages, strict=True):
            parameter.copy_(average)


def input_gradient(network: nn.Module, faces: Tensor, anchors: Tensor) -> Tensor:
    """Gradient, N 3 S S, of the cosine between each face's embedding and its anchor (N D) by the face."""
    leaf = faces.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad((unit(network(leaf)) * anchors).sum(), leaf)
    return gradient


def _step(run: _Run, teacher: nn.Module, faces: FaceSet, settings: Distillation) -> dict[str, float]:
    rng = np.random.default_rng([settings.seed, run.step])
    clean = torch.from_numpy(draw(faces, settings.batch, settings.views, rng))
    moved = _attacked(run.student, clean, settings, rng)
    with torch.no_grad():
        at_clean, at_moved = unit(teacher(clean)), unit(teacher(moved))
    mine, mine_moved = run.student(clean), run.student(moved)
    match = (1 - (mine * at_clean).sum(1)).mean()
    follow = (1 - (mine_moved * at_moved).sum(1)).mean()
    difference = ((mine_moved - mine) - (at_moved - at_clean)).pow(2).sum(1).mean()
    loss = match + settings.follow * follow + settings.differences * difference
    _descend(run, loss, settings)
    return {"match": match.item(), "follow": follow.item(), "difference": difference.item()}


def _attacked(student: Student, clean: Tensor, settings: Distillation, rng: np.random.Generator) -> Tensor:
    """Points that the student's own attack reaches in one step, by the gradient or by its signs."""
    noise = rng.uniform(-settings.noise, settings.noise, clean.shape).astype(np.float32) / 255
    start = (clean + torch.from_numpy(noise)).clamp(0, 1)
    student.requires_grad_(requires_grad=False)
    with torch.no_grad():
        anchors = student(clean)
    gradient = input_gradient(student, start, anchors)
    student.requires_grad_(requires_grad=True)
    lengths = gradient.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None, None]
    signed = torch.from_numpy(rng.random((len(clean), 1, 1, 1)) < 0.5)
    direction = torch.where(signed, -gradient.sign() / _LENGTH, -gradient / lengths)
    reach = rng.uniform(*settings.reach, (len(clean), 1, 1, 1)).astype(np.float32) / 255 * _LENGTH
    return (start + direction * torch.from_numpy(reach)).clamp(0, 1)


def _descend(run: _Run, loss: Tensor, settings: Distillation) -> None:
    factor = _rate(run.step, settings)
    for group, base in zip(run.optimiser.param_groups, (1.0, 2.0), strict=True):
        group["lr"] = settings.rate * base * factor
    run.optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(run.student.parameters(), 1.0)
    run.optimiser.step()
    run.step += 1
    _average(run, min(settings.average, run.step / (run.step + 10)))


@torch.no_grad()
def _average(run: _Run, decay: float) -> None:
    parameters = [parameter.detach() for parameter in run.student.parameters()]
    if not run.averages:
        run.averages = [parameter.clone() for parameter in parameters]
    for average, parameter in zip(run.averages, parameters, strict=True):
        average.mul_(decay).add_(parameter, alpha=1 - decay)


def _rate(step: int, settings: Distillation) -> float:
    """Share of the highest rate: a linear start, then half a cosine."""
    rising = min(1.0, (step + 1) / settings.warm_up)
    return rising * (0.5 + 0.5 * math.cos(math.pi * step / settings.steps)) + 0.01
