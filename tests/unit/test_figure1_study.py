"""The study with people: balanced lists, a kit that tells nothing, and the analysis of answers."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from cloud_server.cli import app
from cloud_server.paper.figure1.settings import LETTERS
from cloud_server.paper.figure1.study.analysis import Answer, Key, analyse
from cloud_server.paper.figure1.study.kit import NONE, Pool, lists_of, write_kit

PEOPLE = 6


def pool_of(levels: int, bases: int) -> Pool:
    rng = np.random.default_rng(0)
    count = len(LETTERS) * bases
    images = {
        name: rng.integers(0, 256, (1 + levels, count, 8, 8), dtype=np.uint8) for name in ("fgsm", "gaussian")
    }
    images["gaussian"][0] = images["fgsm"][0]
    return Pool(images, np.repeat(np.arange(len(LETTERS)), bases), "run")


def test_a_list_of_the_papers_size_has_450_images_and_no_image_twice() -> None:
    lists = lists_of(pool_of(8, 20), participants=3, seed=0)
    for part in lists:
        assert len(part) == 450
        assert len({(item.letter, item.base) for item in part}) == 450
        conditions = Counter((item.distortion, item.level) for item in part)
        assert conditions.pop((NONE, 0)) == 34
        assert set(conditions.values()) == {26}
        assert len(conditions) == 16
    assert lists[0] != lists[1]
    assert lists == lists_of(pool_of(8, 20), participants=3, seed=0)
    assert lists != lists_of(pool_of(8, 20), participants=3, seed=1)


def test_over_participants_every_image_comes_in_every_condition() -> None:
    lists = lists_of(pool_of(2, 5), participants=5, seed=0)
    shown = Counter(item for part in lists for item in part)
    assert len(shown) == 5 * 26 * 5
    assert set(shown.values()) == {1}


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kit") / "study"
    write_kit(pool_of(2, 6), folder, participants=PEOPLE, seed=0)
    return folder


def key_of(kit: Path) -> dict:
    return json.loads(kit.with_name("study-key.json").read_text())


def test_what_participants_get_does_not_hold_the_key(kit: Path) -> None:
    key = key_of(kit)
    assert not list(kit.rglob("*key*"))
    assert kit.with_name("study-key.json").stat().st_mode & 0o077 == 0
    assert {path.stem for path in (kit / "stimuli").iterdir()} == set(key["images"])
    for name in key["images"]:
        assert re.fullmatch(r"[0-9a-f]{16}", name)
        with Image.open(kit / "stimuli" / f"{name}.png") as image:
            assert not image.info
    for page in (kit / "pages").iterdir():
        text = page.read_text()
        assert not re.search("gaussian|fgsm|distortion", text)


def test_a_page_asks_nothing_of_the_net_and_holds_its_list(kit: Path) -> None:
    text = (kit / "pages" / "p002.html").read_text()
    assert "default-src 'none'" in text
    assert not re.search(r"https?://|fetch\(|XMLHttp|src=\"(?!data:)", text)
    told = json.loads(re.search(r'id="study">(.*?)</script>', text).group(1))
    listed = list(csv.DictReader((kit / "lists" / "p002.csv").read_text().splitlines()))
    assert [name for name, _ in told["trials"]] == [row["image"] for row in listed]
    assert told["participant"] == "p002"


def answers_of(kit: Path, folder: Path, wrong: dict[str, set[tuple[str, int]]]) -> list[Path]:
    """A file a participant, who answers all right but the conditions told."""
    key, paths = key_of(kit), []
    for listed in sorted((kit / "lists").iterdir()):
        lines = ["study,participant,trial,image,answer,milliseconds"]
        for row in csv.DictReader(listed.read_text().splitlines()):
            shown = key["images"][row["image"]]
            fails = (shown["distortion"], shown["level"]) in wrong.get(listed.stem, set())
            answer = "" if fails else shown["letter"].lower()
            lines.append(
                ",".join([row["study"], row["participant"], row["trial"], row["image"], answer, "700"])
            )
        paths.append(folder / f"answers-{listed.stem}.csv")
        paths[-1].write_text("\n".join(lines) + "\n")
    return paths


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["paper", "figure1-study", *map(str, words)])


def test_accuracy_by_level_and_distortion_with_intervals_by_participant(kit: Path, tmp_path: Path) -> None:
    half = {f"p00{number}": {("gaussian", 2)} for number in (1, 2, 3)}
    paths = answers_of(kit, tmp_path, half)
    key = kit.with_name("study-key.json")
    # The first file twice: somebody saved it twice.
    result = call(*paths, paths[0], "--key", key, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "people.json").read_text())
    worst = found["curves"]["gaussian"][2]
    assert (worst["value"], worst["right"], worst["asked"]) == (0.5, 3 * 26, 6 * 26)
    # People differ far more than 156 answers of one person would: the interval is by participant.
    assert worst["low"] < 0.2
    assert worst["high"] > 0.8
    whole = found["curves"]["fgsm"][2]
    assert whole["value"] == 1.0
    assert 0.95 < whole["low"] < 1.0
    assert found["curves"]["fgsm"][0]["asked"] == 6 * (26 + 8)
    assert "| gaussian | 100" in (tmp_path / "out" / "people.md").read_text()


def test_who_does_not_read_undisturbed_images_can_be_left_out(kit: Path, tmp_path: Path) -> None:
    paths = answers_of(kit, tmp_path, {"p004": {(NONE, 0), ("fgsm", 1)}})
    options = ("--key", kit.with_name("study-key.json"), "--out", tmp_path / "out", "--least-clean", "0.8")
    assert call(*paths, *options).exit_code == 0
    found = json.loads((tmp_path / "out" / "people.json").read_text())
    assert found["left_out"] == ["p004"]
    assert found["curves"]["fgsm"][1]["value"] == 1.0
    assert found["participants"]["p004"]["clean"] == 0.0


def test_few_participants_get_an_interval_as_wide_as_their_number() -> None:
    key = Key("s", {"fgsm": 1}, {f"i{n}": ("A", "fgsm", 1) for n in range(50)})
    answers = [Answer("p001", f"i{n}", "A", 500) for n in range(50)]
    share = analyse(key, answers)["curves"]["fgsm"][1]
    assert share["value"] == 1.0
    assert share["low"] < 0.3
    assert analyse(key, answers)["curves"]["fgsm"][0]["value"] is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace(text.split("\n")[1].split(",")[0], "other"), "the key is of"),
        (lambda text: text.replace("milliseconds", "ms"), "expected the columns"),
        (lambda text: text.replace(",700", ",soon", 1), "'soon' ms: not what the page saves"),
        (lambda text: text + text.split("\n")[1].replace(",700", ",800") + "\n", "answered image"),
        (lambda text: text.split("\n")[0] + "\n", "hold no answers"),
        (lambda text: text + "one,two\n", "expected 6 fields, got 2"),
    ],
)
def test_answers_that_do_not_belong_are_named(kit: Path, tmp_path: Path, change, reason: str) -> None:
    path = answers_of(kit, tmp_path, {})[0]
    path.write_text(change(path.read_text()))
    result = call(path, "--key", kit.with_name("study-key.json"), "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert reason in result.output.replace("\n", " ")


def test_a_key_that_is_none_is_named(kit: Path, tmp_path: Path) -> None:
    path = answers_of(kit, tmp_path, {})[0]
    (tmp_path / "key.json").write_text('{"study": "x"}')
    assert "no key of a study" in call(path, "--key", tmp_path / "key.json", "--out", tmp_path).output
    assert "cannot be read" in call(path, "--key", tmp_path / "none.json", "--out", tmp_path).output
