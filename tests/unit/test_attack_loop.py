from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import array_api_strict as strict
import numpy as np
import numpy.typing as npt
import pytest
import torch

from shared.attack.arrays import doubles, namespace
from shared.attack.attack import Attack, run
from shared.attack.budgets import L2, Budget, Linf
from shared.attack.keys import Keys
from shared.attack.oracles import Linear, LossGradient, Oracle
from shared.attack.steps import Smoothing
from shared.attack.table import ATTACKS
from shared.attack.transforms import BlockShuffle, Jpeg

Images = npt.NDArray[np.float32]


def _photos(count: int = 2, side: int = 13) -> Images:
    levels = np.random.default_rng(0).integers(0, 256, (count, 3, side, side))
    return levels.astype(np.float32) / np.float32(255)


def _wave(images: Any, keys: Keys, /) -> LossGradient:
    """A non-linear loss in the words of the Array API."""
    xp = namespace(images)
    shifted = images[:, :, :, 1:] * images[:, :, :, :-1]
    edge = xp.zeros_like(images[:, :, :, :1])
    slope = xp.cos(shifted * 9.0) * 9.0
    gradient = xp.concat([slope * images[:, :, :, 1:], edge], axis=3) + xp.concat(
        [edge, slope * images[:, :, :, :-1]], axis=3
    )
    return LossGradient(xp.sum(xp.sin(shifted * 9.0), axis=(1, 2, 3)), gradient)


@pytest.mark.torch
@pytest.mark.parametrize("budget", [Linf(8), L2(36.0), L2(38.0, 6.0, grey=True)])
@pytest.mark.parametrize("rule", ["sign", "l2"])
@pytest.mark.parametrize("name", [name for name in ATTACKS if name != "uap"])
def test_numpy_torch_and_the_strict_standard_agree(name: str, rule: Any, budget: Budget) -> None:
    row = replace(ATTACKS[name], rule=rule, steps=5, draws=1)
    row = replace(row, variance=row.variance and replace(row.variance, copies=2))
    photos = _photos()
    ours = run(row, _wave, photos, budget, seed=4)
    tensors = run(row, _wave, torch.tensor(photos), budget, seed=4)
    assert isinstance(tensors.images, torch.Tensor)
    # A sign may turn where a gradient is within rounding of 0.
    assert (np.abs(ours.images - tensors.images.numpy()) > 1e-4).mean() <= 2e-3

    standard = run(row, _wave, strict.asarray(photos), budget, seed=4)
    assert (np.abs(ours.images - doubles(standard.images)) > 1e-4).mean() <= 2e-3


@pytest.mark.parametrize("name", ["mi-fgsm", "m-di2-fgsm", "ti", "vmi"])
def test_double_precision_agrees_with_single(name: str) -> None:
    row = replace(ATTACKS[name], steps=5)
    one = run(row, _wave, _photos(), Linf(8))
    two = run(row, _wave, _photos().astype(np.float64), Linf(8))
    assert one.images.dtype == np.float32
    assert two.images.dtype == np.float64
    assert (np.abs(one.images - two.images) > 1e-4).mean() <= 2e-3


def test_the_ti_kernel_is_the_published_one() -> None:
    taps = Smoothing(15, 3.0).taps()
    assert taps.sum() == pytest.approx(1.0)
    assert taps[7] / taps[0] == pytest.approx(np.exp(4.5))
    for channels in (1, 4):
        spike = np.zeros((1, channels, 31, 31), dtype=np.float32)
        spike[0, 0, 15, 15] = 1.0
        matrix = Smoothing(15, 3.0).matrix(31)
        spread = matrix @ spike @ matrix.T
        np.testing.assert_allclose(spread[0, 0, 8:23, 8:23], np.outer(taps, taps), atol=1e-7)
        assert spread[0, 1:].sum() == 0


def test_each_step_is_reported_and_may_cancel() -> None:
    seen: list[int] = []

    def stop_after_three(step: int, losses: Images) -> None:
        assert losses.shape == (2,)
        seen.append(step)
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(ATTACKS["mi-fgsm"], _wave, _photos(), Linf(8), on_step=stop_after_three)
    assert seen == [0, 1, 2]


def test_losses_are_those_before_each_step() -> None:
    weight = np.ones((3, 13, 13), dtype=np.float32)
    photos = np.full((1, 3, 13, 13), 0.5, dtype=np.float32)
    result = run(ATTACKS["i-fgsm"], Linear(weight), photos, Linf(10))
    rise = np.arange(10) / 255 * weight.size
    np.testing.assert_allclose(result.losses[:, 0], 0.5 * weight.size + rise, rtol=1e-4)


