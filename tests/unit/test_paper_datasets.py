from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from cloud_server.paper.datasets import REPORTING, FolderSet, open_dataset, reported, tuning
from models.store import Store, load_card
from shared.errors import Code, GoodnoiseError
from shared.faces.detect import Detector

pytestmark = pytest.mark.zoo


@pytest.fixture(scope="module")
def detector(zoo: Path) -> Detector:
    return Detector(Store(zoo).read(load_card("yunet")))


@pytest.fixture
def folder(tmp_path: Path, detector: Detector) -> Callable[[str], FolderSet]:
    def make(lines: str) -> FolderSet:
        (tmp_path / "pairs.txt").write_text(lines)
        return FolderSet("made", tmp_path, detector)

    return make


def test_lfws_own_list_is_read(folder: Callable[[str], FolderSet]) -> None:
    pairs = folder("2\t1\nAnn\t1\t2\nAnn\t1\tBob\t3\nBob\t4\t5\nBob\t4\tAnn\t2\n").pairs
    assert [(p.first, p.second, p.fold, p.same) for p in pairs] == [
        ("Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg", 1, True),
        ("Ann/Ann_0001.jpg", "Bob/Bob_0003.jpg", 1, False),
        ("Bob/Bob_0004.jpg", "Bob/Bob_0005.jpg", 2, True),
        ("Bob/Bob_0004.jpg", "Ann/Ann_0002.jpg", 2, False),
    ]


def test_plain_lists_are_read_in_both_orders_and_split_into_ten_folds(
    folder: Callable[[str], FolderSet],
) -> None:
    lines = "".join(f"{i % 2} a/{i}.jpg b/{i}.jpg\n" for i in range(20))
    pairs = folder(lines).pairs
    assert [p.fold for p in pairs] == [1 + i // 2 for i in range(20)]
    assert [p.same for p in pairs] == [i % 2 == 1 for i in range(20)]
    swapped = "".join(f"a/{i}.jpg b/{i}.jpg {i % 2}\n" for i in range(20))
    assert folder(swapped).pairs == pairs


@pytest.mark.parametrize("line", ["1 ../x.jpg y.jpg", "x.jpg /etc/passwd 1", "1 a\\..\\b.jpg c.jpg"])
def test_lists_do_not_lead_out_of_their_folder(folder: Callable[[str], FolderSet], line: str) -> None:
    with pytest.raises(GoodnoiseError, match="leads out of the folder"):
        _ = folder(line + "\n").pairs


def test_a_line_in_another_form_is_named(folder: Callable[[str], FolderSet]) -> None:
    with pytest.raises(GoodnoiseError, match=r"'a\.jpg b\.jpg yes'"):
        _ = folder("a.jpg b.jpg yes\n").pairs


def test_reported_and_tuning_pairs_are_of_different_folds_and_more_go_on_from_fewer(
    folder: Callable[[str], FolderSet],
) -> None:
    dataset = folder("".join(f"{i % 2} a/{i}.jpg b/{i}.jpg\n" for i in range(200)))
    few, more = reported(dataset, 5, seed=3), reported(dataset, 9, seed=3)
    assert more[:5] == few
    assert len(reported(dataset, None, seed=3)) == 30
    assert all(pair.same and pair.fold in REPORTING for _, pair in more)
    others = tuning(dataset, 7, seed=3)
    assert sum(pair.same for _, pair in others) == 7
    assert sum(not pair.same for _, pair in others) == 7
    assert all(pair.fold not in REPORTING for _, pair in others)
    assert reported(dataset, 5, seed=4) != few


def test_a_set_without_pairs_of_one_person_is_refused(folder: Callable[[str], FolderSet]) -> None:
    with pytest.raises(GoodnoiseError, match="no pairs of one person"):
        reported(folder("0 a.jpg b.jpg\n"), 5, seed=0)


def test_small_pictures_count_as_aligned_and_others_are_searched(
    tmp_path: Path, photos: Path, folder: Callable[[str], FolderSet]
) -> None:
    face = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "aligned.png"), face)
    cv2.imwrite(str(tmp_path / "empty.png"), np.full((200, 200, 3), 90, np.uint8))
    (tmp_path / "astronaut.png").write_bytes((photos / "astronaut.png").read_bytes())
    dataset = folder("1 aligned.png empty.png\n")
    aligned, found = dataset.shot("aligned.png"), dataset.shot("astronaut.png")
    assert aligned is not None
    assert found is not None
    np.testing.assert_allclose(aligned.five[2], (56.0252, 71.7366))
    # Her left eye in the picture.
    np.testing.assert_allclose(found.five[0], (201, 102), atol=4)
    assert dataset.shot("empty.png") is None


def test_what_is_missing_is_named(
    tmp_path: Path, detector: Detector, folder: Callable[[str], FolderSet]
) -> None:
    with pytest.raises(GoodnoiseError, match=r"gone\.jpg, which a pair names"):
        folder("1 gone.jpg b.jpg\n").shot("gone.jpg")
    with pytest.raises(GoodnoiseError, match="neither a folder nor a file") as caught:
        open_dataset("x", tmp_path / "none", detector)
    assert caught.value.code is Code.NOT_FOUND
