"""Datasets as people have them: parts by many names, files by patterns, pictures of odd kinds."""

from __future__ import annotations

import io
import struct
import tarfile
import zlib

import numpy as np
import pytest
from PIL import Image

pyarrow = pytest.importorskip("pyarrow", reason="needs the augment extra")

from pyarrow import parquet  # noqa: E402

from cloud_server.augment.formats import ArraySource, open_source, refuse_held_out  # noqa: E402
from cloud_server.augment.formats.pictures import decode, sha256  # noqa: E402
from cloud_server.augment.formats.splits import split_in  # noqa: E402
from shared.errors import Code, GoodnoiseError  # noqa: E402

HELD = (
    "val",
    "valid",
    "validation",
    "dev",
    "test",
    "Testing",
    "eval",
    "evaluation",
    "hold-out",
    "HOLDOUT",
    "held_out",
    "test_set",
    "val2017",
)


@pytest.fixture
def images(rng):
    """Seven small pictures."""
    return rng.integers(0, 256, (7, 8, 6, 3), dtype=np.uint8)


def encoded(picture, kind="PNG", **settings):
    """A file's bytes."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, kind, **settings)
    return file.getvalue()


def put_folder(root, images):
    """Two classes, one of them called 'test'."""
    for name, picture in zip(("cat/1.png", "cat/2.png", "test/3.png"), images, strict=False):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encoded(picture))


def put_parquet(path, images, column="image"):
    """A file with plain bytes and integer labels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = [k % 2 for k in range(len(images))]
    parquet.write_table(
        pyarrow.table({column: [encoded(one) for one in images], "label": labels}), path, row_group_size=2
    )


def put_tar(path, images):
    """A WebDataset tar with `.cls` members."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for number, picture in enumerate(images):
            for suffix, data in (("png", encoded(picture)), ("cls", b"1")):
                item = tarfile.TarInfo(f"{number:03d}.{suffix}")
                item.size = len(data)
                tar.addfile(item, io.BytesIO(data))


def put_npz(path, images):
    """Images and labels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, images=images, labels=np.zeros(len(images), np.int64))


WRITERS = {"parquet": put_parquet, "tar": put_tar, "npz": put_npz}


# Splits


@pytest.mark.parametrize("name", HELD)
def test_a_held_out_folder_is_refused_however_it_is_given(tmp_path, monkeypatch, images, name):
    put_folder(tmp_path / name, images)
    monkeypatch.chdir(tmp_path / name)
    for path, split in ((tmp_path / name, None), (tmp_path / name, "train"), (tmp_path / name / ".", None)):
        with pytest.raises(GoodnoiseError, match="leak") as caught:
            refuse_held_out(open_source(path, split=split))
        assert caught.value.code is Code.PRECONDITION
    with pytest.raises(GoodnoiseError, match="leak"):
        refuse_held_out(open_source(type(tmp_path)("."), format="folder"))


@pytest.mark.parametrize("kind", sorted(WRITERS))
@pytest.mark.parametrize("name", HELD)
def test_held_out_files_are_refused_by_their_own_name_or_their_folders(tmp_path, images, kind, name):
    for place in (f"{name}-00000-of-00002.{kind}", f"{name}/part-0.{kind}", f"a/flowers-{name}.{kind}"):
        path = tmp_path / place
        WRITERS[kind](path, images)
        with pytest.raises(GoodnoiseError, match="leak"):
            refuse_held_out(open_source(path))
        path.unlink()


@pytest.mark.parametrize("name", HELD)
def test_held_out_names_that_users_give_are_refused(images, name):
    with pytest.raises(GoodnoiseError, match="rename what is not held out"):
        refuse_held_out(ArraySource(images, [0] * 7, split=name))
    assert split_in(f"cifar-{name}-00000-of-00002.parquet") in {"validation", "test"}
    assert split_in(f"x.{name}.npz") in {"validation", "test"}


@pytest.mark.parametrize("kind", sorted(WRITERS))
def test_of_several_parts_the_training_one_is_taken(tmp_path, images, kind):
    WRITERS[kind](tmp_path / f"train-0.{kind}", images[:5])
    WRITERS[kind](tmp_path / f"test-0.{kind}", images[5:])
    found = open_source(tmp_path)
    refuse_held_out(found)
    assert (found.split, len(found)) == ("train", 5)
    assert len(open_source(tmp_path, split="testing")) == 2
    with pytest.raises(GoodnoiseError, match="of the split 'validation', it has test, train") as caught:
        open_source(tmp_path, split="val")
    assert caught.value.code is Code.NOT_FOUND


def test_a_training_file_is_not_taken_for_the_test_split(tmp_path, images):
    put_parquet(tmp_path / "train.parquet", images)
    with pytest.raises(GoodnoiseError, match="of the split 'test', it has train"):
        open_source(tmp_path, split="test")


def test_splits_beside_other_folders_are_not_taken_for_classes(tmp_path, images):
    for name in ("train", "val", "masks"):
        put_folder(tmp_path / name, images)
    with pytest.raises(GoodnoiseError, match=r"holds splits \(train, val\) beside masks"):
        open_source(tmp_path)
    put_folder(tmp_path / "two" / "val", images)
    put_folder(tmp_path / "two" / "valid", images)
    with pytest.raises(GoodnoiseError, match="two names: val, valid"):
        open_source(tmp_path / "two", split="val")


# Files


