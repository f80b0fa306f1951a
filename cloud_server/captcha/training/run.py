"""Training readers one after another into a folder, and measuring what came out."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import nn

from cloud_server.captcha.challenges.fonts import installed_fonts
from cloud_server.captcha.challenges.maker import Maker, load_maker
from cloud_server.captcha.challenges.recipe import READERS_ATTACKED, Recipe
from cloud_server.captcha.challenges.types import ALPHABET
from cloud_server.captcha.report.harvest import Harvest
from cloud_server.captcha.training.plan import Plan, Stage, Task, tasks
from cloud_server.captcha.training.samples import Samples, make_samples
from cloud_server.captcha.training.sources import Attacked, Batch, Issued, Rendered, Source, attacked
from cloud_server.captcha.training.trainer import Trainer, begin, share_read
from models.text.readers import pack_weights, weights_name
from shared.errors import Code, GoodnoiseError
from shared.files import write_atomically

__all__ = ["SUMMARY", "Report", "train_readers"]

# Beside the weights: what was measured.
SUMMARY = "readers.json"
_WORK = "work"
# A seed's second number; readers use their names' checksums, which are larger.
_HELD_OUT, _HELD_OUT_ATTACK, _IMAGES = 1, 2, 3
_SHARD = 250


class Report(Protocol):
    """Told what is done, how much of it, of how much, and a note."""

    def __call__(self, what: str, done: int, total: int, note: str = "", /) -> None:
        """Something went on."""


@dataclass(frozen=True)
class _Lesson:
    """What one reader learns from, and what it is measured on."""

    source: Source
    issued: Batch | None


def train_readers(out: Path, plan: Plan, *, stages: Collection[Stage], report: Report) -> dict[str, Any]:
    """Train every reader of the table whose stage is wanted, but those that are finished.

    Weights are written as `load_reader` reads them, figures into `readers.json`. An interrupted training goes
    on where it stopped, and ends in the same bytes.

    Args:
        out: folder of all of it; readers of the stages before must be in it.
        plan: how.
        stages: wanted.
        report: of progress.

    Returns:
        The figures, by reader.

    Raises:
        GoodnoiseError: PRECONDITION where a reader of the stage before is missing.
        OSError: as the system says it.
    """
    (out / _WORK).mkdir(parents=True, exist_ok=True)
    every = tasks()
    for task in every:
        if task.stage in stages:
            _train_one(out, task, every, plan, report)
    return _figures(out)


def _train_one(out: Path, task: Task, every: tuple[Task, ...], plan: Plan, report: Report) -> None:
    name, steps = task.reader.name, plan.steps_of(task.stage)
    weights = None if task.before is None else _weights(out, task.before.name)
    learnt_from = _learnt_from(out, task, every)
    key = sha256(f"{task!r} {plan!r} {learnt_from} {_digest(weights)}".encode()).hexdigest()
    if _finished(out, name, key):
        report(name, steps, steps, "finished before")
        return
    lesson = _lesson(out, task, learnt_from, plan, report)
    network = begin(task.reader, seed=plan.seed, weights=weights)
    trainer = Trainer(
        task.reader, network, plan, steps=steps, path=out / _WORK / f"{name}.checkpoint", key=key
    )
    trainer.train(lesson.source, lambda done, loss: report(name, done, steps, f"loss {loss:.3f}"))
    _write(out, task, trainer, key, _measured(trainer.network, lesson, plan))
    trainer.forget()


def _lesson(out: Path, task: Task, learnt_from: Mapping[str, str], plan: Plan, report: Report) -> _Lesson:
    if task.stage is Stage.PLAIN:
        return _Lesson(Rendered(plan.lengths), None)
    if task.stage is Stage.HARDENED:
        return _Lesson(Attacked(plan.lengths, Recipe()), None)
    version = sha256(repr(sorted(learnt_from.items())).encode()).hexdigest()[:16]
    harvest = Harvest(
        _maker(out, learnt_from),
        out / _WORK / f"issued-{version}",
        seed=int(np.random.SeedSequence([plan.seed, _IMAGES, task.round]).generate_state(1)[0]),
        shard=min(_SHARD, plan.images),
    )
    images = harvest.first(
        plan.images, lambda _, done, total: report(f"images for round {task.round}", done, total)
    )
    learn = images.take(range(plan.held_out, plan.images))
    return _Lesson(Issued(learn), Issued(images.take(range(plan.held_out))).all())


def _maker(out: Path, names: Collection[str]) -> Maker:
    """What the service would issue if it had these readers alone, with every font that is installed."""
    weights = dict(READERS_ATTACKED)
    recipe = Recipe(readers=tuple((name, weights.get(name, 1.0)) for name in names))
    return load_maker(replace(recipe, style=replace(recipe.style, fonts=installed_fonts())), readers=out)


def _learnt_from(out: Path, task: Task, every: tuple[Task, ...]) -> dict[str, str]:
    """Digests of the readers that an adapted one's images are made against: all of the rounds before."""
    if task.stage is not Stage.ADAPTED:
        return {}
    names = [other.reader.name for other in every if other.round < task.round]
    return {name: _digest(_weights(out, name)) for name in names}


def _measured(network: nn.Module, lesson: _Lesson, plan: Plan) -> dict[str, float]:
    """Shares of held-out texts that a reader reads whole."""
    samples = make_samples(
        plan.held_out, rng=np.random.default_rng([plan.seed, _HELD_OUT]), lengths=plan.lengths
    )
    found = {
        "rendered": share_read(network, Batch(samples.images, samples.labels)),
        "attacked_itself": share_read(network, _attacked(network, samples, plan)),
    }
    if lesson.issued is not None:
        found["issued"] = share_read(network, lesson.issued)
    return {key: round(value, 4) for key, value in found.items()}


def _attacked(network: nn.Module, samples: Samples, plan: Plan) -> Batch:
    rng = np.random.default_rng([plan.seed, _HELD_OUT_ATTACK])
    return Batch(attacked(network, samples, Recipe(), share=1.0, rng=rng), samples.labels)


def _write(out: Path, task: Task, trainer: Trainer, key: str, held_out: dict[str, float]) -> None:
    name = task.reader.name
    weights = pack_weights(trainer.network, ALPHABET)
    write_atomically(out / weights_name(name), weights)
    figures = _figures(out)
    figures[name] = {
        "stage": str(task.stage),
        "round": task.round,
        "reader": asdict(task.reader),
        "begins_as": None if task.before is None else task.before.name,
        "steps": trainer.done,
        "held_out": held_out,
        "sha256": _digest(weights),
        "training": key,
    }
    write_atomically(out / SUMMARY, (json.dumps(figures, indent=2) + "\n").encode())


def _figures(out: Path) -> dict[str, Any]:
    path = out / SUMMARY
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise GoodnoiseError(Code.CORRUPT, f"{path} is no JSON: {error}; remove it") from error
    if not isinstance(found, dict):
        raise GoodnoiseError(Code.CORRUPT, f"{path} holds no readers; remove it")
    return found


def _finished(out: Path, name: str, key: str) -> bool:
    known = _figures(out).get(name, {})
    path = out / weights_name(name)
    return bool(
        known.get("training") == key and path.is_file() and _digest(path.read_bytes()) == known["sha256"]
    )


def _weights(out: Path, name: str) -> bytes:
    path = out / weights_name(name)
    if not path.is_file():
        raise GoodnoiseError(
            Code.PRECONDITION, f"{path} is missing; train the stage before first, or all with --stage all"
        )
    return path.read_bytes()


def _digest(content: bytes | None) -> str:
    return "" if content is None else sha256(content).hexdigest()
