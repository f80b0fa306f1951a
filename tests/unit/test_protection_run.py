"""Protection measured by the device's own program, on a small folder in LFW's form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from cloud_server.evaluation.protection.device import Processes
from cloud_server.evaluation.protection.evaluate import Wanted, evaluate
from cloud_server.evaluation.protection.pairs import positive_pairs, read_pixels, training_tasks
from cloud_server.evaluation.protection.recognisers import load_recognisers
from cloud_server.evaluation.protection.rows import Row
from cloud_server.evaluation.protection.run import Run
from models.store import Store
from shared.errors import Code, GoodnoiseError

pytestmark = pytest.mark.zoo

NOISE = Row(name="noise", kind="noise", hints=False)
DEVICE = Row(name="device", surrogates=("mobilefacenet-512",), hints=False)


@dataclass
class Recording(Processes):
    """Runs what it is told to, and remembers it."""

    commands: list[Sequence[str]] = field(default_factory=list)

    def run(self, command: Sequence[str], environment: dict[str, str]) -> tuple[int, str, str]:
        self.commands.append(command)
        return super().run(command, environment)


@pytest.fixture(scope="module")
def folder(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people in LFW's form, three photos each, made of the demo's; one pair a person."""
    base = tmp_path_factory.mktemp("lfw")
    sources = {
        "Ada": ("admiral.jpg", (0.0, 0.0, 1.0, 1.0)),
        "Bea": ("astronaut.png", (0.25, 0.0, 0.65, 0.45)),
    }
    for person, (name, part) in sources.items():
        whole = Image.open(photos / name).convert("RGB")
        box = tuple(round(share * whole.size[i % 2]) for i, share in enumerate(part))
        for number, (side, light) in enumerate(((190, 1.0), (200, 0.9), (180, 1.1)), start=1):
            place = base / "images" / person / f"{person}_{number:04d}.jpg"
            place.parent.mkdir(parents=True, exist_ok=True)
            small = whole.crop(box).resize((side, round(side * (box[3] - box[1]) / (box[2] - box[0]))))
            small.point(lambda level, light=light: min(255, level * light)).save(place, quality=95)
    (base / "pairs.txt").write_text("1\t2\nAda\t1\t2\nBea\t1\t2\nAda\t1\tBea\t1\nAda\t2\tBea\t2\n")
    return base


def run_of(folder: Path, out: Path, zoo: Path, running: Processes | None = None) -> Run:
    store = Store(zoo)
    asked = load_recognisers(("sface", "dlib-resnet"), store)
    return Run(out, positive_pairs(folder, (1,)), asked, store, running=running or Processes())


def test_pairs_leave_enrolled_and_target_out_of_the_album(folder: Path) -> None:
    for pair in positive_pairs(folder, (1,)):
        names = [path.name for path in pair.task.album]
        assert names == [f"{pair.person}_0003.jpg"]
        assert {pair.enrolled.name, pair.task.target.name} == {f"{pair.person}_000{n}.jpg" for n in (1, 2)}
    with pytest.raises(GoodnoiseError, match="no pairs of sets"):
        positive_pairs(folder, (3,))


def test_training_people_are_in_no_pair_and_thresholds_people_in_no_cloak(folder: Path) -> None:
    (folder / "people.txt").write_text("4\n0\n0\n0\n2\nAda\t3\nBea\t3\n")
    tasks, others = training_tasks(folder, 2, without=frozenset())
    assert [task.target.parent.name for task in tasks] == ["Ada", "Ada"]
    assert {path.parent.name for path in others} == {"Bea"}
    tasks, others = training_tasks(folder, 2, without=frozenset({"Ada"}))
    assert {task.target.parent.name for task in tasks} == {"Bea"}
    assert others == []


def test_the_enrolled_photo_reaches_no_device(folder: Path, zoo: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for path in folder.rglob("*"):
        if path.is_file():
            copied = other / path.relative_to(folder)
            copied.parent.mkdir(parents=True, exist_ok=True)
            copied.write_bytes(path.read_bytes())
    album = replace(DEVICE, album=True, budget="36dB")
    saved, enrolled = [], []
    for place, source in ((tmp_path / "a", folder), (tmp_path / "b", other)):
        if source is other:  # another enrolled photo of the same person
            for path in other.glob("images/*/*_0001.jpg"):
                Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path, quality=90)
        running = Recording()
        run = run_of(source, place, zoo, running)
        run.pairs = run.pairs[:1]
        run.measure([album], progress=lambda _: None)
        words = [word for command in running.commands for word in command]
        assert not [word for word in words if "_0001.jpg" in word or str(source) in word]
        pixels = read_pixels(run.pairs[0].enrolled)
        for held in [*place.glob("inputs/*"), *place.glob("albums/*/*")]:
            assert not np.array_equal(read_pixels(held), pixels)
        result = run.results(album)[run.pairs[0].task.name]
        saved.append((place / result["photo"]).read_bytes())
        enrolled.append(result["before"]["sface"])
    assert saved[0] == saved[1]
    assert enrolled[0] != enrolled[1]


