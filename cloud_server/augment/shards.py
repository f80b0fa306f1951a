"""Shards: fixed parts of a plan, each named by all that its bytes follow from, and written whole or not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Protocol

from cloud_server.augment.formats import codec
from cloud_server.augment.job import Job
from cloud_server.augment.parts import Parts, load_parts
from cloud_server.augment.pixels import as_picture, as_planes
from cloud_server.augment.records import Example, Record, Summary, read_record, record_of, write_record
from cloud_server.augment.stages import job_errors
from cloud_server.augment.types import Draw, Kind, Sample, Source

__all__ = ["Setup", "ShardMaker", "Sink", "record_path", "shards_of"]


class Sink(Protocol):
    """Where samples go; see `formats`."""

    def sweep(self) -> None:
        """Remove what a killed run left half-written."""

    def has(self, shard: int, name: str) -> bool:
        """Whether the shard of that name was written whole."""

    def write(self, shard: int, name: str, samples: Sequence[Sample]) -> None:
        """Write a shard whole or not at all; instead of another of that number."""

    def finish(self, summary: Summary) -> None:
        """Write what describes the whole."""


@dataclass(frozen=True)
class Setup:
    """All that decides a shard's bytes beside its draws and their parents; and what is kept for the report.

    Args:
        job: the settings.
        parts: networks and perturbations.
        shown: how many samples of each kind a shard keeps for the report.
    """

    job: Job
    parts: Parts
    shown: int = 1

    @property
    def digest(self) -> str:
        """SHA-256, hexadecimal."""
        parts = self.parts
        weights = (parts.surrogate_sha256, parts.second_sha256, parts.universal_sha256)
        said = [self.job.digest, list(parts.classes), parts.shape, list(weights)]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


class ShardMaker:
    """Makes shards; the networks are loaded with the first that is not there yet.

    Args:
        setup: what is made.
        source: where parents are read from.
        sink: where samples go.
        work: folder of the records.
    """

    def __init__(self, setup: Setup, source: Source, sink: Sink, work: Path) -> None:
        self._setup, self._source, self._sink, self._work = setup, source, sink, work
        self._make: Callable[[Sequence[Draw], Source], list[Sample]] | None = None

    def shard(self, number: int, draws: Sequence[Draw]) -> Record:
        """The record of a shard, which is written where it is missing."""
        name = self._name(draws)
        path = record_path(self._work, number)
        record = read_record(path)
        if record is not None and record.name == name and self._sink.has(number, name):
            return record
        with job_errors():
            samples = self._engine()(draws, self._source)
        self._sink.write(number, name, samples)
        record = record_of(
            number,
            name,
            draws,
            samples,
            examples=[self._example(sample) for sample in self._shown(samples)],
            bias=self._setup.job.recipe.bias,
        )
        write_record(path, record)
        return record

    def _name(self, draws: Sequence[Draw]) -> str:
        digest = hashlib.sha256(self._setup.digest.encode())
        for draw in draws:
            repeats = draw.spare >= 0 and self._setup.job.recipe.fallback == "duplicate"
            parents = [*draw.seeds, *([draw.spare] if repeats else [])]
            stored = [(self._source.name(i), self._source.digest(i)) for i in parents]
            digest.update(json.dumps([astuple(draw), stored]).encode())
        return digest.hexdigest()[:16]

    def _shown(self, samples: Sequence[Sample]) -> Iterator[Sample]:
        """The first of each kind: no one chose them by their looks."""
        left = dict.fromkeys(Kind, self._setup.shown)
        for sample in samples:
            kind = sample.provenance.kind
            left[kind] -= 1
            if left[kind] >= 0:
                yield sample

    def _example(self, sample: Sample) -> Example:
        index, resize = sample.parent, bool(self._setup.job.resize)
        picture, name = self._source.read(index), self._source.name(index)
        return Example.of(
            sample, as_picture(as_planes(picture, self._setup.parts.shape, name=name, resize=resize))
        )

    def _engine(self) -> Callable[[Sequence[Draw], Source], list[Sample]]:
        if self._make is None:
            from cloud_server.augment.engine import Engine

            job, parts = self._setup.job, self._setup.parts
            loaded = load_parts(parts)
            engine = Engine(
                job.recipe,
                loaded.surrogate,
                codec=codec(job.encoding),
                seed=job.seed,
                universal=loaded.universal,
                batch=job.batch,
                second=loaded.second,
                shape=parts.shape,
                resize=bool(job.resize),
            )
            self._make = engine.make
        return self._make


def record_path(work: Path, number: int) -> Path:
    """Where a shard's record is kept."""
    return work / f"shard-{number:06d}.json"


def shards_of(draws: Sequence[Draw], size: int) -> Iterator[Sequence[Draw]]:
    """Parts of the plan, in its order, as they are made and written."""
    for start in range(0, len(draws), size):
        yield draws[start : start + size]
