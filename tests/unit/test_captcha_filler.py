"""Filling the pool: only what the gate lets pass, sealed answers, and work that goes on where it ended."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from cloud_server.captcha.challenges.filler import deployment_of, fill, to_prepared  # noqa: E402
from cloud_server.captcha.challenges.maker import Maker, load_maker  # noqa: E402
from cloud_server.captcha.challenges.recipe import ATTACK, Recipe  # noqa: E402
from cloud_server.captcha.challenges.render import Style  # noqa: E402
from cloud_server.captcha.keys import Keys  # noqa: E402
from cloud_server.captcha.state import Challenge, open_store  # noqa: E402
from cloud_server.captcha.stock import Stock  # noqa: E402
from cloud_server.captcha.types import Kind, Prepared  # noqa: E402

pytestmark = pytest.mark.torch

KEY = b"k" * 32
# Images made at once, so that tests are quick.
FEW = 4
# A short attack on strokes of which many are too faint, so that the gate refuses some images of each batch.
FAINT = Recipe(
    style=Style(contrast=(14, 58), grain=(2, 8)),
    readers=(("columns", 1.0),),
    start=False,
    attack=replace(ATTACK, steps=1),
)


class Recording(Maker):
    """The real maker, which remembers what it made."""

    def __init__(self, maker):
        super().__init__(maker.recipe, maker.networks)
        self.made = []

    def stream(self, *, seed, batch=FEW):
        """As of the maker, in small batches."""
        for item in super().stream(seed=seed, batch=batch):
            self.made.append(item)
            yield item

    @property
    def issued(self):
        """What may be issued."""
        return [item for item in self.made if item.passed]


@pytest.fixture(scope="module")
def loaded():
    """A maker with its readers."""
    return load_maker(FAINT)


@pytest.fixture
def maker(loaded, monkeypatch):
    """One that remembers what it made in this test."""
    monkeypatch.setattr("cloud_server.captcha.challenges.filler.BATCH", FEW)
    return Recording(loaded)


@pytest.fixture
async def store(tmp_path):
    """A real state."""
    opened = open_store(f"sqlite:{tmp_path / 'state.sqlite'}")
    yield opened
    await opened.close()


def stock_of(store, maker):
    return Stock(store, key=KEY, style=maker.version)


async def take_all(store):
    """All images that wait, as visitors would get them, with their sealed answers."""
    found = await take(store, 1000)
    assert len(found) < 1000, "the pool has no end"
    return found


async def take(store, most):
    """The oldest images that wait, at most so many."""
    found, now = [], time.time()
    for number in range(most):
        key = hashlib.sha256(b"%d" % number).digest()
        asked = Challenge(key=key, kind=Kind.IMAGE, site="site", created=now, expires=now + 300)
        challenge = await store.pool_take(asked)
        if challenge is None:
            return found
        found.append((await store.challenge_image(key, now=now), challenge.answer))
    return found


def chunks(png):
    """Names of a PNG's chunks, and the bytes of its header."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    names, place, header = [], 8, b""
    while place < len(png):
        (size,) = struct.unpack(">I", png[place : place + 4])
        names.append(png[place + 4 : place + 8])
        if names[-1] == b"IHDR":
            header = png[place + 8 : place + 8 + size]
        place += 12 + size
    return names, header


async def test_the_pool_gets_what_the_gate_lets_pass_and_nothing_else(store, maker):
    reports = []
    # The gate refuses four of ten of these: that none of so many is refused happens once in 500,000 times.
    pool = 24
    state = await fill(stock_of(store, maker), maker, pool=pool, until_full=True, report=reports.append)
    refused = [item for item in maker.made if not item.passed]
    assert refused
    assert (state.added, state.refused) == (len(maker.issued), len(refused))
    assert pool <= state.depth == await store.pool_depth() == len(maker.issued) < pool + FEW
    assert reports[-1] == state
    assert len(reports) == len(maker.made) / FEW
    assert state.rate == pytest.approx(state.added / state.seconds)
    waiting = await take_all(store)
    issued = [(to_prepared(item).image, item.rendered.text) for item in maker.issued]
    assert [image for image, _ in waiting] == [image for image, _ in issued]
    keys = Keys(KEY)
    assert all(keys.opens(answer, text) for (_, answer), (_, text) in zip(waiting, issued, strict=True))
    assert {to_prepared(item).image for item in refused}.isdisjoint(image for image, _ in waiting)


async def test_a_full_pool_is_left_as_it_is(store, maker):
    stock = stock_of(store, maker)
    await stock.put([Prepared(b"image", "ACDE")] * 3)
    state = await fill(stock, maker, pool=3, until_full=True, report=lambda _: None)
    assert (state.depth, state.added, maker.made) == (3, 0, [])
    assert state.rate == 0


async def test_images_of_another_version_go_and_those_of_this_one_stay(store, maker):
    await Stock(store, key=KEY, style="another").put([Prepared(b"old", "ACDE")] * 5)
    await stock_of(store, maker).put([Prepared(b"mine", "ACDE")] * 2)
    state = await fill(stock_of(store, maker), maker, pool=2, until_full=True, report=lambda _: None)
    assert state.depth == 2
    assert {image for image, _ in await take_all(store)} == {b"mine"}