def test_an_interrupted_run_goes_on_and_ends_in_the_same_table(
    folder: Path, zoo: Path, tmp_path: Path
) -> None:
    run = run_of(folder, tmp_path, zoo)

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.measure([NOISE], progress=interrupt)
    with pytest.raises(GoodnoiseError) as caught:
        run.running.run(["true"], {})
    assert caught.value.code == Code.CANCELLED
    again = run_of(folder, tmp_path, zoo)
    assert again.left([NOISE]) == 1
    seen: list[str] = []
    again.measure([NOISE], progress=seen.append)
    assert seen == ["noise"]
    assert again.left([NOISE]) == 0
    whole = run_of(folder, tmp_path / "whole", zoo)
    whole.measure([NOISE], progress=lambda _: None)
    strip = [{k: v for k, v in r.items() if k != "photo"} for r in whole.results(NOISE).values()]
    assert strip == [{k: v for k, v in r.items() if k != "photo"} for r in again.results(NOISE).values()]


def test_controls_keep_their_budget_and_stay_in_the_face(folder: Path, zoo: Path, tmp_path: Path) -> None:
    rows = [
        replace(NOISE, budget="6"),
        Row(name="universal", kind="universal", budget="6"),
        Row(
            name="fgsm",
            kind="crop",
            surrogates=("mobilefacenet-512",),
            attack="fgsm",
            budget="6",
            hints=False,
        ),
    ]
    run = run_of(folder, tmp_path, zoo)
    run.measure(rows, progress=lambda _: None)
    for row in rows:
        for pair in run.pairs:
            result = run.results(row)[pair.task.name]
            before, after = read_pixels(pair.task.target), read_pixels(tmp_path / result["photo"])
            assert result["levels"] == np.abs(before.astype(int) - after).max() == 6
            assert np.array_equal(before[:3], after[:3])
        assert result["calls"] == (1 if row.kind == "crop" else 0)
    lost = [
        run.results(row)[pair.task.name]["after"]["png"]["sface"]
        for row in (rows[0], rows[1])
        for pair in run.pairs
    ]
    assert np.mean(lost[2:]) < np.mean(lost[:2])  # what was trained takes more than noise does


def test_the_whole_evaluation_writes_table_and_pictures(
    folder: Path, zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOODNOISE_MODELS", str(zoo))
    wanted = Wanted(
        lfw=folder,
        out=tmp_path,
        rows=(NOISE, DEVICE),
        processes=1,
        pairs=1,
        recognisers=("sface", "dlib-resnet"),
    )
    told: dict[str, tuple[int, int]] = {}
    text = evaluate(wanted, lambda what, done, total: told.__setitem__(what, (done, total)))
    found = json.loads((tmp_path / "protection.json").read_text())
    assert told["pairs x rows"] == (2, 2)
    assert list(found["rows"]) == ["noise", "device"]
    assert found["rows"]["device"]["calls"] > 0
    assert found["rows"]["device"]["bytes_down"] > 1_000_000
    assert found["rows"]["device"]["recognisers"]["sface"]["role"] == "judge"
    written = (tmp_path / "pairs.jsonl").read_text().splitlines()
    lines = [json.loads(line)["result"]["after"]["png"]["sface"] for line in written]
    assert lines[1] < lines[0] - 0.1  # the device's change counts, noise of the same size hardly
    assert text == (tmp_path / "protection.md").read_text()
    sheet, curve = (cv2.imread(str(tmp_path / name)) for name in ("contact.png", "curve.png"))
    assert sheet.shape == (234, 3 * 204, 3)
    assert curve.shape[0] > 300


def test_a_level_that_asks_runs_beside_a_real_cloud(folder: Path, zoo: Path, tmp_path: Path) -> None:
    row = replace(DEVICE, name="cluster", level="cluster", grey=("sface",))
    run = run_of(folder, tmp_path, zoo)
    run.pairs = run.pairs[:1]
    run.measure([row], progress=lambda _: None)
    result = run.results(row)[run.pairs[0].task.name]
    assert result["hint"] in ("taken", "dropped")
    assert result["bytes_up"] == 1
