"""A report from its images to its pages."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from cloud_server.captcha.challenges.maker import load_maker  # noqa: E402
from cloud_server.captcha.challenges.recipe import Recipe  # noqa: E402
from cloud_server.captcha.challenges.render import draw_text, render  # noqa: E402
from cloud_server.captcha.challenges.types import Made  # noqa: E402
from cloud_server.captcha.report.pages import html, markdown  # noqa: E402
from cloud_server.captcha.report.readings import Readings  # noqa: E402
from cloud_server.captcha.report.rows import Row, Seen, Tries, measure, tries_of  # noqa: E402
from cloud_server.captcha.report.run import SCHEMA, ReportOptions, make_report, write_report  # noqa: E402
from cloud_server.captcha.report.sample import Condition, Sample, random_noise, take_sample  # noqa: E402
from cloud_server.captcha.report.scores import share  # noqa: E402
from cloud_server.captcha.report.verdicts import goals, verdict  # noqa: E402
from cloud_server.captcha.settings import LimitSettings, Rates  # noqa: E402
from models.store import Store  # noqa: E402
from shared.errors import GoodnoiseError  # noqa: E402
from shared.wire import captcha as limits  # noqa: E402

pytestmark = pytest.mark.torch

TINY = {"plain": 16, "plain_epochs": 1, "most_epochs": 1, "least_epochs": 1, "batch": 8}


def _maker():
    return load_maker(Recipe(readers=(("columns", 1.0),)))


@pytest.fixture(scope="module")
def made(zoo, tmp_path_factory):
    """A small report, adaptive solver included, and what a second run of it did."""
    options = ReportOptions(
        images=10, solvers=("whisperer", "tesseract"), adaptive=16, seed=3, plan=TINY, shard=16
    )
    work, steps = tmp_path_factory.mktemp("report"), []
    report, again = (
        make_report(
            _maker(),
            options,
            work,
            store=Store(zoo),
            progress=lambda *step, n=number: steps.append((n, *step)),
        )
        for number in (1, 2)
    )
    return report, again, [step for step in steps if step[0] == 2]


def test_report_is_one_json_object_that_can_be_published(made, tmp_path):
    content = write_report(made[0], tmp_path)
    assert limits.report("report", content) == content
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["schema"] == SCHEMA
    assert found["images"]["count"] == 10
    assert found["images"]["made_against"] == ["columns"]
    names = [row["solver"] for row in found["solvers"]]
    assert names[0] == "whisperer"
    assert names[-1] == "adaptive"
    assert set(names) | {row["solver"] for row in found["absent"]} == {"whisperer", "tesseract", "adaptive"}
    assert [point["images"] for point in found["learning_curve"]] == [16]
    sizes = {name: cv2.imread(str(tmp_path / name)).shape for name in ("sheet.png", "curve.png")}
    assert sizes["sheet.png"][1] > 3 * 512
    assert sizes["curve.png"][1] > 500


def test_report_shows_clean_rate_control_and_attack(made):
    row = made[0].content["solvers"][0]
    assert row["clean"]["whole"]["value"] >= 0.7
    assert row["seen"] is False
    for condition in ("clean", "noise", "attacked"):
        seen = row[condition]
        best = max(seen["by_preprocessing"].values())
        assert seen["whole"]["value"] == best == seen["by_preprocessing"][seen["preprocessing"]]
        assert len(seen["by_preprocessing"]) == 6
    assert len(row["success_within"]) == 4
    # Harder preprocessings stand beside the suite and do not count in it.
    assert set(row["stretched"]["by_preprocessing"]) == set(made[0].content["images"]["stretchings"])
    assert not set(row["stretched"]["by_preprocessing"]) & set(row["attacked"]["by_preprocessing"])


def test_a_second_run_reads_and_learns_nothing_anew(made):
    first, again, steps = made
    assert {name for _, name, *_ in steps} == {"images of the service to read"}
    assert {**again.content, "created": 0} == {**first.content, "created": 0}


def test_pages_tell_the_same_figures(made):
    content = made[0].content
    text, page = markdown(content), html(content)
    parser = HTMLParser()
    cells: list[str] = []
    parser.handle_data = cells.append
    parser.feed(page)
    for goal in content["goals"]:
        assert goal["found"] in cells
        assert f"| {goal['goal']} | {goal['wanted']} | {goal['found']} |" in text
    assert all(limit in text and limit in cells for limit in content["limits"])
    assert "<script" not in page
    assert "Proxies" in text
    assert "## With dark tones stretched" in text
    assert "human" not in text.lower()


def test_pages_escape_what_a_solver_is_called(made):
    content = {**made[0].content, "absent": [{"solver": "<b>|x", "reason": "not <here>"}]}
    assert "<b>" not in html(content)
    assert "<b>\\|x" in markdown(content)


def _rendered(count, seed=0, change=16, passed=lambda _: True):
    rng = np.random.default_rng(seed)
    items = []
    for number in range(count):
        item = render(draw_text(rng), rng=rng)
        sign = rng.choice([-1, 1], (8, 32)).repeat(8, axis=0).repeat(8, axis=1)
        attacked = np.clip(np.rint(255 * item.image) + change * sign, 0, 255).astype(np.uint8)
        items.append(Made(item, attacked, passed(number)))
    return items


def test_noise_has_the_size_of_the_attack_and_not_its_plan(rng):
    clean = np.full((64, 256), 128, np.uint8)
    attacked = clean.copy()
    attacked[:, :64] += 20
    noise = random_noise(clean, attacked, rng=rng).astype(int) - 128
    assert np.abs(noise).max() == 20
    assert np.sum(noise**2) == 20**2 * 64 * 64
    assert abs(noise.mean()) < 1
    assert np.count_nonzero(noise[:, 64:]) > 2500


class _Gate:
    """A maker of rendered images whose gate lets some pass."""

    recipe = "gate"

    def __init__(self, passed):
        self.passed = passed

    def make(self, count, *, seed):
        return _rendered(count, seed=seed, passed=self.passed)


def test_sample_holds_what_the_gate_issued():
    sample = take_sample(_Gate(lambda n: n % 2), 20, seed=1, progress=lambda *_: None)
    assert len(sample.texts) == len(set(sample.texts)) == 20
    assert all(item.passed for item in sample.issued)
    assert len(sample.held_back) == 24
    again = take_sample(_Gate(lambda n: n % 2), 20, seed=1, progress=lambda *_: None)
    other = take_sample(_Gate(lambda n: n % 2), 20, seed=2, progress=lambda *_: None)
    assert sample.key == again.key != other.key


def test_a_gate_that_lets_nothing_pass_ends_the_report():
    with pytest.raises(GoodnoiseError, match="the gate let 0 of 48 images pass"):
        take_sample(_Gate(lambda _: False), 20, seed=1, progress=lambda *_: None)


class _Perfect:
    """Reads clean images by heart; counts how often it is asked."""

    name, version, seen = "perfect", "1", False

    def __init__(self, sample):
        self.texts, self.asked = sample.texts, 0
        self.known = [image.tobytes() for image in sample.images(Condition.CLEAN)]

    def read(self, images):
        self.asked += 1
        return [
            text if image.tobytes() == known else ""
            for text, image, known in zip(self.texts, images, self.known, strict=True)
        ]


def test_readings_survive_an_interruption_and_a_cut_line(tmp_path):
    sample = Sample(tuple(_rendered(4)), (), seed=0)
    path, solver = tmp_path / "readings.jsonl", _Perfect(sample)

    def stop(_: str) -> None:
        if solver.asked == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(solver, sample, Readings(path, sample, told=stop))
    path.write_text(path.read_text() + '{"sample": "cut')
    row = measure(solver, sample, Readings(path, sample, told=lambda _: None))
    assert solver.asked == 21
    assert row.conditions[Condition.CLEAN].preprocessing == "nothing"
    assert row.clean.value == 1
    assert row.attacked.value == 0
    assert measure(solver, sample, Readings(path, sample, told=lambda _: None)) == row
    assert solver.asked == 21
    others = Sample(tuple(_rendered(4, seed=9)), (), seed=0)
    measure(_Perfect(others), others, Readings(path, others, told=lambda _: None))
    measure(solver, sample, Readings(path, sample, told=lambda _: None))
    assert solver.asked == 21


def _row(name, clean, attacked, *, seen=False, adaptive=False):
    shares = {Condition.CLEAN: clean, Condition.NOISE: clean, Condition.ATTACKED: attacked}
    conditions = {
        condition: Seen(share(right, 200), share(right, 200), "nothing", {"nothing": right / 200})
        for condition, right in shares.items()
    }
    return Row(name, "1", seen, adaptive, conditions, conditions[Condition.ATTACKED])


def _legible(contrast=0.97, template=1.0):
    return {"issued": {"stroke_contrast": {"ratio": contrast}, "template_observer": {"ratio": template}}}


def test_verdicts_say_what_a_row_proves():
    assert verdict(_row("a", 99, 0)).startswith("proves nothing")
    assert verdict(_row("a", 190, 150, seen=True)).startswith("seen by the generator")
    assert verdict(_row("a", 190, 30)) == "reads 15.0%, more than the goal of 5%"
    assert verdict(_row("a", 190, 20, adaptive=True)) == "within the goal of 20%; its interval too"
    assert verdict(_row("a", 190, 9)) == "within the goal of 5%; its interval reaches beyond"
    assert verdict(_row("a", 190, 1)) == "within the goal of 5%; its interval too"


def test_goals_hold_by_the_worst_unseen_solver_that_counts():
    rows = [_row("good", 190, 4), _row("blind", 10, 10), _row("known", 190, 0, seen=True)]
    held = [goal["holds"] for goal in goals(rows, _legible())]
    assert held == [False, True, None, True, True]
    rows += [_row("other", 120, 11), _row("adaptive", 200, 10, adaptive=True)]
    found = goals(rows, _legible(contrast=0.94))
    assert [goal["holds"] for goal in found] == [True, False, True, False, True]
    assert found[1]["found"].startswith("other reads most: 5.5%")


def test_tries_are_those_of_the_limits():
    found = tries_of(LimitSettings())
    assert Tries("address", "20/minute", 20) in found
    assert Tries("address", "100/hour", 100) in found
    assert tries_of(replace(LimitSettings.off(), answer=Rates("7/day"))) == (Tries("address", "7/day", 7),)
    row = _row("a", 190, 20).as_dict(found)
    assert row["relative_drop"] == pytest.approx(1 - 20 / 190)
    assert row["success_within"][0]["value"] == pytest.approx(1 - 0.9**20)


def test_solvers_that_the_images_are_made_against_are_seen():
    from types import SimpleNamespace

    from cloud_server.captcha.report.run import seen_by

    recipe = SimpleNamespace(readers=(("columns", 1.0), ("ppocr-v6-rec", 0.4)))
    assert seen_by(SimpleNamespace(recipe=recipe)) == ("ppocr",)
