"""A gradient-transfer network beside a student: what each brings to an attack on a hidden recogniser.

    python tests/bench/compare_hints.py --faces DIR --people FILE --student s.onnx --out DIR [--samples 1500]

The network sees the aligned face and the surrogate's gradient, and is trained to give the hidden recogniser's
gradient (a small U-Net). Judged on people held out, by the cosine of gradients and by what similarity an
attack of 8 steps at 36 dB leaves at the hidden recogniser and at another that neither saw. Writes hints.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional

from cloud_server.hints.data import load_faces, people_of_file, split_people
from cloud_server.hints.students.agreement import one_a_person
from cloud_server.hints.students.faces import Views, draw
from cloud_server.hints.students.network import unit
from cloud_server.hints.students.training import input_gradient
from models.store import Store, default_store, load_card
from models.torch_graph import TorchGraph
from models.torch_oracle import frozen
from shared.faces.detect import Detector

RADIUS = 4.05 / 255 * (3 * 112 * 112) ** 0.5
Direction = Callable[[Tensor], Tensor]


def block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Two convolutions."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1),
        nn.GroupNorm(8, outputs),
        nn.SiLU(),
        nn.Conv2d(outputs, outputs, 3, 1, 1),
        nn.SiLU(),
    )


class Transfer(nn.Module):
    """Face and gradient, N 3 112 112 each, to a direction of the same shape."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            [block(6, width), block(width, 2 * width, 2), block(2 * width, 4 * width, 2)]
        )
        self.deep = block(4 * width, 4 * width, 2)
        self.up = nn.ModuleList(
            [block(8 * width, 2 * width), block(4 * width, width), block(2 * width, width)]
        )
        self.out = nn.Conv2d(width, 3, 1)

    def forward(self, face: Tensor, gradient: Tensor) -> Tensor:
        """The direction."""
        length = gradient.flatten(1).norm(dim=1)[:, None, None, None] / (3 * 112 * 112) ** 0.5
        scaled = gradient / length.clamp_min(1e-12)
        at, kept = torch.cat([face * 2 - 1, scaled], 1), []
        for step in self.down:
            at = step(at)
            kept.append(at)
        at = self.deep(at)
        for step, other in zip(self.up, reversed(kept), strict=True):
            at = step(torch.cat([functional.interpolate(at, scale_factor=2.0), other], 1))
        return self.out(at) + scaled


def network(name: str) -> nn.Module:
    """A recogniser of the zoo."""
    return frozen(TorchGraph(Store(default_store()).read(load_card(name))))


def gradient(net: nn.Module, at: Tensor, anchors: Tensor) -> Tensor:
    """Input gradients in parts."""
    parts = zip(at.split(16), anchors.split(16), strict=True)
    return torch.cat([input_gradient(net, part, anchor) for part, anchor in parts])


@torch.no_grad()
def embed(net: nn.Module, faces: Tensor) -> Tensor:
    """Unit embeddings in parts."""
    return torch.cat([unit(net(part)) for part in faces.split(16)])


