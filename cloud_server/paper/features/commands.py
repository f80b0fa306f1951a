"""`goodnoise-cloud paper figure3`, `observation2`, `table3`, registered by `cloud_server.paper.commands`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cloud_server.exits import command_errors
from shared.errors import Code, GoodnoiseError

if TYPE_CHECKING:
    from cloud_server.paper.features.common import Report
    from cloud_server.paper.features.settings import Protocol

__all__ = ["figure3", "observation2", "table3"]


class ProtocolChoice(StrEnum):
    """How much of everything."""

    REDUCED = "reduced"
    HOURS = "hours"
    FULL = "full"


_INTERRUPTED = "interrupted; run it again to go on from there"
Data = Annotated[
    Path,
    typer.Option(
        help="Folder with train.tar and test.tar of class folders, or with folders train and test.",
        show_default=False,
    ),
]
Out = Annotated[
    Path, typer.Option(help="Folder of the results; a run goes on from there.", show_default=False)
]
Full = Annotated[bool, typer.Option("--full", help="The same as --protocol full.")]
Table3How = Annotated[
    ProtocolChoice,
    typer.Option(
        help="Minutes and a small network, the paper's counts and a middling one, or a large: days."
    ),
]
How = Annotated[
    ProtocolChoice,
    typer.Option(help="Minutes and a small network, two hours and a good one, or the paper's counts: days."),
]
Images = Annotated[int | None, typer.Option(min=20, help="Training images instead.")]
Updates = Annotated[int | None, typer.Option(min=1, help="Of each training instead.")]
Network = Annotated[
    str | None, typer.Option(help="Of each training instead: tiny, small, medium, wide, fine or resnet18.")
]
Note = Annotated[str, typer.Option(help="On the data, printed with the figures.")]
Seed = Annotated[int, typer.Option(min=0, help="Of images, weights and attacks.")]


def figure3(
    data: Data,
    out: Out,
    protocol: How = ProtocolChoice.REDUCED,
    images: Images = None,
    updates: Updates = None,
    network: Network = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Of each perturbation instead.")] = None,
    seed: Seed = 0,
    note: Note = "",
) -> None:
    """Figure 3: a universal perturbation for each class, its success on held-out and on blank images.

    At 4, 8 and 16 levels, beside random signs of the same size. Writes figure3.json, .md and .png.
    """
    with command_errors(interrupted=_INTERRUPTED), _one_thread(), _bar() as report:
        from cloud_server.paper.features.figure3 import make_figure3

        settings = _settings(protocol, images=images, updates=updates, network=network, seed=seed)
        if steps is not None:
            settings = replace(settings, universal=replace(settings.universal, steps=steps))
        typer.echo(make_figure3(data, out, _named(settings), note=note, report=report))


def observation2(
    data: Data,
    out: Out,
    protocol: How = ProtocolChoice.REDUCED,
    images: Images = None,
    updates: Updates = None,
    network: Network = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Of each attack instead.")] = None,
    radius: Annotated[
        float | None, typer.Option(min=0.01, max=30.0, help="L2 budget of each attack instead, of [0,1].")
    ] = None,
    moved: Annotated[int | None, typer.Option(min=20, help="Images that are moved instead.")] = None,
    learning: Annotated[int | None, typer.Option(min=1, help="Updates on moved images instead.")] = None,
    seed: Seed = 0,
    note: Note = "",
) -> None:
    """Observation II: networks that learn from perturbed images with the labels they were moved toward.

    Beside the controls of the same labels with random noise and without any change. Writes
    observation2.json, .md and .png.
    """
    with command_errors(interrupted=_INTERRUPTED), _one_thread(), _bar() as report:
        from cloud_server.paper.features.observation2 import make_observation2

        settings = _settings(protocol, images=images, updates=updates, network=network, seed=seed)
        if steps is not None:
            settings = replace(settings, moving=replace(settings.moving, steps=steps))
        if radius is not None:
            settings = replace(settings, moving=replace(settings.moving, radius=radius))
        if moved is not None:
            settings = replace(settings, moving=replace(settings.moving, images=moved))
        if learning is not None:
            first = settings.learning or settings.training
            settings = replace(settings, learning=replace(first, updates=learning))
        typer.echo(make_observation2(data, out, _named(settings), note=note, report=report))


def table3(
    data: Data,
    out: Out,
    protocol: Table3How = ProtocolChoice.REDUCED,
    full: Full = False,
    seeds: Annotated[int, typer.Option(min=1, max=50, help="Trainings of each arm.")] = 3,
    updates: Updates = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes of one thread each.")] = 1,
    note: Note = "",
) -> None:
    """Table 3: four classes cut to a tenth, before and after the paper's augmentation, and four controls.

    The arms of `augment evaluate`; results in one folder are shared. Writes table3.json, .md and .png.
    """
    with command_errors(interrupted=_INTERRUPTED), _bar() as report:
        from cloud_server.augment.evaluate.protocols import PROTOCOLS
        from cloud_server.paper.features.table3 import make_table3
        from models.precision import check_precision

        if full and protocol is ProtocolChoice.HOURS:
            raise GoodnoiseError(Code.INVALID_INPUT, "--full and --protocol hours: give one of them")
        name = "full" if full else protocol.value
        settings = PROTOCOLS[name]
        if updates is not None and updates != settings.training.updates:
            name = f"{name}-changed"
            settings = replace(settings, training=replace(settings.training, updates=updates))
        check_precision(settings.training.precision)
        text = make_table3(
            data,
            out,
            protocol=settings,
            name=name,
            seeds=seeds,
            workers=workers,
            note=note,
            report=report,
        )
        typer.echo(text)


def _settings(
    choice: ProtocolChoice, *, images: int | None, updates: int | None, network: str | None, seed: int
) -> Protocol:
    from cloud_server.paper.features.settings import PROTOCOLS

    protocol = replace(PROTOCOLS[choice.value], seed=seed)
    changes = {"images": images, "network": network}
    protocol = replace(protocol, **{k: v for k, v in changes.items() if v is not None})  # type: ignore[arg-type]
    if updates is None:
        return protocol
    return replace(protocol, training=replace(protocol.training, updates=updates))


def _named(protocol: Protocol) -> Protocol:
    """A protocol that was changed says so."""
    from cloud_server.paper.features.settings import PROTOCOLS

    known = protocol == PROTOCOLS[protocol.name]
    return protocol if known else replace(protocol, name=f"{protocol.name}-changed")


@contextmanager
def _bar() -> Iterator[Report]:
    """One bar whose title says what is under way."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading images", total=None)
        yield lambda title, done, total: bar.update(task, description=title, completed=done, total=total)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in one order give the same figures again."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
