"""Planted biases, attribute files, remedies, and metrics of fairness."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from shared.errors import Code, GoodnoiseError

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from cloud_server.augment.evaluate.bias.arms import BIAS_ARMS  # noqa: E402
from cloud_server.augment.evaluate.bias.attributes import open_attributes  # noqa: E402
from cloud_server.augment.evaluate.bias.crossing import coupled, flow  # noqa: E402
from cloud_server.augment.evaluate.bias.metrics import METRICS, by_group, differences  # noqa: E402
from cloud_server.augment.evaluate.bias.planted import coloured_digits, from_source, tinted  # noqa: E402
from cloud_server.augment.evaluate.bias.report import bias_markdown, write_bias_report  # noqa: E402
from cloud_server.augment.evaluate.bias.runner import (  # noqa: E402
    BiasPlan,
    BiasResults,
    cells_of,
    digits,
    run_bias,
)
from cloud_server.augment.evaluate.bias.summary import bias_verdict, summarise_bias  # noqa: E402
from cloud_server.augment.evaluate.bias.unit import made_samples, train_bias_arm  # noqa: E402
from cloud_server.augment.evaluate.bias.work import BiasWork  # noqa: E402
from cloud_server.augment.evaluate.statistics import Interval, Verdict  # noqa: E402
from models.vision.cifar import Labelled  # noqa: E402
from models.vision.training import Batch, Training  # noqa: E402

SHORT = Training(updates=6, batch=16, rate=0.05)


@pytest.fixture(scope="module")
def work():
    train, test = digits(40, 0.9, 10)(0)
    return BiasWork(train, test, "tiny", SHORT, 0)


def test_digits_have_the_counts_and_their_groups_colour():
    data = coloured_digits(cells_of(50, 0.9), seed=0)
    assert np.bincount(data.cells).tolist() == [45, 5, 5, 45]
    means = data.images.astype(float).mean(axis=(2, 3))
    red, green = means[data.groups == 0], means[data.groups == 1]
    assert (red[:, 0] - red[:, 1]).mean() > 1
    assert (green[:, 1] - green[:, 0]).mean() > 1
    assert np.array_equal(data.images, coloured_digits(cells_of(50, 0.9), seed=0).images)
    assert not np.array_equal(data.images, coloured_digits(cells_of(50, 0.9), seed=1).images)


def test_a_tint_is_put_over_the_images_of_two_classes():
    data = Labelled(np.full((60, 3, 8, 8), 100, np.uint8), np.repeat([0, 1, 2], 20), ("a", "b", "c"))
    made = tinted(data, ("a", "c"), cells_of(20, 0.75), seed=0)
    assert made.classes == ("a", "c")
    assert np.bincount(made.cells).tolist() == [15, 5, 5, 15]
    assert made.images[made.groups == 0][0, :, 0, 0].tolist() == [112, 100, 88]
    assert made.images[made.groups == 1][0, :, 0, 0].tolist() == [88, 100, 112]


@pytest.mark.parametrize(("pair", "each"), [(("a", "z"), 4), (("a", "b"), 40)])
def test_classes_that_the_data_lack_are_named(pair, each):
    data = Labelled(np.zeros((40, 3, 8, 8), np.uint8), np.repeat([0, 1], 20), ("a", "b"))
    with pytest.raises(ValueError, match=r"pair: needs two of|has 20 images, 40"):
        tinted(data, pair, cells_of(each, 0.75), seed=0)


def attribute_folder(folder):
    (folder / "img_align_celeba").mkdir()
    rows = [(f"{i:06}.jpg", 1 if i % 2 else -1, 1 if i % 3 else -1, i % 3) for i in range(9)]
    for name, *_ in rows:
        Image.new("RGB", (20, 24), (90, 90, 90)).save(folder / "img_align_celeba" / name)
    lines = [f"{name} {smiling:>2} {male:>2}" for name, smiling, male, _ in rows]
    (folder / "list_attr_celeba.txt").write_text("\n".join(["9", "Smiling Male", *lines]) + "\n")
    (folder / "list_eval_partition.txt").write_text("\n".join(f"{row[0]} {row[3]}" for row in rows) + "\n")
    return folder


def test_attribute_files_give_classes_groups_and_splits(tmp_path):
    folder = attribute_folder(tmp_path)
    train = open_attributes(folder, label="Smiling", group="Male")
    assert [train.name(i) for i in range(len(train))] == ["000000.jpg", "000003.jpg", "000006.jpg"]
    assert [train.classes[k] for k in train.labels] == ["not Smiling", "Smiling", "not Smiling"]
    assert train.split == "train"
    test = open_attributes(folder, label="Smiling", group="Male", split="test")
    assert {test.group_names[g] for g in test.groups} == {"Male"}
    assert from_source(train, size=16).images.shape == (3, 3, 16, 16)


@pytest.mark.parametrize(
    ("file", "content", "code", "named"),
    [
        ("list_attr_celeba.txt", None, Code.NOT_FOUND, "list_attr_celeba"),
        ("list_attr_celeba.txt", "1\nSmiling Young\n000000.jpg 1 1\n", Code.INVALID_INPUT, "'Male'"),
        ("list_attr_celeba.txt", "1\nSmiling Male\n000000.jpg 1\n", Code.CORRUPT, "line 3"),
        ("list_eval_partition.txt", "000000.jpg 7\n", Code.CORRUPT, "line 1"),
        ("list_eval_partition.txt", "000000.jpg 2\n", Code.INVALID_INPUT, "'train'"),
    ],
)
def test_attribute_files_that_will_not_do_are_named(tmp_path, file, content, code, named):
    path = attribute_folder(tmp_path) / file
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(GoodnoiseError, match=named) as caught:
        open_attributes(tmp_path, label="Smiling", group="Male")
    assert caught.value.code == code


@pytest.mark.parametrize("name", BIAS_ARMS)
def test_every_remedy_trains_and_answers(name, work):
    predicted = train_bias_arm(work, BIAS_ARMS[name])
    assert predicted.shape == work.test.labels.shape
    assert np.array_equal(predicted, train_bias_arm(work, BIAS_ARMS[name]))


def test_rows_of_a_large_group_cross_over_until_groups_are_even(work):
    data = work.train
    chances = flow(data)
    counts = np.bincount(data.cells, minlength=4).astype(float)
    after = (counts[:, None] * chances).reshape(2, 2, 2).sum(axis=1)
    assert after == pytest.approx(np.full((2, 2), 20.0))
    images = np.repeat(data.images[data.cells == 0][:1], 400, axis=0)
    source = iter([Batch(images, np.zeros(400, np.int64))])
    batch = next(coupled(work, BIAS_ARMS["aeda-coupled"].coupled, source))
    moved = batch.labels == 1
    assert moved.mean() == pytest.approx(chances[0, 1], abs=0.08)
    change = np.abs(batch.images.astype(int) - images).reshape(400, -1).max(axis=1)
    assert change[~moved].max() == 0
    assert 0 < change[moved].min() <= change[moved].max() <= 8


@pytest.mark.parametrize("cell", range(4))
def test_both_ways_rows_of_every_class_and_group_cross_over_alike(work, cell):
    data = work.train
    images = np.repeat(data.images[data.cells == cell][:1], 100, axis=0)
    source = iter([Batch(images, np.full(100, cell))])
    batch = next(coupled(work, BIAS_ARMS["aeda-both-coupled"].coupled, source))
    moved = batch.labels != cell
    assert np.array_equal(batch.labels // 2, np.full(100, cell // 2))
    assert moved.mean() == pytest.approx(0.5, abs=0.15)
    change = np.abs(batch.images.astype(int) - images).reshape(100, -1).max(axis=1)
    assert np.array_equal(change > 0, moved)
    assert change.max() <= 32


def test_the_control_of_random_noise_is_as_large_as_the_attacks_beside_it(work):
    def sizes(recipe):
        images, cells = made_samples(work, recipe)
        origins = {image.tobytes() for image in work.train.images}
        assert np.bincount(cells, minlength=4).min() > 0
        assert not any(image.tobytes() in origins for image in images)
        change = images.astype(float) - work.train.images
        return np.sqrt(np.square(change).reshape(len(images), -1).sum(axis=1)) / 255

    noise = sizes(BIAS_ARMS["noise"].samples)
    attacks = sizes(BIAS_ARMS["aeda-both"].samples)
    assert noise.mean() == pytest.approx(attacks.mean(), rel=0.2)


def answers(labels, groups, right, *, seed: int = 0):
    """Three seeds of answers that are right with a chance by class and group."""
    rng = np.random.default_rng(seed)
    hit = rng.random((3, len(labels))) < np.asarray(right)[labels, groups]
    return np.where(hit, labels, 1 - labels)


LABELS, GROUPS = np.repeat([0, 0, 1, 1], 400), np.tile(np.repeat([0, 1], 400), 2)


def test_intervals_hold_what_fairlearn_measures():
    predicted = answers(LABELS, GROUPS, [[0.9, 0.6], [0.7, 0.95]])
    found = differences(LABELS, GROUPS, predicted)
    truth = [by_group(LABELS, GROUPS, one) for one in predicted]
    for name in METRICS:
        assert found[name].value == pytest.approx(np.mean([one[name] for one in truth]))
        assert found[name].low < found[name].value < found[name].high
    assert found["equalized_odds"].value == pytest.approx(0.3, abs=0.05)


def test_a_closed_gap_shows_in_the_paired_difference():
    gaping = answers(LABELS, GROUPS, [[0.9, 0.6], [0.6, 0.9]])
    fair = answers(LABELS, GROUPS, [[0.8, 0.8], [0.8, 0.8]], seed=1)
    found = differences(LABELS, GROUPS, fair, gaping)
    assert found["equalized_odds"].high < -0.2
    assert found["worst"].low > 0.1
    assert differences(LABELS, GROUPS, fair, fair)["accuracy"] == Interval(0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("gap", "accuracy", "said"),
    [
        ((-0.3, -0.1), (-0.01, 0.02), Verdict.HELPED),
        ((-0.3, -0.1), (-0.03, -0.01), Verdict.TRADED),
        ((-0.1, 0.1), (0.01, 0.02), Verdict.NOT_HELPED),
        ((0.1, 0.2), (0.01, 0.02), Verdict.HARMED),
    ],
)
def test_verdicts_on_a_gap(gap, accuracy, said):
    assert bias_verdict(Interval(np.mean(gap), *gap), Interval(np.mean(accuracy), *accuracy)) is said


def test_the_report_names_the_best_control_and_says_whether_anything_was_gained(tmp_path):
    chosen = tuple(BIAS_ARMS[name] for name in ("nothing", "over-sampling", "aeda"))
    plan = BiasPlan("digits", tmp_path, chosen, (0, 1, 2), "tiny", SHORT)
    test = coloured_digits(np.full((2, 2), 400), seed=0)
    rights = {"nothing": 0.5, "over-sampling": 0.7, "aeda": 0.85}
    predicted = {
        name: answers(test.labels, test.groups, [[0.9, low], [low, 0.9]]) for name, low in rights.items()
    }
    results = BiasResults(plan, test, np.array([[95, 5], [5, 95]]), predicted)
    summary = summarise_bias(results)
    assert summary.best == "over-sampling"
    assert "Augmentation helped: aeda" in bias_markdown(results, summary)
    path, page, picture = write_bias_report(results, summary, note="drawn")
    content = json.loads(path.read_text())
    assert content["rows"][2]["difference"]["equalized_odds"]["high"] < 0
    # No control is passed over, so that none can be picked.
    beside = content["rows"][2]["beside"]
    assert set(beside) == {"nothing", "over-sampling"}
    assert beside["nothing"]["accuracy"]["low"] > beside["over-sampling"]["accuracy"]["high"] > 0
    assert "95 red, 5 green" in page.read_text()
    assert "| aeda | nothing | +1" in page.read_text()
    with Image.open(picture) as image:
        assert image.width > 500
    with pytest.raises(ValueError, match="control"):
        summarise_bias(replace(results, plan=replace(plan, arms=chosen[2:])))


def test_a_run_against_a_bias_goes_on_where_it_stopped(tmp_path):
    chosen = tuple(BIAS_ARMS[name] for name in ("nothing", "re-weighting"))
    plan, makes = BiasPlan("digits", tmp_path, chosen, (0, 1), "tiny", SHORT), digits(40, 0.9, 10)

    def stop(done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_bias(plan, makes, on_progress=stop)
    kept = (tmp_path / "bias.jsonl").read_text().splitlines()
    results = run_bias(plan, makes)
    assert (tmp_path / "bias.jsonl").read_text().splitlines()[: len(kept)] == kept
    assert len((tmp_path / "bias.jsonl").read_text().splitlines()) == 4
    assert results.predicted["nothing"].shape == (2, 40)
    assert results.train_cells.tolist() == [[36, 4], [4, 36]]


def test_the_command_trains_and_reports(tmp_path):
    from cloud_server.cli import app

    given = ["--images", "40", "--seeds", "1", "--updates", "3", "--arm", "nothing", "--arm", "aeda"]
    ran = CliRunner().invoke(app, ["augment", "evaluate-bias", "--out", str(tmp_path), *given])
    assert ran.exit_code == 0, ran.output
    assert "bias-digits.md" in ran.output
    assert json.loads((tmp_path / "bias-digits.json").read_text())["best_control"] == "nothing"


@pytest.mark.parametrize(
    ("given", "named"),
    [(["--bias", "tint"], "--data"), (["--arm", "magic"], "--arm magic"), (["--arm", "aeda"], "control")],
)
def test_a_command_that_cannot_run_says_why(tmp_path, given, named):
    from cloud_server.cli import app

    ran = CliRunner().invoke(app, ["augment", "evaluate-bias", "--out", str(tmp_path), *given])
    assert ran.exit_code == 2
    assert named in ran.output