def samples(faces, count: int, surrogate: nn.Module, hidden: nn.Module, seed: int):
    """Points on the way of attacks, and both gradients there."""
    rows = []
    for number in track(range(count // 16), description="gradients"):
        rng = np.random.default_rng([seed, number])
        clean = torch.from_numpy(draw(faces, 16, Views(), rng))
        noise = torch.from_numpy(rng.uniform(-8, 8, clean.shape).astype(np.float32) / 255)
        mine, theirs = embed(surrogate, clean), embed(hidden, clean)
        start = (clean + noise).clamp(0, 1)
        step = gradient(surrogate, start, mine)
        reach = torch.from_numpy(rng.uniform(0, 1, (16, 1, 1, 1)).astype(np.float32)) * RADIUS
        at = (start - step / step.flatten(1).norm(dim=1)[:, None, None, None] * reach).clamp(0, 1)
        rows.append((at, gradient(surrogate, at, mine), gradient(hidden, at, theirs)))
    return tuple(torch.cat(part) for part in zip(*rows, strict=True))


def train(net: Transfer, data, epochs: int, seed: int) -> None:
    """Minus the cosine to the hidden gradient."""
    face, mine, theirs = data
    optimiser = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=1e-3)
    rng = np.random.default_rng(seed)
    total = epochs * (len(face) // 16)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=total)
    for _ in track(range(epochs), description="train"):
        order = rng.permutation(len(face))
        for start in range(0, len(face) - 15, 16):
            rows = order[start : start + 16]
            found = net(face[rows], mine[rows]).flatten(1)
            loss = 1 - functional.cosine_similarity(found, theirs[rows].flatten(1)).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()


def attacked(direction: Direction, faces: Tensor, start: Tensor) -> Tensor:
    """Faces after a plain normalised descent of 8 steps."""
    delta = 0.3 * start
    for _ in range(8):
        step = direction(faces + delta)
        delta = delta - step / step.flatten(1).norm(dim=1)[:, None, None, None] * RADIUS / 4
        delta = delta.clamp(-8 / 255, 8 / 255)
        delta = delta * (RADIUS / delta.flatten(1).norm(dim=1)[:, None, None, None]).clamp(max=1)
    return faces + delta


def normal(step: Tensor) -> Tensor:
    """Rows of equal length."""
    return step / step.flatten(1).norm(dim=1)[:, None, None, None].clamp_min(1e-12)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--people", type=Path, required=True)
    parser.add_argument("--student", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench-out"))
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--samples", type=int, default=1500)
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    detector = Detector(Store(default_store()).read(load_card("yunet")))
    faces = load_faces(
        options.faces,
        detector,
        people=people_of_file(options.people),
        cache=options.cache,
        progress=lambda *_: None,
    )
    used, held = split_people(faces, share=0.08, seed=0)
    surrogate, hidden, judge = (network(n) for n in ("mobilefacenet-512", "sface", "mobilefacenet-192"))
    student = frozen(TorchGraph(options.student.read_bytes()))
    net = Transfer()
    train(net, samples(used, options.samples, surrogate, hidden, 1), options.epochs, 2)
    net.eval().requires_grad_(requires_grad=False)

    test = one_a_person(held, most=32)
    start = torch.from_numpy(
        np.random.default_rng(0).uniform(-8, 8, tuple(test.shape)).astype(np.float32) / 255
    )
    anchors = {name: embed(n, test) for name, n in (("s", surrogate), ("h", hidden), ("t", student))}

    def alone(at: Tensor) -> Tensor:
        return gradient(surrogate, at, anchors["s"])

    def by_network(at: Tensor) -> Tensor:
        return torch.cat([net(a, g) for a, g in zip(at.split(16), alone(at).split(16), strict=True)])

    def by_student(at: Tensor) -> Tensor:
        return gradient(student, at, anchors["t"])

    rows: dict[str, Direction] = {
        "surrogate alone": alone,
        "transfer network": by_network,
        "surrogate and transfer network": lambda at: normal(alone(at)) + normal(by_network(at)),
        "student": by_student,
        "surrogate and student": lambda at: normal(alone(at)) + normal(by_student(at)),
        "surrogate and hidden (upper bound)": lambda at: (
            normal(alone(at)) + normal(gradient(hidden, at, anchors["h"]))
        ),
    }
    truth = gradient(hidden, test + start, anchors["h"]).flatten(1)
    found = {}
    for name, direction in rows.items():
        moved = attacked(direction, test, start)
        found[name] = {
            "gradient_cosine": float(
                functional.cosine_similarity(direction(test + start).flatten(1), truth).mean()
            ),
            "hidden_similarity": float((embed(hidden, moved) * anchors["h"]).sum(1).mean()),
            "judge_similarity": float((embed(judge, moved) * embed(judge, test)).sum(1).mean()),
        }
        print(name, {key: round(value, 3) for key, value in found[name].items()}, flush=True)  # noqa: T201
    options.out.mkdir(parents=True, exist_ok=True)
    parameters = sum(p.numel() for p in net.parameters())
    report = {
        "people": len(test),
        "samples": options.samples,
        "epochs": options.epochs,
        "transfer_network_parameters": parameters,
        "surrogate": "mobilefacenet-512",
        "hidden": "sface",
        "judge": "mobilefacenet-192",
        "rows": found,
    }
    (options.out / "hints.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
