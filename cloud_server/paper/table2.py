"""Table 2: makeup, an attack, and the attack on top of the makeup; with open weights, and carried over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cloud_server.paper.bench import Bench, Faces, Result, looks
from cloud_server.paper.cloaks import lifted, random_signs
from cloud_server.paper.makeup import Style, made_up, style_of
from cloud_server.paper.nets import White

__all__ = ["CONDITIONS", "Scene", "Variants", "measure_makeup", "scene_of", "variants_of"]

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

# The paper's three columns, and what they are compared with.
CONDITIONS = ("random signs", "makeup", "adversarial", "makeup_adversarial")


@dataclass(frozen=True, eq=False)
class Scene:
    """The protected photo, the same with makeup, and the style."""

    plain: Pixels
    painted: Pixels
    style: Style


@dataclass(frozen=True, eq=False)
class Variants:
    """Aligned faces of one recogniser, each 1 3 S S: the photo's, with makeup, attacked, both, control."""

    plain: Floats
    painted: Floats
    adversarial: Floats
    both: Floats
    control: Floats


def scene_of(bench: Bench, faces: Faces, number: int) -> Scene:
    """Makeup in the style that is drawn for this pair."""
    if bench.mesh is None:
        raise ValueError("scene_of: this bench was made without a face mesh")
    photo, style = faces.protected.pixels, style_of(number, seed=bench.settings.seed)
    mesh = bench.mesh.find(photo, faces.protected.five)
    return Scene(photo, made_up(photo, mesh, style), style)


def variants_of(bench: Bench, net: White, faces: Faces, scene: Scene, number: int) -> Variants:
    """The attack on the photo's face and on the made-up one, both away from the photo as it was."""
    settings = bench.settings
    (anchor,), (name,) = settings.anchors, settings.attacks
    plain, painted = faces.protected_face(net), faces.protected_face(net, scene.painted)
    source = plain if anchor == "own" else faces.enrolled_face(net)
    away, cloak = net.embed(source)[0], settings.cloak(anchor)
    return Variants(
        plain,
        painted,
        cloak.attacked(net, name, plain, away, number),
        cloak.attacked(net, name, painted, away, number),
        random_signs(plain, settings.levels, seed=settings.seed, number=number),
    )


def measure_makeup(bench: Bench, faces: Faces, number: int) -> Result:
    """Similarities to the enrolled photo in each condition, by recogniser.

    Returns:
        for each recogniser `clean`; `white`, by condition: similarities of faces that its own gradients
        attacked; `transfer`, by other recogniser and condition: similarities of photos into which that
        recogniser's perturbation was carried back; `looks`, by condition, of the white-box faces. Also
        `style`.
    """
    scene = scene_of(bench, faces, number)
    enrolled = {net.name: net.embed(faces.enrolled_face(net))[0] for net in bench.nets}
    variants = {net.name: variants_of(bench, net, faces, scene, number) for net in bench.nets}
    found: Result = {"style": scene.style.name}
    for net in bench.nets:
        found[net.name] = {
            **_white(net, variants[net.name], enrolled[net.name]),
            "transfer": {
                other.name: _carried(other, net, variants[other.name], faces, scene, enrolled[net.name])
                for other in bench.nets
                if other is not net
            },
        }
    return found


def _white(net: White, variants: Variants, enrolled: Floats) -> Result:
    shown = {
        "random signs": variants.control,
        "makeup": variants.painted,
        "adversarial": variants.adversarial,
        "makeup_adversarial": variants.both,
    }
    similarities = {name: net.similarity(enrolled, net.embed(face)[0]) for name, face in shown.items()}
    seen = {name: looks(variants.plain, face) for name, face in shown.items()}
    seen["adversarial part of both"] = looks(variants.painted, variants.both)
    clean = net.similarity(enrolled, net.embed(variants.plain)[0])
    return {"clean": clean, "white": similarities, "looks": seen}


def _carried(
    attacker: White, judge: White, variants: Variants, faces: Faces, scene: Scene, enrolled: Floats
) -> Result:
    """The attacker's perturbations in the photo, seen by the judge in its own frame."""
    parts = {
        "adversarial": (scene.plain, variants.adversarial - variants.plain),
        "makeup_adversarial": (scene.painted, variants.both - variants.painted),
    }
    found = {}
    for name, (photo, delta) in parts.items():
        changed = lifted(photo, delta, faces.protected.five, attacker.frame)
        found[name] = judge.similarity(enrolled, judge.embed(faces.protected_face(judge, changed))[0])
    return found
