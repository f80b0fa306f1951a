"""Measures of change: the standard ones agree with scikit-image, the others order changes as an eye does."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.metrics import edge_change, masked_ms_ssim, psnr, ssim

GOLDEN = json.loads((Path(__file__).parent / "golden" / "ssim.json").read_text())


@pytest.fixture(scope="module")
def portrait(photos):
    return np.asarray(Image.open(photos / "astronaut.png").convert("RGB"))[0:201, 100:331]


def changed(photo, name):
    signs = np.where((np.arange(photo.size) * 7919 // 13) % 2, 1, -1).reshape(photo.shape)
    if name.startswith("shifted"):
        return np.roll(photo, 2, axis=1)
    change = 20 if name.startswith("brighter") else int(name.split()[2]) * signs
    return np.clip(photo.astype(int) + change, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_psnr_and_ssim_are_those_of_scikit_image(portrait, name):
    after = changed(portrait, name)
    assert psnr(portrait, after) == pytest.approx(GOLDEN[name]["psnr"], abs=1e-9)
    # scikit-image cuts the Gaussian at 3.5 deviations, which is the same window of 11 pixels.
    assert ssim(portrait, after) == pytest.approx(GOLDEN[name]["ssim"], abs=1e-6)


def test_no_change_is_perfect(portrait):
    assert psnr(portrait, portrait) == math.inf
    assert ssim(portrait, portrait) == pytest.approx(1.0)
    assert masked_ms_ssim(portrait, portrait) == pytest.approx(1.0)
    assert edge_change(portrait, portrait, [(90, 90), (120, 90), (105, 105), (95, 120), (118, 120)]) == 0.0


def textured(rng):
    """Left half smooth, right half strong texture."""
    picture = np.full((128, 256, 3), 128, np.uint8)
    picture[:, 128:] += rng.integers(0, 100, (128, 128, 1), dtype=np.uint8)
    return picture


def test_a_change_counts_more_on_smooth_skin_than_in_texture(rng):
    picture = textured(rng)
    grain = rng.integers(-6, 7, (128, 128, 1))
    on_smooth, on_texture = picture.astype(int), picture.astype(int)
    on_smooth[:, :128] += grain
    on_texture[:, 128:] += grain
    smooth, texture = (
        masked_ms_ssim(picture, np.clip(p, 0, 255).astype(np.uint8)) for p in (on_smooth, on_texture)
    )
    assert psnr(picture, np.clip(on_smooth, 0, 255).astype(np.uint8)) == pytest.approx(
        psnr(picture, np.clip(on_texture, 0, 255).astype(np.uint8)), abs=0.1
    )
    assert 1 - smooth > 5 * (1 - texture)


def test_more_change_scores_less(portrait):
    weak, strong = (masked_ms_ssim(portrait, changed(portrait, f"signs of {n} levels")) for n in (4, 12))
    assert 0.0 < strong < weak < 1.0


@pytest.mark.parametrize("side", [4, 10, 11, 21, 22, 60, 94, 200])
def test_every_size_of_face_can_be_measured(rng, side):
    picture = rng.integers(0, 256, (side, side + 3, 3), dtype=np.uint8)
    inverted = 255 - picture
    assert masked_ms_ssim(picture, picture) == pytest.approx(1.0)
    assert 0.0 <= masked_ms_ssim(picture, inverted) < 0.5
    assert ssim(picture, inverted) < ssim(picture, picture)


def test_edges_count_around_eyes_and_mouth_only(portrait):
    points = [(90, 90), (120, 90), (105, 105), (95, 120), (118, 120)]
    redrawn, elsewhere = portrait.copy(), portrait.copy()
    redrawn[84:96, 84:96] = 255 - redrawn[84:96, 84:96]
    elsewhere[160:172, 10:22] = 255 - elsewhere[160:172, 10:22]
    assert edge_change(portrait, redrawn, points) > 0.1
    assert edge_change(portrait, elsewhere, points) == 0.0


@pytest.mark.parametrize("measure", [ssim, masked_ms_ssim])
def test_floats_are_a_callers_mistake(measure):
    with pytest.raises(ValueError, match="expected uint8"):
        measure(np.zeros((40, 40, 3)), np.zeros((40, 40, 3)))


def test_wrong_landmarks_are_a_callers_mistake(portrait):
    with pytest.raises(ValueError, match="shape 5 2"):
        edge_change(portrait, portrait, [(1, 2)])
    with pytest.raises(ValueError, match="lies in the picture"):
        edge_change(portrait, portrait, np.full((5, 2), -500.0))
