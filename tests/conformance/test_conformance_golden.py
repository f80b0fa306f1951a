"""DI's three published readings against golden arrays (made by make_golden.py), free of chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shared.attack.keys import Keys
from shared.attack.transforms.separable import Geometry, Pad

GOLDEN = dict(np.load(Path(__file__).parent / "golden" / "input_diversity.npz"))
NAMES = sorted({name.split("/")[0] for name in GOLDEN if "/" in name})


@pytest.mark.parametrize("name", NAMES)
def test_di_equals_its_golden_array_forward_and_back(name: str) -> None:
    _, convention, size, top, left = name.split()
    pad = Pad(convention, p=1.0)  # type: ignore[arg-type]
    images = GOLDEN["images"]
    params = [pad.axes(images.shape[-1], Geometry(int(size), int(top), int(left)))]

    np.testing.assert_allclose(pad.apply(images, params), GOLDEN[f"{name}/changed"], atol=5e-6)
    back = pad.adjoint(GOLDEN[f"{name}/cotangent"], images, params)
    np.testing.assert_allclose(back, GOLDEN[f"{name}/gradient"], atol=1e-5)


@pytest.mark.parametrize(
    ("convention", "side", "low", "full"),
    [("official", 299, 299, 330), ("transferattack", 224, 224, 246), ("torchattacks", 224, 201, 224)],
)
def test_di_draws_from_the_published_ranges(convention: str, side: int, low: int, full: int) -> None:
    pad = Pad(convention, p=1.0)  # type: ignore[arg-type]
    assert pad.span(side) == (low, full)
    covered = []
    for image in range(40):
        (axes,) = pad.draw(Keys(0, (image,)), (1, 3, side, side))
        inside = np.flatnonzero(axes.rows.sum(axis=1) > 0.5)
        covered.append(len(inside) * full / axes.rows.shape[0])
    assert low - 2 <= min(covered) <= low + 0.2 * (full - low)
    assert full - 0.25 * (full - low) <= max(covered) <= full


def test_the_official_coin_decides_for_the_whole_batch() -> None:
    pad = Pad("official", p=0.5)
    changed = [
        [axes is not None for axes in pad.draw(Keys(0, (1, 2, 3), step), (3, 3, 32, 32))]
        for step in range(30)
    ]
    assert all(len(set(coins)) == 1 for coins in changed)
    assert {coins[0] for coins in changed} == {True, False}
