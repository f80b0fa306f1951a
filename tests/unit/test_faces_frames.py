"""Frames: the map from a photo's landmarks to where a recogniser expects them, and the crop along it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from shared.errors import Code, GoodnoiseError
from shared.faces.frames import FRAMES, crop, similarity_to_frame

ARCFACE = FRAMES["arcface112"]


def similarity(angle: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    """A known map, 2 3: turn by `angle` degrees, scale, shift."""
    c, s = scale * np.cos(np.radians(angle)), scale * np.sin(np.radians(angle))
    return np.array([[c, -s, shift[0]], [s, c, shift[1]]])


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


def landmarks_for(matrix: np.ndarray, frame=ARCFACE) -> np.ndarray:
    """Where the frame's points lie in a photo that `matrix` maps into the frame."""
    return moved(frame.array(), cv2.invertAffineTransform(matrix))


def smooth_photo(rng: np.random.Generator, height: int, width: int, *, grain: int) -> np.ndarray:
    """A colour photo with structure of about `grain` pixels and finer noise on it."""
    coarse = rng.integers(40, 216, (height // grain + 2, width // grain + 2, 3), dtype=np.uint8)
    photo = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    return np.clip(photo + rng.normal(0, 12, photo.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
@pytest.mark.parametrize(
    "known", [similarity(0, 1, (0, 0)), similarity(37, 0.3, (-90, 14)), similarity(-120, 4, (800, -3))]
)
def test_a_known_map_is_found_again(frame, known):
    found = similarity_to_frame(landmarks_for(known, frame), frame)
    np.testing.assert_allclose(found, known, atol=1e-6)


def test_a_face_that_fits_no_similarity_gets_the_least_squares_one(rng):
    points = landmarks_for(similarity(20, 0.5, (5, 9))) + rng.normal(0, 6, (5, 2))
    # The same problem as a linear one in (a, b, x, y): [a -b; b a] p + (x, y) = q.
    rows = [row for x, y in points for row in ((x, -y, 1, 0), (y, x, 0, 1))]
    a, b, x, y = np.linalg.lstsq(np.array(rows), ARCFACE.array().ravel(), rcond=None)[0]
    np.testing.assert_allclose(similarity_to_frame(points, ARCFACE), [[a, -b, x], [b, a, y]], atol=1e-8)


def test_a_mirrored_face_is_not_mirrored_back(rng):
    matrix = similarity_to_frame(ARCFACE.array() * (-1, 1) + rng.normal(0, 1, (5, 2)), ARCFACE)
    assert np.linalg.det(matrix[:, :2]) > 0


def test_landmarks_in_one_place_name_the_way_out():
    with pytest.raises(GoodnoiseError, match="give a larger photo") as caught:
        similarity_to_frame(np.full((5, 2), 7.0) + np.eye(5, 2) * 0.1, ARCFACE)
    assert caught.value.code is Code.INVALID_INPUT


@pytest.mark.parametrize("points", [np.zeros((4, 2)), np.full((5, 2), np.nan), [[1, 2]] * 4 + [[1, np.inf]]])
def test_what_is_no_five_points_is_a_callers_mistake(points):
    with pytest.raises(ValueError, match="5 finite"):
        similarity_to_frame(points, ARCFACE)


def test_the_identity_crops_the_photos_own_pixels(rng):
    photo = rng.integers(0, 256, (160, 140, 3), dtype=np.uint8)
    face = crop(photo, ARCFACE.array() + np.array([11, 23]), ARCFACE)
    assert face.shape == (1, 3, 112, 112)
    assert face.dtype == np.float32
    np.testing.assert_allclose(face[0].transpose(1, 2, 0) * 255, photo[23:135, 11:123], atol=1e-3)


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
@pytest.mark.parametrize("scale", [0.45, 0.2, 0.07])
def test_a_fine_photo_is_averaged_not_sampled(rng, frame, scale):
    """Against the mean of the pixels that each pixel of the frame covers, found by sampling all of them."""
    photo = smooth_photo(rng, 2400, 2600, grain=round(8 / scale))
    known = similarity(14, scale, (-10, -30))
    fine = 1 + int(np.ceil(1 / scale))
    dense = known * fine + [[0, 0, (fine - 1) / 2]] * 2
    side = frame.size * fine
    sampled = cv2.warpAffine(photo.astype(np.float32), dense, (side, side), flags=cv2.INTER_LINEAR)
    wanted = sampled.reshape(frame.size, fine, frame.size, fine, 3).mean(axis=(1, 3))
    got = crop(photo, landmarks_for(known, frame), frame)[0].transpose(1, 2, 0) * 255
    inner = slice(4, -4)  # the photo's edge is black beyond, which both blend in their own way
    error = np.sqrt(np.mean((got - wanted)[inner, inner] ** 2))
    assert error < 3.0  # levels
    plain = cv2.warpAffine(photo, known, (frame.size, frame.size), flags=cv2.INTER_LINEAR).astype(float)
    assert error < 0.5 * np.sqrt(np.mean((plain - wanted)[inner, inner] ** 2)) or scale > 0.4


@pytest.mark.parametrize("scale", [1.0, 0.2])
@pytest.mark.parametrize("shift", [(-60, 0), (0, 70), (-400, 300), (9000, -9000)])
def test_what_lies_outside_the_photo_is_black(rng, scale, shift):
    photo = rng.integers(100, 256, (300, 300, 3), dtype=np.uint8)
    points = ARCFACE.array() / scale + shift
    face = crop(photo, points, ARCFACE)
    corners = (np.array([[0, 0], [111, 0], [0, 111], [111, 111]]) / scale + shift).round()
    for (x, y), (row, column) in zip(corners, [(0, 0), (0, 111), (111, 0), (111, 111)], strict=True):
        if not (-8 / scale < x < 299 + 8 / scale and -8 / scale < y < 299 + 8 / scale):
            assert face[0, :, row, column].max() == 0.0
    if max(map(abs, shift)) >= 9000:
        assert face.max() == 0.0
