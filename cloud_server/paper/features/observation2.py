"""Observation II: what a network learns from labels that only perturbations explain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from cloud_server.augment.surrogate import Surrogate
from cloud_server.intervals import wilson
from cloud_server.paper.features.common import (
    Report,
    accuracy,
    images_of,
    keyed,
    settings_of,
    trained,
    work_folder,
    write_results,
)
from cloud_server.paper.features.moving import Run, moved_part, sets_of
from cloud_server.paper.features.settings import PAPER, Protocol
from models.vision.cifar import Labelled
from models.vision.training import Images, Labels
from shared.files import write_atomically

__all__ = ["make_observation2"]

# What each network learns from, and what that is.
_NETWORKS = {
    "f_ori": "the original images and labels",
    "f_same": "the original labels of the images below, trained as the networks below: what can be reached",
    "f_any": "every image moved by L2 {radius:g} to a random class, maybe its own (arXiv 1905.02175)",
    "f_any_noise": "the labels of f_any, images with random noise of L2 {radius:g}",
    "f_any_rand": "the labels of f_any, nothing perturbed",
    "f_adv": "as f_any, toward a random other class (D_rand, as the paper has it)",
    "f_noise": "the labels of f_adv, images with random noise of L2 {radius:g}",
    "f_rand": "the labels of f_adv, nothing perturbed",
    "f_det": "every image moved toward the next class (D_det)",
}
_ATTACKED = ("f_any", "f_adv", "f_det")


def make_observation2(data: Path, out: Path, protocol: Protocol, *, note: str, report: Report) -> str:
    """Make the perturbed sets, train on each, test on original images; writes observation2.json, .md, .png.

    They are written each time a set and its controls are done, so that an interrupted run leaves these.

    Args: as of `make_figure3`. Returns: the Markdown.
    """
    train, test = images_of(data, out, protocol)
    work = work_folder(out, protocol, train)
    first = trained("f-ori", train.images, train.labels, train.classes, protocol, work=work, report=report)
    part = moved_part(train, protocol)
    about = f"{_about(protocol, len(train.labels), len(part.labels), test)} {note}"
    settings = {"protocol": settings_of(protocol, train), "note": note, "images": len(train.labels)}
    found, text = {"f_ori": accuracy(first, test)}, ""
    reached: dict[str, float] = {}
    for sets in sets_of(Run(protocol, work, report), first, part):
        for name, learnt in sets.items():
            found[name] = accuracy(_learner(name, learnt, train.classes, protocol, work, report), test)
        reached |= {name: _reached(first, sets[name]) for name in _ATTACKED if name in sets}
        text = _markdown(found, reached, about, len(test.labels), protocol.moving.radius)
        _write(out, found, reached, settings, text, test)
    return text


def _learner(
    name: str,
    learnt: tuple[Images, Labels],
    classes: tuple[str, ...],
    protocol: Protocol,
    work: Path,
    report: Report,
) -> Surrogate:
    """The network of that name, trained on these images and labels."""
    settings = replace(
        protocol,
        training=protocol.learning or protocol.training,
        network=protocol.learner or protocol.network,
    )
    file = keyed(name.replace("_", "-"), protocol.moving, settings.training, settings.network)
    return trained(file, *learnt, classes, settings, work=work, report=report)


def _write(
    out: Path,
    found: dict[str, float],
    reached: dict[str, float],
    settings: dict[str, Any],
    text: str,
    test: Labelled,
) -> None:
    paper = dict(zip(("f_ori", "f_adv"), PAPER.observation2, strict=True))
    chance = 1 / len(test.classes)
    figures = {
        **settings,
        "accuracy": found,
        "intervals_over_test_images": _intervals(found, len(test.labels)),
        "attacks_that_reached_their_target": reached,
        "chance": chance,
        "paper": paper,
    }
    write_results(out, "observation2", figures, text)
    from cloud_server.paper.features.pictures import draw_bars

    write_atomically(out / "observation2.png", draw_bars(found, paper, chance=chance))


def _reached(network: Surrogate, made: tuple[Images, Labels]) -> float:
    return accuracy(network, Labelled(made[0], made[1], network.classes))


def _intervals(found: dict[str, float], tested: int) -> dict[str, tuple[float, float]]:
    return {name: wilson(round(share * tested), tested) for name, share in found.items()}


def _about(protocol: Protocol, images: int, moved: int, test: Labelled) -> str:
    learning, moving = protocol.learning or protocol.training, protocol.moving
    learner = protocol.learner or protocol.network
    return (
        f"Protocol {protocol.name}: {images} training images, network {protocol.network}, "
        f"{protocol.training.updates} updates ({protocol.training.precision}); {moved} of them moved by "
        f"{moving.steps} steps within L2 {moving.radius:g} ({moving.gradients}), network {learner} and "
        f"{learning.updates} updates of {learning.batch} images on each set ({learning.precision}), seed "
        f"{protocol.seed}. Accuracy on {len(test.labels)} original test images, 95 % intervals over these "
        f"(one training each); chance is {1 / len(test.classes):.0%}, and below it for labels that are "
        "never the true ones."
    )


def _markdown(
    found: dict[str, float], reached: dict[str, float], about_run: str, tested: int, radius: float
) -> str:
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
    for name in (name for name in _NETWORKS if name in found):
        said = f"{paper[name]:.1%}" if name in paper else "-"
        least, most = intervals[name]
        source = _NETWORKS[name].format(radius=radius)
        lines.append(f"| {name} | {source} | {found[name]:.1%} ({least:.1%} to {most:.1%}) | {said} |")
    return "\n".join([*lines, "", _said(found, reached), ""])


def _said(found: dict[str, float], reached: dict[str, float]) -> str:
    """What the attacks did, and what the networks gained over controls of the same labels."""
    rates = ", ".join(f"{share:.1%} ({name})" for name, share in reached.items())
    gains = [
        f"{name} is {100 * (found[name] - max(found[c] for c in controls)):+.1f} points from the better of "
        "the two controls with the same labels."
        for name, controls in (("f_any", ("f_any_rand", "f_any_noise")), ("f_adv", ("f_rand", "f_noise")))
        if name in found
    ]
    return (
        f"Share of attacks that succeeded: {rates}. {' '.join(gains)} The paper writes that a target is "
        "never the own class. Then what people see speaks against the label, and a network that learns this "
        "may do worse than chance; where any class may be drawn, it says nothing."
    )
