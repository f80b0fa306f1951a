"""The report of a run: what it says, and its pictures."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cloud_server.augment.pages import pages_of, report, write_pages
from cloud_server.augment.records import BINS, Example, Record, Summary, write_record
from cloud_server.augment.sheet import amplification, caption, triple
from cloud_server.augment.types import Draw, Kind, Provenance, Sample
from shared.errors import Code, GoodnoiseError


def provenance(number: int, kind: Kind, *, levels: int = 3) -> Provenance:
    return Provenance(
        kind=kind,
        parent=f"train/truck & <co>/{number}.png",
        parent_sha256="0" * 64,
        source_label="truck & <co>",
        target_label="frog",
        target="frog",
        surrogate_sha256="ab" * 32,
        recipe="m2m/1",
        budget="l2 1.5",
        l2=0.4,
        levels=levels,
        steps=10,
        confidence=0.25 if kind is Kind.UNACCEPTED else 0.93,
        accepted=kind is Kind.ADVERSARIAL,
        tries=1,
        encoding="png",
        seed=5,
        number=number,
    )


def example(number: int, kind: Kind, *, levels: int = 3, side: int = 32) -> Example:
    rng = np.random.default_rng(number)
    before = rng.integers(10, 240, (side, side, 3), dtype=np.uint8)
    after = before.copy()
    after[: side // 2] += levels
    return Example.of(
        Sample(Draw(number, 0, 0, (1,)), 1, b"", after, provenance(number, kind, levels=levels)), before
    )


@pytest.fixture
def summary() -> Summary:
    histogram = [0] * BINS
    histogram[5], histogram[18] = 2, 6
    return Summary(
        recipe="m2m/1",
        fallback="keep",
        seed=5,
        encoding="png",
        budget="l2 1.5",
        surrogate_sha256="ab" * 32,
        asked=8,
        made=8,
        accepted=6,
        tries=8,
        before={"frog": 4, "truck & <co>": 12},
        after={"frog": 12, "truck & <co>": 12},
        kinds={"frog": {"adversarial": 6, "unaccepted": 2}, "truck & <co>": {}},
        confidence=tuple(histogram),
    )


@pytest.fixture
def examples() -> list[Example]:
    kinds = [Kind.ADVERSARIAL, Kind.UNACCEPTED, Kind.DUPLICATE]
    return [example(i, kind) for i, kind in enumerate(kinds)]


def test_both_pages_say_what_was_made_and_what_was_not_accepted(summary, examples):
    pages = pages_of(summary, examples)
    for text in (pages.markdown, re.sub(r"<[^>]+>", " ", pages.html)):
        assert "16 images became 24" in text
        assert "6 of 8 (75%) reached their target after rounding and encoding" in text
        assert "2 did not, and are kept all the same" in text
        assert "synthetic" in text
        assert "does not show" in text
    assert "| frog | 4 | 12 | 6 | 2 |" in pages.markdown
    assert "NOT accepted, confidence 0.25" in pages.markdown


def test_attempts_that_duplicates_stand_in_for_are_in_the_histogram(summary, examples):
    replaced = [0] * BINS
    replaced[5], replaced[7] = 3, 4
    pages = pages_of(replace(summary, replaced=tuple(replaced)), examples)
    assert "| 0.25 to 0.30 | 2 | 3 |" in pages.markdown
    assert "| 0.35 to 0.40 | 0 | 4 |" in pages.markdown
    assert "| 0.90 to 0.95 | 6 | 0 |" in pages.markdown
    assert "height:50.0%;background:#c79a2b" in pages.html


@pytest.mark.parametrize(
    ("fallback", "kinds", "made", "said"),
    [
        ("duplicate", {"adversarial": 6, "duplicate": 2}, 8, "an image of the class is repeated instead"),
        ("drop", {"adversarial": 6}, 6, "2 did not, and were left out"),
        ("duplicate", {"adversarial": 6}, 6, "2 samples that were asked for do not exist"),
    ],
)
def test_what_fell_back_is_said_plainly(summary, examples, fallback, kinds, made, said):
    changed = replace(summary, fallback=fallback, kinds={**summary.kinds, "frog": kinds}, made=made)
    assert said in pages_of(changed, examples).markdown


def test_the_page_needs_nothing_beside_it_and_names_cannot_break_it(summary, examples):
    page = pages_of(summary, examples).html
    assert "<co>" not in page
    assert page.count("data:image/png;base64,") == len(examples)
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "<script" not in page


def test_groups_are_shown_where_there_are_some(summary, examples):
    text = pages_of(replace(summary, cells={"frog/red": (1, 5)}), examples).markdown
    assert "| frog | red | 1 | 5 |" in text


def test_a_triple_is_parent_child_and_amplified_difference(examples):
    shown = triple(examples[0], 10)
    parts = [Image.fromarray(part) for part in np.split(shown, 3, axis=1)]
    before, after = examples[0].pictures()
    side = shown.shape[0]
    for part, picture in zip(parts, (before, after), strict=False):
        whole = np.asarray(part)[:, :side]
        assert np.array_equal(whole, np.asarray(Image.fromarray(picture).resize((side, side), 0)))
    difference = np.asarray(parts[2])[:, :side]
    assert (difference[: side // 2 - 4] == 158).all()
    assert (difference[side // 2 + 4 :] == 128).all()


def test_differences_are_amplified_as_far_as_most_of_them_allow():
    assert amplification([example(i, Kind.ADVERSARIAL, levels=3) for i in range(10)]) == 32
    one_large = [example(i, Kind.ADVERSARIAL, levels=3 if i else 120) for i in range(20)]
    assert amplification(one_large) == 32
    assert amplification([]) == 64


def test_captions_name_classes_and_outcome(examples):
    assert caption(examples[0]) == "truck & <co> > frog: accepted, confidence 0.93"
    assert caption(examples[2]) == "truck & <co> > frog: duplicate"


@pytest.mark.parametrize("side", [8, 32, 300])
def test_the_sheet_holds_all_examples(summary, side):
    pages = pages_of(summary, [example(i, Kind.ADVERSARIAL, side=side) for i in range(5)])
    with Image.open(io.BytesIO(pages.sheet)) as sheet:
        assert sheet.width > 600
        assert sheet.height > 2 * 104


def test_a_run_without_samples_has_a_report(summary):
    empty = replace(summary, asked=0, made=0, accepted=0, kinds={"frog": {}, "truck & <co>": {}})
    pages = pages_of(replace(empty, after=summary.before, confidence=(0,) * BINS), [])
    assert "16 images became 16" in pages.markdown
    Image.open(io.BytesIO(pages.sheet)).verify()


def test_a_report_is_written_from_what_a_run_kept(tmp_path, summary, examples):
    (tmp_path / "summary.json").write_text(summary.text())
    record = Record(0, "x", 8, summary.kinds, {}, 6, 8, summary.confidence, examples)
    write_record(tmp_path / "shard-000000.json", record)
    page = write_pages(report(tmp_path), tmp_path)
    assert page.read_text() == pages_of(summary, examples).html
    assert (tmp_path / "examples.png").stat().st_size > 1000
    assert "NOT accepted" in (tmp_path / "report.md").read_text()


def test_a_report_before_the_end_names_what_to_do(tmp_path):
    with pytest.raises(GoodnoiseError, match="augment run") as refused:
        report(tmp_path)
    assert refused.value.code is Code.NOT_FOUND
    (tmp_path / "summary.json").write_text(json.dumps({"recipe": 1}))
    with pytest.raises(GoodnoiseError) as refused:
        report(tmp_path)
    assert refused.value.code is Code.CORRUPT


def test_every_kind_is_shown_from_all_over_the_run(tmp_path, summary):
    (tmp_path / "summary.json").write_text(summary.text())
    for number in range(40):
        kinds = (Kind.DUPLICATE, Kind.ADVERSARIAL) if number % 4 == 0 else (Kind.DUPLICATE,)
        shown = [example(number, kind) for kind in kinds]
        write_record(
            tmp_path / f"shard-{number:06d}.json",
            Record(number, "x", 8, {}, {}, 0, 0, summary.confidence, shown),
        )
    text = report(tmp_path).markdown
    assert text.count("accepted, confidence 0.93") == 10
    assert re.findall(r": duplicate, from .*/(\d+)\.png", text) == ["5", "15", "25", "35"]
