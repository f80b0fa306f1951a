"""The whole gate on a few pictures: what it writes, how it goes on, and how its verdicts reach a bundle."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from cloud_server.cli import app
from cloud_server.evaluation.leak.gate import verdicts
from cloud_server.evaluation.leak.harvest import stored
from cloud_server.evaluation.leak.options import QUICK
from cloud_server.evaluation.leak.report import markdown, picture
from cloud_server.hints.data import FaceSet
from models.store import Store
from shared.errors import Code, GoodnoiseError

TINY = replace(
    QUICK,
    photos=2,
    frames=2,
    train_frames=1,
    train_cloaks=2,
    cloaks=2,
    redraws=2,
    map_epochs=1,
    bit_epochs=1,
    drawing_epochs=1,
    judges=("dlib-resnet",),
)


def pictures(names, seed):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (3 * len(names), 3, 14, 14), dtype=np.uint8)
    people = tuple(name for name in names for _ in range(3))
    return FaceSet(coarse.repeat(8, axis=2).repeat(8, axis=3), people, rng.normal(size=len(people)))


class Steps:
    """Notes what is done, and stops where it is told to."""

    def __init__(self, stop_at=None):
        self.stop_at, self.seen = stop_at, []

    def __call__(self, name, done, total):
        assert 1 <= done <= total
        self.seen.append(name)
        if self.stop_at is not None and name.startswith(self.stop_at):
            raise KeyboardInterrupt


@pytest.mark.zoo
@pytest.mark.torch
def test_a_run_that_was_stopped_goes_on_and_its_report_holds_all(zoo, tmp_path):
    from cloud_server.evaluation.leak.evaluate import evaluate_leak

    learn, tried, store = pictures("abc", 1), pictures("wxyz", 2), Store(zoo)
    with pytest.raises(KeyboardInterrupt):
        evaluate_leak(learn, tried, TINY, store, tmp_path, Steps("sketch: linkage"))
    second, third = Steps(), Steps()
    report = evaluate_leak(learn, tried, TINY, store, tmp_path, second)
    # What the first run finished is not done again.
    assert not any(name.startswith("cluster") for name in second.seen)
    assert any(name.startswith("sketch: linkage") for name in second.seen)
    again = evaluate_leak(learn, tried, TINY, store, tmp_path, third)
    assert not any(": " in name for name in third.seen)
    assert {**again, "seconds": 0} == {**report, "seconds": 0}
    _check_report(report)
    with pytest.raises(GoodnoiseError, match="other faces, networks or settings") as caught:
        evaluate_leak(learn, tried, replace(TINY, seed=1), store, tmp_path, Steps())
    assert caught.value.code == Code.PRECONDITION


def _check_report(report):
    assert json.loads(json.dumps(report, allow_nan=False)) == json.loads(json.dumps(report))
    assert report["data"]["tried_on"] == {"people": 4, "photos": 12, "cloaked": 2}
    assert set(report["verdicts"]) == {"pull", "cluster", "sketch", "sign"}
    assert report["verdicts"]["pull"]["verdict"] == "by construction"
    # Four people are too few to pass anything.
    assert "passed" not in {verdict["verdict"] for verdict in report["verdicts"].values()}
    pull = report["kinds"]["pull"]["cells"][0]["measured"]
    assert pull["rank1"]["value"] == pytest.approx(1 / 4)
    assert pull["tar"]["value"] == pytest.approx(0.01)
    given = {(cell["attacker"], cell["given"]) for cell in report["kinds"]["sketch"]["cells"]}
    assert {("linkage", f"{count} calls") for count in (10, 100)} | {("linkage", "many photos")} <= given
    assert {("two payloads", "1 call each"), ("published photo", "100 calls")} <= given
    assert "through the surrogate" in {
        cell["attacker"] for cell in report["kinds"]["float x_adv - x"]["cells"]
    }
    assert "| clean crop, recognisers | sface |" in markdown(report)
    assert picture(report).startswith(b"\x89PNG")
    assert set(verdicts(report)) == set(report["verdicts"])


@pytest.mark.zoo
@pytest.mark.torch
def test_a_judge_that_is_attacked_is_refused(zoo, tmp_path):
    from cloud_server.evaluation.leak.evaluate import evaluate_leak

    options = replace(TINY, judges=("sface",))
    with pytest.raises(GoodnoiseError, match="sface is attacked or learnt from"):
        evaluate_leak(pictures("ab", 1), pictures("yz", 2), options, Store(zoo), tmp_path, Steps())


def test_stored_chunks_are_read_back_and_only_missing_ones_computed(tmp_path):
    asked = []

    def compute(rows):
        asked.append(len(rows))
        return {"square": rows**2}

    first = stored(tmp_path, "squares", 150, compute, lambda *_: None)
    (tmp_path / "squares-000064.npz").unlink()
    second = stored(tmp_path, "squares", 150, compute, lambda *_: None)
    assert asked == [64, 64, 22, 64]
    assert np.array_equal(first["square"], np.arange(150) ** 2)
    assert np.array_equal(second["square"], first["square"])


def test_the_command_asks_who_is_learnt_from_and_who_is_tried(zoo, tmp_path):
    found = CliRunner().invoke(
        app, ["evaluate", "leak", "--faces", str(tmp_path), "--out", str(tmp_path / "out")]
    )
    assert found.exit_code == 2
    assert "--train-people" in found.stderr


@pytest.mark.zoo
def test_verdicts_go_into_a_bundle_and_are_told_in_words(zoo, tmp_path):
    share = {"value": 0.02, "low": 0.01, "high": 0.03, "chance": 0.01}
    verdict = {"attacker": "linkage", "k": "1 call", "epsilon": 4.0, "data": "some", "reason": "because"}
    pull = {**verdict, "verdict": "by construction", "rank1": None, "tar": None}
    entry = {**verdict, "verdict": "failed", "rank1": share, "tar": share}
    leak, out = tmp_path / "leak.json", tmp_path / "bundles"
    leak.write_text(json.dumps({"verdicts": {"pull": pull, "sketch": entry}}))
    built = CliRunner().invoke(
        app,
        [
            *("bundle", "build", "--out", str(out), "--profile", "phone", "--no-hints"),
            *("--surrogate", "mobilefacenet-192"),
            *("--accept-licence", "mobilefacenet-192", "--leak", str(leak)),
        ],
    )
    assert built.exit_code == 0, built.output
    shown = CliRunner().invoke(app, ["bundle", "show", "--bundles", str(out), "--json"])
    carried = json.loads(shown.stdout)
    manifest = carried[0] if isinstance(carried, list) else carried
    assert manifest["scores"]["leak"]["sketch"]["tar"] == [0.02, 0.01, 0.03]
    table = CliRunner().invoke(app, ["bundle", "show", "--bundles", str(out)]).stdout
    assert "level sketch" in table
    assert "NOT PASS the leak gate" in table
    assert "2.0 % of tries, 1.0 % by chance" in table
