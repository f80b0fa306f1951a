"""The journal: what is done counts while it is there; what is damaged is done again, and nothing else."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from edge_client.exits import Exit, exit_of_error
from edge_client.journal import JOURNAL, Entry, Journal
from shared.bundle import sha256_hex
from shared.errors import Code, GoodnoiseError

REPORT = {"protected": True, "faces": [], "faces_too_small": 0, "seconds": {}}


def entry(name="a.jpg", *, output=b"result", settings="s", sha256="1"):
    return Entry(name, sha256, settings, name, sha256_hex(output), REPORT)


def test_an_entry_counts_once_its_result_lies_there_and_while_it_is_unchanged(tmp_path):
    journal = Journal(tmp_path)
    journal.note(entry())
    assert journal.finished("a.jpg", "1", "s") is None
    (tmp_path / "a.jpg").write_bytes(b"result")
    for one in (journal, Journal(tmp_path)):
        assert one.finished("a.jpg", "1", "s") == entry()
        assert one.wrote("a.jpg", "1")
    (tmp_path / "a.jpg").write_bytes(b"something else")
    assert Journal(tmp_path).finished("a.jpg", "1", "s") is None
    assert not Journal(tmp_path).wrote("a.jpg", "1")


@pytest.mark.parametrize("other", [("b.jpg", "1", "s"), ("a.jpg", "2", "s"), ("a.jpg", "1", "t")])
def test_another_photo_or_setting_is_not_done(tmp_path, other):
    journal = Journal(tmp_path)
    journal.note(entry())
    (tmp_path / "a.jpg").write_bytes(b"result")
    assert journal.finished(*other) is None


def test_a_result_of_another_photo_is_not_this_ones(tmp_path):
    journal = Journal(tmp_path)
    journal.note(entry(sha256="another"))
    (tmp_path / "a.jpg").write_bytes(b"result")
    assert not journal.wrote("a.jpg", "1")


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"\n\n",
        b"\xff\xfe\x00 not text",
        b'{"source": "a.jpg", "sha',
        b"[" * 100_000,
        b"null",
        b"[1, 2]",
        b'{"source": "a.jpg"}',
        json.dumps(asdict(entry()) | {"output": 5}).encode(),
        json.dumps(asdict(entry()) | {"output": "../a.jpg"}).encode(),
        json.dumps(asdict(entry()) | {"report": []}).encode(),
        json.dumps(asdict(entry()) | {"report": {"protected": True}}).encode(),
        json.dumps(asdict(entry()) | {"report": {**REPORT, "faces": [5]}}).encode(),
        json.dumps(asdict(entry()) | {"more": 1}).encode(),
    ],
)
def test_damage_costs_neither_the_lines_before_nor_those_after(tmp_path, damage):
    """Also where the damage is a line that a crash cut off, without its end."""
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"result")
    Journal(tmp_path).note(entry("a.jpg"))
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(damage)
    Journal(tmp_path).note(entry("b.jpg"))
    read = Journal(tmp_path)
    assert read.finished("a.jpg", "1", "s") == entry("a.jpg")
    assert read.finished("b.jpg", "1", "s") == entry("b.jpg")


def test_names_of_any_kind_are_kept(tmp_path):
    name = "\udcffé 写真 [1].jpg"
    (tmp_path / name).write_bytes(b"result")
    Journal(tmp_path).note(entry(name))
    assert Journal(tmp_path).finished(name, "1", "s") == entry(name)


def test_a_journal_that_cannot_be_used_names_the_way_out(tmp_path):
    (tmp_path / JOURNAL).mkdir()
    with pytest.raises(GoodnoiseError, match="choose another with -o") as caught:
        Journal(tmp_path)
    assert caught.value.code is Code.PRECONDITION


def test_a_full_disk_is_said(tmp_path):
    journal = Journal(tmp_path)
    (tmp_path / JOURNAL).symlink_to("/dev/full")
    with pytest.raises(GoodnoiseError, match="no space left") as caught:
        journal.note(entry())
    assert caught.value.code is Code.EXHAUSTED
    assert exit_of_error(caught.value) is Exit.FAILED
