"""Results land whole, under the right name, and never on an original."""

from __future__ import annotations

import os
import stat

import pytest

from edge_client.photos import output_path, write_atomic
from shared.errors import Code, GoodnoiseError


def test_the_name_stays_in_a_folder_for_results(tmp_path):
    source = tmp_path / "holiday.JPEG"
    assert output_path(source, tmp_path / "out", "JPEG") == tmp_path / "out" / "holiday.JPEG"


def test_beside_the_original_the_name_says_what_it_is(tmp_path):
    assert output_path(tmp_path / "a.b.png", None, "PNG") == tmp_path / "a.b.protected.png"


def test_an_ending_that_does_not_fit_the_format_is_corrected(tmp_path):
    assert output_path(tmp_path / "a.png", tmp_path / "out", "JPEG").name == "a.jpg"


def test_an_unknown_format_is_a_callers_mistake(tmp_path):
    with pytest.raises(ValueError, match="expected one of JPEG"):
        output_path(tmp_path / "a.gif", None, "GIF")


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("kind", ["same", "dotted", "hard", "symbolic"])
def test_the_original_is_never_a_target(tmp_path, kind, overwrite):
    source = tmp_path / "a.jpg"
    source.write_bytes(b"original")
    out = tmp_path / "out"
    out.mkdir()
    folder = {"same": tmp_path, "dotted": out / ".."}.get(kind, out)
    if kind == "hard":
        (out / "a.jpg").hardlink_to(source)
    if kind == "symbolic":
        (out / "a.jpg").symlink_to(source)
    with pytest.raises(GoodnoiseError, match="would replace the original") as caught:
        output_path(source, folder, "JPEG", overwrite=overwrite)
    assert caught.value.code is Code.PRECONDITION


def test_a_symbolic_link_as_source_protects_the_file_behind_it(tmp_path):
    real = tmp_path / "out" / "a.jpg"
    real.parent.mkdir()
    real.write_bytes(b"original")
    link = tmp_path / "a.jpg"
    link.symlink_to(real)
    with pytest.raises(GoodnoiseError, match="would replace the original"):
        output_path(link, real.parent, "JPEG", overwrite=True)


def test_an_existing_file_is_only_a_target_when_allowed(tmp_path):
    source, taken = tmp_path / "a.jpg", tmp_path / "a.protected.jpg"
    source.write_bytes(b"original")
    taken.write_bytes(b"earlier")
    with pytest.raises(GoodnoiseError, match="exists already"):
        output_path(source, None, "JPEG")
    assert output_path(source, None, "JPEG", overwrite=True) == taken


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_dangling_link_and_a_folder_are_no_free_places(tmp_path, overwrite):
    source = tmp_path / "a.jpg"
    (tmp_path / "out" / "a.jpg").mkdir(parents=True)
    with pytest.raises(GoodnoiseError, match="is a folder"):
        output_path(source, tmp_path / "out", "JPEG", overwrite=overwrite)
    if not overwrite:
        (tmp_path / "a.protected.jpg").symlink_to(tmp_path / "nowhere")
        with pytest.raises(GoodnoiseError, match="exists already"):
            output_path(source, None, "JPEG")


def test_a_file_is_written_whole_with_ordinary_permissions(tmp_path):
    target = tmp_path / "a.jpg"
    before = os.umask(0o027)
    try:
        write_atomic(target, b"content")
    finally:
        os.umask(before)
    assert target.read_bytes() == b"content"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_appeared_meanwhile_is_left_alone(tmp_path):
    target = tmp_path / "a.jpg"
    target.write_bytes(b"earlier")
    with pytest.raises(GoodnoiseError, match="exists already") as caught:
        write_atomic(target, b"content")
    assert caught.value.code is Code.PRECONDITION
    assert target.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [target]
    write_atomic(target, b"content", overwrite=True)
    assert target.read_bytes() == b"content"


def test_a_link_is_replaced_and_not_followed(tmp_path):
    behind, link = tmp_path / "behind.jpg", tmp_path / "a.jpg"
    behind.write_bytes(b"somebody's photo")
    link.symlink_to(behind)
    write_atomic(link, b"content", overwrite=True)
    assert behind.read_bytes() == b"somebody's photo"
    assert link.read_bytes() == b"content"
    assert not link.is_symlink()


def test_nothing_is_left_when_writing_fails(tmp_path):
    target = tmp_path / "a.jpg"
    target.mkdir()
    (target / "inside").write_bytes(b"")
    with pytest.raises(GoodnoiseError, match=r"a\.jpg"):
        write_atomic(target, b"content", overwrite=True)
    assert list(tmp_path.iterdir()) == [target]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(GoodnoiseError, match=r"the folder for a\.jpg does not exist") as caught:
        write_atomic(tmp_path / "none" / "a.jpg", b"content")
    assert caught.value.code is Code.NOT_FOUND


def test_a_name_as_long_as_a_name_can_be_is_written(tmp_path):
    target = tmp_path / ("a" * 251 + ".jpg")
    write_atomic(target, b"content")
    assert target.read_bytes() == b"content"


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    import errno

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GoodnoiseError, match="no space left") as caught:
        write_atomic(tmp_path / "a.jpg", b"content")
    assert caught.value.code is Code.EXHAUSTED
    assert not list(tmp_path.iterdir())


def test_without_hard_links_a_new_file_is_still_written_and_an_old_one_kept(tmp_path, monkeypatch):
    import errno
    from pathlib import Path

    def refused(self, target):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    target = tmp_path / "a.jpg"
    write_atomic(target, b"content")
    with pytest.raises(GoodnoiseError, match="exists already"):
        write_atomic(target, b"other")
    assert target.read_bytes() == b"content"
    assert list(tmp_path.iterdir()) == [target]
