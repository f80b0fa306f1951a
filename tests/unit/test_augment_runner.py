"""Runs shard by shard: stages that are kept, what is made again and what is not, and figures of the whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import filelock
import numpy as np
import pytest
from PIL import Image

from cloud_server.augment.job import Job, parse_job, read_job
from cloud_server.augment.opening import Opening
from cloud_server.augment.parts import Parts, load_parts
from cloud_server.augment.progress import Progress, Stage
from cloud_server.augment.records import Summary, read_record
from cloud_server.augment.runner import run
from shared.errors import Code, GoodnoiseError

pytestmark = pytest.mark.torch

TRAINED = "surrogate: {train: {network: tiny, updates: 220, batch: 4, augment: none}}"
UNIVERSAL = "changes: {radius: 40, steps: 12}"


def made(job: Job, dataset: Path, folder: Path, **options) -> Summary:
    opening = Opening(job, dataset, folder / "out")
    source = opening.source()
    return run(job, source, opening.sink(source), work=folder / "work", **options)


class Stop:
    """Wishes the end once a stage has come so far."""

    def __init__(self, stage: Stage, done: int) -> None:
        self.stage, self.done, self.wished, self.seen = stage, done, False, []

    def progress(self, step: Progress) -> None:
        self.seen.append(step)
        self.wished |= step.stage is self.stage and step.done >= self.done

    def cancelled(self) -> bool:
        return self.wished


def stopped(job: Job, dataset: Path, folder: Path, stage: Stage, done: int) -> Stop:
    stop = Stop(stage, done)
    with pytest.raises(GoodnoiseError, match="run it again") as ended:
        made(job, dataset, folder, on_progress=stop.progress, cancelled=stop.cancelled)
    assert ended.value.code is Code.CANCELLED
    return stop


def test_a_run_counts_what_it_made(recipe_file, short_class, tmp_path):
    seen: list[Progress] = []
    summary = made(read_job(recipe_file("m2m")), short_class, tmp_path, on_progress=seen.append)
    kinds = summary.kinds["emu"]
    assert summary.before == {"cat": 60, "dog": 60, "emu": 12}
    assert summary.after == {"cat": 60, "dog": 60, "emu": 60}
    assert summary.asked == summary.made == 48
    assert kinds["adversarial"] == summary.accepted > 0
    assert kinds["duplicate"] == 48 - summary.accepted > 0
    assert sum(summary.confidence) == summary.accepted
    assert sum(summary.confidence[:18]) == 0
    # What fell back had been tried, and is not passed over in the histogram.
    assert sum(summary.replaced) == kinds["duplicate"]
    assert seen[-1] == Progress(Stage.SAMPLES, 48, 48, 48, summary.accepted)
    assert [step.done for step in seen] == list(range(0, 49, 4))


def test_a_stopped_run_makes_only_what_is_missing(recipe_file, short_class, tmp_path, tree):
    job = read_job(recipe_file("m2m"))
    made(job, short_class, tmp_path / "whole")
    stopped(job, short_class, tmp_path / "parts", Stage.SAMPLES, 20)
    work = tmp_path / "parts" / "work"
    records = {path: path.stat().st_mtime_ns for path in work.glob("shard-*.json")}
    assert len(records) == 5
    made(job, short_class, tmp_path / "parts")
    assert tree(tmp_path / "parts") == tree(tmp_path / "whole")
    assert {path: path.stat().st_mtime_ns for path in records} == records


def test_training_goes_on_to_the_same_surrogate(short_class, tmp_path, tree):
    job = parse_job(f"recipe: m2m\n{TRAINED}\nsampling_strategy: {{emu: 14}}")
    made(job, short_class, tmp_path / "whole")
    first = stopped(job, short_class, tmp_path / "parts", Stage.SURROGATE, 210)
    assert first.seen[-1] == Progress(Stage.SURROGATE, 210, 220)
    rest: list[Progress] = []
    made(job, short_class, tmp_path / "parts", on_progress=rest.append)
    assert rest[0] == Progress(Stage.SURROGATE, 201, 220)
    assert tree(tmp_path / "parts") == tree(tmp_path / "whole")


def test_universal_perturbations_are_made_once_and_kept(recipe_file, short_class, tmp_path, tree):
    job = read_job(recipe_file("universal", UNIVERSAL))
    summary = made(job, short_class, tmp_path / "whole")
    assert summary.kinds["emu"].get("adversarial", 0) > 0
    stopped(job, short_class, tmp_path / "parts", Stage.UNIVERSAL, 17)
    rest: list[Progress] = []
    made(job, short_class, tmp_path / "parts", on_progress=rest.append)
    assert rest[0] == Progress(Stage.UNIVERSAL, 13, 36)
    assert tree(tmp_path / "parts") == tree(tmp_path / "whole")
    again: list[Progress] = []
    made(job, short_class, tmp_path / "whole", on_progress=again.append)
    assert {step.stage for step in again} == {Stage.SAMPLES}


def test_a_control_needs_no_surrogate(short_class, tmp_path):
    summary = made(parse_job("recipe: noise-relabelled"), short_class, tmp_path)
    assert summary.kinds["emu"] == {"noise": 48}
    assert summary.surrogate_sha256 == ""
    assert not list((tmp_path / "work").glob("surrogate*"))


def test_images_of_other_sizes_are_refused_or_resized(recipe_file, short_class, tmp_path):
    dataset = tmp_path / "data"
    shutil.copytree(short_class, dataset)
    for path in (dataset / "cat").iterdir():
        Image.open(path).resize((20, 24)).save(path)
    with pytest.raises(GoodnoiseError, match="resize"):
        made(read_job(recipe_file("m2m")), dataset, tmp_path)
    summary = made(read_job(recipe_file("m2m", "resize: true")), dataset, tmp_path / "resized")
    assert summary.made == 48


def test_only_the_shard_of_a_changed_image_is_made_again(recipe_file, short_class, tmp_path):
    dataset = tmp_path / "data"
    shutil.copytree(short_class, dataset)
    job = read_job(recipe_file("noise", "sampling_strategy: {emu: 24}"))
    made(job, dataset, tmp_path)
    paths = [tmp_path / "work" / f"shard-{number:06d}.json" for number in range(3)]
    before = [read_record(path) for path in paths]
    path = dataset / "emu" / "003.png"
    Image.fromarray(np.full((16, 16, 3), 90, np.uint8)).save(path)
    made(job, dataset, tmp_path)
    after = [read_record(path) for path in paths]
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1


def test_a_surrogate_is_trained_again_when_images_changed(short_class, tmp_path, tree):
    dataset = tmp_path / "data"
    shutil.copytree(short_class, dataset)
    job = parse_job(f"recipe: m2m\n{TRAINED.replace('220', '6')}")
    before = made(job, dataset, tmp_path / "run")
    again = made(job, dataset, tmp_path / "run")
    assert again == before
    for image in (dataset / "cat").iterdir():
        Image.fromarray(255 - np.asarray(Image.open(image))).save(image)
    after = made(job, dataset, tmp_path / "run")
    assert after.surrogate_sha256 != before.surrogate_sha256
    assert after == made(job, dataset, tmp_path / "fresh")
    assert tree(tmp_path / "run" / "out") == tree(tmp_path / "fresh" / "out")


def test_a_lost_output_is_made_again(recipe_file, short_class, tmp_path, tree):
    job = read_job(recipe_file("duplicate"))
    made(job, short_class, tmp_path)
    before = tree(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    made(job, short_class, tmp_path)
    assert tree(tmp_path / "out") == before


def test_a_folder_is_of_one_job_and_one_run_at_a_time(recipe_file, short_class, tmp_path):
    made(read_job(recipe_file("duplicate")), short_class, tmp_path)
    with pytest.raises(GoodnoiseError, match="another --out"):
        made(read_job(recipe_file("noise")), short_class, tmp_path)
    with (
        filelock.FileLock(tmp_path / "work" / ".lock"),
        pytest.raises(GoodnoiseError, match="at work") as refused,
    ):
        made(read_job(recipe_file("duplicate")), short_class, tmp_path)
    assert refused.value.code is Code.PRECONDITION


def test_a_surrogate_that_changed_meanwhile_is_not_taken(recipe_file, short_class):
    path = recipe_file.folder / "surrogate.npz"
    parts = Parts(("cat", "dog", "emu"), (3, 16, 16), path, "0" * 64)
    with pytest.raises(GoodnoiseError, match="changed since"):
        load_parts(parts)


def test_a_surrogate_of_other_classes_is_refused(recipe_file, short_class, tmp_path):
    shutil.copytree(short_class, tmp_path / "data")
    (tmp_path / "data" / "emu").rename(tmp_path / "data" / "gnu")
    with pytest.raises(GoodnoiseError, match="gnu") as refused:
        made(read_job(recipe_file("m2m")), tmp_path / "data", tmp_path)
    assert refused.value.code is Code.PRECONDITION


def test_a_bias_is_evened_out_inside_each_class(tmp_path):
    rng = np.random.default_rng(2)
    labels, groups = np.repeat([0, 1], 40), np.tile([0, 0, 0, 1], 20)
    images = rng.integers(60, 180, (80, 16, 16, 3), dtype=np.uint8)
    images[groups == 1, :, :, 0] += 50
    names = {"classes": ["cat", "dog"], "group_names": ["blue", "red"]}
    np.savez(tmp_path / "data.npz", images=images, labels=labels, groups=groups, **names)
    summary = made(parse_job(f"recipe: aeda\ngroup: groups\n{TRAINED}"), tmp_path / "data.npz", tmp_path)
    assert summary.before == {"cat": 40, "dog": 40}
    assert summary.cells == {
        f"{k}/{g}": (n, 30) for k in names["classes"] for g, n in (("blue", 30), ("red", 10))
    }
