"""Many photos: which files are taken, where results go, and that one photo's fault stays its own."""

from __future__ import annotations

import gc
import os
import weakref
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import edge_client.batch as batch_module
from edge_client.batch import Batch, Item, find_photos, run_batch
from edge_client.devicenets import DeviceNets
from edge_client.folders import photos_in
from edge_client.ladder import parse_budget
from edge_client.photos import Photo
from edge_client.protect import ProtectOptions
from shared.errors import Code, GoodnoiseError


@pytest.fixture
def folder(tmp_path):
    found = tmp_path / "in"
    for name in (
        "b.jpg",
        "a.PNG",
        "deep/er/c.webp",
        "deep/d.heic",
        "notes.txt",
        ".hidden.png",
        ".thumbs/e.png",
        "a.protected.png",
        "a.png.report.png",
        "my.protected.trip.jpg",
    ):
        path = found / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (found / "folder.jpg").mkdir()
    return found


def names(items):
    return [str(item.source.name) for item in items]


def refused(*arguments):
    with pytest.raises(GoodnoiseError) as caught:
        find_photos(*arguments)
    return caught.value


def test_photos_are_found_below_and_results_and_hidden_files_are_not(folder, tmp_path):
    items = find_photos([folder], tmp_path / "out")
    assert names(items) == ["a.PNG", "b.jpg", "d.heic", "c.webp", "my.protected.trip.jpg"]
    where = {item.source.name: item.folder for item in items}
    assert where["c.webp"] == tmp_path / "out" / "deep" / "er"
    assert where["b.jpg"] == tmp_path / "out"


def test_an_albums_photos_are_those_of_the_folder_itself(folder):
    assert [path.name for path in photos_in(folder)] == ["a.PNG", "b.jpg", "my.protected.trip.jpg"]


def test_without_a_folder_results_go_beside_the_photos(folder):
    assert {item.folder for item in find_photos([folder, folder / "b.jpg"], None)} == {None}


def test_a_photo_named_twice_is_taken_once(folder, tmp_path):
    again = folder / "deep" / ".." / "b.jpg"
    assert names(find_photos([folder / "b.jpg", again, folder / "b.jpg"], tmp_path / "out")) == ["b.jpg"]
    assert names(find_photos([folder, folder / "b.jpg"], tmp_path / "out")).count("b.jpg") == 1


def test_results_inside_the_photos_folder_are_no_input(folder):
    out = folder / "deep" / "out"
    out.mkdir()
    (out / "a.PNG").write_bytes(b"an earlier result")
    assert names(find_photos([folder], out)).count("a.PNG") == 1


def test_links_are_followed_to_photos_but_not_to_folders(folder, tmp_path):
    (folder / "link.jpg").symlink_to(folder / "b.jpg")
    (folder / "gone.jpg").symlink_to(tmp_path / "gone.jpg")
    (folder / "round").symlink_to(folder)
    found = names(find_photos([folder], tmp_path / "out"))
    assert "link.jpg" in found
    assert "gone.jpg" not in found
    assert found.count("b.jpg") == 1


def test_two_photos_with_one_result_are_refused(tmp_path):
    paths = [tmp_path / name / "me.jpg" for name in ("one", "two")]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(b"")
    error = refused(paths, tmp_path / "out")
    assert error.code is Code.INVALID_INPUT
    assert "two folders" in error.message
    assert len(find_photos(paths, None)) == 2


def test_names_that_differ_in_case_are_two_photos(tmp_path):
    for name in ("A.jpg", "a.jpg"):
        (tmp_path / name).write_bytes(b"")
    assert len(find_photos([tmp_path], tmp_path / "out")) == len(list(tmp_path.iterdir()))


def test_what_is_no_photo_names_itself_and_the_way_out(tmp_path):
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    for path, code, said in (
        (tmp_path / "no.jpg", Code.NOT_FOUND, "does not exist"),
        (tmp_path / "empty", Code.NOT_FOUND, "holds no photos (.jpg"),
        (tmp_path / "pipe.jpg", Code.INVALID_INPUT, "neither a file nor a folder"),
        (tmp_path / ("x" * 300), Code.INVALID_INPUT, "name another path"),
    ):
        error = refused([path], None)
        assert error.code is code
        assert str(path) in error.message
        assert said in error.message


class NoFaces:
    """A detector for whom no photo holds a face."""

    def find(self, photo):
        return []


@pytest.fixture
def batch():
    nets = DeviceNets("1", "phone", NoFaces(), (), (), np.zeros((0, 3, 112, 112), np.float32))
    return Batch(nets, ProtectOptions(parse_budget("auto")))


def photo_at(path, colour=90):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), (colour, 0, 0)).save(path)
    return path


def test_each_photo_ends_on_its_own(batch, tmp_path):
    photo = photo_at(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    (tmp_path / "a file").write_bytes(b"")
    items = [
        Item(photo, tmp_path / "out"),
        Item(tmp_path / "in" / "gone.png", tmp_path / "out"),
        Item(tmp_path / "in" / "broken.jpg", tmp_path / "out"),
        Item(photo, tmp_path / "a file"),
        Item(photo, tmp_path / "in"),
    ]
    results = list(run_batch(items, batch))
    assert [result.error.code for result in results] == [
        Code.NO_FACE,
        Code.NOT_FOUND,
        Code.INVALID_INPUT,
        Code.PRECONDITION,
        Code.PRECONDITION,
    ]
    assert "choose another with -o" in results[3].error.message
    assert "would replace the original" in results[4].error.message
    assert not list((tmp_path / "out").iterdir())


def test_a_failed_photo_is_let_go_of(batch, tmp_path, monkeypatch):
    """Thousands of photos without a face: none of them stays in memory through its error."""
    seen = []
    read = batch_module.read_photo

    def watched(*arguments, **options) -> Photo:
        photo = read(*arguments, **options)
        seen.append(weakref.ref(photo))
        return photo

    monkeypatch.setattr(batch_module, "read_photo", watched)
    results = list(run_batch([Item(photo_at(tmp_path / "a.png"), tmp_path / "out")], batch))
    gc.collect()
    assert results[0].error.code is Code.NO_FACE
    assert seen[0]() is None
    assert results[0].error.__traceback__ is None
    assert results[0].error.__cause__ is None


@pytest.mark.parametrize(
    ("fault", "code"), [(RuntimeError("strange"), Code.INTERNAL), (MemoryError(), Code.EXHAUSTED)]
)
def test_a_fault_of_the_program_costs_one_photo(batch, tmp_path, fault, code, caplog):
    class Faulty:
        def find(self, photo):
            if photo[0, 0, 0] == 1:
                raise fault
            return []

    photos = [photo_at(tmp_path / f"{colour}.png", colour) for colour in (1, 2)]
    faulty = replace(batch, nets=replace(batch.nets, detector=Faulty()))
    results = list(run_batch([Item(p, tmp_path / "out") for p in photos], faulty))
    assert [result.error.code for result in results] == [code, Code.NO_FACE]
    assert "1.png" in results[0].error.message
    if code is Code.INTERNAL:
        assert "strange" in results[0].error.message
        assert "Traceback" in caplog.text


def test_an_interruption_is_not_swallowed(batch, tmp_path):
    class Interrupted:
        def find(self, photo):
            raise KeyboardInterrupt

    stopped = replace(batch, nets=replace(batch.nets, detector=Interrupted()))
    with pytest.raises(KeyboardInterrupt):
        list(run_batch([Item(photo_at(tmp_path / "a.png"), None)], stopped))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
