"""Arms, pools, paired intervals, verdicts, and runs that go on where they stopped."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from shared.errors import Code, GoodnoiseError

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from cloud_server.augment.distilling import Distiller  # noqa: E402
from cloud_server.augment.evaluate import unit  # noqa: E402
from cloud_server.augment.evaluate.arms import ARMS, Arm  # noqa: E402
from cloud_server.augment.evaluate.command import ProtocolChoice  # noqa: E402
from cloud_server.augment.evaluate.pools import Pool, pool_batches  # noqa: E402
from cloud_server.augment.evaluate.protocols import (  # noqa: E402
    PROTOCOLS,
    Protocol,
    imbalanced,
    rare_classes,
)
from cloud_server.augment.evaluate.report import markdown, write_report  # noqa: E402
from cloud_server.augment.evaluate.runner import Plan, Results, run_plan  # noqa: E402
from cloud_server.augment.evaluate.statistics import (  # noqa: E402
    Interval,
    Verdict,
    paired_difference,
    verdict,
)
from cloud_server.augment.evaluate.summary import summarise  # noqa: E402
from cloud_server.augment.evaluate.unit import Work, make_samples, train_arm  # noqa: E402
from cloud_server.augment.weights import effective_weights  # noqa: E402
from models.vision.cifar import Labelled  # noqa: E402
from models.vision.training import Training  # noqa: E402

TINY = Protocol(30, 10, "tiny", Training(updates=12, batch=16, rate=0.05))
CLASSES = ("across", "along", "dots")


def patterns(each: int, *, seed: int) -> Labelled:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), each)
    wave = np.where(np.arange(16) % 4 < 2, 50, -50)
    kinds = np.stack([np.tile(wave[:, None], (1, 16)), np.tile(wave, (16, 1)), wave[:, None] * wave / 50])
    images = rng.normal(128, 25, (len(labels), 3, 16, 16)) + kinds[labels][:, None]
    return Labelled(np.clip(images, 0, 255).astype(np.uint8), labels.astype(np.int64), CLASSES)


@pytest.fixture
def work(tmp_path):
    rare = rare_classes(CLASSES)
    train = imbalanced(patterns(40, seed=1), TINY, rare, seed=0)
    return Work(train, patterns(20, seed=2), rare, TINY, 0, tmp_path / "work")


def written(folder):
    """Train and test as tars of class folders."""
    folder.mkdir(exist_ok=True)
    for part, seed in (("train", 1), ("test", 2)):
        data = patterns(32, seed=seed)
        with tarfile.open(folder / f"{part}.tar", "w") as archive:
            for i, (image, label) in enumerate(zip(data.images, data.labels, strict=True)):
                content = io.BytesIO()
                Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(content, "png")
                info = tarfile.TarInfo(f"{part}/{CLASSES[label]}/{i:03}.png")
                info.size = content.tell()
                archive.addfile(info, io.BytesIO(content.getvalue()))
    return folder


def test_the_papers_four_classes_are_rare_where_there_are_such():
    names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    assert [names[k] for k in rare_classes(names)] == ["frog", "horse", "ship", "truck"]
    assert rare_classes(CLASSES).tolist() == [2]
    assert rare_classes(CLASSES, ("along",)).tolist() == [1]


@pytest.mark.parametrize("given", [("nobody",), CLASSES])
def test_rare_classes_that_make_no_sense_are_named(given):
    with pytest.raises(GoodnoiseError, match="--rare") as caught:
        rare_classes(CLASSES, given)
    assert caught.value.code == Code.INVALID_INPUT


def test_data_are_reduced_to_the_counts_by_the_seed():
    data, rare = patterns(40, seed=1), np.array([1])
    one, again, other = (imbalanced(data, TINY, rare, seed=s) for s in (0, 0, 1))
    assert np.bincount(one.labels).tolist() == [30, 10, 30]
    assert np.array_equal(one.images, again.images)
    assert not np.array_equal(one.images, other.images)


def test_a_long_tail_falls_from_class_to_class():
    counts = replace(TINY, tailed=True).counts(3, np.array([2]))
    assert [counts[k] for k in range(3)] == [30, 17, 10]


def test_too_few_images_are_named():
    with pytest.raises(GoodnoiseError, match="'across' has 5 images, the protocol needs 30"):
        imbalanced(patterns(5, seed=1), TINY, np.array([2]), seed=0)


def test_balanced_batches_draw_classes_alike_and_mix_samples_in():
    images, labels = np.zeros((110, 1, 1, 1), np.uint8), np.repeat([0, 1], [100, 10])
    pool = Pool.of(images, labels).joined(np.ones((30, 1, 1, 1), np.uint8), np.ones(30, np.int64))
    batch = next(pool_batches(lambda _: pool, 20_000, seed=0, balanced=True, mix=0.25))
    assert (batch.labels == 1).mean() == pytest.approx(0.5, abs=0.02)
    assert batch.images[batch.labels == 1].mean() == pytest.approx(0.25, abs=0.02)
    assert batch.images[batch.labels == 0].max() == 0


def test_plain_batches_show_each_image_once_each_time_through():
    pool = Pool.of(np.zeros((10, 1, 1, 1), np.uint8), np.arange(10))
    source = pool_batches(lambda _: pool, 5, seed=0, balanced=False)
    assert sorted(np.concatenate([next(source).labels, next(source).labels])) == list(range(10))


def test_weights_begin_when_they_should():
    pool = Pool.of(np.zeros((10, 1, 1, 1), np.uint8), np.repeat([0, 1], [8, 2]))
    heavy = effective_weights(pool.labels, 2)
    assert heavy[1] / heavy[0] == pytest.approx(4.0, rel=0.01)
    source = pool_batches(
        lambda _: pool, 10, seed=0, balanced=False, weights=lambda u: heavy if u >= 1 else None
    )
    assert next(source).weights is None
    later = next(source)
    assert np.array_equal(later.weights, heavy[later.labels])


def test_samples_fill_rare_classes_up_to_the_largest_or_double_them(work):
    for balance, count in ((True, 20), (False, 10)):
        made = make_samples(work, ARMS["unperturbed"].samples, balance, None)
        assert made.labels.tolist() == [2] * count
    parents = {image.tobytes() for image in work.train.images[work.train.labels != 2]}
    assert all(image.tobytes() in parents for image in made.images)


def test_deferred_losses_are_weighted_by_what_is_drawn_a_sample_counting_half(work):
    made = unit.Made(np.full((10, 3, 16, 16), 255, np.uint8), np.full(10, 2), 1.0)
    ratios = {}
    for name, samples in (("deferred", None), ("m2m-far-deferred", made)):
        source = unit._batches(work, ARMS[name], samples, seed=0)
        last = [next(source) for _ in range(TINY.training.updates)][-1]
        ratios[name] = last.weights[last.labels == 2].max() / last.weights[last.labels != 2].max()
    assert ratios["deferred"] == pytest.approx(3.0, rel=0.01)
    assert ratios["m2m-far-deferred"] == pytest.approx(2.0, rel=0.01)


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_trains_and_answers(name, work):
    predicted = train_arm(work, ARMS[name]).predicted
    assert predicted.shape == work.test.labels.shape
    assert set(predicted) <= {0, 1, 2}
    needs_one = ARMS[name].surrogate or ARMS[name].taught is not None
    assert any(work.folder.glob("surrogate-*-0.npz")) == needs_one


def test_arms_differ_in_what_they_learn_from_and_agree_with_themselves(work):
    plain, again, balanced = (train_arm(work, ARMS[n]).predicted for n in ("nothing", "nothing", "balanced"))
    assert np.array_equal(plain, again)
    assert not np.array_equal(plain, balanced)


def test_lowering_logits_by_the_classes_shares_finds_more_of_the_rare_one(work):
    plain, adjusted = (train_arm(work, ARMS[n]).predicted for n in ("nothing", "adjusted"))
    assert (adjusted == 2).sum() > (plain == 2).sum()
    assert (adjusted[plain == 2] == 2).all()


def test_without_weight_or_moves_a_taught_training_is_the_plain_one(work, monkeypatch):
    plain = train_arm(work, ARMS["deferred"]).predicted
    monkeypatch.setattr(unit, "Distiller", lambda *a, **k: Distiller(*a, **k, weight=0.0))
    taught = train_arm(work, replace(ARMS["distilled"], name="other"))
    assert np.array_equal(taught.predicted, plain)


def test_a_clear_difference_has_an_interval_off_zero_and_none_has_zero_inside():
    rng = np.random.default_rng(0)
    strata = np.repeat([0, 1], 500)
    weak, strong = rng.random((3, 1000)) < 0.6, rng.random((3, 1000)) < 0.7
    gap = paired_difference(strong, weak, strata)
    assert gap.low < gap.value < gap.high
    assert gap.value == pytest.approx(strong.mean() - weak.mean())
    assert gap.low > 0.05
    same = paired_difference(rng.random((3, 1000)) < 0.6, weak, strata)
    assert same.low < 0 < same.high


def test_the_interval_is_as_wide_as_theory_says():
    rng = np.random.default_rng(1)
    ours, theirs = np.tile(rng.random(2000) < 0.7, (1, 1)), np.zeros((1, 2000), bool)
    gap = paired_difference(ours, theirs, np.zeros(2000, np.int64))
    assert gap.high - gap.low == pytest.approx(2 * 1.96 * np.sqrt(0.7 * 0.3 / 2000), rel=0.08)


def test_shapes_that_do_not_agree_are_refused():
    with pytest.raises(ValueError, match="do not agree"):
        paired_difference(np.ones((2, 5), bool), np.ones((3, 5), bool), np.zeros(5, np.int64))


@pytest.mark.parametrize(
    ("rare", "frequent", "said"),
    [
        ((0.01, 0.05), (-0.01, 0.01), Verdict.HELPED),
        ((0.01, 0.05), (-0.03, -0.01), Verdict.TRADED),
        ((-0.01, 0.05), (0.01, 0.02), Verdict.ELSEWHERE),
        ((-0.01, 0.05), (-0.01, 0.02), Verdict.NOT_HELPED),
        ((-0.05, -0.01), (0.01, 0.02), Verdict.HARMED),
    ],
)
def test_verdicts(rare, frequent, said):
    assert verdict(Interval(np.mean(rare), *rare), Interval(np.mean(frequent), *frequent)) is said


def results(tmp_path, paper_right: float) -> Results:
    """Two arms' answers, of which a share is right on the rare class."""
    rng, labels = np.random.default_rng(0), np.repeat([0, 1, 2], 400)

    def answers(share: float):
        right = (rng.random((3, 1200)) < share) | (labels != 2)
        return np.where(right, labels, (labels + 1) % 3)

    plan = Plan(tmp_path, tmp_path, TINY, (ARMS["nothing"], ARMS["balanced"], ARMS["paper"]), (0, 1, 2))
    predicted = {"nothing": answers(0.2), "balanced": answers(0.6), "paper": answers(paper_right)}
    return Results(
        plan,
        labels,
        CLASSES,
        np.array([2]),
        predicted,
        dict.fromkeys(predicted, 0.5),
        dict.fromkeys(predicted, 9.0),
    )


