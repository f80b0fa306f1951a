"""A small non-linear network, trained a little: on a nearly linear one every convention looks alike."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn

from shared.attack.keys import Keys
from shared.attack.oracles import LossGradient, Oracle

SIDE, CLASSES = 32, 6


class _Centred(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images - 0.5


def _layers() -> nn.Sequential:
    widths = ((3, 16, 1), (16, 16, 2), (16, 32, 1), (32, 32, 2), (32, 48, 1), (48, 48, 2))
    blocks: list[nn.Module] = [_Centred()]
    for inner, outer, stride in widths:
        blocks += [nn.Conv2d(inner, outer, 3, stride, 1), nn.PReLU(outer)]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(48 * 4, CLASSES))


def _pictures(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    # Stripes whose direction and colour make the class, under noise.
    labels = torch.randint(CLASSES, (count,), generator=generator)
    y, x = torch.meshgrid(torch.linspace(0, 1, SIDE), torch.linspace(0, 1, SIDE), indexing="ij")
    angle = (labels % 3) * torch.pi / 3
    phase = torch.rand(count, generator=generator) * 6.3
    wave = torch.sin(
        12 * (x * torch.cos(angle)[:, None, None] + y * torch.sin(angle)[:, None, None])
        + phase[:, None, None]
    )
    colour = torch.where((labels < 3)[:, None], torch.tensor([1.0, 0.3, 0.6]), torch.tensor([0.3, 1.0, 0.6]))
    clean = 0.5 + 0.22 * wave[:, None] * colour[:, :, None, None]
    noisy = clean + 0.15 * torch.randn(clean.shape, generator=generator)
    # Levels of 8 bits, as in a photo.
    return (noisy.clamp(0, 1) * 255).round() / 255, labels


@pytest.fixture(scope="session")
def net() -> Iterator[nn.Module]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        generator = torch.Generator().manual_seed(7)
        model = _layers()
        optimiser = torch.optim.Adam(model.parameters(), 3e-3)
        # Not to the end, where losses and gradients are 0.
        for _ in range(150):
            images, labels = _pictures(32, generator)
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(model(images), labels)
            loss.backward()
            optimiser.step()
            if loss < 0.4:
                break
    yield model.eval()
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def pictures(net: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Eight images and labels; the network reads most of them, or the comparison had no power."""
    images, labels = _pictures(8, torch.Generator().manual_seed(11))
    right = (net(images).argmax(1) == labels).float().mean()
    assert right >= 0.75
    return images, labels


@pytest.fixture
def cross_entropy(net: nn.Module) -> Callable[[torch.Tensor], Oracle]:
    """The oracle of the sum of cross entropies for given labels."""

    def make(labels: torch.Tensor) -> Oracle:
        def oracle(images: torch.Tensor, keys: Keys, /) -> LossGradient:
            x = images.detach().requires_grad_()
            loss = nn.functional.cross_entropy(net(x), labels, reduction="none")
            (gradient,) = torch.autograd.grad(loss.sum(), x)
            return LossGradient(loss.detach(), gradient)

        return oracle

    return make


@pytest.fixture(scope="session")
def quiet() -> Callable[[str], object]:
    """Imports a peer whose own imports warn, which pytest would take for our error."""

    def load(name: str) -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pytest.importorskip(name)

    return load
