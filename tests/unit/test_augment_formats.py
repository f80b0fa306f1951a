"""One suite over all formats: what is read and written, what the usual tools make of it, what is refused."""

from __future__ import annotations

import csv
import io
import json
import os
import struct
import subprocess
import sys
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pyarrow = pytest.importorskip("pyarrow", reason="needs the augment extra")

from cloud_server.augment.formats import (  # noqa: E402
    CODECS,
    FORMATS,
    ArraySource,
    codec,
    open_sink,
    open_source,
    refuse_held_out,
)
from cloud_server.augment.formats.pictures import decode, sha256  # noqa: E402
from cloud_server.augment.formats.splits import split_called, split_in  # noqa: E402
from cloud_server.augment.types import Draw, Kind, Provenance, Sample  # noqa: E402
from shared.errors import Code, GoodnoiseError  # noqa: E402

CLASSES = ("cat", "dog")


@dataclass(frozen=True)
class Summary:
    """What a run says of itself, as far as descriptions need it."""

    recipe: str = "paper/1"
    made: int = 5


@pytest.fixture
def images(rng):
    """Seven small pictures, and two groups."""
    return rng.integers(0, 256, (7, 8, 6, 3), dtype=np.uint8)


@pytest.fixture
def source(images):
    """Seven images in memory: five cats, two dogs."""
    return ArraySource(
        images, [0, 0, 0, 0, 0, 1, 1], classes=CLASSES, groups=[0, 1, 0, 1, 0, 0, 1], split="train"
    )


def sample(source, number, parent, *, encoding="png"):
    """A sample as an engine makes it: a dog to machines."""
    picture = 255 - source.read(parent)
    chosen = codec(encoding)
    data = chosen.encode(picture)
    provenance = Provenance(
        Kind.ADVERSARIAL,
        source.name(parent),
        source.digest(parent),
        "cat",
        "dog",
        "dog",
        "ab" * 32,
        "paper/1",
        "l2 0.5",
        0.5,
        9,
        10,
        0.97,
        True,
        1,
        chosen.name,
        0,
        number,
    )
    return Sample(Draw(number, 1, 1, (parent,)), parent, data, chosen.decode(data), provenance)


def written(root, source, form, *, order=(0, 1, 2), copies=True, encoding="png"):
    """An output of five samples in three shards, written in this order."""
    shards = [
        [sample(source, 2 * k + i, (2 * k + i) % 5, encoding=encoding) for i in range(2)] for k in range(2)
    ]
    shards.append([sample(source, 4, 4, encoding=encoding)])
    sink = open_sink(root, form, source=source, codec=codec(encoding), copy_originals=copies)
    for number in order:
        sink.write(number, f"name{number}", shards[number])
    sink.finish(Summary())
    return sink


def labelled(found):
    """Pixels and class of every image of a source, in an order of its own."""
    return sorted((found.read(i).tobytes(), found.classes[found.labels[i]]) for i in range(len(found)))


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_written_is_read_again(tmp_path, source, form):
    written(tmp_path / "out", source, form)
    found = open_source(tmp_path / "out", group="groups" if form == "npz" else "group")
    expected = labelled(source) + [((255 - source.read(k)).tobytes(), "dog") for k in (0, 1, 2, 3, 4)]
    assert labelled(found) == sorted(expected)
    assert found.classes == CLASSES
    assert found.split in {"train", ""}
    assert len({found.name(i) for i in range(len(found))}) == len(found) == 12
    counts = np.bincount(found.groups, minlength=2)
    # A sample has its parent's group, since no group was the target.
    assert dict(zip(found.group_names, counts, strict=True)) == {"0": 7, "1": 5}


@pytest.mark.parametrize("form", FORMATS)
def test_bytes_do_not_depend_on_order_or_repetition(tmp_path, source, form, tree):
    written(tmp_path / "a", source, form)
    again = written(tmp_path / "b", source, form, order=(2, 0, 2, 1, 0))
    again.finish(Summary())
    one, other = (tree(tmp_path / name) for name in "ab")
    # The name of the folder is the dataset's name.
    assert {k: v for k, v in one.items() if k != "croissant.json"} == {
        k: v for k, v in other.items() if k != "croissant.json"
    }
    assert "croissant.json" in one


