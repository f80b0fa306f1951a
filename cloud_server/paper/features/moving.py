"""The sets of observation II: images that an attack moved, their labels, and controls of the same labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cloud_server.augment.engine import Engine
from cloud_server.augment.recipes import RECIPES
from cloud_server.augment.rows import Unencoded
from cloud_server.augment.surrogate import Surrogate
from cloud_server.paper.features.common import Report, attacked, keep_arrays, keyed
from cloud_server.paper.features.settings import Protocol
from models.vision.cifar import Labelled
from models.vision.training import Images, Labels

__all__ = ["Run", "Sets", "moved_part", "sets_of"]

_AT_ONCE = 64
# By the network that learns from them.
Sets = dict[str, tuple[Images, Labels]]


@dataclass(frozen=True)
class Run:
    """Settings of a run, the folder of what it keeps, and who is told of its progress."""

    protocol: Protocol
    work: Path
    report: Report


def moved_part(train: Labelled, protocol: Protocol) -> Labelled:
    """The images that are moved."""
    count = protocol.moving.images
    if count is None or count >= len(train.labels):
        return train
    rng = np.random.default_rng([protocol.seed, 33])
    return train.take(np.sort(rng.permutation(len(train.labels))[:count]))


def sets_of(run: Run, first: Surrogate, part: Labelled) -> Iterator[Sets]:
    """Images and labels of each network but f_ori; what has controls of its own labels comes with them."""
    rng = np.random.default_rng([run.protocol.seed, 31])
    count, everything = len(part.classes), np.arange(len(part.labels))
    random = (part.labels + rng.integers(1, count, size=len(part.labels))) % count
    # Labels that are never the true ones say what an image does not show, which a network learns as well.
    own = rng.random(len(part.labels)) < 1 / count
    anything = np.where(own, part.labels, random)
    moved = _moved(run, "d-rand", first, part, random, everything)
    mixed = moved.copy()
    mixed[own] = _moved(run, "d-rand", first, part, part.labels, everything[own], "-own")
    noisy = _noisy(part.images, radius=run.protocol.moving.radius, seed=run.protocol.seed)
    yield {
        "f_any": (mixed, anything),
        "f_any_noise": (noisy, anything),
        "f_any_rand": (part.images, anything),
    }
    yield {"f_adv": (moved, random), "f_noise": (noisy, random), "f_rand": (part.images, random)}
    yield {"f_same": (part.images, part.labels)}
    following = (part.labels + 1) % count
    yield {"f_det": (_moved(run, "d-det", first, part, following, everything), following)}


def _moved(
    run: Run, name: str, network: Surrogate, train: Labelled, targets: Labels, chosen: Labels, part: str = ""
) -> Images:
    """The chosen images, each toward its target, as levels of 8 bits; kept, so that a run goes on.

    Args:
        run: settings and folder.
        name: of the recipe.
        network: what is attacked.
        train: all images.
        targets: of all images, N.
        chosen: which are moved, indices.
        part: added to the name of the file where these are not all.
    """
    protocol, moving = run.protocol, run.protocol.moving
    path = run.work / f"{keyed(f'{name}{part}-moved', moving)}.npz"
    if path.is_file():
        return np.asarray(np.load(path)["images"], np.uint8)
    radius = moving.radius
    step = min(radius, max(radius / 5.0, 2.0 * radius / moving.steps))
    recipe = RECIPES[name].with_(steps=moving.steps, step=step, radius=radius)
    size = train.images.shape[2:] + train.images.shape[1:2]
    target = attacked(network, moving.gradients)
    engine = Engine(recipe, target, codec=Unencoded(size), seed=protocol.seed, batch=_AT_ONCE)
    images = train.images[chosen]
    for start in range(0, len(chosen), _AT_ONCE):
        rows = chosen[start : start + _AT_ONCE]
        made = engine.perturb(train.images[rows], train.labels[rows], targets[rows], rows.tolist())
        images[start : start + _AT_ONCE] = made.images
        run.report(f"perturbing for {name}", start, len(chosen))
    keep_arrays(path, {"images": images})
    return images


def _noisy(images: Images, *, radius: float, seed: int) -> Images:
    """The images with noise of this L2 length in the units of [0,1]."""
    rng = np.random.default_rng([seed, 32])
    noise = rng.normal(size=images.shape).astype(np.float32)
    noise *= radius * 255.0 / np.sqrt((noise**2).sum(axis=(1, 2, 3), keepdims=True))
    return np.asarray(np.rint(images + noise).clip(0, 255), np.uint8)
