"""What making samples costs beside the gradient calls alone, PNG files and their check included.

Run it with `python tests/bench/bench_augment.py [--network small] [--rounds N] [--size 32]`. One thread; the
ratio is of process CPU time: as many bare gradient calls on the same batch over a whole `Engine.make`. All
are measured in turn and the median of the rounds is printed; the goal is 0.9. There are two ratios, since the
engine folds batch norm into convolutions before it begins: beside calls of the network as it was given, and
of the folded one.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from PIL import Image
from torch import nn

from cloud_server.augment.engine import Engine
from cloud_server.augment.plan import plan_counts
from cloud_server.augment.recipes import RECIPES
from cloud_server.augment.rows import Rows, scale_of
from cloud_server.augment.surrogate import as_surrogate
from cloud_server.augment.types import Picture
from models.vision.networks import NETWORKS, build_classifier

CLASSES = tuple("abcdefghij")


class Png:
    """The format that samples are written in by default."""

    name, suffix = "png", ".png"

    def encode(self, picture: Picture) -> bytes:
        """As Pillow writes it."""
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG")
        return file.getvalue()

    def decode(self, data: bytes) -> Picture:
        """As Pillow reads it."""
        return np.asarray(Image.open(io.BytesIO(data)))


def main() -> int:
    """Print a line for each recipe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="small", choices=sorted(NETWORKS))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--size", type=int, default=32)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name in ("m2m", "paper", "aeda"):
        given_ratio, folded_ratio, speed = measure(name, given.network, given.size, given.rounds)
        sys.stdout.write(
            f"{name:6} {given.network} {given.size} x {given.size}, 10 steps: {given_ratio:.3f} of the speed "
            f"of bare calls ({folded_ratio:.3f} of the folded network's), {speed:.0f} images/s of CPU time\n"
        )
    return 0


def measure(name: str, network: str, size: int, rounds: int) -> tuple[float, float, float]:
    """The median ratios to the network as given and folded, and images a second."""
    torch.manual_seed(0)
    module = build_classifier(network, len(CLASSES), size=size).eval().requires_grad_(requires_grad=False)
    surrogate = as_surrogate(module, classes=CLASSES, shape=(3, size, size))
    source = pictures(size)
    recipe = RECIPES[name].with_(steps=10, fallback="keep")
    unbiased = recipe if not recipe.bias else RECIPES["paper"]
    draws = plan_counts(source.labels, {9: 64}, classes=len(CLASSES), recipe=unbiased, seed=1)
    engine = Engine(recipe, surrogate, codec=Png(), seed=1)
    images = (
        torch.from_numpy(np.stack([source.read(d.seeds[0]) for d in draws]).transpose(0, 3, 1, 2)) / 255.0
    )
    rows = []
    for _ in range(rounds):
        plain = seconds(lambda: gradients(module, images, 10))
        folded = seconds(lambda: gradients(surrogate.network, images, 10))
        made = seconds(lambda: engine.make(draws, source))
        rows.append((plain / made, folded / made, 64 / made))
    first, second, third = zip(*rows, strict=True)
    return median(first), median(second), median(third)


def gradients(network: nn.Module, images: torch.Tensor, count: int) -> None:
    """The calls that no attack can do without."""
    targets = torch.full((len(images),), 9)
    for _ in range(count):
        leaf = images.detach().requires_grad_()
        loss = torch.nn.functional.cross_entropy(network(leaf), targets, reduction="sum")
        torch.autograd.grad(loss, leaf)


def pictures(size: int) -> Rows:
    """Smooth pictures of ten classes, the last one rare; with a group each."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (130, 8, 8, 3), dtype=np.uint8)
    x = np.stack(
        [np.asarray(Image.fromarray(c).resize((size, size), Image.Resampling.BICUBIC)) for c in coarse]
    )
    labels = np.concatenate([np.arange(126) % 9, np.full(4, 9)])
    return Rows(x, scale_of(x, None), labels, CLASSES, labels, CLASSES)


def seconds(work: Callable[[], object]) -> float:
    """CPU time of the process."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    sys.exit(main())
