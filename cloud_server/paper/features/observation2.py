"""Observation II: what a network learns from labels that only perturbations explain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cloud_server.augment.engine import Engine
from cloud_server.augment.recipes import RECIPES
from cloud_server.augment.rows import Unencoded
from cloud_server.augment.surrogate import Surrogate
from cloud_server.intervals import wilson
from cloud_server.paper.features.common import (
    Report,
    accuracy,
    attacked,
    images_of,
    keep_arrays,
    keyed,
    settings_of,
    trained,
    work_folder,
    write_results,
)
from cloud_server.paper.features.settings import PAPER, Protocol
from models.vision.cifar import Labelled
from models.vision.training import Images, Labels
from shared.files import write_atomically

__all__ = ["make_observation2"]

_AT_ONCE = 128
# What each network learns from, and what that is.
_NETWORKS = {
    "f_ori": "the original images and labels",
    "f_adv": "every image moved by L2 0.5 toward a random other class, labelled by it (D_rand)",
    "f_det": "the same toward the next class (D_det)",
    "f_noise": "the labels of f_adv, images with random noise of L2 0.5",
    "f_rand": "the labels of f_adv, nothing perturbed",
    "f_any": "as f_adv, toward a random class that may be its own (arXiv 1905.02175)",
    "f_any_noise": "the labels of f_any, images with random noise of L2 0.5",
    "f_any_rand": "the labels of f_any, nothing perturbed",
}


def make_observation2(data: Path, out: Path, protocol: Protocol, *, note: str, report: Report) -> str:
    """Make the perturbed sets, train on each, test on original images; writes observation2.json, .md, .png.

    Args: as of `make_figure3`. Returns: the Markdown.
    """
    train, test = images_of(data, out, protocol)
    work = work_folder(out, protocol, train)
    first = trained("f-ori", train.images, train.labels, train.classes, protocol, work=work, report=report)
    sets = _sets(_Run(protocol, work, report), first, _part(train, protocol))
    found = {"f_ori": accuracy(first, test)}
    learning = protocol if protocol.learning is None else replace(protocol, training=protocol.learning)
    for name, (images, labels) in sets.items():
        file = keyed(name.replace("_", "-"), protocol.moving, protocol.learning)
        network = trained(file, images, labels, train.classes, learning, work=work, report=report)
        found[name] = accuracy(network, test)
    reached = {name: _reached(first, sets[name]) for name in ("f_adv", "f_any", "f_det")}
    tested, count = len(test.labels), len(train.classes)
    about = _about(protocol, len(train.labels), len(sets["f_adv"][1]), tested, count)
    text = _markdown(found, reached, f"{about} {note}", tested)
    figures: dict[str, Any] = {
        "protocol": settings_of(protocol, train),
        "note": note,
        "images": len(train.labels),
        "accuracy": found,
        "intervals_over_test_images": _intervals(found, tested),
        "attacks_that_reached_their_target": reached,
        "chance": 1 / count,
        "paper": dict(zip(("f_ori", "f_adv"), PAPER.observation2, strict=True)),
    }
    write_results(out, "observation2", figures, text)
    from cloud_server.paper.features.pictures import draw_bars

    paper = dict(zip(("f_ori", "f_adv"), PAPER.observation2, strict=True))
    write_atomically(out / "observation2.png", draw_bars(found, paper, chance=1 / count))
    return text


@dataclass(frozen=True)
class _Run:
    """Settings of a run, the folder of what it keeps, and who is told of its progress."""

    protocol: Protocol
    work: Path
    report: Report


def _part(train: Labelled, protocol: Protocol) -> Labelled:
    """The images that are moved."""
    count = protocol.moving.images
    if count is None or count >= len(train.labels):
        return train
    rng = np.random.default_rng([protocol.seed, 33])
    return train.take(np.sort(rng.permutation(len(train.labels))[:count]))


def _sets(run: _Run, first: Surrogate, part: Labelled) -> dict[str, tuple[Images, Labels]]:
    """Images and labels of each network but f_ori."""
    rng = np.random.default_rng([run.protocol.seed, 31])
    count, everything = len(part.classes), np.arange(len(part.labels))
    random = (part.labels + rng.integers(1, count, size=len(part.labels))) % count
    following = (part.labels + 1) % count
    # Labels that are never the true ones say what an image does not show, which a network learns as well.
    own = rng.random(len(part.labels)) < 1 / count
    anything = np.where(own, part.labels, random)
    moved = _moved(run, "d-rand", first, part, random, everything)
    mixed = moved.copy()
    mixed[own] = _moved(run, "d-rand", first, part, part.labels, everything[own], "-own")
    noisy = _noisy(part.images, seed=run.protocol.seed)
    return {
        "f_adv": (moved, random),
        "f_any": (mixed, anything),
        "f_any_noise": (noisy, anything),
        "f_any_rand": (part.images, anything),
        "f_noise": (noisy, random),
        "f_rand": (part.images, random),
        "f_det": (_moved(run, "d-det", first, part, following, everything), following),
    }


def _moved(
    run: _Run, name: str, network: Surrogate, train: Labelled, targets: Labels, chosen: Labels, part: str = ""
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
    recipe = RECIPES[name].with_(steps=moving.steps, step=max(0.1, 2.0 * 0.5 / moving.steps))
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


def _noisy(images: Images, *, seed: int) -> Images:
    """The images with noise of L2 0.5 in the units of [0,1]."""
    rng = np.random.default_rng([seed, 32])
    noise = rng.normal(size=images.shape).astype(np.float32)
    noise *= 0.5 * 255.0 / np.sqrt((noise**2).sum(axis=(1, 2, 3), keepdims=True))
    return np.asarray(np.rint(images + noise).clip(0, 255), np.uint8)


def _reached(network: Surrogate, made: tuple[Images, Labels]) -> float:
    return accuracy(network, Labelled(made[0], made[1], network.classes))


def _intervals(found: dict[str, float], tested: int) -> dict[str, tuple[float, float]]:
    return {name: wilson(round(share * tested), tested) for name, share in found.items()}


def _about(protocol: Protocol, images: int, moved: int, tested: int, classes: int) -> str:
    learning, moving = protocol.learning or protocol.training, protocol.moving
    return (
        f"Protocol {protocol.name}: {images} training images, network {protocol.network}, "
        f"{protocol.training.updates} updates ({protocol.training.precision}); {moved} of them moved by "
        f"{moving.steps} steps ({moving.gradients}), {learning.updates} updates on each set "
        f"({learning.precision}, augmentation {learning.augment}), seed {protocol.seed}. "
        f"Accuracy on {tested} original test images, 95 % intervals over these (one training each); chance "
        f"is {1 / classes:.0%}, and below it for labels that are never the true ones."
    )


def _markdown(found: dict[str, float], reached: dict[str, float], about_run: str, tested: int) -> str:
    paper = dict(zip(("f_ori", "f_adv"), PAPER.observation2, strict=True))
    intervals = _intervals(found, tested)
    lines = [
        "# Observation II: features that generalise",
        "",
        about_run,
        "",
        "| network | learns from | here | paper |",
        "| --- | --- | --- | --- |",
    ]
    for name, about in _NETWORKS.items():
        said = f"{paper[name]:.1%}" if name in paper else "-"
        least, most = intervals[name]
        lines.append(f"| {name} | {about} | {found[name]:.1%} ({least:.1%} to {most:.1%}) | {said} |")
    above = found["f_adv"] - max(found["f_rand"], found["f_noise"])
    above_any = found["f_any"] - max(found["f_any_rand"], found["f_any_noise"])
    lines += [
        "",
        (
            f"{reached['f_adv']:.1%} (D_rand) and {reached['f_det']:.1%} (D_det) of attacks succeeded. "
            f"f_adv is {100 * above:+.1f} points from the better of the two controls with the same labels, "
            f"f_any {100 * above_any:+.1f}. The paper writes that a target is never the own class. Then what "
            "people see speaks against the label, and a network that learns this may do worse than chance; "
            "where any class may be drawn, it says nothing."
        ),
        "",
    ]
    return "\n".join(lines)