@pytest.mark.parametrize("form", FORMATS)
def test_a_shard_takes_the_place_of_another_of_its_number(tmp_path, source, form):
    sink = open_sink(tmp_path / "out", form, source=source, codec=codec("png"), copy_originals=False)
    sink.write(0, "old", [sample(source, 0, 0), sample(source, 1, 1)])
    assert sink.has(0, "old")
    sink.write(0, "new", [sample(source, 0, 3)])
    assert sink.has(0, "new")
    assert not sink.has(0, "old")
    sink.finish(Summary())
    found = open_source(tmp_path / "out")
    assert len(found) == 1
    assert np.array_equal(found.read(0), 255 - source.read(3))


@pytest.mark.parametrize("form", FORMATS)
def test_a_folder_of_other_things_is_left_alone(tmp_path, source, form):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(GoodnoiseError, match="not empty") as caught:
        open_sink(tmp_path, form, source=source, codec=codec("png"))
    assert caught.value.code is Code.PRECONDITION
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_scratch_of_a_killed_run_is_swept(tmp_path, source):
    written(tmp_path / "out", source, "folder")
    scratch = tmp_path / "out" / "train" / "dog" / ".adversarial-000001.png.4711.0badcafe"
    scratch.write_bytes(b"half")
    sink = open_sink(tmp_path / "out", "folder", source=source, codec=codec("png"))
    assert scratch.exists(), "another worker may be writing it"
    sink.sweep()
    assert not scratch.exists()


def test_an_output_of_another_job_is_left_alone(tmp_path, source):
    def opened(job, **options):
        return open_sink(tmp_path, "npz", source=source, codec=codec("png"), job_digest=job, **options)

    opened("mistaken")
    opened("one").write(0, "x", [sample(source, 0, 0)])
    assert opened("one").has(0, "x")
    with pytest.raises(GoodnoiseError, match="another recipe file") as caught:
        opened("two")
    assert caught.value.code is Code.PRECONDITION
    # Originals that were written would stay.
    with pytest.raises(GoodnoiseError, match="other options"):
        opened("one", copy_originals=False)


def test_metadata_tells_samples_from_originals(tmp_path, source):
    written(tmp_path / "out", source, "folder")
    with (tmp_path / "out" / "train" / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows] == ["original"] * 7 + ["adversarial"] * 5
    last = rows[-1]
    assert last["file_name"].startswith("dog/adversarial-000004-")
    assert (last["parent"], last["source_label"], last["target_label"]) == (source.name(4), "cat", "dog")
    assert last["parent_sha256"] == source.digest(4)
    assert float(last["confidence"]) == 0.97
    for row in rows:
        assert sha256((tmp_path / "out" / "train" / row["file_name"]).read_bytes()) == row["sha256"]


@pytest.mark.parametrize("form", FORMATS)
def test_without_originals_samples_are_alone(tmp_path, source, form):
    written(tmp_path / "out", source, form, copies=False)
    assert len(open_source(tmp_path / "out")) == 5


def test_originals_are_copied_byte_by_byte_and_never_linked(tmp_path, images):
    root = tmp_path / "in"
    for index, name in enumerate(("cat/a b.jpg", "cat/deep/c.png", "dog/c.webp")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[index]).save(root / name)
    before = {path: path.read_bytes() for path in root.rglob("*.*")}
    sink = open_sink(tmp_path / "out", "folder", source=open_source(root), codec=codec("png"))
    sink.finish(Summary())
    for path, data in before.items():
        copied = tmp_path / "out" / "train" / path.relative_to(root)
        assert copied.read_bytes() == data
        assert copied.stat().st_ino != path.stat().st_ino


@pytest.mark.parametrize("name", sorted(CODECS))
def test_codecs_give_the_same_bytes_and_say_what_they_lose(name, images):
    chosen = codec(name)
    for picture in (images[0], images[1][:, :, :1]):
        data = chosen.encode(picture)
        assert data == chosen.encode(picture.copy())
        back = chosen.decode(data)
        if name == "webp-lossless" and picture.shape[2] == 1:
            back = back[:, :, :1]
        assert back.shape == picture.shape
        assert np.array_equal(back, picture) == (name != "jpeg-95")


def test_an_unknown_encoding_is_named():
    with pytest.raises(GoodnoiseError, match="'gif', expected one of png"):
        codec("gif")


