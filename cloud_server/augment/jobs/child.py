"""A worker: makes one job and ends. `python -m cloud_server.augment.jobs.child FOLDER [--nice N]`.

It speaks in lines of JSON on its standard output: progress, then how it ended. It ends with its parent, also
with one that was killed: the system closes its standard input then, and a thread here waits for that. What it
wrote stays, and the next worker of the job goes on from there.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cloud_server.augment.jobs.places import JobFolder
from cloud_server.logs import configure_logs, log
from shared.errors import Code, GoodnoiseError

if TYPE_CHECKING:
    from cloud_server.augment.opening import Opening
    from cloud_server.augment.progress import Progress
    from cloud_server.augment.types import Source

__all__ = ["main"]

Say = Callable[[dict[str, Any]], None]
# A worker of a server that was just killed may live for a moment.
_LOCK_SECONDS = 60.0


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nice", type=int, default=10)
    options = parser.parse_args()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.umask(0o077)
    os.nice(options.nice)
    _go_first()
    configure_logs()
    with _speech() as say:
        sys.exit(_worked(JobFolder(options.folder), say))


def _worked(folder: JobFolder, say: Say) -> int:
    order = folder.read_order()
    try:
        with _alone(folder):
            _one_thread()
            _make(folder, order, say)
    except GoodnoiseError as error:
        say({"end": "failed", "code": error.code.value, "message": _shown(error.message, folder, order)})
    except MemoryError:
        say({"end": "died", "message": "memory ran out"})
        return 1
    except Exception as error:
        log("augment.worker_fault", level=logging.ERROR, error=error)
        say({"end": "died", "message": "it met a fault"})
        return 1
    return 0


def _make(folder: JobFolder, order: dict[str, Any], say: Say) -> None:
    from cloud_server.augment import pages
    from cloud_server.augment.job import parse_job
    from cloud_server.augment.opening import Opening
    from cloud_server.augment.runner import run

    job = parse_job(order["recipe"])
    out = folder.results / "dataset"
    folder.results.mkdir(mode=0o700, exist_ok=True)
    opening = Opening(job, Path(order["dataset"]), out, only_new=not order["include_originals"])
    source = opening.source()
    _check_size(opening, source, int(order["samples"]))

    def told(step: Progress) -> None:
        say({"progress": [step.stage.value, step.done, step.total, step.made, step.accepted]})

    run(job, source, opening.sink(source), work=folder.work, on_progress=told)
    report = folder.results / "report"
    report.mkdir(mode=0o700, exist_ok=True)
    pages.write_pages(pages.report(folder.work), report)
    _copy_uploads(folder)
    say({"end": "done", "files": _list(folder)})


def _check_size(opening: Opening, source: Source, most: int) -> None:
    """Refuse a job whose plan alone would be too large to be made."""
    import numpy as np

    strategy = opening.job.strategy
    counts = np.bincount(source.labels, minlength=len(source.classes))
    balanced = int(counts.max()) * len(counts) - len(source)
    asked = sum(strategy.values()) if isinstance(strategy, dict) else max(balanced, len(source))
    if asked > most:
        raise GoodnoiseError(
            Code.EXHAUSTED,
            f"the job asks for up to {asked} samples, at most {most} are made; give counts in "
            "sampling_strategy, or a smaller dataset",
        )


def _copy_uploads(folder: JobFolder) -> None:
    if folder.uploads.exists():
        (folder.results / folder.uploads.name).write_bytes(folder.uploads.read_bytes())


def _list(folder: JobFolder) -> int:
    """Write the list of results; how many there are."""
    count = 0
    with folder.listing.open("w", encoding="utf-8") as listing:
        for path in sorted(folder.results.rglob("*")):
            name = path.relative_to(folder.results).as_posix()
            # Hidden files are the sink's own notes.
            if path.is_file() and not any(part.startswith(".") for part in name.split("/")):
                size, digest = _measured(path)
                listing.write(json.dumps([count, name, size, digest]) + "\n")
                count += 1
    return count


def _measured(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return file.tell(), digest


def _shown(message: str, folder: JobFolder, order: dict[str, Any]) -> str:
    """A message without paths of this machine."""
    for path, shown in ((str(order["dataset"]), str(order["shown"])), (str(folder.path), "the job's folder")):
        message = message.replace(path, shown)
    return message


@contextlib.contextmanager
def _speech() -> Iterator[Say]:
    """The way to the parent, for words alone: what libraries print goes to standard error."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as file:
        os.dup2(2, 1)
        yield lambda words: _write(file, words)


def _write(file: IO[str], words: dict[str, Any]) -> None:
    file.write(json.dumps(words) + "\n")
    file.flush()


@contextlib.contextmanager
def _alone(folder: JobFolder) -> Iterator[None]:
    import filelock

    lock = filelock.FileLock(folder.path / "worker.lock", mode=0o600)
    try:
        lock.acquire(timeout=_LOCK_SECONDS)
    except filelock.Timeout as error:
        raise GoodnoiseError(Code.INTERNAL, "another worker holds the job; report it") from error
    try:
        yield
    finally:
        lock.release()


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _go_first() -> None:
    """Where memory runs out, the system is to take this process and not the server."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _end_with_parent() -> None:
    # Not through `sys.stdin`, whose lock would be held when the interpreter ends.
    while os.read(0, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
