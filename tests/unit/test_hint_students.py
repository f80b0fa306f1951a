"""Students: what they are shown, that training and interruption agree, that the file is what was trained."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from typer.testing import CliRunner

from cloud_server.hints.data import FaceSet
from cloud_server.hints.students.faces import Views, draw
from models.own import add_recogniser
from models.store import Store, default_store, load_card
from shared.errors import Code, GoodnoiseError

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.zoo, pytest.mark.torch]


@pytest.fixture
def faces() -> FaceSet:
    rng = np.random.default_rng(3)
    smooth = rng.random((12, 3, 8, 8)).repeat(14, axis=2).repeat(14, axis=3)
    people = tuple(f"person {i // 2}" for i in range(12))
    return FaceSet((smooth * 255).astype(np.uint8), people, np.zeros(12))


def _settings(**changes: object):
    from cloud_server.hints.students.training import Distillation

    return Distillation(**{"steps": 3, "batch": 2, "warm_up": 1, **changes})


def _wanted(name: str = "little"):
    from cloud_server.hints.students.make import Wanted

    return Wanted(name=name, teacher="sface", body="mobilefacenet-512", data="random patches")


def _made(out: Path, faces: FaceSet, zoo: None, **options: object) -> dict:
    from cloud_server.hints.students.make import make_student

    torch.set_num_threads(1)
    settings = options.pop("settings", _settings())
    report = options.pop("report", lambda *_: None)
    return make_student(out, _wanted(), faces, settings, Store(default_store()), report=report, **options)


def test_views_are_faces_in_range_and_the_same_for_a_seed(faces: FaceSet) -> None:
    one = draw(faces, 6, Views(), np.random.default_rng(1))
    two = draw(faces, 6, Views(), np.random.default_rng(1))
    assert one.shape == (6, 3, 112, 112)
    assert one.dtype == np.float32
    assert one.min() >= 0
    assert one.max() <= 1
    assert np.array_equal(one, two)
    assert not np.array_equal(one, draw(faces, 6, Views(), np.random.default_rng(2)))


def test_without_variation_a_view_is_the_face_or_its_mirror(faces: FaceSet) -> None:
    plain = Views(scale=0, rotation=0, shift=0, smallest=1, contrast=(1, 1), brightness=0, blends=0)
    originals = faces.images()
    for view in draw(faces, 5, plain, np.random.default_rng(0)):
        distances = [
            np.abs(view - candidate).max() for face in originals for candidate in (face, face[..., ::-1])
        ]
        assert min(distances) < 2e-2


def test_an_interrupted_training_ends_in_the_same_file(tmp_path: Path, faces: FaceSet, zoo: None) -> None:
    whole, cut = tmp_path / "whole.onnx", tmp_path / "cut.onnx"
    _made(whole, faces, zoo)

    def stop(done: int, _total: int, _losses: dict) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _made(cut, faces, zoo, report=stop)
    assert not cut.exists()
    steps = []
    _made(cut, faces, zoo, resume=True, report=lambda done, *_: steps.append(done))
    assert steps == [3]
    assert cut.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{name}.{end}" for name in ("cut", "whole") for end in ("json", "onnx", "toml")
    ]


def test_a_state_of_other_settings_is_refused(tmp_path: Path, faces: FaceSet, zoo: None) -> None:
    out = tmp_path / "s.onnx"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _made(out, faces, zoo, report=stop)
    with pytest.raises(GoodnoiseError, match="other faces, networks or settings") as caught:
        _made(out, faces, zoo, resume=True, settings=_settings(rate=1e-5))
    assert caught.value.code is Code.PRECONDITION


def test_training_brings_the_student_nearer_and_the_zoo_takes_it(
    tmp_path: Path, faces: FaceSet, zoo: None
) -> None:
    from cloud_server.hints.students.make import state_path

    out = tmp_path / "student.onnx"
    losses: list[float] = []
    figures = _made(
        out,
        faces,
        zoo,
        settings=_settings(steps=8, batch=4, rate=1e-3),
        report=lambda _done, _total, found: losses.append(sum(found.values())),
    )
    assert np.mean(losses[-2:]) < np.mean(losses[:2])
    assert figures["held_out"]["student"].keys() == figures["held_out"]["body"].keys()
    assert not state_path(out).exists()

    store = Store(tmp_path / "zoo")
    card = add_recogniser(out, out.with_suffix(".toml"), store)
    assert card.licence.redistribution == "unknown"
    assert "mobilefacenet-512" in card.notes
    images = faces.images(np.arange(2))
    session = ort.InferenceSession(out.read_bytes(), providers=["CPUExecutionProvider"])
    again = ort.InferenceSession(store.read(card), providers=["CPUExecutionProvider"])
    trained = session.run(None, {"face": images})[0]
    assert np.allclose(np.linalg.norm(trained, axis=1), 1, atol=1e-5)
    assert np.allclose(again.run(None, {"face": images})[0], trained, atol=1e-4)
    body = ort.InferenceSession(Store(default_store()).read(load_card("mobilefacenet-512")))
    assert trained.shape[1] == 128 != body.run(None, {"face": images})[0].shape[1]


def test_dlib_cannot_teach(tmp_path: Path, faces: FaceSet, zoo: None) -> None:
    from cloud_server.hints.students.make import Wanted, make_student

    wanted = Wanted(name="x", teacher="dlib-resnet", body="mobilefacenet-512", data="")
    with pytest.raises(GoodnoiseError, match=r"dlib-resnet.*dlib150"):
        make_student(
            tmp_path / "x.onnx", wanted, faces, _settings(), Store(default_store()), report=lambda *_: None
        )


def test_the_exported_student_is_the_torch_student(zoo: None) -> None:
    from cloud_server.hints.students.network import Student, student_onnx

    body = Store(default_store()).read(load_card("mobilefacenet-192"))
    torch.manual_seed(0)
    student = Student(body, width=192, embedding=16)
    with torch.no_grad():
        for parameter in student.body.parameters():
            parameter.mul_(1.01)
    images = np.random.default_rng(0).random((2, 3, 112, 112), np.float32)
    session = ort.InferenceSession(io.BytesIO(student_onnx(body, student)).getvalue())
    with torch.no_grad():
        expected = student(torch.from_numpy(images)).numpy()
    assert np.abs(session.run(None, {"face": images})[0] - expected).max() < 1e-4


def test_the_command_names_a_missing_folder(tmp_path: Path, zoo: None) -> None:
    from cloud_server.cli import app

    result = CliRunner().invoke(
        app, ["hints", "student", "--faces", str(tmp_path / "none"), "--out", str(tmp_path / "s.onnx")]
    )
    assert result.exit_code == 2
    assert "none" in result.output