def test_the_summary_compares_with_the_best_control_and_says_plainly_that_nothing_was_gained(tmp_path):
    summary = summarise(results(tmp_path, 0.4))
    assert summary.best == "balanced"
    assert summary.verdict.startswith("The augmentation did not help")
    rows = {row.arm: row for row in summary.rows}
    # Better than nothing is not enough.
    assert rows["paper"].accuracy["rare"] > rows["nothing"].accuracy["rare"]
    assert rows["paper"].verdict is Verdict.HARMED
    assert rows["nothing"].verdict is None


def test_as_good_on_rare_classes_and_better_on_the_others_is_said_so(tmp_path):
    found = results(tmp_path, 0.6)
    worse = found.predicted["balanced"].copy()
    # Every tenth image of a frequent class is wrong.
    worse[:, :800:10] = 2
    summary = summarise(replace(found, predicted=found.predicted | {"balanced": worse}))
    assert summary.best == "balanced"
    rows = {row.arm: row for row in summary.rows}
    assert rows["paper"].verdict is Verdict.ELSEWHERE
    assert summary.verdict.startswith("No recipe certainly beat the best control (balanced) on rare classes")
    assert summary.verdict.endswith("better on the others: paper.")


def test_a_summary_without_a_control_is_refused(tmp_path):
    found = results(tmp_path, 0.5)
    with pytest.raises(ValueError, match="control"):
        summarise(replace(found, plan=replace(found.plan, arms=(ARMS["paper"],))))


