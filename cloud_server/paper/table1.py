"""Table 1: five attacks with open weights, on each recogniser, on pairs of one person."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cloud_server.paper.bench import Bench, Faces, Result, looks
from cloud_server.paper.cloaks import CONTROL, random_signs
from cloud_server.paper.nets import White

__all__ = ["measure_attacks"]

Floats = npt.NDArray[np.float32]


def measure_attacks(bench: Bench, faces: Faces, number: int) -> Result:
    """Similarities to the enrolled photo before and after each attack, by recogniser.

    Args:
        bench: networks and settings.
        faces: the pair.
        number: the pair's number in its set.

    Returns:
        for each recogniser `clean` and `rows`, by anchor and attack: `after`, `psnr`, `ssim`, `levels`. The
        control's anchor is ''.
    """
    return {net.name: _one_network(bench, net, faces, number) for net in bench.nets}


def _one_network(bench: Bench, net: White, faces: Faces, number: int) -> Result:
    settings = bench.settings
    face = faces.protected_face(net)
    enrolled, own = net.embed(faces.enrolled_face(net))[0], net.embed(face)[0]

    def row(attacked: Floats) -> Result:
        after = net.similarity(enrolled, net.embed(attacked)[0])
        return {"after": after, **looks(face, attacked)}

    rows = {"": {CONTROL: row(random_signs(face, settings.levels, seed=settings.seed, number=number))}}
    for anchor in settings.anchors:
        away = own if anchor == "own" else enrolled
        cloak = settings.cloak(anchor)
        rows[anchor] = {name: row(cloak.attacked(net, name, face, away, number)) for name in settings.attacks}
    return {"clean": net.similarity(enrolled, own), "rows": rows}
