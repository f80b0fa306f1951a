"""`augment run`: peak memory over the size of the dataset, and images a second on workers of Ray Data.

    python tests/bench/bench_augment_run.py [--sizes 2000 8000 32000] [--samples 2048] [--workers 1 2]

Each measurement is a command of its own, with one thread a process. Rates are taken over the later half
of the shards, so that starting and closing do not count: give enough samples for all workers to have begun.
On a machine with other work the ratios say nothing. 'Runs apart' is the control: what the same number of
cores gives without Ray. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from cloud_server.augment.formats import open_source
from cloud_server.augment.training import SurrogateTraining, train_network
from models.vision.saving import save_classifier

RARE = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[2000, 8000, 32000])
    parser.add_argument("--samples", type=int, default=2048)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--network", default="small")
    parser.add_argument("--steps", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        data = {size: dataset(root / f"data-{size}", size) for size in given.sizes}
        least = min(given.sizes)
        surrogate(root / "surrogate.npz", data[least], given.network)
        found: dict[str, dict[str, float]] = {"memory": {}, "rates": {}}
        few = recipe(root / "few.yaml", 128, given.steps)
        for size in given.sizes:
            usage = command(few, data[size], root / f"memory-{size}", "--only-new")
            found["memory"][str(size)] = round(usage / 1024)
        many = recipe(root / "many.yaml", given.samples, given.steps)
        command(many, data[least], root / "alone", "--only-new")
        found["rates"]["one process"] = rate(root / "alone")
        for workers in given.workers:
            out = root / f"ray-{workers}"
            command(many, data[least], out, "--only-new", "--ray", "--workers", str(workers))
            found["rates"][f"ray, {workers} workers"] = rate(out)
            found["rates"][f"{workers} runs apart"] = apart(
                many, data[least], root / f"apart-{workers}", workers
            )
        alone = found["rates"]["one process"]
        found["ratios"] = {name: round(value / alone, 3) for name, value in found["rates"].items()}
    sys.stdout.write(json.dumps({"memory in MB": found.pop("memory"), **found}, indent=1) + "\n")


def dataset(root: Path, size: int) -> Path:
    rng = np.random.default_rng(0)
    for name, count in (("cat", (size - RARE) // 2), ("dog", (size - RARE) // 2), ("emu", RARE)):
        (root / name).mkdir(parents=True)
        base = rng.integers(60, 190, (8, 8, 3))
        for number in range(count):
            picture = np.kron(base, np.ones((4, 4, 1))) + rng.normal(0, 30, (32, 32, 3))
            Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(root / name / f"{number:06d}.png")
    return root


def surrogate(path: Path, data: Path, network: str) -> None:
    made = train_network(open_source(data), SurrogateTraining(network, updates=20, batch=32), seed=0)
    save_classifier(path, made.network, name=network, classes=made.classes, shape=made.shape)


def recipe(path: Path, samples: int, steps: int) -> Path:
    path.write_text(
        f"recipe: m2m\nchanges: {{steps: {steps}}}\nsampling_strategy: {{emu: {RARE + samples}}}\n"
        "surrogate: {path: surrogate.npz}\n"
    )
    return path


def command(job: Path, data: Path, out: Path, *more: str) -> int:
    """Run it; returns the peak of its own resident memory in KB."""
    return ended(begun(job, data, out, *more))


def begun(job: Path, data: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    words = ["augment", "run", str(job), "--in", str(data), "--out", str(out), *more]
    return subprocess.Popen(
        [sys.executable, "-m", "cloud_server.cli", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )


def ended(running: subprocess.Popen[bytes]) -> int:
    _, status, usage = os.wait4(running.pid, 0)
    if status:
        raise SystemExit(f"{running.args!r} ended with status {status}")
    return usage.ru_maxrss


def apart(job: Path, data: Path, out: Path, count: int) -> float:
    """So many whole runs at once that know nothing of each other: what the cores give, without Ray."""
    outs = [Path(f"{out}-{number}") for number in range(count)]
    for running in [begun(job, data, one, "--only-new") for one in outs]:
        ended(running)
    return round(sum(rate(one) for one in outs), 1)


def rate(out: Path) -> float:
    """Samples a second over the later half of the shards, when all workers are there."""
    records = sorted(path.stat().st_mtime for path in Path(f"{out}.augment").glob("shard-*.json"))
    records = records[len(records) // 2 :]
    return round(64 * (len(records) - 1) / (records[-1] - records[0]), 1)


if __name__ == "__main__":
    main()
