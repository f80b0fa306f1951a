"""What is kept of a shard that was written, and the sum of all: figures, and a few images for the report."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cloud_server.augment.types import Draw, Kind, Sample, Source
from shared.files import write_atomically

__all__ = ["BINS", "Example", "Record", "Summary", "read_record", "record_of", "summarise", "write_record"]

# Of the histogram of confidence over [0,1].
BINS = 20


@dataclass(frozen=True)
class Example:
    """A sample for the report.

    Args:
        parent: index of its parent in the source.
        suffix: of its file.
        data: the file, base64.
        provenance: its row, by name.
    """

    parent: int
    suffix: str
    data: str
    provenance: Mapping[str, Any]

    @property
    def content(self) -> bytes:
        """The file."""
        return base64.b64decode(self.data)


@dataclass(frozen=True)
class Record:
    """One shard.

    Args:
        number: place in the run, from 0.
        name: hash of all that its bytes follow from.
        asked: draws.
        kinds: how many samples of each kind, by the class they are called.
        cells: how many samples by class and group, for recipes against bias: `class/group`.
        accepted: samples whose target was reached.
        tries: parents that were tried.
        confidence: of samples that were attacked, in bins over [0,1].
        examples: for the report.
    """

    number: int
    name: str
    asked: int
    kinds: Mapping[str, Mapping[str, int]]
    cells: Mapping[str, int]
    accepted: int
    tries: int
    confidence: Sequence[int]
    examples: Sequence[Example] = ()

    @property
    def made(self) -> int:
        """Samples that were written."""
        return sum(sum(counts.values()) for counts in self.kinds.values())


@dataclass(frozen=True)
class Summary:
    """A whole run.

    Args:
        recipe: with version and changes.
        seed: of the run.
        encoding: of its files.
        surrogate_sha256: empty for recipes without one.
        asked: draws of the plan.
        made: samples; what is missing was dropped by the recipe.
        accepted: samples whose target was reached.
        tries: parents that were tried.
        before: images of each class.
        after: with the samples.
        kinds: samples of each kind, by class.
        cells: before and after by `class/group`, for recipes against bias.
        confidence: of attacked samples, in bins over [0,1].
    """

    recipe: str
    seed: int
    encoding: str
    surrogate_sha256: str
    asked: int
    made: int
    accepted: int
    tries: int
    before: Mapping[str, int]
    after: Mapping[str, int]
    kinds: Mapping[str, Mapping[str, int]]
    cells: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    confidence: Sequence[int] = (0,) * BINS

    def of_kind(self, kind: Kind) -> int:
        """Samples of a kind over all classes."""
        return sum(counts.get(kind.value, 0) for counts in self.kinds.values())

    def text(self) -> str:
        """As JSON, keys in order."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"


def record_of(
    number: int,
    name: str,
    draws: Sequence[Draw],
    samples: Sequence[Sample],
    *,
    shown: frozenset[int],
    suffix: str,
    bias: bool,
) -> Record:
    """The record of a shard.

    Args:
        number: of the shard.
        name: of the shard.
        draws: what was asked.
        samples: what was made of it.
        shown: numbers of draws to keep for the report.
        suffix: of the samples' files.
        bias: whether targets are groups.
    """
    kinds: dict[str, dict[str, int]] = {}
    cells: dict[str, int] = {}
    confidence = [0] * BINS
    for sample in samples:
        row = sample.provenance
        counts = kinds.setdefault(row.target_label, {})
        counts[row.kind.value] = counts.get(row.kind.value, 0) + 1
        if bias and row.kind is not Kind.UNPERTURBED:
            cell = f"{row.target_label}/{row.target}"
            cells[cell] = cells.get(cell, 0) + 1
        if row.kind in (Kind.ADVERSARIAL, Kind.UNACCEPTED):
            confidence[min(int(row.confidence * BINS), BINS - 1)] += 1
    examples = [_example(sample, suffix) for sample in samples if sample.draw.number in shown]
    accepted = sum(sample.provenance.accepted for sample in samples)
    tries = sum(sample.provenance.tries for sample in samples)
    return Record(number, name, len(draws), kinds, cells, accepted, tries, tuple(confidence), tuple(examples))


def _example(sample: Sample, suffix: str) -> Example:
    data = base64.b64encode(sample.data).decode()
    return Example(sample.parent, suffix, data, {**asdict(sample.provenance)})


def write_record(path: Path, record: Record) -> None:
    """Keep a record, whole or not at all."""
    write_atomically(path, json.dumps(asdict(record), sort_keys=True).encode())


def read_record(path: Path) -> Record | None:
    """A record; None where there is none, or none that can be read."""
    try:
        found = json.loads(path.read_bytes())
        examples = tuple(Example(**row) for row in found.pop("examples"))
        return Record(**found, examples=examples)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def summarise(
    records: Iterable[Record],
    source: Source,
    *,
    recipe: str,
    seed: int,
    encoding: str,
    surrogate_sha256: str,
    bias: bool,
) -> Summary:
    """The sum of a run's records; see `Summary` for the arguments."""
    before = _counts(source)
    kinds: dict[str, dict[str, int]] = {name: {} for name in source.classes}
    fresh: dict[str, int] = {}
    confidence = [0] * BINS
    asked = accepted = tries = 0
    for record in records:
        asked, accepted, tries = asked + record.asked, accepted + record.accepted, tries + record.tries
        confidence = [a + b for a, b in zip(confidence, record.confidence, strict=True)]
        for label, counts in record.kinds.items():
            _add(kinds[label], counts)
        _add(fresh, record.cells)
    made = {label: sum(counts.values()) for label, counts in kinds.items()}
    return Summary(
        recipe,
        seed,
        encoding,
        surrogate_sha256,
        asked,
        sum(made.values()),
        accepted,
        tries,
        before,
        {label: before[label] + made[label] for label in before},
        kinds,
        _cells(source, fresh) if bias else {},
        tuple(confidence),
    )


def _add(total: dict[str, int], counts: Mapping[str, int]) -> None:
    for key, count in counts.items():
        total[key] = total.get(key, 0) + count


def _counts(source: Source) -> dict[str, int]:
    return {name: int((source.labels == k).sum()) for k, name in enumerate(source.classes)}


def _cells(source: Source, fresh: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    if source.groups is None:
        return found
    for k, label in enumerate(source.classes):
        for g, group in enumerate(source.group_names):
            before = int(((source.labels == k) & (source.groups == g)).sum())
            found[f"{label}/{group}"] = (before, before + fresh.get(f"{label}/{group}", 0))
    return found
