"""One kind of payload after the other: try all attackers on it, and keep what was measured."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cloud_server.evaluation.leak.gate import Tried
from cloud_server.evaluation.leak.harvest import Report
from cloud_server.evaluation.leak.linkage import by_linkage
from cloud_server.evaluation.leak.matching import by_inversion, by_published_photos, through_surrogate
from cloud_server.evaluation.leak.payloads import Kind
from cloud_server.evaluation.leak.scores import measure, measured_from
from cloud_server.evaluation.leak.setting import Setting
from shared.files import write_atomically

__all__ = ["experiments_of", "to_json", "tried_from", "upper_bound"]


def experiments_of(kind: Kind, setting: Setting, folder: Path, report: Report) -> dict[str, Any]:
    """All that is measured on one kind, `cells` and `seconds`; read back where an earlier run finished it."""
    return _kept(folder, kind.name, lambda: _tried(kind, setting, report))


def upper_bound(setting: Setting, folder: Path) -> dict[str, Any]:
    """The clean crop, asked of the recognisers themselves; kept as other experiments are."""
    return _kept(folder, "recognisers", lambda: _recognised(setting))


def _kept(folder: Path, name: str, tried: Callable[[], Iterator[Tried]]) -> dict[str, Any]:
    path = folder / f"kind-{''.join(letter if letter.isalnum() else '-' for letter in name)}.json"
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    begun = time.monotonic()
    cells = [to_json(item) for item in tried()]
    results = {"cells": cells, "seconds": round(time.monotonic() - begun, 1)}
    write_atomically(path, (json.dumps(results, indent=1) + "\n").encode())
    return results


def _recognised(setting: Setting) -> Iterator[Tried]:
    faces, rows = setting.trial.faces, setting.trial.all_probes
    for net in (setting.linked, *setting.judges):
        scores = net.embed(faces.images(rows)) @ setting.enrolled[net.name].T
        yield Tried(net.name, "the photo", measure(scores, setting.trial.owner[rows]))


def tried_from(raw: dict[str, Any]) -> Tried:
    """A stored cell."""
    return Tried(raw["attacker"], raw["given"], measured_from(raw["measured"]), raw["names"])


def to_json(tried: Tried) -> dict[str, Any]:
    """A cell, as `tried_from` reads it."""
    return {
        "attacker": tried.attacker,
        "given": tried.given,
        "names": tried.names,
        "measured": tried.measured.to_json(),
    }


def _tried(kind: Kind, setting: Setting, report: Report) -> Iterator[Tried]:
    yield from by_linkage(kind, setting, report)
    if kind.direction:
        yield from through_surrogate(kind, setting, report)
    yield from by_inversion(kind, setting, report)
    if kind.level:
        yield from by_published_photos(kind, setting)
