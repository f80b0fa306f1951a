"""The committed results of figure 1: counts and intervals agree, controls behave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cloud_server.paper.figure1.settings import Protocol
from cloud_server.paper.figure1.summary import share_of

RESULTS = Path(__file__).parent / "results"


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return json.loads((RESULTS / "figure1.json").read_text())


def test_every_share_is_its_counts_with_their_interval(found: dict[str, Any]) -> None:
    units = found["summary"]["units"]
    assert set(units) == {unit.name for unit in Protocol(**found["protocol"]).units}
    for unit in units.values():
        for shares in (*unit["read"].values(), unit["observer"]):
            for share in shares:
                again = share_of(share["right"], share["asked"])
                assert (share["value"], share["low"], share["high"]) == pytest.approx(
                    (again.value, again.low, again.high)
                )


def test_distortions_grow_and_the_control_hurts_less_than_own_gradients(found: dict[str, Any]) -> None:
    units = found["summary"]["units"]
    for unit in units.values():
        assert all(a < b for a, b in zip(unit["rmse"], unit["rmse"][1:], strict=False))
    for net in units["signs"]["read"]:
        own = units.get(f"fgsm of {net}")
        if own is not None:
            # At the first level the control changes more and harms less.
            assert units["signs"]["rmse"][1] >= own["rmse"][1]
            assert units["signs"]["read"][net][1]["value"] > own["read"][net][1]["value"] + 0.3
