"""A run: pairs under rows, several devices at a time, every result on the disk before the next."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cloud_server.evaluation.protection.cloud import Clouds
from cloud_server.evaluation.protection.controls import Controls
from cloud_server.evaluation.protection.device import Device, Processes, Protected
from cloud_server.evaluation.protection.journal import Journal
from cloud_server.evaluation.protection.measure import Asked, Known, looks_of
from cloud_server.evaluation.protection.pairs import Pair, read_pixels
from cloud_server.evaluation.protection.pictures import save_png
from cloud_server.evaluation.protection.recognisers import Recogniser, detector_of
from cloud_server.evaluation.protection.rows import Row
from models.store import Store
from shared.errors import Code, GoodnoiseError

__all__ = ["CHUNK", "Run", "in_parallel"]

# Pairs that one call of the device's program gets: loading networks costs as much as half a photo.
CHUNK = 8

# Told the row's name after each pair.
Progress = Callable[[str], None]
_Job = tuple[Row, int, list[Pair]]
_Part = TypeVar("_Part")


@dataclass
class Run:
    """Everything that a run holds.

    Args:
        folder: results, photos and the journal.
        pairs: in order; a longer list later finds the results of a shorter one.
        recognisers: who is asked.
        store: the zoo.
        processes: devices that work at a time.
        seed: of the devices.
    """

    folder: Path
    pairs: Sequence[Pair]
    recognisers: Sequence[Recogniser]
    store: Store
    processes: int = 1
    seed: int = 0
    running: Processes = field(default_factory=Processes)

    def __post_init__(self) -> None:
        self.device = Device(self.folder, self.running, models=self.store.folder, seed=self.seed)
        self.journal = Journal(self.folder / "pairs.jsonl", [r.name for r in self.recognisers])

    @property
    def names(self) -> list[str]:
        """Of the pairs."""
        return [pair.task.name for pair in self.pairs]

    def results(self, row: Row) -> dict[str, dict[str, Any]]:
        """What is measured of a row, by the pair's name."""
        return self.journal.of(self.device.key(row), self.names)

    def left(self, rows: Sequence[Row]) -> int:
        """Pairs x rows that are not measured yet."""
        return sum(len(pairs) for _, _, pairs in self._jobs(rows))

    def measure(self, rows: Sequence[Row], *, progress: Progress) -> None:
        """Measure what is not measured yet; chunk by chunk, so that all rows grow together.

        Raises:
            GoodnoiseError: of the device or a cloud.
            KeyboardInterrupt: after what ran was ended; what is measured is kept.
        """
        with Clouds(self.folder / "clouds", models=self.store.folder) as clouds:
            workers = _Workers(self.recognisers, self.store)

            def work(job: _Job) -> None:
                with workers.one() as (asked, controls):
                    self._do(job, asked, controls, clouds, progress)

            in_parallel(work, self._jobs(rows), count=self.processes, running=self.running)

    def _jobs(self, rows: Sequence[Row]) -> list[_Job]:
        jobs = []
        for start in range(0, len(self.pairs), CHUNK):
            for row in rows:
                part = self.pairs[start : start + CHUNK]
                missing = [
                    pair for pair in part if not self.journal.has(self.device.key(row), pair.task.name)
                ]
                if missing:
                    jobs.append((row, start // CHUNK, missing))
        return jobs

    def _do(self, job: _Job, asked: Asked, controls: Controls, clouds: Clouds, progress: Progress) -> None:
        row, number, pairs = job
        made: dict[str, Protected] = {}
        if row.kind == "device":
            address = clouds.address(row, self.device.installed(row))
            made = self.device.protect(row, f"{number:04d}", [pair.task for pair in pairs], cloud=address)
        for pair in pairs:
            if self.running.stopped.is_set():
                raise GoodnoiseError(Code.CANCELLED, "interrupted")
            result = self._pair(row, pair, asked, controls, made.get(pair.task.name))
            self.journal.add(self.device.key(row), pair.task.name, result)
            progress(row.name)

    def _pair(
        self, row: Row, pair: Pair, asked: Asked, controls: Controls, made: Protected | None
    ) -> dict[str, Any]:
        known = asked.known(pair)
        if known is None:
            return {"missing": "the detector finds no face in one of the photos"}
        if made is None:
            place = self.folder / "photos" / self.device.key(row) / f"{pair.task.name}.png"
            pixels, calls = controls.make(row, known, pair.task.name)
            save_png(place, pixels)
            made = Protected(place, {"gradient_calls": calls, "seconds": {}})
        if made.photo is None:
            return {"missing": made.error}
        return self._result(row, known, pair, asked, made)

    def _result(self, row: Row, known: Known, pair: Pair, asked: Asked, made: Protected) -> dict[str, Any]:
        if made.photo is None:
            raise ValueError("made: expected a photo")
        saved = read_pixels(made.photo)
        return {
            "before": asked.before(known),
            "after": asked.after(known, saved, pair.task.name),
            **looks_of(known.target, saved, known.face),
            "seconds": sum(made.report["seconds"].values()) if row.kind == "device" else None,
            "calls": made.report["gradient_calls"],
            "protected": made.report.get("protected"),
            **_asked(made.report.get("hint")),
            "photo": str(made.photo.relative_to(self.folder)),
        }


def _asked(hint: dict[str, Any] | None) -> dict[str, Any]:
    """What a device says of its question to a cloud; where it asked none, nothing left it."""
    if hint is None:
        return {"bytes_up": 0}
    return {"bytes_up": hint["sent_bytes"], "hint": hint["status"]}


class _Workers:
    """Recognisers are shared; a detector and what is known of pairs belong to one thread at a time."""

    def __init__(self, recognisers: Sequence[Recogniser], store: Store) -> None:
        self._free: queue.SimpleQueue[tuple[Asked, Controls]] = queue.SimpleQueue()
        self._recognisers = recognisers
        self._store = store

    def one(self) -> _Lent:
        try:
            return _Lent(self._free, self._free.get_nowait())
        except queue.Empty:
            return _Lent(
                self._free, (Asked(self._recognisers, detector_of(self._store)), Controls(self._store))
            )


@dataclass(frozen=True)
class _Lent:
    free: queue.SimpleQueue[tuple[Asked, Controls]]
    worker: tuple[Asked, Controls]

    def __enter__(self) -> tuple[Asked, Controls]:
        return self.worker

    def __exit__(self, *_: object) -> None:
        self.free.put(self.worker)


def in_parallel(
    work: Callable[[_Part], None], jobs: Sequence[_Part], *, count: int, running: Processes
) -> None:
    """Do jobs in threads, `count` at a time, in order; the first error or Ctrl-C ends what runs.

    Raises:
        KeyboardInterrupt: and whatever a job raised first.
    """
    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(work, job) for job in jobs]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            running.stop()
            for future in futures:
                future.cancel()
            raise
