from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models.lfw import Pair, embeddings, find_faces, photos_of, read_pairs, read_sets
from models.store import Store, load_card
from shared.errors import Code, GoodnoiseError
from shared.faces.detect import Detector


def nothing(done: int, total: int) -> None:
    """A progress that shows nothing."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "people.txt").write_text("2\n2\nAda_One\t2\nBob_Two\t1\n1\nCy_Three\t2\n")
    (tmp_path / "pairs.txt").write_text(
        "2\t1\nAda_One\t1\t2\nAda_One\t1\tBob_Two\t1\nCy_Three\t1\t2\nCy_Three\t2\tCy_Three\t1\n"
    )
    return tmp_path


def test_sets_and_pairs_are_read(folder: Path) -> None:
    assert read_sets(folder) == {1: ("Ada_One", "Bob_Two"), 2: ("Cy_Three",)}
    pairs = read_pairs(folder)
    assert [pair.fold for pair in pairs] == [1, 1, 2, 2]
    assert pairs[0] == Pair("Ada_One/Ada_One_0001.jpg", "Ada_One/Ada_One_0002.jpg", fold=1, same=True)
    assert not pairs[1].same


def test_a_list_of_another_format_is_corrupt(folder: Path) -> None:
    (folder / "people.txt").write_text("2\nAda\n")
    with pytest.raises(GoodnoiseError, match=r"people\.txt") as caught:
        read_sets(folder)
    assert caught.value.code is Code.CORRUPT
    (folder / "pairs.txt").write_text("what is this\n")
    with pytest.raises(GoodnoiseError, match=r"pairs\.txt"):
        read_pairs(folder)


def test_a_folder_without_lists_has_no_sets(tmp_path: Path) -> None:
    assert read_sets(tmp_path) == {}
    with pytest.raises(GoodnoiseError, match="no photos"):
        photos_of(tmp_path)
    with pytest.raises(GoodnoiseError, match="nowhere is no folder"):
        photos_of(tmp_path / "nowhere")


@pytest.mark.zoo
def test_the_face_in_the_middle_is_found_embedded_and_kept(zoo: Path, photos: Path, tmp_path: Path) -> None:
    face = cv2.imread(str(photos / "astronaut.png"))[0:256, 96:352]
    for person, flip in (("Ada", False), ("Bob", True)):
        (tmp_path / "images" / person).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "images" / person / "a.png"), face[:, ::-1] if flip else face)
    (tmp_path / "images" / "Cy").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "Cy" / "empty.png"), np.zeros((64, 64, 3), np.uint8))
    keys = [photo.key for photo in photos_of(tmp_path)]
    assert keys == ["Ada/a.png", "Bob/a.png", "Cy/empty.png"]

    detector, cache = Detector((zoo / "yunet.onnx").read_bytes()), tmp_path / "cache"
    faces = find_faces(tmp_path, keys, detector, cache=cache / "landmarks.npz", progress=nothing)
    assert np.isnan(faces.landmarks[2]).all()
    # Mirroring exchanges left and right: the eyes change places.
    mirrored = 255 - faces.landmarks[1][[1, 0, 2, 4, 3], 0]
    np.testing.assert_allclose(faces.landmarks[0][:, 0], mirrored, atol=8)

    card = load_card("mobilefacenet-512")
    network = Store(zoo).read(card)
    vectors = embeddings(tmp_path, faces, card, network, cache=cache, progress=nothing)
    assert np.isnan(vectors[2]).all()
    assert vectors[0] @ vectors[1] > 0.7, "a mirrored face is the same person"

    (tmp_path / "images" / "Ada" / "a.png").unlink()
    again = find_faces(tmp_path, keys, detector, cache=cache / "landmarks.npz", progress=nothing)
    np.testing.assert_array_equal(again.landmarks, faces.landmarks)
    kept = embeddings(tmp_path, again, card, network, cache=cache, progress=nothing)
    np.testing.assert_array_equal(kept, vectors)