@pytest.mark.parametrize("pattern", ["train-{00..02}.tar", "train-*.tar", "{00..02}x.tar"])
def test_tars_are_given_by_a_pattern(tmp_path, images, pattern):
    names = [pattern.replace("{00..02}", f"{k:02d}").replace("*", str(k)) for k in range(3)]
    for name, pictures in zip(names, (images[:3], images[3:4], images[4:]), strict=True):
        put_tar(tmp_path / name, pictures)
    found = open_source(tmp_path / pattern)
    assert [sha256(found.read(k).tobytes()) for k in range(7)] == [sha256(one.tobytes()) for one in images]


def test_a_pattern_names_what_is_missing(tmp_path, images):
    put_tar(tmp_path / "a-0.tar", images)
    with pytest.raises(GoodnoiseError, match=r"there is no .*a-1\.tar"):
        open_source(tmp_path / "a-{0..3}.tar")
    with pytest.raises(GoodnoiseError, match=r"there is no .*b-\*\.tar"):
        open_source(tmp_path / "b-*.tar")
    for wrong in ("a-{3..0}.tar", "a-{0..99999999}.tar"):
        with pytest.raises(GoodnoiseError, match="range of none or of more"):
            open_source(tmp_path / wrong)


@pytest.mark.parametrize("kind", ["parquet", "tar"])
def test_two_files_of_one_name_are_refused(tmp_path, images, kind):
    for folder in ("a", "b"):
        WRITERS[kind](tmp_path / folder / f"part-0.{kind}", images)
    with pytest.raises(GoodnoiseError, match="have one name"):
        open_source(tmp_path, format="webdataset" if kind == "tar" else kind)


def test_a_row_group_at_a_time_is_read(tmp_path, images):
    put_parquet(tmp_path / "a.parquet", images, column="content")
    found = open_source(tmp_path / "a.parquet")
    for index in (6, 0, 3, 2, 5, 1, 4):
        assert np.array_equal(found.read(index), images[index])
    assert found.classes == ("0", "1")
    assert found._rows.cache_info().currsize == 2


def test_a_folder_of_npy_files_is_mapped(tmp_path, images):
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "labels.npy", np.array([0, 1, 0, 1, 0, 1, 1]))
    np.save(tmp_path / "classes.npy", np.array(["cat", "dog"]))
    found = open_source(tmp_path)
    assert found.classes == ("cat", "dog")
    assert isinstance(found._images, np.memmap)
    assert np.array_equal(found.read(6), images[6])
    (tmp_path / "labels.npy").write_bytes(b"no array")
    with pytest.raises(GoodnoiseError, match=r"labels\.npy cannot be read") as caught:
        open_source(tmp_path)
    assert caught.value.code is Code.CORRUPT


def test_arrays_of_objects_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.array([{"a": 1}], dtype=object), labels=np.zeros(1, np.int64))
    with pytest.raises(GoodnoiseError, match="allow_pickle=False"):
        open_source(tmp_path / "a.npz")


def test_missing_arrays_are_named(tmp_path, images):
    np.savez(tmp_path / "a.npz", images=images)
    with pytest.raises(GoodnoiseError, match=r"no array 'label', it has images"):
        open_source(tmp_path / "a.npz")
    put_npz(tmp_path / "b.npz", images)
    with pytest.raises(GoodnoiseError, match="no array 'sex'"):
        open_source(tmp_path / "b.npz", group="sex")


def test_groups_come_from_a_column_of_metadata(tmp_path, images):
    put_folder(tmp_path, images)
    lines = ["file_name,sex", "cat/1.png,m", "cat/2.png,f", "test/3.png,m"]
    (tmp_path / "metadata.csv").write_text("\n".join(lines))
    found = open_source(tmp_path, group="sex")
    assert (found.group_names, found.groups.tolist()) == (("f", "m"), [1, 0, 1])
    with pytest.raises(GoodnoiseError, match=r"says no 'age' of cat/1\.png"):
        open_source(tmp_path, group="age")


def test_a_class_folder_that_is_a_link_is_refused(tmp_path, images):
    put_folder(tmp_path / "elsewhere", images)
    put_folder(tmp_path / "in", images)
    (tmp_path / "in" / "dog").symlink_to(tmp_path / "elsewhere" / "cat")
    with pytest.raises(GoodnoiseError, match="dog is a link"):
        open_source(tmp_path / "in")


# Pictures


def deep_png():
    """A colour PNG of 16 bits a channel, which Pillow reads as 8 without a word."""
    rows = b"".join(b"\0" + bytes(range(24)) for _ in range(4))
    head = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_sixteen_bits_are_not_halved_silently():
    assert Image.open(io.BytesIO(deep_png())).mode == "RGB"
    with pytest.raises(GoodnoiseError, match="16 bits a channel"):
        decode(deep_png(), "it")


def test_a_colour_that_stands_for_transparent_counts_where_it_is_used(images):
    red = np.zeros((4, 4, 3), np.uint8)
    red[0] = (255, 0, 0)
    with pytest.raises(GoodnoiseError, match="transparent"):
        decode(encoded(red, transparency=(255, 0, 0)), "it")
    assert np.array_equal(decode(encoded(red, transparency=(1, 2, 3)), "it"), red)
    grey = images[0][:, :, 0]
    assert decode(encoded(grey | 1, transparency=0), "it").shape == (8, 6, 1)


@pytest.mark.parametrize("kind", ["PPM", "EPS", "PCX", "ICO"])
def test_formats_that_no_dataset_needs_are_not_opened(images, kind):
    with pytest.raises(GoodnoiseError, match="cannot be read as an image"):
        decode(encoded(images[0], kind), "it")


def test_palettes_become_colours(images):
    palette = Image.fromarray(images[0]).quantize(16)
    file = io.BytesIO()
    palette.save(file, "PNG")
    assert np.array_equal(decode(file.getvalue(), "it"), np.asarray(palette.convert("RGB")))
