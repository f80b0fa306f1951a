"""`goodnoise-models` as a user types it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.cli import main

pytestmark = pytest.mark.zoo


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def typed(*arguments: str, **environment: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["goodnoise-models", *arguments])
        for name, value in {"COLUMNS": "200", **environment}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        return Done(int(caught.value.code or 0), captured.out, captured.err)

    return typed


def test_list_shows_every_network_with_its_licence_and_threshold(run: Run, zoo: Path) -> None:
    done = run("list")
    assert done.returncode == 0
    rows = {line.split("│")[1].strip(): line for line in done.stdout.splitlines() if line.startswith("│")}
    assert set(rows) >= {"dlib-resnet", "mobilefacenet-192", "mobilefacenet-512", "sface", "yunet"}
    assert "unknown" in rows["mobilefacenet-192"]
    assert "0.3574" in rows["sface"]


def test_show_prints_a_card_as_json(run: Run) -> None:
    done = run("show", "dlib-resnet")
    assert json.loads(done.stdout)["mean"] == [122.782, 117.001, 104.298]


def test_a_second_fetch_does_nothing_and_needs_no_client(run: Run, zoo: Path, tmp_path: Path) -> None:
    done = run("fetch", GOODNOISE_MODELS=str(zoo), PATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "0 converted" in done.stdout


def test_an_error_is_one_line_and_exit_code_1(run: Run, tmp_path: Path) -> None:
    done = run("fetch", "facenet", GOODNOISE_MODELS=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("goodnoise-models: there is no network 'facenet'")
    assert len(done.stderr.strip().splitlines()) == 1


def test_wrong_usage_is_exit_code_2(run: Run) -> None:
    assert run("threshold").returncode == 2


def test_threshold_and_verify_measure_a_folder_of_faces(
    run: Run, zoo: Path, photos: Path, tmp_path: Path
) -> None:
    face = cv2.imread(str(photos / "astronaut.png"))[0:256, 96:352]
    rng = np.random.default_rng(5)
    people = [f"Person_{index}" for index in range(8)]
    for person in people:
        folder = tmp_path / "images" / person
        folder.mkdir(parents=True)
        for number in (1, 2):
            noisy = np.clip(face + rng.normal(0, 12, face.shape), 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / f"{person}_{number:04d}.jpg"), noisy)
    done = run(
        "threshold", "mobilefacenet-512", "--faces", str(tmp_path), "--far", "0.2", GOODNOISE_MODELS=str(zoo)
    )
    assert done.returncode == 0, done.stderr
    assert "far = 0.2" in done.stdout
    assert "112 pairs of different people" in done.stdout

    rows = [f"{person}\t1\t2" for person in people[:2]] + [
        f"{people[0]}\t1\t{people[1]}\t1",
        f"{people[2]}\t1\t{people[3]}\t1",
    ]
    (tmp_path / "pairs.txt").write_text("\n".join(["1\t2", *rows]) + "\n")
    done = run("verify", "mobilefacenet-512", "--lfw", str(tmp_path), GOODNOISE_MODELS=str(zoo))
    assert done.returncode == 0, done.stderr
    # The same face under other names: everybody matches everybody.
    assert "100.0%" in done.stdout
    assert "100.00%" in done.stdout
