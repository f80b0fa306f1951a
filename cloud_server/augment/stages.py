"""What a run needs before its first sample: surrogate and universal perturbations, made once and kept."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cloud_server.augment.job import Job, Train
from cloud_server.augment.parts import Parts, Shape, load_network
from cloud_server.augment.progress import OnProgress, Progress, Stage
from cloud_server.augment.types import Source
from shared.errors import Code, GoodnoiseError
from shared.files import sha256_of_file, write_atomically

if TYPE_CHECKING:
    from cloud_server.augment.surrogate import Surrogate

__all__ = ["fingerprint", "job_errors", "prepare"]


def prepare(
    job: Job, source: Source, *, work: Path, on_progress: OnProgress, check: Callable[[], None]
) -> Parts:
    """Make what is missing of a run's parts. What was made before, of the same images, is taken as it is.

    Args:
        job: settings.
        source: the dataset.
        work: folder that keeps the parts.
        on_progress: called after each update or step.
        check: called as often; raises to end it.

    Raises:
        GoodnoiseError: INVALID_INPUT, NOT_FOUND or PRECONDITION for what does not fit together.
    """
    recipe = job.recipe
    classes = tuple(source.group_names if recipe.bias else source.classes)
    shape = _shape(job, source)
    if not recipe.surrogate:
        return Parts(classes, shape if job.resize else None)
    file = _surrogate_file(job, source, shape, work, on_progress, check)
    surrogate = load_network(file, classes, shape)
    second = None if job.second is None else load_network(job.second, classes, shape)
    universal = _universal_file(job, source, surrogate, work, on_progress, check)
    return Parts(
        classes,
        shape,
        file,
        surrogate.sha256,
        job.second,
        "" if second is None else second.sha256,
        universal,
        "" if universal is None else sha256_of_file(universal),
    )


@contextmanager
def job_errors() -> Iterator[None]:
    """What the parts of a run call a caller's mistake was the recipe file's or the dataset's."""
    try:
        yield
    except ValueError as error:
        raise GoodnoiseError(Code.INVALID_INPUT, str(error)) from error


def fingerprint(source: Source) -> str:
    """SHA-256 over names, labels and groups of a dataset; no image is read."""
    digest = hashlib.sha256(json.dumps([source.classes, source.group_names]).encode())
    digest.update(np.ascontiguousarray(source.labels).tobytes())
    if source.groups is not None:
        digest.update(np.ascontiguousarray(source.groups).tobytes())
    for index in range(len(source)):
        digest.update(source.name(index).encode() + b"\n")
    return digest.hexdigest()


def _contents(source: Source, check: Callable[[], None]) -> str:
    """SHA-256 over the fingerprint and every image as stored: what is learnt from one that changed is not it.

    All images are read once, and not decoded: far less than a training reads.
    """
    digest = hashlib.sha256(fingerprint(source).encode())
    for index in range(len(source)):
        check()
        digest.update(source.digest(index).encode())
    return digest.hexdigest()


def _shape(job: Job, source: Source) -> Shape:
    height, width, channels = source.read(0).shape
    if isinstance(job.resize, tuple):
        return (channels, *job.resize)
    if isinstance(job.surrogate, Path) and job.recipe.surrogate and job.surrogate.suffix == ".npz":
        from models.vision.saving import load_classifier

        return load_classifier(job.surrogate).shape
    return (channels, height, width)


def _surrogate_file(
    job: Job,
    source: Source,
    shape: Shape,
    work: Path,
    on_progress: OnProgress,
    check: Callable[[], None],
) -> Path:
    if isinstance(job.surrogate, Path):
        return job.surrogate
    learnt = _contents(source, check)
    wanted = (asdict(job.surrogate), job.seed, job.recipe.bias, shape, job.resize, learnt)
    key = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:16]
    path = work / f"surrogate-{key}.npz"
    if not path.exists():
        _train(job, job.surrogate, source, shape, path, on_progress, check)
    return path


def _train(
    job: Job,
    train: Train,
    source: Source,
    shape: Shape,
    path: Path,
    on_progress: OnProgress,
    check: Callable[[], None],
) -> None:
    from cloud_server.augment.training import SurrogateTraining, train_network
    from models.vision.saving import save_classifier

    settings = SurrogateTraining(train.network, train.updates, train.batch, train.rate, train.augment)

    def updated(update: int, loss: float) -> None:
        on_progress(Progress(Stage.SURROGATE, update, train.updates))
        check()

    made = train_network(
        source,
        settings,
        seed=job.seed,
        balance=train.balance,
        shape=shape,
        groups=job.recipe.bias,
        resize=bool(job.resize),
        state=path.with_suffix(".state"),
        on_update=updated,
    )
    save_classifier(path, made.network, name=train.network, classes=made.classes, shape=shape)


def _universal_file(
    job: Job,
    source: Source,
    surrogate: Surrogate,
    work: Path,
    on_progress: OnProgress,
    check: Callable[[], None],
) -> Path | None:
    if not job.recipe.universal or job.recipe.attack is None:
        return None
    learnt = _contents(source, check)
    wanted = (job.recipe.digest, surrogate.sha256, job.seed, job.batch, job.resize, learnt)
    key = hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:16]
    path = work / f"universal-{key}.npy"
    if not path.exists():
        _train_universal(job, source, surrogate, path, on_progress, check)
    return path


def _train_universal(
    job: Job,
    source: Source,
    surrogate: Surrogate,
    path: Path,
    on_progress: OnProgress,
    check: Callable[[], None],
) -> None:
    from cloud_server.augment.universal import train_universal

    steps = 0 if job.recipe.attack is None else job.recipe.attack.steps
    kept = {k: path.with_name(f"{path.stem}-{k}.npy") for k in range(len(surrogate.classes))}
    done = {k: np.load(file, allow_pickle=False) for k, file in kept.items() if file.exists()}

    def stepped(target: int, step: int, loss: float) -> None:
        on_progress(Progress(Stage.UNIVERSAL, target * steps + step + 1, steps * len(kept)))
        check()

    found = train_universal(
        job.recipe,
        surrogate,
        source,
        seed=job.seed,
        batch=job.batch,
        done=done,
        on_step=stepped,
        on_target=lambda target, pattern: _save(kept[target], pattern),
        resize=bool(job.resize),
    )
    _save(path, np.stack([found[k] for k in kept]))
    for file in kept.values():
        file.unlink(missing_ok=True)


def _save(path: Path, pattern: npt.NDArray[np.float32]) -> None:
    content = io.BytesIO()
    np.save(content, pattern, allow_pickle=False)
    write_atomically(path, content.getvalue())
