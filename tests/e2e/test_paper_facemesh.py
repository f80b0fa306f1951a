"""The face mesh: the same as its origin's file in LiteRT, and in its place on real faces."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from cloud_server.paper.landmarks import POINTS, FaceMesh
from cloud_server.paper.mesh import FACE, LIPS_OUTSIDE
from models.fetch import archive, checked_members
from models.importers.canonical import embed, session
from models.store import Store, load_card
from shared.errors import Code, GoodnoiseError
from shared.faces.detect import Detector, Face

pytestmark = pytest.mark.zoo

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]
NAMES = ("admiral.jpg", "astronaut.png", "grey.jpg", "two.webp")


@pytest.fixture(scope="module")
def mesh(zoo: Path) -> FaceMesh:
    return FaceMesh.of(Store(zoo))


@pytest.fixture(scope="module")
def faces(zoo: Path, photos: Path) -> dict[str, tuple[Pixels, list[Face]]]:
    detector = Detector(Store(zoo).read(load_card("yunet")))
    pictures = {name: np.asarray(Image.open(photos / name).convert("RGB")) for name in NAMES}
    return {name: (pixels, detector.find(pixels)) for name, pixels in pictures.items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_mesh_lies_on_the_face(
    mesh: FaceMesh, faces: dict[str, tuple[Pixels, list[Face]]], name: str
) -> None:
    photo, found = faces[name]
    assert found
    for face in found:
        points, five = mesh.find(photo, face.points()), face.points()
        assert points.shape == (POINTS, 2)
        left, top, width, height = face.box
        apart = float(np.hypot(*(five[1] - five[0])))
        # YuNet's box ends at the chin and the brow; the mesh reaches a little beyond.
        assert (points >= (left - 0.15 * width, top - 0.15 * height)).all()
        assert (points <= (left + 1.15 * width, top + 1.15 * height)).all()
        # Eyes, nose tip and corners of the mouth, where the other network sees them.
        eyes = [points[[33, 133, 159, 145]].mean(axis=0), points[[362, 263, 386, 374]].mean(axis=0)]
        mine = np.array([*eyes, points[4], points[61], points[291]])
        # Wide smiles: YuNet sees the corners farther inside.
        assert np.hypot(*(mine - five).T).max() < 0.25 * apart


@pytest.mark.parametrize("turn", [-30, 15, 90])
def test_a_turned_photo_turns_the_mesh(
    mesh: FaceMesh, faces: dict[str, tuple[Pixels, list[Face]]], turn: float
) -> None:
    photo, found = faces["astronaut.png"]
    five = found[0].points()
    matrix = cv2.getRotationMatrix2D((224, 116), turn, 1.0)
    turned = cv2.warpAffine(photo, matrix, (photo.shape[1], photo.shape[0]))
    expected = mesh.find(photo, five) @ matrix[:, :2].T + matrix[:, 2]
    again = mesh.find(turned, five @ matrix[:, :2].T + matrix[:, 2])
    inner = [i for i in range(POINTS) if i not in FACE]
    assert np.hypot(*(again - expected)[inner].T).max() < 3.0


def test_lips_are_in_order_around_the_mouth(
    mesh: FaceMesh, faces: dict[str, tuple[Pixels, list[Face]]]
) -> None:
    photo, found = faces["astronaut.png"]
    lips = mesh.find(photo, found[0].points())[list(LIPS_OUTSIDE)]
    x, y = (lips - lips.mean(axis=0)).T
    steps = np.diff(np.unwrap(np.arctan2(y, x)))
    assert (steps > 0).all() or (steps < 0).all()


def test_the_conversion_agrees_with_its_tflite_file(
    zoo: Path, pytestconfig: pytest.Config, faces: dict[str, tuple[Pixels, list[Face]]]
) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert has no wheel here")
    card = load_card("facemesh")
    chosen = os.environ.get("GOODNOISE_PACKAGES")
    folder = Path(chosen) if chosen else pytestconfig.cache.mkdir("packages")
    try:
        content = checked_members(card, archive(card.origin, folder))[0]
    except GoodnoiseError as error:
        if error.code is Code.UNAVAILABLE:
            pytest.skip(f"the origin's package cannot be had here: {error}")
        raise
    interpreter = litert.Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    target = next(o for o in interpreter.get_output_details() if np.prod(o["shape"]) == 3 * POINTS)
    running = session(Store(zoo).read(card))
    for photo, found in faces.values():
        left, top, width, height = (max(round(v), 0) for v in found[0].box)
        part = np.ascontiguousarray(photo[top : top + height, left : left + width])
        square = cv2.resize(part, (192, 192)).astype(np.float32) / np.float32(255)
        interpreter.set_tensor(source["index"], square[None])
        interpreter.invoke()
        expected = interpreter.get_tensor(target["index"]).reshape(1, -1)
        # In pixels of 192.
        np.testing.assert_allclose(embed(running, square.transpose(2, 0, 1)[None]), expected, atol=2e-3)