# What is read


def test_a_training_split_is_taken_and_a_class_called_test_is_a_class(tmp_path, images):
    for name in ("train/cat", "train/test", "val/cat", "test/cat"):
        (tmp_path / name).mkdir(parents=True)
        Image.fromarray(images[0]).save(tmp_path / name / "1.png")
    found = open_source(tmp_path)
    assert found.split == "train"
    assert found.classes == ("cat", "test")
    refuse_held_out(found)
    for split in ("val", "test"):
        with pytest.raises(GoodnoiseError, match="split") as caught:
            refuse_held_out(open_source(tmp_path, split=split))
        assert caught.value.code is Code.PRECONDITION
        with pytest.raises(GoodnoiseError, match="leak"):
            refuse_held_out(open_source(tmp_path / split))
    with pytest.raises(GoodnoiseError, match="has the splits test, train, validation, not 'dev2'"):
        open_source(tmp_path, split="dev2")


def test_ordinary_names_are_no_splits():
    assert not any(map(split_called, ("train2", "cats", "latest", "contest", "")))
    assert not any(map(split_in, ("latest.tar", "contest-00.parquet", "part-3.tar")))


def test_a_broken_image_is_named_when_it_is_read(tmp_path, images):
    (tmp_path / "cat").mkdir()
    Image.fromarray(images[0]).save(tmp_path / "cat" / "1.png")
    (tmp_path / "cat" / "2.png").write_bytes(b"\x89PNG, or not")
    found = open_source(tmp_path)
    found.read(0)
    with pytest.raises(GoodnoiseError, match=r"cat/2\.png cannot be read") as caught:
        found.read(1)
    assert caught.value.code is Code.CORRUPT


@pytest.mark.parametrize(
    ("mode", "said"), [("CMYK", "CMYK"), ("I;16", "I;16"), ("RGBA", "transparent"), ("LA", "transparent")]
)
def test_pictures_that_would_be_guessed_at_are_refused(mode, said):
    file = io.BytesIO()
    Image.new(mode, (4, 4)).save(file, "TIFF" if mode == "CMYK" else "PNG")
    with pytest.raises(GoodnoiseError, match=said) as caught:
        decode(file.getvalue(), "it")
    assert caught.value.code is Code.INVALID_INPUT


def test_pictures_stand_upright_and_opaque_alpha_is_dropped():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(file, "PNG", exif=exif)
    assert decode(file.getvalue(), "it").shape == (4, 2, 3)
    file = io.BytesIO()
    Image.fromarray(pixels).convert("RGBA").save(file, "PNG")
    assert np.array_equal(decode(file.getvalue(), "it"), pixels)


@pytest.mark.parametrize("side", [8_000, 60_000])
def test_a_file_of_too_many_pixels_is_not_unpacked(side):
    file = io.BytesIO()
    Image.new("L", (4, 4)).save(file, "BMP")
    data = bytearray(file.getvalue())
    data[18:26] = struct.pack("<ii", side, side)
    with pytest.raises(GoodnoiseError, match=r"pixels, at most 50000000 are read") as caught:
        decode(bytes(data), "it")
    assert caught.value.code is Code.INVALID_INPUT


def test_links_out_of_the_dataset_are_refused(tmp_path, images):
    secret = tmp_path / "secret.png"
    Image.fromarray(images[0]).save(secret)
    (tmp_path / "in" / "cat").mkdir(parents=True)
    (tmp_path / "in" / "cat" / "1.png").symlink_to(secret)
    with pytest.raises(GoodnoiseError, match="is a link"):
        open_source(tmp_path / "in")


def test_an_empty_class_folder_and_an_empty_dataset_are_named(tmp_path, images):
    with pytest.raises(GoodnoiseError, match="there is no"):
        open_source(tmp_path / "nothing")
    (tmp_path / "cat").mkdir()
    with pytest.raises(GoodnoiseError, match="holds no images"):
        open_source(tmp_path)
    (tmp_path / "dog").mkdir()
    Image.fromarray(images[0]).save(tmp_path / "dog" / "1.png")
    with pytest.raises(GoodnoiseError, match="class folder cat"):
        open_source(tmp_path)


