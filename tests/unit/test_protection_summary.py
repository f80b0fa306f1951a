"""Figures of the protection table, from results whose answer is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cloud_server.evaluation.protection.conditions import CONDITIONS
from cloud_server.evaluation.protection.journal import Journal
from cloud_server.evaluation.protection.recognisers import Recogniser
from cloud_server.evaluation.protection.report import markdown
from cloud_server.evaluation.protection.rows import ROWS, Row
from cloud_server.evaluation.protection.summary import hint_quality, rates, summarise
from cloud_server.intervals import wilson
from shared.faces.frames import FRAMES


def judge(name: str = "stranger", threshold: float = 0.5) -> Recogniser:
    return Recogniser(name, FRAMES["arcface112"], "cosine", threshold, lambda faces: faces)


def result(before: float, after: float, name: str = "stranger", **more: Any) -> dict[str, Any]:
    looks = {"psnr": 36.0, "ssim": 0.9, "levels": 8, "seconds": 2.0, "calls": 20, "bytes_up": 0}
    return {"before": {name: before}, "after": {c: {name: after} for c in CONDITIONS}, **looks, **more}


def test_protection_counts_pairs_that_matched_and_asr_all_pairs() -> None:
    results = {
        "lost": result(0.8, 0.2),
        "kept": result(0.8, 0.6),
        "at the threshold still matches": result(0.5, 0.5),
        "never matched": result(0.4, 0.1),
        "matches only since": result(0.4, 0.9),
        "no face": {"missing": "no face"},
    }
    found = rates(results, "stranger", 0.5)
    assert found["clean_tar"] == pytest.approx(3 / 5)
    assert found["matched_before"] == 3
    for condition in CONDITIONS:
        assert found["conditions"][condition]["protection"] == pytest.approx(1 / 3)
        # Equation 1: (3 matched without - 3 match with) / 5; the match that was won counts against it.
        assert found["conditions"][condition]["asr"] == pytest.approx(0.0)
        assert found["conditions"][condition]["interval"] == wilson(1, 3)


def test_of_no_pairs_nothing_is_known() -> None:
    found = rates({"no face": {"missing": "no face"}}, "stranger", 0.5)
    assert found["clean_interval"] == (0.0, 1.0)
    assert all(found["conditions"][name]["interval"] == (0.0, 1.0) for name in CONDITIONS)


def test_summary_gives_role_cost_and_what_was_missing() -> None:
    row = Row(name="r", surrogates=("white",), hints=False)
    results = {"a": result(0.8, 0.2, protected=True), "b": {"missing": "no face"}}
    found = summarise(row, results, [judge()], bytes_down=3_000_000)
    assert (found["pairs"], found["missing"], found["levels"]) == (1, 1, 8)
    assert (found["psnr"], found["calls"], found["seconds"]) == (36.0, 20, 2.0)
    assert (found["bytes_down"], found["profile"], found["bytes_up"]) == (3_000_000, "full", 0)
    assert found["recognisers"]["stranger"]["role"] == "judge"
    json.dumps(found, allow_nan=False)


def rows_of_quality(alone: int, hint: int, ensemble: int, pairs: int = 100) -> tuple[Any, ...]:
    """The first so many pairs lose their match."""
    return tuple(
        {f"{i:03d}": result(0.8, 0.2 if i < lost else 0.7) for i in range(pairs)}
        for lost in (alone, hint, ensemble)
    )


@pytest.mark.parametrize(
    ("alone", "hint", "ensemble", "quality"),
    [(40, 40, 80, 0.0), (40, 80, 80, 1.0), (40, 60, 80, 0.5), (40, 30, 80, -0.25), (40, 80, 40, None)],
)
def test_quality_is_the_share_of_the_ensembles_gain(
    alone: int, hint: int, ensemble: int, quality: float | None
) -> None:
    found = hint_quality(*rows_of_quality(alone, hint, ensemble), judge(), condition="shared")
    assert found["quality"] == (None if quality is None else pytest.approx(quality))
    assert (found["alone"], found["hint"], found["ensemble"]) == (alone / 100, hint / 100, ensemble / 100)
    if quality is None:
        assert found["interval"] is None
    else:
        low, high = found["interval"]
        assert low <= quality <= high
        assert high - low < 0.6


def test_quality_uses_pairs_that_all_three_rows_have() -> None:
    alone, hint, ensemble = rows_of_quality(4, 6, 8, pairs=10)
    hint["000"] = {"missing": "no face"}
    del ensemble["001"]
    alone["002"] = result(0.1, 0.1)  # did not match before
    assert hint_quality(alone, hint, ensemble, judge(), condition="png")["pairs"] == 7


def test_quality_of_nothing_is_no_number() -> None:
    found = hint_quality({}, {}, {}, judge(), condition="png")
    assert (found["quality"], found["interval"], found["pairs"]) == (None, None, 0)


def test_markdown_shows_figures_roles_and_that_tuning_is_not_reported() -> None:
    row = replace(ROWS[2], surrogates=("stranger",))
    table = {row.name: summarise(row, {"a": result(0.8, 0.2)}, [judge()], bytes_down=2_800_000)}
    text = markdown({"data": "D", "reporting": False, "rows": table, "quality": [], "defences": []})
    assert "no figures to report" in text
    assert f"| {row.name} | 1 | 100 / 100 / 100 (21-100) white | 36.0 | 0.900 |" in text
    assert "2.8 MB, full" in text


def test_journal_goes_on_after_a_line_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    first = Journal(path, ["stranger"])
    first.add("row", "a", result(0.8, 0.2))
    with path.open("a") as file:
        file.write('{"row": "row", "pair": "b", "resu')
    second = Journal(path, ["stranger"])
    assert (second.has("row", "a"), second.has("row", "b")) == (True, False)
    second.add("row", "b", result(0.8, 0.3))
    assert set(Journal(path, ["stranger"]).of("row", ["a", "b", "c"])) == {"a", "b"}


def test_journal_asks_again_when_a_recogniser_is_new(tmp_path: Path) -> None:
    Journal(tmp_path / "j", ["stranger"]).add("row", "a", result(0.8, 0.2))
    Journal(tmp_path / "j", ["stranger"]).add("row", "b", {"missing": "no face"})
    later = Journal(tmp_path / "j", ["stranger", "newcomer"])
    assert not later.has("row", "a")
    assert later.has("row", "b")


def test_similarity_is_higher_for_nearer_by_either_metric() -> None:
    one, near, far = (np.array(v, np.float32) for v in ([1, 0], [0.9, 0.1], [0, 1]))
    for metric in ("cosine", "euclidean"):
        asked = Recogniser("r", FRAMES["dlib150"], metric, 0.0, lambda faces: faces)
        assert asked.similarity(one, near) > asked.similarity(one, far)
    assert asked.similarity(one, far) == pytest.approx(-np.sqrt(2))