async def test_filling_goes_on_after_an_interruption(store, maker):
    first = asyncio.Event()
    stock = stock_of(store, maker)

    def told(state):
        # The gate may refuse every image of a batch.
        if state.added:
            first.set()

    task = asyncio.create_task(fill(stock, maker, pool=10_000, until_full=False, report=told))
    await asyncio.wait_for(first.wait(), 120)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    before = await store.pool_depth()
    assert 0 < before <= len(maker.issued)
    state = await fill(stock, maker, pool=before + 1, until_full=True, report=lambda _: None)
    assert state.depth == await store.pool_depth() == before + state.added > before
    waiting = await take_all(store)
    assert len({image for image, _ in waiting}) == len(waiting)


class Watched(Stock):
    """The real stock, which tells when its depth was looked at."""

    def __init__(self, store, *, key, style):
        super().__init__(store, key=key, style=style)
        self.looked = asyncio.Event()

    async def depth(self):
        found = await super().depth()
        self.looked.set()
        return found


async def test_a_full_pool_is_filled_again_as_images_are_taken(store, maker, monkeypatch):
    monkeypatch.setattr("cloud_server.captcha.challenges.filler._LOOK_SECONDS", 0.01)
    stock = Watched(store, key=KEY, style=maker.version)
    await stock.put([Prepared(b"image", "ACDE")] * 4)
    full = asyncio.Event()

    def told(state):
        # A batch of which the gate refuses every image leaves the pool as empty as it was.
        if state.depth >= 4:
            full.set()

    task = asyncio.create_task(fill(stock, maker, pool=4, until_full=False, report=told))
    await asyncio.wait_for(stock.looked.wait(), 30)
    assert maker.made == []
    # The four that waited are the oldest: nothing that is made meanwhile is taken with them.
    assert [image for image, _ in await take(store, 4)] == [b"image"] * 4
    await asyncio.wait_for(full.wait(), 120)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await store.pool_depth() == len(maker.issued) >= 4


async def test_answers_are_not_in_the_state_in_the_clear(tmp_path, maker):
    opened = open_store(f"sqlite:{tmp_path / 'state.sqlite'}")
    await fill(stock_of(opened, maker), maker, pool=3, until_full=True, report=lambda _: None)
    texts = [item.rendered.text for item in maker.issued]
    kept = files_of(tmp_path)
    await opened.close()
    for content in (kept, files_of(tmp_path)):
        assert content.count(b"IHDR") >= len(texts)
        for text in texts:
            plain, small = text.encode(), text.lower().encode()
            for form in (plain, small, plain.hex().encode(), text.encode("utf-16-le"), plain[::-1]):
                assert form not in content
            for digest in (hashlib.sha256, hashlib.sha1, hashlib.md5, hashlib.blake2b):
                assert digest(plain).digest() not in content


def files_of(folder):
    """All bytes of the state: the file, and its log of writes."""
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "key")


def test_images_are_plain_grey_without_metadata(loaded):
    for item in loaded.make(3, seed=2):
        prepared = to_prepared(item)
        names, header = chunks(prepared.image)
        assert (names[0], names[-1], set(names)) == (b"IHDR", b"IEND", {b"IHDR", b"IDAT", b"IEND"})
        width, height, bits, colour = struct.unpack(">IIBB", header[:10])
        assert (height, width, bits, colour) == (*item.attacked.shape, 8, 0)
        decoded = cv2.imdecode(np.frombuffer(prepared.image, np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(decoded, item.attacked)
        assert prepared.answer == item.rendered.text
        assert item.rendered.text.encode() not in prepared.image


async def test_two_fillings_make_other_images(store, maker, loaded):
    texts = []
    for one in (maker, Recording(loaded)):
        depth = await store.pool_depth()
        await fill(stock_of(store, one), one, pool=depth + 1, until_full=True, report=lambda _: None)
        texts.append({item.rendered.text for item in one.made})
    assert texts[0].isdisjoint(texts[1])


def test_a_deployment_s_number_follows_from_its_key_and_does_not_tell_it():
    numbers = {deployment_of(bytes([k]) * 32) for k in range(20)}
    assert len(numbers) == 20
    assert deployment_of(KEY) == deployment_of(KEY)
    assert all(0 <= number < 1 << 64 for number in numbers)
    assert deployment_of(KEY).to_bytes(8, "big") not in hashlib.blake2b(KEY, digest_size=8).digest()


def start(folder, *arguments):
    """`goodnoise-cloud captcha fill`, as a process."""
    places = ("--state", f"sqlite:{folder / 'state.sqlite'}", "--key-file", str(folder / "key"))
    command = (sys.executable, "-m", "cloud_server.cli", "captcha", "fill", *places, *arguments)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def rows(folder):
    """Rows of the table of images, after the file was checked."""
    connection = sqlite3.connect(folder / "state.sqlite")
    assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
    [found] = connection.execute("select count(*) from pool").fetchone()
    connection.close()
    return found


@pytest.mark.zoo
def test_the_command_fills_until_full_and_ends_at_sigterm(zoo, tmp_path):
    process = start(tmp_path, "--pool", "4")
    try:
        for line in process.stderr:
            if '"captcha.filled"' in line:
                break
        process.send_signal(signal.SIGTERM)
        out, error = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode in (0, -signal.SIGTERM)
    assert "Traceback" not in error
    assert out == ""
    before = rows(tmp_path)
    assert before > 0
    assert oct((tmp_path / "key").stat().st_mode & 0o777) == "0o600"

    process = start(tmp_path, "--pool", str(before + 1), "--until-full")
    out, error = process.communicate(timeout=240)
    assert (process.returncode, out) == (0, "")
    last = json.loads(error.splitlines()[-1])
    # What waited is still good: the same key gives the same fonts, and so the same version.
    assert rows(tmp_path) == last["depth"] == before + last["added"] > before
    assert last["per_second"] > 0