@pytest.mark.parametrize("name", ["../up.png", "/etc/cat.png", "a/../../b.png", "line\nbreak.png"])
def test_tar_members_that_climb_out_are_refused(tmp_path, name):
    with tarfile.open(tmp_path / "train-0.tar", "w") as tar:
        item = tarfile.TarInfo(name)
        tar.addfile(item, io.BytesIO())
    with pytest.raises(GoodnoiseError, match="plain relative name"):
        open_source(tmp_path / "train-0.tar")


def test_tars_without_labels_and_compressed_ones_are_named(tmp_path, images):
    buffer = io.BytesIO()
    Image.fromarray(images[0]).save(buffer, "PNG")
    for mode, name in (("w", "a.tar"), ("w:gz", "b.tar")):
        with tarfile.open(tmp_path / name, mode) as tar:
            item = tarfile.TarInfo("1.png")
            item.size = len(buffer.getvalue())
            tar.addfile(item, io.BytesIO(buffer.getvalue()))
    with pytest.raises(GoodnoiseError, match=r"1\.png in a\.tar has no \.cls"):
        open_source(tmp_path / "a.tar")
    with pytest.raises(GoodnoiseError, match="unpacked first"):
        open_source(tmp_path / "b.tar")


def test_a_missing_column_and_a_file_that_is_no_parquet_are_named(tmp_path, source):
    written(tmp_path / "out", source, "parquet")
    with pytest.raises(GoodnoiseError, match="no column 'species', it has image, label"):
        open_source(tmp_path / "out", label="species")
    (tmp_path / "x.parquet").write_bytes(b"PAR1 or not")
    with pytest.raises(GoodnoiseError, match="as Parquet") as caught:
        open_source(tmp_path / "x.parquet")
    assert caught.value.code is Code.CORRUPT


def test_arrays_that_do_not_fit_are_named(images):
    with pytest.raises(GoodnoiseError, match="uint8"):
        ArraySource(images / 255, [0] * 7)
    with pytest.raises(GoodnoiseError, match="labels have shape"):
        ArraySource(images, [0] * 6)
    with pytest.raises(GoodnoiseError, match="but there are 1 names"):
        ArraySource(images, [1] * 7, classes=["cat"])


def test_an_npz_is_mapped_and_not_read(tmp_path, images):
    np.savez(tmp_path / "data.npz", images=images, labels=np.zeros(7, np.int64))
    found = open_source(tmp_path / "data.npz")
    assert isinstance(found._images, np.memmap)
    assert np.array_equal(found.read(3), images[3])
    np.savez_compressed(tmp_path / "small.npz", images=images, labels=np.zeros(7, np.int64))
    assert np.array_equal(open_source(tmp_path / "small.npz").read(3), images[3])


def test_images_of_two_sizes_do_not_go_into_one_array(tmp_path, images):
    for name, picture in (("cat/1.png", images[0]), ("dog/2.png", images[1][:4])):
        (tmp_path / "in" / name).parent.mkdir(parents=True)
        Image.fromarray(picture).save(tmp_path / "in" / name)
    sink = open_sink(tmp_path / "out", "npz", source=open_source(tmp_path / "in"), codec=codec("png"))
    with pytest.raises(GoodnoiseError, match="set resize"):
        sink.finish(Summary())
    assert not (tmp_path / "out" / "data.npz").exists()


def test_names_that_are_no_file_names_stay_apart(tmp_path, images):
    source = ArraySource(images, ["a/b"] * 3 + ["a:b"] * 3 + ["."])
    sink = open_sink(tmp_path / "out", "folder", source=source, codec=codec("png"))
    sink.finish(Summary())
    found = open_source(tmp_path / "out")
    assert len(found) == 7
    assert np.bincount(found.labels).tolist() in ([3, 3, 1], [1, 3, 3], [3, 1, 3])
    assert set(tmp_path.iterdir()) == {tmp_path / "out"}


# What the usual tools make of it


# It leaves its files open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_webdataset_reads_the_tars(tmp_path, source):
    import webdataset

    written(tmp_path / "out", source, "webdataset")
    files = sorted(str(path) for path in (tmp_path / "out").glob("*.tar"))
    rows = list(
        webdataset.WebDataset(files, shardshuffle=False).decode("rgb8").to_tuple("png", "cls", "json")
    )
    assert len(rows) == 12
    # Tars of samples come before those of originals.
    assert np.array_equal(rows[5][0], source.read(0))
    assert [row[1] for row in rows] == [1] * 5 + [0] * 5 + [1] * 2
    assert [row[2]["label_name"] for row in rows[-3:]] == ["cat", "dog", "dog"]
    assert rows[0][2]["parent"] == source.name(0)


