"""Finding faces: the same ones at any size of the photo, none where there are none, each once."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from shared.errors import Code, GoodnoiseError
from shared.faces.detect import Detector, Face


@pytest.fixture(scope="module")
def detector(zoo):
    return Detector((zoo / "yunet.onnx").read_bytes())


@pytest.fixture(scope="module")
def astronaut(photos):
    return Image.open(photos / "astronaut.png").convert("RGB")


def scaled(image, width):
    size = (width, round(image.height * width / image.width))
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS if width < image.width else 3))


@pytest.mark.zoo
@pytest.mark.parametrize("width", [128, 512, 4000])
def test_the_same_face_is_found_at_every_size(detector, astronaut, width):
    (wanted,) = detector.find(np.asarray(astronaut))
    found = detector.find(scaled(astronaut, width))
    factor = width / astronaut.width
    points = (wanted.points() + 0.5) * factor - 0.5  # pixel centres lie at whole numbers
    assert len(found) == 1
    np.testing.assert_allclose(found[0].points(), points, atol=0.06 * wanted.box[2] * factor)
    np.testing.assert_allclose(
        found[0].box, np.array(wanted.box) * factor, atol=0.15 * wanted.box[2] * factor
    )


@pytest.mark.zoo
def test_a_face_of_twenty_pixels_is_found_and_none_twice(detector, photos):
    grey = scaled(Image.open(photos / "grey.jpg").convert("RGB"), 64)
    (found,) = detector.find(grey)
    assert 15 < found.box[2] < 25


@pytest.mark.zoo
def test_left_is_left_in_the_picture(detector, astronaut):
    for picture in (astronaut, astronaut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)):
        left_eye, right_eye, nose, left_mouth, right_mouth = detector.find(np.asarray(picture))[0].points()
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


@pytest.mark.zoo
def test_two_faces_are_two_largest_first(detector, photos):
    found = detector.find(np.asarray(Image.open(photos / "two.webp").convert("RGB")))
    areas = [face.box[2] * face.box[3] for face in found]
    assert len(found) == 2
    assert areas == sorted(areas, reverse=True)


@pytest.mark.zoo
@pytest.mark.parametrize("shape", [(480, 640, 3), (1, 1, 3), (3, 2000, 3), (3000, 20, 3)])
def test_noise_holds_no_face(detector, rng, shape):
    assert detector.find(rng.integers(0, 256, shape, dtype=np.uint8)) == []


@pytest.mark.zoo
def test_a_face_cut_by_the_edge_is_found_with_its_box_beyond_it(detector, astronaut):
    (whole,) = detector.find(np.asarray(astronaut))
    cut = round(whole.box[0] + whole.box[2] / 3)
    (found,) = detector.find(np.ascontiguousarray(np.asarray(astronaut)[:, cut:]))
    assert found.box[0] < 0
    np.testing.assert_allclose(found.box[0] + cut, whole.box[0], atol=0.2 * whole.box[2])


@pytest.mark.zoo
def test_every_face_found_has_a_part_in_the_photo(detector, astronaut):
    """Strips of a face: whatever is found in them, two landmarks or more lie inside."""
    pixels = np.asarray(astronaut)
    for top in range(60, 180, 12):
        strip = np.ascontiguousarray(pixels[top : top + 60, 150:300])
        for face in detector.find(strip):
            inside = [
                0 <= x <= strip.shape[1] - 1 and 0 <= y <= strip.shape[0] - 1 for x, y in face.landmarks
            ]
            assert sum(inside) >= 2


@pytest.mark.zoo
def test_one_face_seen_on_several_copies_is_one_and_two_close_ones_stay_two(detector, astronaut):
    """On a photo of 2000 pixels four copies are searched; heads that nearly touch are not merged."""
    (face,) = detector.find(np.asarray(astronaut))
    left, top, width, height = (round(v) for v in face.box)
    head = np.asarray(astronaut)[top - 20 : top + height + 20, left - 5 : left + width + 5]
    pair = np.concatenate([head, head[:, ::-1]], axis=1)
    canvas = np.full((512, 512, 3), 120, np.uint8)
    canvas[100 : 100 + pair.shape[0], 100 : 100 + pair.shape[1]] = pair
    assert len(detector.find(scaled(Image.fromarray(canvas), 2000))) == 2


def test_merging_keeps_the_best_of_each_place():
    from shared.faces.detect import _merge

    def face(left, width, score):
        return Face((left, 0.0, width, 100.0), ((0.0, 0.0),) * 5, score)

    best, worse, inner, other = face(0, 100, 0.9), face(8, 100, 0.8), face(30, 40, 0.85), face(150, 60, 0.75)
    assert _merge([worse, inner, other, best], 0.4) == [best, other]


@pytest.mark.zoo
def test_wrong_pixels_are_a_callers_mistake(detector):
    for bad in (np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32), np.zeros((8, 8, 4), np.uint8)):
        with pytest.raises(ValueError, match="uint8 of shape H W 3"):
            detector.find(bad)


@pytest.mark.parametrize("content", [b"", b"not a network", b"\x08\x07" * 500])
def test_a_damaged_detector_names_the_way_out(content):
    with pytest.raises(GoodnoiseError, match="goodnoise update") as caught:
        Detector(content)
    assert caught.value.code is Code.CORRUPT
