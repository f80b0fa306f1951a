"""Cutting a face out of a photo and putting its cloak back."""

from __future__ import annotations

import numpy as np
import pytest

from edge_client.region import FINEST, face_region, visible_box
from shared.faces.detect import Face
from shared.faces.frames import FRAMES


def face_at(x: float, y: float, scale: float) -> Face:
    """A frontal face whose ArcFace frame has its corner at (x, y) and is `scale` times as fine."""
    points = FRAMES["arcface112"].array() * scale + [x, y]
    return Face((x + 10 * scale, y, 92 * scale, 112 * scale), tuple(map(tuple, points.tolist())), 0.9)


def test_a_small_face_keeps_the_photos_own_pixels(rng: np.random.Generator) -> None:
    photo = rng.integers(0, 256, (250, 250, 3), dtype=np.uint8)
    region = face_region(photo.shape, face_at(60, 70, 1.0))
    x0, y0, x1, y1 = region.window
    assert region.factor == (1.0, 1.0)
    np.testing.assert_array_equal(np.rint(region.cut(photo)[0].transpose(1, 2, 0) * 255), photo[y0:y1, x0:x1])


def test_a_large_face_is_worked_on_at_most_so_fine() -> None:
    region = face_region((3000, 4000, 3), face_at(1000, 800, 10.0))
    assert region.factor[0] == pytest.approx(FINEST / 10.0, rel=0.02)
    spread = np.ptp(region.landmarks(), axis=0)
    wanted = np.ptp(FRAMES["arcface112"].array(), axis=0) * FINEST
    np.testing.assert_allclose(spread, wanted, rtol=0.02)


@pytest.mark.parametrize("scale", [1.0, 6.0])
def test_a_face_at_the_edge_stays_inside_the_photo(scale: float) -> None:
    shape = (400, 500, 3)
    region = face_region(shape, face_at(-40 * scale, -30 * scale, scale))
    x0, y0, x1, y1 = region.window
    assert 0 <= x0 < x1 <= shape[1]
    assert 0 <= y0 < y1 <= shape[0]
    left, top, right, bottom = region.box()
    assert 0 <= left < right <= region.size[1]
    assert 0 <= top < bottom <= region.size[0]


@pytest.mark.parametrize(("x", "y"), [(-40, -30), (460, 370), (-5000, 10), (10, 5000)])
def test_the_visible_part_of_a_box_is_never_empty_nor_outside(x: float, y: float) -> None:
    face, shape = face_at(x, y, 1.0), (400, 500, 3)
    window = face_region(shape, face).window
    for left, top, right, bottom in (visible_box(shape, face), window):
        assert 0 <= left < right <= shape[1]
        assert 0 <= top < bottom <= shape[0]


def test_a_box_inside_the_photo_is_visible_whole() -> None:
    assert visible_box((400, 500, 3), face_at(60, 70, 1.0)) == (70, 70, 162, 182)


def test_part_is_a_view_and_pixels_are_what_cut_shows(rng: np.random.Generator) -> None:
    photo = rng.integers(0, 256, (900, 900, 3), dtype=np.uint8)
    region = face_region(photo.shape, face_at(100, 100, 6.0))
    assert np.shares_memory(region.part(photo), photo)
    np.testing.assert_array_equal(
        region.pixels(photo), np.rint(region.cut(photo)[0].transpose(1, 2, 0) * 255).astype(np.uint8)
    )


@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_a_lifted_cloak_keeps_its_cap_and_its_shape(scale: float, rng: np.random.Generator) -> None:
    region = face_region((1600, 1600, 3), face_at(300, 300, scale))
    delta = rng.choice(np.array([-8, 8], np.float32), (1, 3, *region.size)) / np.float32(255)
    levels = region.lift(delta, 8 / 255)
    x0, y0, x1, y1 = region.window
    assert levels.shape == (y1 - y0, x1 - x0, 3)
    assert np.abs(levels).max() <= 8.0 + 1e-4


def test_cut_and_lift_agree_on_places() -> None:
    """A bump on the canvas comes out at the same place of the photo."""
    region = face_region((1500, 1500, 3), face_at(200, 250, 8.0))
    delta = np.zeros((1, 3, *region.size), np.float32)
    row, column = region.size[0] // 3, region.size[1] // 2
    delta[:, :, row - 2 : row + 3, column - 2 : column + 3] = 8 / 255
    levels = region.lift(delta, 8 / 255)[:, :, 0]
    ys, xs = np.nonzero(levels > 4)
    place = region.on_canvas(np.array([[xs.mean() + region.window[0], ys.mean() + region.window[1]]]))
    np.testing.assert_allclose(place[0], [column, row], atol=0.2)
