"""Real solvers read what is not attacked, and are held to the alphabet."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from cloud_server.captcha.challenges.render import draw_text, render
from cloud_server.captcha.challenges.types import DRAWN
from cloud_server.captcha.report.preprocess import PREPROCESSINGS, STRETCHINGS, Grey
from cloud_server.captcha.report.solvers import SOLVERS, Columns, open_solvers
from models.store import Store, load_card
from shared.errors import Code, GoodnoiseError

# Of 24 images; tesseract reads few of these even without the attack.
_LEAST = {"ppocr": 18, "whisperer": 18, "ddddocr": 18, "ddddocr-old": 18, "tesseract": 5}


@pytest.fixture(scope="module")
def plain() -> tuple[list[str], list[Grey]]:
    rng = np.random.default_rng(7)
    made = [render(draw_text(rng, characters=DRAWN), rng=rng) for _ in range(24)]
    return [item.text for item in made], [np.rint(255 * item.image).astype(np.uint8) for item in made]


def _right(texts: Sequence[str], readings: Sequence[str]) -> int:
    return sum(a == b for a, b in zip(texts, readings, strict=True))


@pytest.mark.parametrize("name", sorted(SOLVERS))
def test_solver_reads_plain_challenges_within_the_alphabet(name, plain):
    here, absent = open_solvers((name,))
    if absent:
        pytest.skip(absent[0].reason)
    texts, images = plain
    readings = here[0].read(images)
    assert _right(texts, readings) >= _LEAST[name]
    assert set("".join(readings)) <= set(DRAWN)
    assert sum(map(len, readings)) >= 0.56 * sum(map(len, texts))
    assert here[0].version
    assert here[0].read([]) == []


def test_solvers_are_marked_as_seen_and_unknown_ones_refused(zoo):
    here, absent = open_solvers(("ppocr", "whisperer"), seen=("ppocr",), store=Store(zoo))
    assert {solver.name: solver.seen for solver in here} == {"ppocr": True, "whisperer": False}
    assert absent == []
    with pytest.raises(GoodnoiseError, match="'gocr'"):
        open_solvers(("gocr",))


def test_a_solver_that_is_not_here_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    here, absent = open_solvers(("tesseract", "ppocr"), store=Store(tmp_path))
    assert here == []
    assert [row.name for row in absent] == ["tesseract", "ppocr"]
    assert "tesseract-ocr" in absent[0].reason
    assert "goodnoise-models fetch" in absent[1].reason


def test_a_program_that_fails_is_named(tmp_path, monkeypatch, plain):
    program = tmp_path / "tesseract"
    program.write_text("#!/bin/sh\n[ \"$1\" = --version ] && echo 'tesseract 9' && exit 0\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    here, _ = open_solvers(("tesseract",))
    assert here[0].version == "9"
    with pytest.raises(GoodnoiseError, match="tesseract failed") as caught:
        here[0].read(plain[1])
    assert caught.value.code is Code.PRECONDITION


def test_images_that_a_program_dies_of_count_as_not_read(tmp_path, monkeypatch, plain):
    # Dies of an arithmetic fault where the third image is among its pages, else says its pages' numbers.
    program = tmp_path / "tesseract"
    program.write_text(
        "#!/bin/sh\n[ \"$1\" = --version ] && echo 'tesseract 9' && exit 0\n"
        'while read -r page; do cmp -s "$page" ' + str(tmp_path / "third.png") + " && kill -FPE $$\n"
        "printf 'ACD\\n\\f'; done < \"$1\"\n"
    )
    program.chmod(0o755)
    (tmp_path / "third.png").write_bytes(cv2.imencode(".png", plain[1][2])[1].tobytes())
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    here, _ = open_solvers(("tesseract",))
    assert here[0].read(plain[1][:5]) == ["ACD", "ACD", "", "ACD", "ACD"]


def test_columns_choose_among_the_alphabet_in_both_cases():
    # Classes: blank, 'a', 'A', 'O' (not in the alphabet), 'C'. Column by column: a, a, O before C, blank, A.
    scores = np.array(
        [[0, 9, 1, 0, 0], [0, 9, 1, 0, 0], [0, 0, 0, 9, 5], [9, 0, 0, 0, 0], [0, 0, 9, 0, 0]], np.float32
    )
    solver = Columns("test", "1", seen=False, characters=("", "a", "A", "O", "C"), score=lambda _: scores)
    assert solver.read([np.zeros((4, 4), np.uint8)]) == ["ACA"]


@pytest.mark.parametrize("name", STRETCHINGS)
def test_stretching_brings_out_strokes_darker_than_what_is_drawn_beside_them(name):
    image = np.full((64, 256), 200, np.uint8)
    image[:, 128:] = 176
    image[24:36, 40:200] = 140
    found = STRETCHINGS[name](image)
    assert found.shape == image.shape
    stroke, drawn, ground = (int(found[row, column]) for row, column in ((30, 100), (5, 240), (5, 5)))
    assert stroke < 30
    # What was drawn is two fifths as far from the ground as strokes are; none of it is left.
    assert drawn - stroke > 0.8 * (ground - stroke)


def test_one_shade_has_no_tones_to_stretch():
    flat = np.full((64, 256), 90, np.uint8)
    assert all(np.unique(stretch(flat)).size == 1 for stretch in STRETCHINGS.values())


@pytest.mark.parametrize("name", sorted(PREPROCESSINGS))
def test_preprocessing_keeps_a_plain_image_readable(name, plain, zoo):
    image = plain[1][0].copy()
    found = PREPROCESSINGS[name](image)
    assert found.dtype == np.uint8
    factor = 2 if name == "2x" else 1
    assert found.shape == (factor * image.shape[0], factor * image.shape[1])
    assert np.array_equal(image, plain[1][0])
    reader = open_solvers(("whisperer",), store=Store(zoo))[0][0]
    assert reader.read([found]) == [plain[0][0]]


def test_preprocessings_do_what_they_are_called(rng):
    image = np.full((16, 16), 200, np.uint8)
    image[8, 8] = 0
    assert PREPROCESSINGS["median 3"](image).min() == 200
    assert 100 < PREPROCESSINGS["blur"](image).min() < 200
    noisy = rng.integers(0, 256, (32, 32), dtype=np.uint8)
    assert set(np.unique(PREPROCESSINGS["otsu"](noisy))) == {0, 255}
    assert np.abs(PREPROCESSINGS["jpeg 50"](noisy).astype(int) - noisy).max() > 8
    assert PREPROCESSINGS["nothing"](noisy) is noisy


def test_zoo_has_the_readers(zoo):
    for name in ("ppocr-v6-rec", "captcha-whisperer"):
        assert len(Store(zoo).read(load_card(name))) > 1_000_000
