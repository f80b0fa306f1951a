"""How fast challenges are made and issued on one core, beside the floor: the bare gradients of the readers.

    python tests/bench/bench_challenges.py [--images 96] [--seed 2] [--deployment 3]

Prints JSON. Times are CPU time of this process with one thread. The floor is what the attack's gradient calls
alone take, each reader as often as its turn comes; what is above it is rendering, the loop and the gate.
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
from cloud_server.captcha.challenges.oracle import Misread, other_texts
from cloud_server.captcha.challenges.render import draw_text, render
from shared.attack.keys import Keys


def seconds_of(work: Callable[[], object]) -> float:
    """CPU time of one call."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def floor_of(maker: Maker, networks: list[torch.nn.Module], *, seed: int) -> float:
    """CPU seconds of an image's gradient calls."""
    recipe, rng = maker.recipe, np.random.default_rng(seed)
    rendered = [
        render(
            draw_text(rng, lengths=recipe.lengths, characters=recipe.characters), rng=rng, style=recipe.style
        )
        for _ in range(BATCH)
    ]
    images = torch.from_numpy(np.stack([item.image for item in rendered])[:, None])
    labels, targets = other_texts([item.text for item in rendered], rng=rng)
    keys, spent = Keys(seed, tuple(range(BATCH))), []
    for network in networks:
        oracle = Misread(network, labels, targets)
        oracle(images, keys)  # warm
        spent.append(min(seconds_of(lambda oracle=oracle: oracle(images, keys)) for _ in range(3)))
    return recipe.attack.steps * float(np.average(spent, weights=[w for _, w in recipe.readers])) / BATCH


def main() -> None:
    """See the module."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--deployment", type=int, default=3)
    options = parser.parse_args()
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
        "floor_seconds_an_image": floor,
        "seconds_an_image": spent / options.images,
        "ratio_to_floor": spent / options.images / floor,
    }
    sys.stdout.write(json.dumps({key: round(value, 3) for key, value in found.items()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
