"""Reports: JSON that any parser reads, a picture for each face, tables that nothing in a name can break."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from edge_client.batch import Result
from edge_client.check import Verdict
from edge_client.protect import FaceReport, Outcome
from edge_client.report import face_to_dict, outcome_to_dict, report_picture
from edge_client.tables import bundle_table, faces_table, results_table
from shared.errors import Code, GoodnoiseError

VERDICTS = (
    Verdict("one", "surrogate", 1.0, np.float32(0.2), threshold=0.34, target=0.1),
    Verdict("two", "checker", -0.0, -0.4, threshold=-0.5, target=-0.6),
)
FACE = FaceReport(
    box=(10, 20, 60, 80),
    verdicts=VERDICTS,
    budget="40 dB, at most 8 levels",
    anchor="own photo",
    levels=8.0,
    psnr_db=40.04,
    ssim=0.98,
    ms_ssim=0.99,
    edge_change=0.1,
)


@pytest.fixture
def outcome(rng):
    original = rng.integers(0, 256, (150, 200, 3), dtype=np.uint8)
    saved = original.copy()
    saved[30:90, 20:60] ^= 4
    return Outcome(b"file", "PNG", original, saved, (FACE,), 1, {"find": 0.12345, "attack": 2.0}, 30)


def strict(value):
    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(json.dumps(value), parse_constant=refuse)


def text_of(table, width=200):
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return console.file.getvalue()


def test_an_outcome_is_plain_json(outcome):
    found = strict(outcome_to_dict(outcome, bundle="7"))
    assert found["protected"] is False  # the second still matches
    assert found["bundle"] == "7"
    assert found["faces_too_small"] == 1
    assert found["seconds"] == {"find": 0.123, "attack": 2.0}
    (face,) = found["faces"]
    assert face["box"] == [10, 20, 60, 80]
    assert (face["psnr_db"], face["ssim"], face["ms_ssim"], face["edge_change"]) == (40.04, 0.98, 0.99, 0.1)
    assert [r["protected"] for r in face["recognisers"]] == [True, False]


def test_no_change_and_no_number_are_null(outcome):
    verdicts = (replace(VERDICTS[0], after=math.nan),)
    found = strict(face_to_dict(replace(FACE, psnr_db=math.inf, verdicts=verdicts)))
    assert found["psnr_db"] is None
    assert found["recognisers"][0]["similarity_after"] is None
    assert found["protected"] is False
    shown = text_of(faces_table([found]))
    assert "same" in shown
    assert "still matches" in shown


@pytest.mark.parametrize(
    "face",
    [
        FACE,
        replace(FACE, psnr_db=math.inf),
        replace(FACE, box=(0, 0, 1, 1)),
        replace(FACE, box=(190, 140, 10, 10)),
        replace(FACE, box=(0, 0, 200, 150)),
        replace(FACE, verdicts=(replace(VERDICTS[0], after=math.nan),)),
    ],
)
def test_the_picture_has_a_row_for_each_face(outcome, face):
    one = np.asarray(report_picture(replace(outcome, faces=(face,))))
    two = np.asarray(report_picture(replace(outcome, faces=(face, face))))
    assert two.shape[0] == 2 * one.shape[0]
    np.testing.assert_array_equal(two[: one.shape[0]], two[one.shape[0] :])


def test_the_picture_shows_the_difference_where_it_is(outcome):
    same = np.asarray(report_picture(replace(outcome, saved=outcome.original)))
    other = np.asarray(report_picture(outcome))
    changed = np.nonzero((same != other).any(axis=(0, 2)))[0]
    assert changed.min() > same.shape[1] // 3  # the original's panel is the same
    assert changed.max() > 2 * same.shape[1] // 3


@pytest.mark.parametrize(
    "name", ["[/b].png", "[red]x[/red].jpg", "\x1b[31mred.png", "a\nb.png", "é\udcff.jpg"]
)
def test_a_photos_name_stands_in_the_table_as_it_is(outcome, name):
    report = outcome_to_dict(outcome, bundle="7")
    failed = GoodnoiseError(Code.INVALID_INPUT, f"{name} is no photo")
    shown = text_of(
        results_table([Result(Path(name), None, report), Result(Path("b"), None, None, failed)])
    ).replace("\n", "")
    plain = "".join(c if c.isprintable() else "?" for c in name)
    assert plain in shown
    assert f"b: {plain} is no photo" in shown
    assert "\x1b" not in shown


def test_the_results_table_says_what_was_left_alone_and_what_was_done_before(outcome):
    report = outcome_to_dict(outcome, bundle="7")
    shown = text_of(results_table([Result(Path("a.png"), None, report, resumed=True)]))
    assert "1 too small" in shown
    assert "done before" in shown
    assert "checker (selected on)" in shown
    assert "no match" in shown
    assert "still matches" in shown


def test_a_narrow_window_gets_fewer_columns_and_whole_words(outcome):
    report = outcome_to_dict(outcome, bundle="7")
    failed = GoodnoiseError(Code.INVALID_INPUT, "b.png is damaged or truncated; give an intact copy")
    results = [Result(Path("holiday.png"), None, report), Result(Path("b.png"), None, None, failed)]
    shown = text_of(results_table(results, width=80), width=80)
    for word in ("holiday.png", "one", "still matches", "no match", "40.0 dB", "failed", failed.message):
        assert word in shown
    assert "selected on" not in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_the_bundles_table_names_every_network(make_bundle):
    manifest, _ = make_bundle(version="12", other=b"other")
    shown = text_of(bundle_table(manifest))
    assert "Bundle 12" in shown
    for member in manifest.members:
        assert f"{member.card.name} " in shown
        assert member.role in shown
