"""Measured figures that go into a manifest: the check's margins and the bundle's scores, from TOML files.

`margins.toml` and `scores.toml` beside this module are written by the calibration and the benchmark.

    [phone.sface]                  # profile, recogniser
    margin = 0.05                  # in units of the card's metric
    calibration = "on what"

    [all]                          # scores of every profile; [phone] and [full] are added to them
    "protection, png" = 0.9
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from shared.bundle import Profile
from shared.errors import Code, GoodnoiseError

__all__ = ["UNCALIBRATED", "Margin", "read_margins", "read_scores"]


@dataclass(frozen=True)
class Margin:
    """How far behind its threshold a check wants a score, and what that was calibrated on."""

    value: float
    calibration: str


UNCALIBRATED = Margin(0.0, "not calibrated")


def read_margins(profile: Profile, path: Path | None = None) -> dict[str, Margin]:
    """Margins of a profile's recognisers by name; of those that are absent nothing was measured.

    Args:
        profile: the table of the file.
        path: another file than the project's own.

    Raises:
        GoodnoiseError: INVALID_INPUT naming file and recogniser, NOT_FOUND when the named file is not there.
    """
    raw = _read("margins.toml", path)
    rows = raw.get(profile, {})
    source = path or "margins.toml"
    if not isinstance(rows, Mapping):
        raise GoodnoiseError(Code.INVALID_INPUT, f"{source}: [{profile}] holds no tables of recognisers")
    return {name: _margin(row, f"{source}: [{profile}.{name}]") for name, row in rows.items()}


def read_scores(profile: Profile, path: Path | None = None) -> dict[str, Any]:
    """Scores of a profile as plain JSON values; errors as of `read_margins`."""
    raw = _read("scores.toml", path)
    scores: dict[str, Any] = {}
    for table in ("all", profile):
        rows = raw.get(table, {})
        if not isinstance(rows, Mapping):
            raise GoodnoiseError(
                Code.INVALID_INPUT, f"{path or 'scores.toml'}: {table} is no table of scores"
            )
        scores.update(rows)
    try:
        json.dumps(scores, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{path or 'scores.toml'}: {error}; use numbers, text, lists and tables"
        ) from error
    return scores


def _read(name: str, path: Path | None) -> dict[str, Any]:
    own = files("cloud_server.bundles") / name
    if path is None and not own.is_file():
        return {}
    try:
        return tomllib.loads((path or own).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise GoodnoiseError(Code.INVALID_INPUT, f"{path or name} is no valid TOML: {error}") from error
    except OSError as error:
        raise GoodnoiseError(Code.NOT_FOUND, f"{path or name} cannot be read: {error.strerror}") from error


def _margin(row: object, source: str) -> Margin:
    if not isinstance(row, Mapping):
        raise GoodnoiseError(Code.INVALID_INPUT, f"{source}: expected a table with margin and calibration")
    value = row.get("margin")
    if not isinstance(value, (int, float)) or not (math.isfinite(value) and value >= 0.0):
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{source}: margin is {value!r}, expected a number of 0 or more"
        )
    return Margin(float(value), str(row.get("calibration", "no source stated")))
