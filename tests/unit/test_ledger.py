"""The device's privacy budget: what may be told of a photo, and within a day."""

import sqlite3
import stat
import threading

import numpy as np
import pytest

from edge_client.ledger import Ledger, SpentError
from shared.errors import Code, GoodnoiseError
from shared.levels.labels import EPSILON_A_DAY, SIGNS_A_DAY

DAY = 86_400


class Clock:
    def __init__(self):
        self.now = 1_800_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ledger(tmp_path, clock):
    return Ledger(tmp_path / "home", now=clock)


def key(number):
    return bytes([number]) * 32


def test_a_photo_is_told_at_each_level_once(ledger, clock):
    for level in ("sketch", "sign"):
        getattr(ledger, level)(key(1))
        clock.now += 3 * DAY
        with pytest.raises(SpentError, match="nothing was sent") as caught:
            getattr(ledger, level)(key(1))
        assert caught.value.code is Code.EXHAUSTED
        getattr(ledger, level)(key(2))


def test_a_kind_is_drawn_once_in_a_photos_life_and_costs_once(ledger):
    drawn = iter(range(16))
    assert [ledger.cluster(key(1), lambda: next(drawn)) for _ in range(100)] == [0] * 100
    assert ledger.cluster(key(2), lambda: next(drawn)) == 1


def test_sketches_and_kinds_share_the_days_epsilon(ledger, clock):
    for number in range(5):
        ledger.sketch(key(number))  # 4 each
    for number in range(10):
        ledger.cluster(key(number), lambda: 3)  # 2 each
    with pytest.raises(SpentError, match=f"epsilon {EPSILON_A_DAY:g} of {EPSILON_A_DAY:g}"):
        ledger.cluster(key(99), lambda: 3)
    assert ledger.cluster(key(9), lambda: 0) == 3  # what was told already is free
    clock.now += DAY - 1
    with pytest.raises(SpentError):
        ledger.sketch(key(99))
    clock.now += 2
    ledger.sketch(key(99))


def test_signs_are_counted_by_the_day(ledger, clock):
    for number in range(SIGNS_A_DAY):
        ledger.sign(key(number))
    with pytest.raises(SpentError, match=f"{SIGNS_A_DAY} maps"):
        ledger.sign(key(99))
    clock.now -= 30 * DAY  # setting the clock back gains nothing
    with pytest.raises(SpentError):
        ledger.sign(key(99))
    clock.now += 32 * DAY
    ledger.sign(key(99))


def test_what_failed_to_be_drawn_costs_nothing(ledger):
    def fail():
        raise RuntimeError("no face")

    with pytest.raises(RuntimeError):
        ledger.cluster(key(1), fail)
    assert ledger.cluster(key(1), lambda: 7) == 7


def test_the_budget_outlives_the_process_and_holds_between_them(tmp_path):
    refused = []

    def work(number):
        try:
            Ledger(tmp_path).sketch(key(number))
        except SpentError:
            refused.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(14)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 4


def test_a_photo_is_known_by_its_pixels_under_a_key_of_this_device(tmp_path, rng):
    pixels = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    other = pixels.copy()
    other[3, 4, 1] ^= 1
    here, there = Ledger(tmp_path / "a"), Ledger(tmp_path / "b")
    assert here.photo(pixels) == Ledger(tmp_path / "a").photo(pixels.copy())
    found = {
        here.photo(pixels),
        here.photo(other),
        here.photo(pixels.reshape(30, 20, 3)),
        there.photo(pixels),
    }
    assert len(found) == 4


def test_only_the_owner_reads_the_files_and_they_name_no_photo(ledger, tmp_path, rng):
    pixels = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    ledger.cluster(ledger.photo(pixels), lambda: 3)
    files = sorted((tmp_path / "home").iterdir())
    assert [path.name for path in files] == ["hints.key", "hints.sqlite"]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    with sqlite3.connect(files[1]) as book:
        columns = [row[1] for row in book.execute("PRAGMA table_info(told)")]
    book.close()
    assert columns == ["photo", "level", "at", "epsilon", "answer"]


@pytest.mark.parametrize("name", ["hints.key", "hints.sqlite"])
def test_a_damaged_file_is_named_and_nothing_is_told(ledger, tmp_path, name, rng):
    pixels = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    ledger.sketch(ledger.photo(pixels))
    (tmp_path / "home" / name).write_bytes(b"damaged by something else" * 100)
    with pytest.raises(GoodnoiseError, match=name.replace(".", r"\.")) as caught:
        ledger.sketch(ledger.photo(pixels + 1))
    assert caught.value.code is Code.PRECONDITION