_DATASETS = """
import json, sys
from datasets import load_dataset
folder, parquet = sys.argv[1:]
one = load_dataset("imagefolder", data_dir=folder, split="train")
other = load_dataset("parquet", data_files=parquet + "/train-*.parquet", split="train")
print(json.dumps([
    [len(one), sorted(one["label"]), sorted(set(one["kind"])), list(one[0]["image"].size)],
    [len(other), other.features["label"].names, sorted(other["label"]), list(other[0]["image"].size)],
]))
"""


def test_the_datasets_library_reads_folders_and_parquet(tmp_path, source):
    pytest.importorskip("datasets", reason="needs the dev extra")
    written(tmp_path / "folder", source, "folder")
    written(tmp_path / "parquet", source, "parquet")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", _DATASETS, str(tmp_path / "folder"), str(tmp_path / "parquet")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    folder, parquet = json.loads(done.stdout.splitlines()[-1])
    assert folder == [12, ["cat"] * 5 + ["dog"] * 7, ["adversarial", "original"], [6, 8]]
    assert parquet == [12, ["cat", "dog"], [0] * 5 + [1] * 7, [6, 8]]


_CROISSANT = """
import json, sys, warnings
warnings.simplefilter("ignore")
import mlcroissant
dataset = mlcroissant.Dataset(jsonld=sys.argv[1])
rows = list(dataset.records("images"))
print(json.dumps([len(rows), dataset.metadata.description, sorted({str(r["images/kind"]) for r in rows})]))
"""


@pytest.mark.parametrize("form", ["folder", "npz"])
def test_the_croissant_description_is_valid_and_says_synthetic(tmp_path, source, form):
    pytest.importorskip("mlcroissant", reason="needs the dev extra")
    written(tmp_path / "out", source, form)
    command = [sys.executable, "-c", _CROISSANT, str(tmp_path / "out" / "croissant.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    count, text, kinds = json.loads(done.stdout.splitlines()[-1])
    assert count == 12
    assert "Synthetic" in text
    assert "derived" in text
    assert {kind.strip("b'") for kind in kinds} == {"adversarial", "original"}


@pytest.mark.parametrize("form", FORMATS)
def test_files_are_described_with_their_digests(tmp_path, source, form):
    written(tmp_path / "out", source, form)
    said = json.loads((tmp_path / "out" / "croissant.json").read_text())
    for file in said["distribution"]:
        assert sha256((tmp_path / "out" / file["contentUrl"]).read_bytes()) == file["sha256"]
    names = {file["name"] for file in said["distribution"]}
    held = {
        path.name for path in (tmp_path / "out").glob("*.*") if path.suffix in {".parquet", ".tar", ".npz"}
    }
    assert held <= names


def test_the_description_names_origin_licence_and_parents(tmp_path, source):
    sink = open_sink(
        tmp_path / "out", "folder", source=source, codec=codec("png"), dataset="pets", licence="CC-BY-4.0"
    )
    sink.write(0, "x", [sample(source, 0, 3), sample(source, 1, 2)])
    sink.finish(Summary())
    said = json.loads((tmp_path / "out" / "croissant.json").read_text())
    assert said["license"] == "CC-BY-4.0"
    assert said["isBasedOn"].startswith("pets: 7 images of 2 classes, split train")
    parents = "".join(f"{source.digest(k)}\n" for k in (3, 2))
    assert said["isBasedOn"].endswith(sha256(parents.encode()))
    assert "Synthetic data" in said["rai:dataCollectionType"]


def test_a_group_that_was_the_target_is_the_samples_group(tmp_path, source):
    crossed = sample(source, 0, 0)
    moved = replace(crossed, provenance=replace(crossed.provenance, target="1", target_label="cat"))
    sink = open_sink(tmp_path / "out", "npz", source=source, codec=codec("png"), copy_originals=False)
    sink.write(0, "x", [moved])
    sink.finish(Summary())
    assert open_source(tmp_path / "out").groups.tolist() == [1]
    assert Path(tmp_path / "out" / "data.npz").is_file()
