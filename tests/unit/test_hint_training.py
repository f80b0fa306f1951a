"""Training universal perturbations on a real recogniser and stand-in faces."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from cloud_server.cli import app
from cloud_server.hints.data import FaceSet, load_faces, people_of_file, select_pose, split_people
from cloud_server.hints.nets import Net, load_net
from cloud_server.hints.train import Provenance, state_path, train_hint
from cloud_server.hints.universal import Training, to_levels, train
from models.store import Store, load_card
from shared.errors import Code, GoodnoiseError
from shared.faces.detect import Detector

pytestmark = pytest.mark.zoo

SETTINGS = Training(epochs=2, batch=3, seed=3)
PROVENANCE = Provenance(data="blurred noise", command="none", backend="onnx")


def quiet(*_: object) -> None:
    """Progress that nobody looks at."""


@pytest.fixture(scope="module")
def net(zoo: Path) -> Net:
    return load_net("mobilefacenet-192", Store(zoo))


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    """Eight pictures of blurred noise, two of each person."""
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 256, (8, 112, 112, 3)).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(picture, (0, 0), 4.0) for picture in noise])
    levels = np.clip((smooth - 127.5) * 8.0 + 127.5, 0, 255).astype(np.uint8).transpose(0, 3, 1, 2)
    people = tuple(f"person {i // 2}" for i in range(8))
    return FaceSet(np.ascontiguousarray(levels), people, rng.uniform(-5, 5, 8))


@pytest.fixture(scope="module")
def detector(zoo: Path) -> Detector:
    return Detector(Store(zoo).read(load_card("yunet")))


def make(out: Path, faces: FaceSet, net: Net, settings: Training = SETTINGS, **rest: object) -> bytes:
    options = {"report": quiet, "provenance": PROVENANCE} | rest
    train_hint(out, faces, [net], settings, **options)  # type: ignore[arg-type]
    return out.read_bytes()


def test_a_hint_moves_people_held_out_further_than_random_signs(faces: FaceSet, net: Net, tmp_path: Path):
    out = tmp_path / "hint.npy"
    make(out, faces, net, replace(SETTINGS, epochs=6))
    levels = np.load(out)
    assert (levels.dtype, levels.shape) == (np.int8, (3, 112, 112))
    assert np.abs(levels.astype(int)).max() <= 8
    held = json.loads(out.with_suffix(".json").read_text())["held_out"]
    figures = held["recognisers"]["mobilefacenet-192"]
    assert held["people"] == 1
    assert figures["similarity"] < figures["similarity_random_signs"] - 0.02


def test_an_interrupted_training_goes_on_and_ends_in_the_same_bytes(faces: FaceSet, net: Net, tmp_path: Path):
    whole = make(tmp_path / "whole.npy", faces, net)
    parts = tmp_path / "parts.npy"

    def stop(done: int, total: int, similarity: float) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(parts, faces, net, report=stop)
    assert not parts.exists()
    steps: list[int] = []
    assert make(parts, faces, net, resume=True, report=lambda done, *_: steps.append(done)) == whole
    assert steps == [3, 4]
    assert not state_path(parts).exists()


def test_a_state_of_another_training_is_refused(faces: FaceSet, net: Net, tmp_path: Path):
    out = tmp_path / "hint.npy"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(out, faces, net, report=stop)
    with pytest.raises(GoodnoiseError, match="other faces, ensemble or settings") as caught:
        make(out, faces, net, replace(SETTINGS, seed=4), resume=True)
    assert caught.value.code is Code.PRECONDITION
    state_path(out).write_bytes(b"half a file")
    with pytest.raises(GoodnoiseError, match="cannot be read"):
        make(out, faces, net, resume=True)


def test_without_resume_a_training_begins_again(faces: FaceSet, net: Net, tmp_path: Path):
    out = tmp_path / "hint.npy"
    state_path(out).write_bytes(b"of an earlier one")
    assert make(out, faces, net) == make(tmp_path / "other.npy", faces, net)


def test_the_seed_decides(faces: FaceSet, net: Net):
    def result(seed: int) -> bytes:
        state = train(faces, [net], replace(SETTINGS, epochs=1, seed=seed), on_batch=quiet)
        return to_levels(state, 8).tobytes()

    assert result(1) == result(1)
    assert result(1) != result(2)


@pytest.mark.torch
def test_torch_and_onnx_train_the_same_hint(faces: FaceSet, net: Net, zoo: Path):
    other = load_net("mobilefacenet-192", Store(zoo), backend="torch")
    results = [
        to_levels(train(faces, [one], replace(SETTINGS, epochs=1), on_batch=quiet), 8) for one in (net, other)
    ]
    # Signs of gradients near zero may differ.
    assert np.mean(results[0] == results[1]) > 0.98


def test_anchors_can_be_the_mean_of_a_person(faces: FaceSet, net: Net):
    own, person = (
        train(faces, [net], replace(SETTINGS, epochs=1, anchors=anchors), on_batch=quiet).delta
        for anchors in ("own", "person")
    )
    assert not np.array_equal(own, person)


def test_nobody_is_in_both_parts(faces: FaceSet):
    used, held = split_people(faces, share=0.3, seed=0)
    assert set(used.people) | set(held.people) == set(faces.people)
    assert not set(used.people) & set(held.people)
    with pytest.raises(GoodnoiseError, match="two or more"):
        split_people(faces.pick([0, 1]), share=0.3, seed=0)


def test_a_pose_mirrors_the_other_side(faces: FaceSet):
    left, right = select_pose(faces, "left"), select_pose(faces, "right")
    assert (left.turn <= 0).all()
    assert (right.turn >= 0).all()
    np.testing.assert_array_equal(left.levels, right.levels[..., ::-1])
    with pytest.raises(ValueError, match="expected one of all, left, right"):
        select_pose(faces, "up")


def test_photos_are_found_in_folders_and_flat(photos: Path, detector: Detector, tmp_path: Path):
    (tmp_path / "someone").mkdir()
    for name in ("astronaut.png", "admiral.jpg"):
        shutil.copy(photos / name, tmp_path / "someone" / name)
    one = load_faces(tmp_path, detector, progress=quiet)
    assert one.people == ("someone", "someone")
    assert len(load_faces(tmp_path, detector, per_person=1, progress=quiet)) == 1
    flat = load_faces(tmp_path / "someone", detector, progress=quiet)
    assert flat.people == ("admiral.jpg", "astronaut.png")
    assert sorted(row.tobytes() for row in flat.levels) == sorted(row.tobytes() for row in one.levels)


def test_photos_without_faces_and_missing_people_are_named(detector: Detector, tmp_path: Path):
    (tmp_path / "wall").mkdir()
    cv2.imwrite(str(tmp_path / "wall" / "grey.png"), np.full((64, 64, 3), 128, np.uint8))
    with pytest.raises(GoodnoiseError) as nobody:
        load_faces(tmp_path, detector, progress=quiet)
    assert nobody.value.code is Code.NO_FACE
    with pytest.raises(GoodnoiseError, match="no folder for 'someone'"):
        load_faces(tmp_path, detector, people=["someone"], progress=quiet)


def test_a_list_of_people_is_read_and_an_empty_one_refused(tmp_path: Path):
    path = tmp_path / "people.txt"
    path.write_text("# two\nA\n\nB\nA\n")
    assert people_of_file(path) == ("A", "B")
    path.write_text("\n")
    with pytest.raises(GoodnoiseError, match="names nobody"):
        people_of_file(path)


def test_only_recognisers_of_the_hints_frame_are_in_an_ensemble(zoo: Path):
    with pytest.raises(GoodnoiseError, match="'dlib-resnet' is a recogniser in frame 'dlib150'"):
        load_net("dlib-resnet", Store(zoo))


@pytest.mark.parametrize("change", [{"levels": 0}, {"levels": 128}, {"epochs": 0}, {"batch": 0}])
def test_settings_out_of_range_are_a_callers_mistake(change: dict[str, int]):
    with pytest.raises(ValueError, match="expected"):
        Training(**change)  # type: ignore[arg-type]


def test_the_command_trains_and_keeps_paths_out_of_what_travels(zoo: Path, photos: Path, tmp_path: Path):
    folder = tmp_path / "own faces"
    folder.mkdir()
    for name in ("astronaut.png", "admiral.jpg"):
        shutil.copy(photos / name, folder / name)
    out = tmp_path / "hint.npy"
    words = [
        "hints",
        "train",
        "--faces",
        str(folder),
        "--out",
        str(out),
        "--epochs",
        "1",
        "--backend",
        "onnx",
    ]
    done = CliRunner().invoke(app, [*words, "--ensemble", "mobilefacenet-192", "--data", "two photos"])
    assert done.exit_code == 0, done.output
    sidecar = out.with_suffix(".json").read_text()
    assert "two photos" in sidecar
    assert str(tmp_path) not in sidecar
    assert "--ensemble mobilefacenet-192" in sidecar


def test_the_backend_torch_without_torch_says_what_to_install(zoo: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cloud_server.hints.nets.find_spec", lambda name: None)
    with pytest.raises(GoodnoiseError, match=r"goodnoise\[train\]"):
        load_net("mobilefacenet-192", Store(zoo), backend="torch")


def test_training_on_onnx_loads_no_torch(faces: FaceSet, zoo: Path):
    import subprocess

    program = (
        "import sys; sys.modules['torch'] = None\n"
        "import cloud_server.hints.train, cloud_server.hints.data, cloud_server.hints.commands\n"
        "from cloud_server.hints.nets import load_net\n"
        "from models.store import Store, default_store\n"
        "load_net('mobilefacenet-192', Store(default_store()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
