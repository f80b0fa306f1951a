"""What the attack core costs: its share of CPU time over bare gradient calls, and its speed beside
torchattacks.

Run it with `python tests/bench/bench_attack_core.py [--rounds N]`; it needs torch, and torchattacks for the
second part (`pip install --no-deps torchattacks`). One thread; figures are ratios of process CPU time, the
median of the rounds.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from shared.attack.attack import Attack, run
from shared.attack.budgets import L2, Budget, Linf
from shared.attack.keys import Keys
from shared.attack.oracles import LossGradient
from shared.attack.table import ATTACKS
from shared.attack.transforms import Jitter, Jpeg, Resize, Warp

SIDE, CLASSES, STEPS = 112, 100, 10


class MobileNet(nn.Module):
    """MobileNetV2 (arXiv 1801.04381, table 2) with the strides that fit 112 x 112; 2.3 M parameters."""

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = [_conv(3, 32, 3, 2)]
        inner = 32
        stages = (
            (1, 16, 1, 1),
            (6, 24, 2, 1),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        )
        for widen, outer, count, stride in stages:
            for place in range(count):
                blocks.append(_Residual(inner, outer, stride if place == 0 else 1, widen))
                inner = outer
        self.body = nn.Sequential(*blocks, _conv(320, 1280, 1, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(1280, CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits N K of images in [0,1]."""
        return self.head(self.body(images * 2 - 1))