def test_a_given_start_is_projected_and_replaces_the_random_one() -> None:
    photos = np.full((2, 3, 6, 6), 0.5, dtype=np.float32)
    still = Linear(np.float32(0.0))
    start = np.full((1, 3, 6, 6), 0.5, dtype=np.float32)
    result = run(ATTACKS["pgd"], still, photos, Linf(8), start=start)
    np.testing.assert_allclose(result.delta, 8 / 255, atol=1e-7)


def test_a_random_start_fills_the_box_or_reaches_the_sphere() -> None:
    photos = np.full((1, 3, 32, 32), 0.5, dtype=np.float32)
    still = Linear(np.float32(0.0))
    box = run(ATTACKS["pgd"], still, photos, Linf(8)).delta * 255
    assert 7.9 < np.abs(box).max() <= 8.0 + 1e-4
    assert abs(box.mean()) < 0.3
    sphere = L2(36.0, None)
    ball = run(replace(ATTACKS["pgd"], rule="l2"), still, photos, sphere)
    assert sphere.measure(ball.images, photos).psnr[0] == pytest.approx(36.0, abs=0.01)


def test_what_the_weight_forbids_stays_as_it_was() -> None:
    weight = np.zeros((13, 13))
    weight[3:9, 3:9] = 1.0
    for rule in ("sign", "l2"):
        row = replace(ATTACKS["mi-fgsm"], rule=rule, smoothing=Smoothing(5))  # type: ignore[arg-type]
        for budget in (Linf(8, weight=weight), L2(36.0, weight=weight)):
            delta = run(row, _wave, _photos(), budget).delta
            assert (delta[..., weight == 0] == 0).all()
            assert np.abs(delta[..., weight == 1]).max() > 1 / 255


@pytest.mark.parametrize("transform", [Jpeg(), BlockShuffle()])
def test_input_is_not_changed_even_where_an_oracle_keeps_what_it_gets(transform: Any) -> None:
    photos = _photos()
    kept = photos.copy()
    held: list[Images] = []

    def holding(images: Images, keys: Keys, /) -> LossGradient:
        held.append(images)
        return _wave(images, keys)

    run(replace(ATTACKS["mi-fgsm"], transform=transform), holding, photos, Linf(8))
    np.testing.assert_array_equal(photos, kept)


def test_an_oracle_s_own_gradient_is_not_changed() -> None:
    weight = np.random.default_rng(1).standard_normal((1, 3, 13, 13)).astype(np.float32)
    kept = weight.copy()

    def shared_gradient(images: Images, keys: Keys, /) -> LossGradient:
        return LossGradient(np.zeros(1, np.float32), weight)

    for name in ("i-fgsm", "mi-fgsm", "ti", "vmi", "si"):
        run(ATTACKS[name], shared_gradient, _photos(1), Linf(8))
        np.testing.assert_array_equal(weight, kept)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"images": np.zeros((3, 4, 4), np.float32)}, "N C H W"),
        ({"images": np.zeros((1, 3, 4, 4), np.uint8)}, "floating"),
        ({"ids": (1, 2, 3)}, "ids"),
        ({"start": np.zeros((2, 3, 5, 5), np.float32)}, "start"),
    ],
)
def test_a_caller_s_mistake_is_named(change: dict[str, Any], names: str) -> None:
    arguments: dict[str, Any] = {"images": _photos(), **change}
    images = arguments.pop("images")
    with pytest.raises(ValueError, match=names):
        run(ATTACKS["fgsm"], _wave, images, Linf(8), **arguments)


def test_impossible_settings_are_named() -> None:
    with pytest.raises(ValueError, match="steps"):
        Attack("x", "", "", steps=0)
    with pytest.raises(ValueError, match="decay"):
        Attack("x", "", "", nesterov=True)
    with pytest.raises(ValueError, match="size must be odd"):
        Smoothing(4)


def test_every_row_of_the_table_names_its_paper_and_convention() -> None:
    for name, row in ATTACKS.items():
        assert row.name == name
        assert row.paper.startswith("arXiv ")
        assert row.convention


def test_the_core_imports_neither_torch_nor_imaging_libraries() -> None:
    code = (
        "import sys, numpy as np\n"
        "from shared.attack.attack import run\n"
        "from shared.attack.budgets import Linf\n"
        "from shared.attack.oracles import Linear\n"
        "from shared.attack.table import ATTACKS\n"
        "from shared.attack import universal\n"
        "run(ATTACKS['m-di2-fgsm'], Linear(1.0), np.zeros((1, 3, 16, 16), np.float32), Linf(8))\n"
        "print(sorted({'torch', 'cv2', 'PIL', 'onnxruntime', 'grpc', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_oracles_are_any_callable_of_the_right_shape() -> None:
    oracle: Oracle = _wave
    assert oracle(_photos(), Keys(0, (0, 1))).gradient.shape == (2, 3, 13, 13)
