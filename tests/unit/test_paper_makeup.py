from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from cloud_server.paper.landmarks import FaceMesh
from cloud_server.paper.makeup import STYLES, Style, made_up, style_of
from cloud_server.paper.mesh import EYES, FACE, LIPS_INSIDE, LIPS_OUTSIDE
from models.store import Store, load_card
from shared.faces.detect import Detector

pytestmark = pytest.mark.zoo

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

BARE = replace(
    STYLES[0], lip_strength=0, shadow_strength=0, liner_strength=0, brow_strength=0, blush_strength=0
)


@pytest.fixture(scope="module")
def portrait(zoo: Path, photos: Path) -> tuple[Pixels, Floats]:
    """The astronaut's photo and her face mesh."""
    store = Store(zoo)
    photo = np.asarray(Image.open(photos / "astronaut.png").convert("RGB"))
    face = Detector(store.read(load_card("yunet"))).find(photo)[0]
    return photo, FaceMesh.of(store).find(photo, face.points())


def changed(photo: Pixels, after: Pixels) -> Floats:
    """Pixels that differ, as (x, y)."""
    return np.argwhere((photo != after).any(axis=2))[:, ::-1].astype(np.float64)


def far_from(pixels: Floats, points: Floats) -> float:
    """The largest distance of a pixel to its nearest point."""
    return float(np.sqrt(((pixels[:, None] - points[None]) ** 2).sum(axis=2)).min(axis=1).max())


def test_each_part_changes_pixels_near_its_own_landmarks_only(portrait: tuple[Pixels, Floats]) -> None:
    photo, mesh = portrait
    width = float(np.hypot(*(mesh[33] - mesh[133])))
    eyes = [i for eye in EYES for i in (*eye.upper, *eye.lower, *eye.crease, *eye.brow_below)]
    brows = [i for eye in EYES for i in eye.brow]
    parts = {
        "lip_strength": (mesh[[*LIPS_OUTSIDE, *LIPS_INSIDE]], 0.4 * width),
        "shadow_strength": (mesh[eyes], 0.6 * width),
        "liner_strength": (mesh[eyes], 0.5 * width),
        "brow_strength": (mesh[brows], 0.5 * width),
        "blush_strength": (mesh, 0.5 * width),
    }
    for part, (points, reach) in parts.items():
        pixels = changed(photo, made_up(photo, mesh, replace(STYLES[1], **{**_off(), part: 0.9})))
        assert len(pixels) > 100, part
        assert far_from(pixels, points) < reach, part


def _off() -> dict[str, float]:
    return {f"{part}_strength": 0.0 for part in ("lip", "shadow", "liner", "brow", "blush")}


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_a_style_leaves_everything_outside_the_face_as_it_was(
    portrait: tuple[Pixels, Floats], style: Style
) -> None:
    photo, mesh = portrait
    after = made_up(photo, mesh, style)
    pixels = changed(photo, after)
    low, high = mesh[list(FACE)].min(axis=0), mesh[list(FACE)].max(axis=0)
    assert (pixels >= low - 4).all()
    assert (pixels <= high + 4).all()
    # The whites of teeth, the irises and the tip of the nose are nobody's place for makeup.
    for point in (1, 4):
        x, y = np.rint(mesh[point]).astype(int)
        np.testing.assert_array_equal(after[y, x], photo[y, x])
    mouth = np.rint((mesh[13] + mesh[14]) / 2).astype(int)
    np.testing.assert_array_equal(after[mouth[1], mouth[0]], photo[mouth[1], mouth[0]])


def test_lips_take_the_colour_of_the_lipstick(portrait: tuple[Pixels, Floats]) -> None:
    photo, mesh = portrait
    x, y = np.rint((mesh[17] + mesh[14]) / 2).astype(int)

    def redness(pixels: Pixels) -> float:
        red, green, blue = pixels[y, x].astype(float)
        return red / max(green + blue, 1.0)

    evening = next(style for style in STYLES if style.name == "evening")
    assert redness(made_up(photo, mesh, evening)) > 1.5 * redness(photo)


def test_the_same_input_gives_the_same_pixels_and_the_photo_stays(portrait: tuple[Pixels, Floats]) -> None:
    photo, mesh = portrait
    kept = photo.copy()
    first = made_up(photo, mesh, STYLES[2])
    np.testing.assert_array_equal(first, made_up(photo, mesh, STYLES[2]))
    np.testing.assert_array_equal(photo, kept)
    assert (first != made_up(photo, mesh, STYLES[4])).any()


def test_a_style_of_no_strength_changes_nothing(portrait: tuple[Pixels, Floats]) -> None:
    photo, mesh = portrait
    np.testing.assert_array_equal(made_up(photo, mesh, BARE), photo)


def test_a_face_at_or_beyond_the_edge_is_no_error(portrait: tuple[Pixels, Floats]) -> None:
    photo, mesh = portrait
    cut = np.ascontiguousarray(photo[90:, 220:])
    shifted = mesh - (220, 90)
    after = made_up(cut, shifted, STYLES[0])
    whole = made_up(photo, mesh, STYLES[0])[90:, 220:]
    assert len(changed(cut, after)) > 100
    # The mean brightness below a pigment is of what is in the photo.
    assert np.abs(after.astype(int) - whole).max() <= 8
    np.testing.assert_array_equal(made_up(photo, mesh + 5000, STYLES[0]), photo)


def test_styles_are_drawn_by_seed_and_number() -> None:
    drawn = [style_of(number, seed=5).name for number in range(40)]
    assert drawn == [style_of(number, seed=5).name for number in range(40)]
    assert set(drawn) == {style.name for style in STYLES}
    assert drawn != [style_of(number, seed=6).name for number in range(40)]


def test_wrong_points_and_strengths_are_refused(portrait: tuple[Pixels, Floats]) -> None:
    photo, mesh = portrait
    with pytest.raises(ValueError, match="468 finite"):
        made_up(photo, mesh[:5], STYLES[0])
    with pytest.raises(ValueError, match=r"lip_strength must be in \[0,1\], got 2"):
        replace(STYLES[0], lip_strength=2)
