"""Recipe files: what they may say, and what is said of what they may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud_server.augment.formats import CODECS
from cloud_server.augment.formats import FORMATS as SINKS
from cloud_server.augment.job import ENCODINGS, FORMATS, Train, parse_job, read_job
from cloud_server.augment.recipes import RECIPES
from shared.errors import Code, GoodnoiseError

EXAMPLE = Path(__file__).resolve().parents[2] / "deploy" / "augment-example.yaml"


def test_a_file_of_one_line_takes_the_row_as_it_is():
    job = parse_job("recipe: m2m")
    assert job.recipe == RECIPES["m2m"]
    assert job.surrogate == Train()
    assert (job.strategy, job.seed, job.encoding, job.resize) == ("auto", 0, "png", False)


def test_all_keys_are_read():
    job = parse_job(
        """
recipe: m2m
changes: {radius: 1.0, tries: 3}
sampling_strategy: {cat: 30, "7": 20}
seed: 11
surrogate: {train: {network: tiny, updates: 5, batch: 8, rate: 0.1, augment: none, balance: deferred}}
split: train
label: kind
group: colour
resize: [16, 24]
encoding: jpeg-95
format: parquet
shard: 32
"""
    )
    assert job.recipe.budget.radius == 1.0
    assert job.recipe.tries == 3
    assert job.strategy == {"cat": 30, "7": 20}
    assert job.surrogate == Train("tiny", 5, 8, 0.1, "none", balance="deferred")
    assert (job.split, job.label, job.group) == ("train", "kind", "colour")
    assert (job.resize, job.encoding, job.format, job.shard) == ((16, 24), "jpeg-95", "parquet", 32)


def test_networks_are_found_beside_the_file(tmp_path):
    (tmp_path / "job.yaml").write_text("recipe: m2m\nsurrogate: {path: nets/a.npz}\nsecond: b.onnx\n")
    job = read_job(tmp_path / "job.yaml")
    assert job.surrogate == tmp_path / "nets/a.npz"
    assert job.second == tmp_path / "b.onnx"


def test_the_example_of_the_manual_is_read():
    assert read_job(EXAMPLE).recipe.name == "m2m"


def test_all_encodings_and_formats_that_there_are_can_be_named():
    assert tuple(CODECS) == ENCODINGS
    assert ("auto", *SINKS) == FORMATS


REFUSED = {
    "recipe: m2n": ("line 1", "recipe", "m2n", "m2m"),
    "seed: 3": ("recipe", "m2m"),
    "recipe: m2m\nseed: -1": ("line 2", "seed", "-1", "whole number"),
    "recipe: m2m\nseed: true": ("line 2", "seed", "True"),
    "recipe: m2m\nseeds: 3": ("line 2", "seeds", "no such key", "sampling_strategy"),
    "recipe: m2m\nseed: 1\nseed: 2": ("line 3", "seed", "line 2", "keep one"),
    "recipe: m2m\nchanges:\n  radius: wide": ("changes", "radius", "wide"),
    "recipe: m2m\nchanges:\n  radii: 1": ("changes", "radii", "confidence"),
    "recipe: m2m\nchanges:\n  7: 1": ("changes", "7"),
    "recipe: duplicate\nchanges: {steps: 5}": ("changes", "steps", "duplicate"),
    "recipe: m2m\nchanges: 3": ("line 2", "changes", "3"),
    "recipe: m2m\nsampling_strategy: often": ("line 2", "often", "minority"),
    "recipe: m2m\nsampling_strategy: 2.5": ("line 2", "2.5", "share"),
    "recipe: m2m\nsampling_strategy:\n  cat: many": ("line 3", "sampling_strategy.cat", "many"),
    "recipe: m2m\nsampling_strategy: {yes: 3}": ("line 2", "True", "quotes"),
    "recipe: m2m\nsurrogate: {train: {}, path: x}": ("line 2", "surrogate", "not both"),
    "recipe: m2m\nsurrogate:\n  train:\n    updates: 0": ("line 4", "surrogate.train.updates", "0"),
    "recipe: m2m\nsurrogate: {path: x.npz}": ("surrogate.path", "trained"),
    "recipe: m2m\nresize: [4]": ("line 2", "resize", "[4]", "height"),
    "recipe: m2m\nencoding: jpg": ("line 2", "encoding", "jpg", "jpeg-95"),
    "recipe: [m2m": ("line", "YAML"),
    "- m2m": ("expected keys and values",),
    "": ("expected keys and values",),
    "a: &x [1]\nb: *x": ("anchors",),
    "recipe: !!python/name:os.system": ("YAML",),
}


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_what_is_wrong_is_named_with_the_way_out(text):
    with pytest.raises(GoodnoiseError) as refused:
        parse_job(text, where="job.yaml")
    assert refused.value.code is Code.INVALID_INPUT
    for part in ("job.yaml", *REFUSED[text]):
        assert part in refused.value.message


def test_a_text_nested_without_end_is_refused():
    with pytest.raises(GoodnoiseError, match=r"nested|YAML"):
        parse_job("recipe: " + "[" * 20000)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(GoodnoiseError, match=r"none\.yaml") as refused:
        read_job(tmp_path / "none.yaml")
    assert refused.value.code is Code.NOT_FOUND


@pytest.mark.parametrize(
    "line",
    ["seed: 1", "changes: {radius: 1.0}", "sampling_strategy: 0.5", "encoding: jpeg-95", "shard: 8"],
)
def test_the_digest_tells_jobs_apart(line):
    assert parse_job(f"recipe: m2m\n{line}").digest != parse_job("recipe: m2m").digest
    assert parse_job(f"recipe: m2m\n{line}").digest == parse_job(f"{line}\nrecipe: m2m").digest
