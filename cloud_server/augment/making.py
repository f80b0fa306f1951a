"""A run as the command shows it: progress on standard error, Ctrl-C that ends well, and what came of it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cloud_server.augment import pages
from cloud_server.augment.columns import columns
from cloud_server.augment.opening import Opening
from cloud_server.augment.progress import OnProgress, Stage
from cloud_server.augment.progress import Progress as Step
from cloud_server.augment.records import Summary
from cloud_server.augment.runner import planned, run
from cloud_server.augment.shards import shards_of
from cloud_server.augment.types import Kind
from shared.errors import Code, GoodnoiseError

__all__ = ["make", "preview", "work_of"]

_TITLES = {
    Stage.SURROGATE: "surrogate, updates",
    Stage.UNIVERSAL: "universal, steps",
    Stage.SAMPLES: "samples",
}


def work_of(out: Path) -> Path:
    """The folder beside an output that keeps what its run needs, and its report."""
    out = out.absolute()
    return out.with_name(f"{out.name}.augment")


def make(opening: Opening, *, workers: int | None, address: str | None) -> str:
    """Run a job, write its report, and say what came of it.

    Args:
        opening: the job and its paths.
        workers: of Ray; None stays in this process.
        address: of Ray's cluster; None begins one.

    Raises:
        KeyboardInterrupt: after Ctrl-C, when all is written that was made.
    """
    work = work_of(opening.out)
    with _interruption() as interrupted, _bar() as on_progress:
        try:
            summary = _run(opening, work, workers, address, on_progress, interrupted)
        except GoodnoiseError as error:
            if error.code is Code.CANCELLED and interrupted():
                raise KeyboardInterrupt from None
            raise
    page = pages.write_pages(pages.report(work), work)
    return _said(summary, opening.out, page)


def preview(opening: Opening) -> str:
    """What a job would make, as a table."""
    source = opening.source()
    draws = planned(opening.job, source)
    made = np.bincount([draw.label for draw in draws], minlength=len(source.classes))
    have = np.bincount(source.labels, minlength=len(source.classes))
    rows = [
        (name, str(have[k]), str(made[k]), str(have[k] + made[k])) for k, name in enumerate(source.classes)
    ]
    shards = len(list(shards_of(draws, opening.job.shard)))
    return (
        f"{opening.job.recipe}: {len(draws)} samples in {shards} shards, from {len(source)} images\n\n"
        f"{columns([('class', 'images', 'to be made', 'afterwards'), *rows])}"
    )


def _run(
    opening: Opening,
    work: Path,
    workers: int | None,
    address: str | None,
    on_progress: OnProgress,
    cancelled: Callable[[], bool],
) -> Summary:
    if workers is None:
        source = opening.source()
        sink = opening.sink(source)
        return run(opening.job, source, sink, work=work, on_progress=on_progress, cancelled=cancelled)
    from cloud_server.augment.ray_runner import Cluster, run_with_ray

    cluster = Cluster(workers, address)
    return run_with_ray(opening, work=work, cluster=cluster, on_progress=on_progress, cancelled=cancelled)


def _said(summary: Summary, out: Path, page: Path) -> str:
    adversarial = summary.of_kind(Kind.ADVERSARIAL)
    lines = [f"{out}: {summary.made} samples beside {sum(summary.before.values())} images"]
    if summary.surrogate_sha256 and summary.asked:
        share = f"{adversarial / summary.asked:.0%}"
        lines.append(f"{adversarial} of {summary.asked} ({share}) reached their target after encoding")
    return "\n".join([*lines, f"report: {page}"])


@contextmanager
def _interruption() -> Iterator[Callable[[], bool]]:
    """Ctrl-C is remembered, for the run to end where nothing is half-written; a second one ends at once."""
    wished = False

    def remember(_: int, __: FrameType | None) -> None:
        nonlocal wished
        if wished:
            raise KeyboardInterrupt
        wished = True
        sys.stderr.write("\nending after the shard at hand; Ctrl-C again ends at once\n")

    before = signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: wished
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _bar() -> Iterator[OnProgress]:
    """A bar for each stage; of samples also how many reached their target."""
    columns = (
        *Progress.get_default_columns()[:2],
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[Stage, TaskID] = {}

        def show(step: Step) -> None:
            if step.stage not in tasks:
                tasks[step.stage] = bar.add_task(_TITLES[step.stage], total=step.total, said="")
            said = f"{step.accepted / step.made:.0%} accepted" if step.made else ""
            bar.update(tasks[step.stage], completed=step.done, said=said)

        yield show
