"""From counts to curves: accuracy with its interval by level, for each unit and reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cloud_server.intervals import wilson
from cloud_server.paper.figure1.experiment import ORIGINAL, level_key
from cloud_server.paper.figure1.settings import Protocol, Unit
from cloud_server.paper.journal import Journal

__all__ = ["Share", "accuracy_at", "share_of", "summarise"]


@dataclass(frozen=True)
class Share:
    """A share in [0,1] with its 95 % interval (Wilson), and the counts it comes from."""

    value: float
    low: float
    high: float
    right: int
    asked: int


def share_of(right: int, asked: int) -> Share:
    """Of counts."""
    low, high = wilson(right, asked)
    return Share(right / asked, low, high, right, asked)


def summarise(protocol: Protocol, journal: Journal) -> dict[str, Any]:
    """The curves, as JSON values.

    Returns:
        `units`, by the unit's name: `distortion`, `source`, `rmse` by level from 0 (share of the range),
        `read` by reader and level (shares), `observer` by level, `contrast` by level (median over images,
        as a share of that at level 0); and `gains`: what the training noise does, see `_gains`.
    """
    units = {unit.name: _unit(protocol, journal, unit) for unit in protocol.units}
    return {"units": units, "gains": _gains(protocol, units)}


def _unit(protocol: Protocol, journal: Journal, unit: Unit) -> dict[str, Any]:
    keys = [ORIGINAL, *(level_key(unit, level) for level in range(1, protocol.levels + 1))]
    entries = [journal[key] for key in keys]
    clean = entries[0]["contrast"]
    return {
        "distortion": unit.distortion,
        "source": unit.source,
        "rmse": [entry["rmse"] for entry in entries],
        "read": {
            name: [asdict(share_of(*entry["read"][name])) for entry in entries]
            for name in entries[-1]["read"]
        },
        "observer": [asdict(share_of(*entry["observer"])) for entry in entries],
        "contrast": [entry["contrast"] / clean for entry in entries],
    }


def _gains(protocol: Protocol, units: Mapping[str, Any]) -> dict[str, Any]:
    """By body: mean accuracy over levels 1 and up under Gaussian noise and own FGSM, by training noise."""
    found: dict[str, Any] = {}
    for net in protocol.nets:
        named = {
            **{name: units[name] for name in ("gaussian", "gaussian-sum")},
            "fgsm": units[f"fgsm of {net.name}"],
        }
        found.setdefault(net.body, {})[net.noise] = {
            name: sum(share["value"] for share in unit["read"][net.name][1:]) / protocol.levels
            for name, unit in named.items()
        }
    return found


def accuracy_at(unit: Mapping[str, Any], shares: list[Mapping[str, Any]], rmse: float) -> float | None:
    """A curve's accuracy at an RMSE, by straight lines between levels; None beyond its last level.

    Args:
        unit: for the RMSE of each level.
        shares: the curve, by level.
        rmse: where.
    """
    at = unit["rmse"]
    for level in range(1, len(at)):
        if at[level - 1] <= rmse <= at[level]:
            part = (rmse - at[level - 1]) / max(at[level] - at[level - 1], 1e-12)
            before, after = shares[level - 1]["value"], shares[level]["value"]
            return float(before + part * (after - before))
    return None
