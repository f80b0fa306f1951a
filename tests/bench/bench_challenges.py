"""How fast challenges are made and issued on one core, beside the floor: what the attack's networks take.

    python tests/bench/bench_challenges.py [--images 96] [--seed 2] [--deployment 3] [--float32]

Prints JSON. Times are CPU time of this process with one thread. The floor is what the perturbing network's
forward pass and the attack's gradient calls alone take, each reader as often as its turn comes; what is above
it is rendering, the loop and the gate, whose readers are the larger part. `--float32` is what a processor
without products of bfloat16 matrices does.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from itertools import islice

import numpy as np
import torch

from cloud_server.captcha.challenges.maker import BATCH, Maker, load_maker
from cloud_server.captcha.challenges.oracle import Misread
from cloud_server.captcha.challenges.render import draw_text, render
from cloud_server.captcha.challenges.start import drawn, scene_of
from cloud_server.captcha.challenges.types import ALPHABET
from models.text import quick as slow
from models.text.perturber import load_perturber
from models.text.quick import quick
from shared.attack.keys import Keys


def seconds_of(work: Callable[[], object]) -> float:
    """CPU time of one call."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def quickest(work: Callable[[], object]) -> float:
    """CPU time of the quickest of three calls after one that warms up."""
    work()
    return min(seconds_of(work) for _ in range(3))


def floor_of(maker: Maker, networks: list[torch.nn.Module], *, seed: int) -> float:
    """CPU seconds of an image's forward pass of the perturber and gradient calls of the readers."""
    recipe, rng = maker.recipe, np.random.default_rng(seed)
    rendered = [
        render(
            draw_text(rng, lengths=recipe.lengths, characters=recipe.characters), rng=rng, style=recipe.style
        )
        for _ in range(BATCH)
    ]
    scene = scene_of(rendered, recipe, rng=rng)
    keys = Keys(seed, tuple(range(BATCH)))
    oracles = [Misread(network, scene.labels, scene.targets) for network in networks]
    spent = [quickest(lambda oracle=oracle: oracle(scene.dark, keys)) for oracle in oracles]
    gradients = recipe.loop.steps * float(np.average(spent, weights=[w for _, w in recipe.readers]))
    perturber = quick(load_perturber(ALPHABET))

    def draw() -> None:
        with torch.no_grad():
            drawn(perturber, scene, levels=recipe.levels, rng=rng)

    return (gradients + quickest(draw)) / BATCH


def main() -> None:
    """See the module."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--deployment", type=int, default=3)
    parser.add_argument("--float32", action="store_true")
    options = parser.parse_args()
    if options.float32:
        slow.has_matrices = lambda: False
    maker = load_maker(deployment=options.deployment)
    maker.make(BATCH, seed=options.seed + 1)  # warm
    passed = 0

    def make() -> None:
        nonlocal passed
        passed = sum(item.passed for item in islice(maker.stream(seed=options.seed), options.images))

    spent = seconds_of(make)
    floor = floor_of(maker, list(maker.networks), seed=options.seed)
    found = {
        "images": options.images,
        "made_per_second": options.images / spent,
        "issued_per_second": passed / spent,
        "passed": passed / options.images,
        "bfloat16": slow.has_matrices(),
        "floor_seconds_an_image": floor,
        "seconds_an_image": spent / options.images,
        "ratio_to_floor": spent / options.images / floor,
    }
    sys.stdout.write(json.dumps({key: round(value, 3) for key, value in found.items()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