def test_the_report_is_a_table_a_picture_and_plain_values(tmp_path):
    found = results(tmp_path, 0.8)
    summary = summarise(found)
    page = markdown(found.plan, summary, note="of a made-up kind")
    assert "**Augmentation helped: paper beat the best control (balanced).**" in page
    assert "of a made-up kind" in page
    assert page.count("\n| ") == 4
    written_json, _, picture = write_report(found.plan, summary)
    content = json.loads(written_json.read_text())
    assert content["best_control"] == "balanced"
    assert content["rows"][2]["difference"]["rare"]["low"] > 0
    with Image.open(picture) as image:
        assert image.width > 500


def quick_plan(tmp_path, **changes) -> Plan:
    arms = tuple(ARMS[name] for name in ("nothing", "balanced"))
    plan = Plan(written(tmp_path / "data"), tmp_path / "out", TINY, arms, (0, 1), ("dots",))
    return replace(plan, **changes)


def test_a_run_goes_on_where_it_stopped(tmp_path):
    plan = quick_plan(tmp_path)

    def stop(done: int, _total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, on_progress=stop)
    seen: list[int] = []
    first = run_plan(plan, on_progress=lambda done, _: seen.append(done))
    assert seen == [2, 3, 4]
    again = run_plan(replace(plan, out=tmp_path / "other"))
    assert all(
        np.array_equal(first.predicted[name], again.predicted[name]) for name in ("nothing", "balanced")
    )


