"""Cloaks put back into a photo: inside their windows, within the cap, added where faces overlap."""

from __future__ import annotations

import numpy as np
import pytest

from edge_client.compose import Piece, compose
from edge_client.region import Region, face_region
from shared.faces.detect import Face
from shared.faces.frames import FRAMES


def region_at(shape: tuple[int, ...], x: float, y: float, scale: float = 1.0) -> Region:
    points = FRAMES["arcface112"].array() * scale + [x, y]
    face = Face((x + 10 * scale, y, 92 * scale, 112 * scale), tuple(map(tuple, points.tolist())), 0.9)
    return face_region(shape, face)


def piece(region: Region, rng: np.random.Generator, levels: float = 8.0) -> Piece:
    delta = rng.uniform(-levels, levels, (1, 3, *region.size)).astype(np.float32) / np.float32(255)
    return Piece(region, delta, levels)


@pytest.fixture
def photo(rng):
    return rng.integers(0, 256, (300, 420, 3), dtype=np.uint8)


def test_no_piece_is_the_photo(photo):
    result = compose(photo, [])
    np.testing.assert_array_equal(result, photo)
    assert result is not photo


def test_overlapping_pieces_add_up_whatever_their_order(photo, rng):
    """Against the plain sum over the whole photo."""
    pieces = [piece(region_at(photo.shape, x, 60), rng, levels) for x, levels in ((30, 8), (90, 6), (240, 3))]
    total = np.zeros(photo.shape, np.float32)
    for one in pieces:
        one.region.part(total)[:] += one.region.lift(one.delta, one.levels / 255)
    wanted = np.clip(photo + np.clip(np.rint(total), -8, 8), 0, 255)
    np.testing.assert_array_equal(compose(photo, pieces), wanted)
    backwards = compose(photo, pieces[::-1]).astype(int)
    assert np.abs(backwards - wanted).max() <= 1  # sums of three may round the other way


def test_rounding_adds_no_level_to_the_cap(photo, rng):
    region = region_at(photo.shape, 50, 60)
    delta = np.full((1, 3, *region.size), 4.9 / 255, np.float32)
    change = compose(photo, [Piece(region, delta, 4.9)]).astype(int) - photo
    assert change.max() == 4


@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_outside_the_windows_nothing_changes(rng, scale):
    photo = rng.integers(0, 256, (900, 1000, 3), dtype=np.uint8)
    one = piece(region_at(photo.shape, -40, -30, scale), rng)
    changed = (compose(photo, [one]) != photo).any(axis=2)
    x0, y0, x1, y1 = one.region.window
    assert changed[y0:y1, x0:x1].mean() > 0.5
    changed[y0:y1, x0:x1] = False
    assert not changed.any()


def test_grey_stays_grey(rng):
    photo = np.repeat(rng.integers(0, 256, (300, 420, 1), dtype=np.uint8), 3, axis=2)
    pieces = [piece(region_at(photo.shape, x, 60), rng) for x in (30, 90)]
    result = compose(photo, pieces, grey=True)
    np.testing.assert_array_equal(result[..., 0], result[..., 1])
    np.testing.assert_array_equal(result[..., 0], result[..., 2])
    assert (result != photo).any()
