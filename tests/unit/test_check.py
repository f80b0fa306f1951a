"""The check: who is looked at again, and what counts as protected."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge_client.check import Verdict, find_again
from shared.faces.detect import Face
from shared.faces.frames import FRAMES

PHOTO = np.zeros((400, 500, 3), np.uint8)


def face_at(x: float, y: float, width: float = 80.0) -> Face:
    """A face whose ArcFace frame begins at (x, y)."""
    scale = width / 80.0
    points = FRAMES["arcface112"].array() * scale + [x, y]
    return Face((x + 16 * scale, y + 8 * scale, width, 1.3 * width), tuple(map(tuple, points.tolist())), 0.9)


class Sees:
    """A detector that sees the faces given, and keeps what it was shown."""

    def __init__(self, *faces: Face) -> None:
        self.faces = faces
        self.shown: tuple[int, ...] = ()

    def find(self, photo: np.ndarray) -> list[Face]:
        self.shown = photo.shape
        return list(self.faces)


@pytest.mark.parametrize("after", [0.5, 0.4, math.nan])
def test_a_recogniser_that_gives_no_number_protects_nobody(after):
    assert Verdict("r", "checker", 1.0, after, threshold=0.4, target=0.3).matches


def test_the_margin_is_asked_for_beyond_the_threshold():
    within, behind = (Verdict("r", "checker", 1.0, after, threshold=0.4, target=0.3) for after in (0.35, 0.2))
    assert not within.matches
    assert not within.passed
    assert behind.passed
    assert not Verdict("r", "checker", 1.0, math.nan, threshold=0.4, target=0.3).passed


def test_the_nearest_face_of_the_same_size_is_the_one():
    face = face_at(100, 100)
    near, nearer = face_at(112, 100), face_at(104, 103)
    assert find_again(PHOTO, face, Sees(near, nearer)) == nearer


@pytest.mark.parametrize(
    "other",
    [
        face_at(190, 100),  # somebody beside
        face_at(130, 140, width=30),  # a child in front
        face_at(60, 40, width=170),  # a poster behind
    ],
)
def test_another_face_near_by_is_not_taken_for_one_that_is_hidden(other):
    face = face_at(100, 100)
    assert find_again(PHOTO, face, Sees(other)) is face
    assert find_again(PHOTO, face, Sees()) is face


def test_a_large_photo_is_searched_on_a_copy_and_places_come_back():
    photo = np.zeros((2000, 1600, 3), np.uint8)
    face = face_at(500, 600, width=400)
    seen = Face(
        tuple(v * 0.32 for v in face.box),
        tuple(((x + 0.5) * 0.32 - 0.5, (y + 0.5) * 0.32 - 0.5) for x, y in face.landmarks),
        0.9,
    )
    detector = Sees(seen)
    again = find_again(photo, face, detector)
    assert detector.shown == (640, 512, 3)
    np.testing.assert_allclose(again.points(), face.points(), atol=1e-6)
    np.testing.assert_allclose(again.box, face.box, atol=1e-6)