def test_other_settings_do_not_take_another_runs_results(tmp_path):
    plan = quick_plan(tmp_path, arms=(ARMS["nothing"],), seeds=(0,))
    run_plan(plan)
    seen: list[int] = []
    longer = replace(TINY, training=replace(TINY.training, updates=13))
    run_plan(replace(plan, protocol=longer), on_progress=lambda done, _: seen.append(done))
    assert seen == [0, 1]


def test_other_settings_do_not_take_another_runs_surrogate(tmp_path):
    plan = quick_plan(tmp_path, arms=(ARMS["paper"],), seeds=(0,))
    run_plan(plan)
    longer = replace(TINY, training=replace(TINY.training, updates=13))
    run_plan(replace(plan, protocol=longer))
    run_plan(replace(plan, arms=(ARMS["m2m"],)))
    assert len(list(plan.work.glob("surrogate-*.npz"))) == 2


def test_two_workers_find_what_one_finds(tmp_path):
    plan = quick_plan(tmp_path, seeds=(0,))
    one, two = run_plan(plan), run_plan(replace(plan, workers=2, out=tmp_path / "two"))
    assert all(np.array_equal(one.predicted[name], two.predicted[name]) for name in one.predicted)


def test_a_folder_without_a_test_part_is_refused(tmp_path):
    with pytest.raises(GoodnoiseError) as caught:
        run_plan(Plan(tmp_path, tmp_path, TINY, (ARMS["nothing"],), (0,)))
    assert caught.value.code == Code.NOT_FOUND


def test_the_table_has_the_controls_that_every_comparison_needs():
    controls = {name for name, arm in ARMS.items() if arm.control}
    assert {"nothing", "duplicates", "balanced", "deferred", "noise", "unperturbed", "relabelled"} <= controls
    assert {"paper", "m2m", "m2m-far", "hardened", "ours"} <= set(ARMS) - controls
    assert all(isinstance(arm, Arm) for arm in ARMS.values())
    assert {"reduced", "hours", "full"} <= set(PROTOCOLS)
    assert {choice.value for choice in ProtocolChoice} == set(PROTOCOLS)
