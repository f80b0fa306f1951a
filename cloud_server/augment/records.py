"""What is kept of a shard that was written, and the sum of all: figures, and a few images for the report."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cloud_server.augment.recipe import Recipe
from cloud_server.augment.types import Draw, Kind, Picture, Sample, Source
from shared.errors import Code, GoodnoiseError
from shared.files import write_atomically

__all__ = [
    "BINS",
    "Example",
    "Record",
    "Summary",
    "read_record",
    "read_summary",
    "record_of",
    "summarise",
    "write_record",
]

# Of the histogram of confidence over [0,1].
BINS = 20


@dataclass(frozen=True)
class Example:
    """A sample for the report.

    Args:
        before: its parent as the surrogate would have seen it, PNG in base64.
        after: the sample, likewise.
        provenance: its row, by name.
    """

    before: str
    after: str
    provenance: Mapping[str, Any]

    @classmethod
    def of(cls, sample: Sample, before: Picture) -> Example:
        """A sample beside its parent."""
        return cls(_text(before), _text(sample.picture), asdict(sample.provenance))

    def pictures(self) -> tuple[Picture, Picture]:
        """Parent and sample, H W 3."""
        return _picture(self.before), _picture(self.after)


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
        replaced: as `confidence`, of attempts that a duplicate stands in for.
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
    replaced: Sequence[int] = (0,) * BINS

    @property
    def made(self) -> int:
        """Samples that were written."""
        return sum(sum(counts.values()) for counts in self.kinds.values())


@dataclass(frozen=True)
class Summary:
    """A whole run.

    Args:
        recipe: with version and changes.
        fallback: what the recipe makes of a draw whose target was not reached.
        seed: of the run.
        encoding: of its files.
        budget: what perturbations keep, as text.
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
        replaced: the same of attempts that duplicates stand in for.
    """

    recipe: str
    fallback: str
    seed: int
    encoding: str
    budget: str
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
    replaced: Sequence[int] = (0,) * BINS

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
    examples: Sequence[Example],
    bias: bool,
) -> Record:
    """The record of a shard.

    Args:
        number: of the shard.
        name: of the shard.
        draws: what was asked.
        samples: what was made of it.
        examples: of these samples.
        bias: whether targets are groups.
    """
    kinds: dict[str, dict[str, int]] = {}
    cells: dict[str, int] = {}
    confidence, replaced = [0] * BINS, [0] * BINS
    for sample in samples:
        row = sample.provenance
        counts = kinds.setdefault(row.target_label, {})
        counts[row.kind.value] = counts.get(row.kind.value, 0) + 1
        if bias and row.kind is not Kind.UNPERTURBED:
            cell = f"{row.target_label}/{row.target}"
            cells[cell] = cells.get(cell, 0) + 1
        if row.kind in (Kind.ADVERSARIAL, Kind.UNACCEPTED):
            confidence[_bin(row.confidence)] += 1
        if sample.replaced is not None:
            replaced[_bin(sample.replaced)] += 1
    accepted = sum(sample.provenance.accepted for sample in samples)
    tries = sum(sample.provenance.tries for sample in samples)
    bins = tuple(confidence)
    shown, missed = tuple(examples), tuple(replaced)
    return Record(number, name, len(draws), kinds, cells, accepted, tries, bins, shown, missed)


def _bin(confidence: float) -> int:
    return min(int(confidence * BINS), BINS - 1)


def _text(picture: Picture) -> str:
    file = io.BytesIO()
    flat = picture[:, :, 0] if picture.shape[2] == 1 else picture
    Image.fromarray(flat).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def _picture(text: str) -> Picture:
    image = Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB")
    return np.asarray(image, dtype=np.uint8)


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


def read_summary(path: Path) -> Summary:
    """A summary that was kept.

    Raises:
        GoodnoiseError: NOT_FOUND when there is none, CORRUPT for another kind of file.
    """
    if not path.is_file():
        raise GoodnoiseError(Code.NOT_FOUND, f"there is no {path}: end the run first, with augment run")
    try:
        found = json.loads(path.read_bytes())
        cells = {cell: (int(before), int(after)) for cell, (before, after) in found.pop("cells").items()}
        return Summary(**found, cells=cells)
    except (ValueError, TypeError, KeyError) as error:
        raise GoodnoiseError(Code.CORRUPT, f"{path} is no summary of a run; run it again") from error


def summarise(
    records: Iterable[Record],
    source: Source,
    *,
    recipe: Recipe,
    seed: int,
    encoding: str,
    surrogate_sha256: str,
) -> Summary:
    """The sum of a run's records; see `Summary` for the arguments."""
    before = _counts(source)
    kinds: dict[str, dict[str, int]] = {name: {} for name in source.classes}
    fresh: dict[str, int] = {}
    confidence, replaced = [0] * BINS, [0] * BINS
    asked = accepted = tries = 0
    for record in records:
        asked, accepted, tries = asked + record.asked, accepted + record.accepted, tries + record.tries
        confidence = [a + b for a, b in zip(confidence, record.confidence, strict=True)]
        replaced = [a + b for a, b in zip(replaced, record.replaced, strict=True)]
        for label, counts in record.kinds.items():
            _add(kinds[label], counts)
        _add(fresh, record.cells)
    made = {label: sum(counts.values()) for label, counts in kinds.items()}
    return Summary(
        str(recipe),
        recipe.fallback,
        seed,
        encoding,
        str(recipe.budget),
        surrogate_sha256,
        asked,
        sum(made.values()),
        accepted,
        tries,
        before,
        {label: before[label] + made[label] for label in before},
        kinds,
        _cells(source, fresh) if recipe.bias else {},
        tuple(confidence),
        tuple(replaced),
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
