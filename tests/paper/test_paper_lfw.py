"""The paper's tables on LFW: GOODNOISE_LFW=DIR pytest tests/paper (a few minutes; not part of the suite)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cloud_server.cli import app
from cloud_server.paper.cloaks import TABLE_ATTACKS
from cloud_server.paper.nets import DEFAULT_NETWORKS

pytestmark = pytest.mark.zoo

LFW = os.environ.get("GOODNOISE_LFW", "")
RESULTS = Path(__file__).parent / "results"
needs_lfw = pytest.mark.skipif(not LFW, reason="GOODNOISE_LFW names no folder of LFW")


def table(out: Path, *words: str) -> dict[str, Any]:
    command = ["paper", words[0], "--data", f"lfw={LFW}", "--out", str(out), *words[1:]]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    return json.loads((out / f"{words[0]}.json").read_text())["sets"]["lfw"]["recognisers"]


def asr(row: dict[str, Any], at: str = "far") -> float:
    return float(row[at]["value"])


@needs_lfw
def test_table_1_keeps_the_papers_order_of_attacks(tmp_path: Path) -> None:
    nets = table(tmp_path, "table1", "--pairs", "12", "--anchor", "pair")
    assert set(nets) == set(DEFAULT_NETWORKS)
    for entry in nets.values():
        rows = entry["rows"]["pair"]
        assert asr(rows["i-fgsm"]) >= asr(rows["fgsm"])
        assert all(asr(rows[name]) >= 0.8 * rows[name]["far"]["clean_tar"] for name in TABLE_ATTACKS[1:])
        assert abs(asr(entry["rows"][""]["random signs"])) <= 0.2


@needs_lfw
def test_table_2_makeup_hides_little_and_adds_to_the_attack(tmp_path: Path) -> None:
    nets = table(tmp_path, "table2", "--pairs", "20", "--faces", "0")
    for entry in nets.values():
        rows = entry["rows"]
        assert abs(asr(rows["makeup"])) <= 0.25
        assert asr(rows["adversarial"]) > asr(rows["makeup"])
        assert asr(rows["makeup_adversarial"]) >= asr(rows["adversarial"]) - 0.05


@pytest.mark.parametrize("path", sorted(RESULTS.glob("table*.json")), ids=lambda path: path.stem)
def test_committed_results_follow_equation_1(path: Path) -> None:
    found = json.loads(path.read_text())
    shares = list(_shares(found["sets"]))
    assert len(shares) > 20
    for share in shares:
        assert share["value"] == pytest.approx((share["n_without"] - share["n_with"]) / share["total"])
        assert share["low"] <= share["value"] <= share["high"]


def _shares(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, dict):
        return []
    mine = [value] if "n_without" in value else []
    return mine + [share for item in value.values() for share in _shares(item)]
