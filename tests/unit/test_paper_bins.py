from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from cloud_server.paper import bins
from cloud_server.paper.bins import decoded, read_bin
from cloud_server.paper.datasets import BinSet
from shared.errors import Code, GoodnoiseError


def jpeg(seed: int, side: int = 112) -> bytes:
    small = np.random.default_rng(seed).integers(0, 256, (7, 7, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", cv2.resize(small, (side, side)))[1].tobytes()


@pytest.fixture
def pictures() -> list[bytes]:
    return [jpeg(seed) for seed in range(4)]


def put(path: Path, content: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def refused(path: Path) -> str:
    with pytest.raises(GoodnoiseError) as caught:
        read_bin(path)
    assert caught.value.code is Code.CORRUPT
    assert str(path) in caught.value.message
    return caught.value.message


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("form", ["bytes", "array", "column"])
@pytest.mark.parametrize("truths", ["list", "array", "numbers", "scalars"])
def test_every_form_that_such_files_have_is_read(
    tmp_path: Path, pictures: list[bytes], protocol: int, form: str, truths: str
) -> None:
    stored: list[Any] = list(pictures)
    if form != "bytes":
        stored = [np.frombuffer(item, np.uint8).copy() for item in pictures]
    if form == "column":
        stored = [item[:, None] for item in stored]
    same: Any = {
        "list": [True, False],
        "array": np.array([True, False]),
        "numbers": [1, 0],
        "scalars": [np.bool_(1), np.bool_(0)],
    }[truths]
    assert read_bin(put(tmp_path / "set.bin", (stored, same), protocol)) == (pictures, [True, False])


def test_a_file_of_python_2_is_read(tmp_path: Path, pictures: list[bytes]) -> None:
    # Protocol 2 as Python 2 wrote it: its strings are bytes (opcode T), `((pictures), (truths))`.
    body = b"".join(b"T" + struct.pack("<I", len(item)) + item for item in pictures)
    path = tmp_path / "old.bin"
    path.write_bytes(b"\x80\x02](" + body + b"e](\x88\x89e\x86.")
    assert read_bin(path) == (pictures, [True, False])


class Runs:
    """Pickles into a call."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call[0], tuple(self.call[1:])


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_runs_a_program_is_refused_and_runs_nothing(
    tmp_path: Path, pictures: list[bytes], protocol: int
) -> None:
    mark = tmp_path / "ran"
    content = ([Runs(os.system, f"touch '{mark}'"), *pictures[1:]], [True, False])
    assert "system" in refused(put(tmp_path / "evil.bin", content, protocol))
    assert not mark.exists()


@pytest.mark.parametrize(
    "call",
    [
        (eval, "1"),
        (getattr, "a", "upper"),
        (np.load, "x"),
        (np.frombuffer, b"x"),
        (bytearray, 5),
        (__import__, "os"),
    ],
)
def test_no_function_is_let_through(tmp_path: Path, pictures: list[bytes], call: tuple[Any, ...]) -> None:
    assert "it asks for" in refused(put(tmp_path / "evil.bin", ([Runs(*call), *pictures[1:]], [True, False])))


def test_arrays_of_anything_but_bytes_are_refused(tmp_path: Path, pictures: list[bytes]) -> None:
    for array in (np.array([1.5]), np.array(["text"]), np.array([object], dtype=object)):
        assert "array of" in refused(put(tmp_path / "set.bin", ([array, *pictures[1:]], [True, False])))


def test_what_a_file_allows_itself_to_name_cannot_be_changed(tmp_path: Path) -> None:
    # Pushes the stand-in for `_codecs.encode` and sets an attribute of it.
    path = tmp_path / "evil.bin"
    path.write_bytes(b"\x80\x02c_codecs\nencode\n}X\x01\x00\x00\x00aK\x01sb.")
    assert "it changes a function" in refused(path)


def test_a_huge_index_reserves_no_memory(tmp_path: Path, pictures: list[bytes]) -> None:
    # The memo's index is 2 ** 32 - 1: the unpickler in C would reserve tens of gigabytes for it.
    path = tmp_path / "set.bin"
    path.write_bytes(b"\x80\x02]r\xff\xff\xff\xff]\x86.")
    assert "0 pictures for 0 pairs" in refused(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("text", "no pair of pictures"),
        ((1, 2, 3), "no pair of pictures"),
        ((b"one", b"two"), "no pair of lists"),
        (([b"1", b"2"], []), "2 pictures for 0 pairs"),
        (([b"1", b"2", b"3"], [True]), "3 pictures for 1 pairs"),
        (([b"1", b"2"], [True, False]), "2 pictures for 2 pairs"),
        (([b"1", 5], [True]), "a int stands where a picture belongs"),
        (([b"1", b"2"], [2]), "2 stands where a truth value belongs"),
        (([b"1", b"2"], ["yes"]), "'yes' stands where"),
    ],
)
def test_wrong_content_is_named(tmp_path: Path, content: Any, reason: str) -> None:
    assert reason in refused(put(tmp_path / "set.bin", content))


@pytest.mark.parametrize("content", [b"", b"no pickle", b"\x80\x04", b"\xff" * 100, b"PK\x03\x04"])
def test_what_is_no_pickle_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "set.bin"
    path.write_bytes(content)
    refused(path)


def test_a_cut_off_file_is_refused(tmp_path: Path, pictures: list[bytes]) -> None:
    path = put(tmp_path / "set.bin", (pictures, [True, False]))
    path.write_bytes(path.read_bytes()[:-200])
    refused(path)


def test_limits_hold(tmp_path: Path, pictures: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "set.bin", (pictures, [True, False]))
    monkeypatch.setattr(bins, "MAX_PICTURE_BYTES", 100)
    assert "a picture has more than" in refused(path)
    monkeypatch.setattr(bins, "MAX_PAIRS", 1)
    assert "4 pictures for 2 pairs" in refused(path)
    monkeypatch.setattr(bins, "MAX_FILE_BYTES", 100)
    assert "it has more than" in refused(path)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(GoodnoiseError, match="cannot be read") as caught:
        read_bin(tmp_path / "none.bin")
    assert caught.value.code is Code.NOT_FOUND


def test_pictures_are_decoded_in_rgb(pictures: list[bytes]) -> None:
    red = np.zeros((112, 112, 3), np.uint8)
    red[:, :, 0] = 200
    content = cv2.imencode(".png", red[:, :, ::-1])[1].tobytes()
    np.testing.assert_array_equal(decoded(content, what="red"), red)
    assert decoded(pictures[0], what="one").shape == (112, 112, 3)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (jpeg(1)[:-300], "cut off"),
        (jpeg(1)[:40], "cut off"),
        (b"", "no picture"),
        (b"GIF89a" + b"\0" * 60, "no picture"),
        (cv2.imencode(".png", np.zeros((1025, 4, 3), np.uint8))[1].tobytes(), "1024 pixels"),
        (cv2.imencode(".png", np.zeros((60, 60, 3), np.uint8))[1].tobytes()[:60], "cannot be decoded"),
    ],
)
def test_broken_and_oversized_pictures_are_refused(content: bytes, reason: str) -> None:
    with pytest.raises(GoodnoiseError, match=reason) as caught:
        decoded(content, what="picture 3")
    assert caught.value.code is Code.CORRUPT
    assert "picture 3" in caught.value.message


def test_a_set_gives_its_pairs_in_folds_and_its_pictures_as_aligned_faces(tmp_path: Path) -> None:
    content = [jpeg(seed) for seed in range(40)]
    same = [i % 4 < 2 for i in range(20)]
    dataset = BinSet("agedb", put(tmp_path / "agedb.bin", (content, same)))
    assert [pair.same for pair in dataset.pairs] == same
    assert [pair.fold for pair in dataset.pairs] == [1 + i // 2 for i in range(20)]
    shot = dataset.shot(dataset.pairs[3].second)
    np.testing.assert_array_equal(shot.pixels, decoded(content[7], what="7"))
    np.testing.assert_allclose(shot.five[0], (38.2946, 51.6963))