class _Residual(nn.Module):
    def __init__(self, inner: int, outer: int, stride: int, widen: int) -> None:
        super().__init__()
        middle = inner * widen
        self.skip = stride == 1 and inner == outer
        first = [_conv(inner, middle, 1, 1)] if widen > 1 else []
        self.way = nn.Sequential(
            *first,
            _conv(middle, middle, 3, stride, groups=middle),
            _conv(middle, outer, 1, 1, active=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.way(x) if self.skip else self.way(x)


def _conv(
    inner: int, outer: int, size: int, stride: int, *, groups: int = 1, active: bool = True
) -> nn.Sequential:
    parts: list[nn.Module] = [
        nn.Conv2d(inner, outer, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outer, momentum=None),
    ]
    return nn.Sequential(*parts, nn.ReLU6()) if active else nn.Sequential(*parts)


def mobile_net() -> MobileNet:
    """A seeded network whose batch norms know their inputs; without that the signal dies on its way."""
    torch.manual_seed(0)
    net = MobileNet().train()
    with torch.no_grad():
        for _ in range(3):
            net(torch.rand(8, 3, SIDE, SIDE))
    return net.eval()


class _Pointwise(nn.Module):
    # A 1x1 convolution as one matrix product: channels-last images are rows of channels already.
    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(conv.weight[:, :, 0, 0].detach().clone()), conv.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x.permute(0, 2, 3, 1), self.weight, self.bias).permute(0, 3, 1, 2)


def _fold(module: nn.Module) -> nn.Module:
    # Batch norm into the convolution before it, everywhere.
    for name, child in module.named_children():
        setattr(module, name, _fold(child))
    if isinstance(module, nn.Sequential) and len(module) > 1 and isinstance(module[1], nn.BatchNorm2d):
        fused = fuse_conv_bn_eval(module[0], module[1])
        pointwise = fused.kernel_size == (1, 1) and fused.stride == (1, 1)
        return nn.Sequential(_Pointwise(fused) if pointwise else fused, *list(module)[2:])
    return module


@dataclass(frozen=True)
class FastOracle:
    """Cross entropy of a frozen network with folded batch norm, channels last; NumPy or torch in and out."""

    net: nn.Module
    labels: torch.Tensor

    @classmethod
    def of(cls, net: nn.Module, labels: torch.Tensor) -> FastOracle:
        """A prepared copy; the network itself is not changed."""
        prepared = _fold(copy.deepcopy(net).eval()).requires_grad_(False)
        return cls(prepared.to(memory_format=torch.channels_last), labels)

    def __call__(self, images: Any, keys: Keys, /) -> LossGradient:
        """Loss and gradient."""
        tensor = torch.from_numpy(images) if isinstance(images, np.ndarray) else images
        x = tensor.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
        loss = nn.functional.cross_entropy(self.net(x), self.labels, reduction="none")
        (gradient,) = torch.autograd.grad(loss.sum(), x)
        gradient = gradient.contiguous()
        if isinstance(images, np.ndarray):
            return LossGradient(loss.detach().numpy(), gradient.numpy())
        return LossGradient(loss.detach(), gradient)


def cpu_ms(work: Callable[[], object]) -> float:
    """Process CPU time of one call, in ms."""
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1e3


class Metered:
    """An oracle that adds up the CPU time spent inside it."""

    def __init__(self, oracle: Callable[..., LossGradient]) -> None:
        self.ms = 0.0
        self._oracle = oracle

    def __call__(self, images: Any, keys: Keys, /) -> LossGradient:
        """The oracle's answer."""
        start = time.process_time()
        answer = self._oracle(images, keys)
        self.ms += (time.process_time() - start) * 1e3
        return answer


def overhead(
    attack: Attack, budget: Budget, oracle: FastOracle, images: Any, rounds: int
) -> tuple[float, float]:
    """Median CPU time outside the gradient calls: as share of theirs in %, and in ms a step."""
    shares, steps = [], []
    for _ in range(rounds):
        meter = Metered(oracle)
        total = cpu_ms(lambda meter=meter: run(attack, meter, images, budget))
        shares.append((total - meter.ms) / meter.ms * 100)
        steps.append((total - meter.ms) / attack.steps)
    return float(np.median(shares)), float(np.median(steps))


def report_overhead(net: nn.Module, rounds: int) -> None:
    """Prints the core's share for one image of 112 x 112, NumPy and torch."""
    labels = torch.tensor([3])
    oracle = FastOracle.of(net, labels)
    photo = np.random.default_rng(0).integers(0, 256, (1, 3, SIDE, SIDE)).astype(np.float32) / np.float32(255)
    call = np.median([cpu_ms(lambda: oracle(photo, Keys(0, (0,)))) for _ in range(2 * rounds)])
    write(f"one gradient call on 1x3x{SIDE}x{SIDE}: {call:.1f} ms CPU")
    write("core over the bare gradient calls       % of calls   ms a step")
    mi = replace(ATTACKS["mi-fgsm"], steps=STEPS)
    cases: list[tuple[str, Attack, Budget, Any]] = [
        ("i-fgsm, linf 8, numpy", replace(ATTACKS["i-fgsm"], steps=STEPS), Linf(8), photo),
        ("mi-fgsm, linf 8, numpy", mi, Linf(8), photo),
        ("mi-fgsm, linf 8, torch", mi, Linf(8), torch.from_numpy(photo)),
        ("mi-fgsm, l2 36 dB cap 8, numpy", replace(mi, rule="l2", step_size=0.25), L2(36.0, 8.0), photo),
        ("m-di2-fgsm, linf 8, numpy", replace(ATTACKS["m-di2-fgsm"], steps=STEPS), Linf(8), photo),
    ]
    for name, attack, budget, images in cases:
        share, step = overhead(attack, budget, oracle, images, rounds)
        write(f"  {name:38s} {share:9.2f}    {step:7.3f}")


def report_ratio(net: nn.Module, rounds: int) -> None:
    """Prints the time of a 10-step MI-FGSM over torchattacks' on the same network and images."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import torchattacks
        except ImportError:
            write("torchattacks is not installed: no ratio")
            return
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (4, 3, SIDE, SIDE), generator=generator) / 255
    labels = net(images).argmax(1)
    peer = torchattacks.MIFGSM(net, eps=8 / 255, alpha=2 / 255, steps=STEPS, decay=1.0)
    attack, oracle = replace(ATTACKS["mi-fgsm"], steps=STEPS, step_size=0.25), FastOracle.of(net, labels)
    same = (oracle(images, Keys(0, (0,) * 4)).gradient.sign() == _plain(net, images, labels).sign()).float()
    ratios = []
    for _ in range(rounds):
        a = cpu_ms(lambda: run(attack, oracle, images, Linf(8)))
        ratios.append(a / cpu_ms(lambda: peer(images, labels)))
    write(f"{STEPS}-step MI-FGSM on 4 images over torchattacks': {np.median(ratios):.3f} x")
    write(f"  equal signs of the first gradient: {same.mean():.4%} (folding batch norm reorders sums)")


def _plain(net: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    x = images.clone().requires_grad_()
    return torch.autograd.grad(nn.functional.cross_entropy(net(x), labels), x)[0]


def report_transforms(rounds: int) -> None:
    """Prints the cost of the device's transforms on a canvas of 300 x 300, forward and adjoint together."""
    rng = np.random.default_rng(0)
    canvas = rng.random((1, 3, 300, 300), dtype=np.float32)
    keys = Keys(0, (0,))
    jitter = Jitter(0.03, 3.0, 0.03)
    write("transforms on 1x3x300x300, ms CPU         draw   forward   adjoint")
    for name, transform in (
        ("warp to 112", Warp([[0.55, 0.02, 3], [-0.02, 0.55, 4]], SIDE, jitter)),
        ("warp to 112, fine canvas", Warp([[0.36, 0.01, 3], [-0.01, 0.36, 4]], SIDE, jitter)),
        ("resize", Resize()),
        ("jpeg 4:4:4", Jpeg(halve_chroma=0.0)),
        ("jpeg 4:2:0", Jpeg(halve_chroma=1.0)),
    ):
        params = transform.draw(keys, canvas.shape)
        y = transform.apply(canvas, params)
        costs = [
            np.median([cpu_ms(work) for _ in range(3 * rounds)])
            for work in (
                lambda t=transform: t.draw(keys, canvas.shape),
                lambda t=transform, p=params: t.apply(canvas, p),
                lambda t=transform, p=params, y=y: t.adjoint(y, canvas, p),
            )
        ]
        write(f"  {name:36s} {costs[0]:7.2f}   {costs[1]:7.2f}   {costs[2]:7.2f}")


def write(line: str) -> None:
    """One line to standard output, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Everything, on one thread."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=7, help="repetitions; prints the median")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    net = mobile_net()
    report_overhead(net, rounds)
    report_ratio(net, rounds)
    report_transforms(rounds)


if __name__ == "__main__":
    main()
