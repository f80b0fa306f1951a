"""`goodnoise-cloud augment evaluate`: whether augmentation beats its controls on one's own data."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cloud_server.exits import EXIT_HELP, command_errors
from shared.errors import Code, GoodnoiseError

if TYPE_CHECKING:
    from cloud_server.augment.evaluate.arms import Arm
    from cloud_server.augment.evaluate.protocols import Protocol
    from cloud_server.augment.evaluate.runner import Plan

__all__ = ["EPILOG", "evaluate"]

EPILOG = EXIT_HELP


class ProtocolChoice(StrEnum):
    """How much data and training."""

    QUICK = "quick"
    REDUCED = "reduced"
    HOURS = "hours"
    FULL = "full"


class PrecisionChoice(StrEnum):
    """Of convolutions and products; bfloat16 where the processor has it."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


def evaluate(  # noqa: PLR0913, PLR0917 - a command's options are its signature
    data: Annotated[
        Path,
        typer.Option(
            help="Folder with train.tar and test.tar of class folders, or with folders train and test.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder of the results; a run goes on there.", show_default=False)
    ],
    protocol: Annotated[
        ProtocolChoice,
        typer.Option(
            help="reduced: minutes an arm on one core; hours: the paper's counts and a middling network, "
            "in bfloat16; full: a large one, days."
        ),
    ] = ProtocolChoice.REDUCED,
    arm: Annotated[list[str] | None, typer.Option(help="An arm in place of all; repeat.")] = None,
    seeds: Annotated[int, typer.Option(min=1, max=50, help="Trainings of each arm.")] = 3,
    rare: Annotated[
        list[str] | None,
        typer.Option(help="A class that is made rare, in place of frog, horse, ship, truck."),
    ] = None,
    frequent: Annotated[
        int | None, typer.Option(min=2, help="Images of a frequent class.", show_default=False)
    ] = None,
    rare_images: Annotated[
        int | None, typer.Option(min=2, help="Images of a rare class.", show_default=False)
    ] = None,
    updates: Annotated[
        int | None, typer.Option(min=1, help="Updates of every training.", show_default=False)
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            help="Of every training: tiny, small, medium, wide, fine, resnet18.", show_default=False
        ),
    ] = None,
    precision: Annotated[
        PrecisionChoice | None, typer.Option(help="Of every training.", show_default=False)
    ] = None,
    tailed: Annotated[  # noqa: FBT002 - as above
        bool, typer.Option("--tailed", help="Counts fall from class to class.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes of one thread each.")] = 1,
    note: Annotated[str, typer.Option(help="On the data, printed with the figures.")] = "",
) -> None:
    """Train arms with and without augmentation, alike in all else, and say what it was worth."""
    with command_errors(interrupted="interrupted; run it again to go on from there"):
        from cloud_server.augment.evaluate.runner import Plan

        changes = {"frequent": frequent, "rare": rare_images, "network": network}
        training = {"updates": updates, "precision": None if precision is None else precision.value}
        settings = _protocol(protocol.value, changes, training, tailed=tailed)
        plan = Plan(data, out, settings, _arms(arm), tuple(range(seeds)), tuple(rare or ()), workers)
        _run(plan, note)


def _protocol(
    name: str,
    changes: dict[str, int | str | None],
    training: dict[str, int | str | None],
    *,
    tailed: bool,
) -> Protocol:
    from cloud_server.augment.evaluate.protocols import PROTOCOLS
    from models.precision import check_precision
    from models.vision.networks import NETWORKS

    base = PROTOCOLS[name]
    if changes["network"] not in (None, *NETWORKS):
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"--network {changes['network']}: known are {', '.join(NETWORKS)}"
        )
    settings = replace(base.training, **_given(training))
    check_precision(settings.precision)
    return replace(base, training=settings, tailed=tailed, **_given(changes))


def _given(options: dict[str, int | str | None]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}


def _arms(names: list[str] | None) -> tuple[Arm, ...]:
    from cloud_server.augment.evaluate.arms import ARMS

    chosen = tuple(dict.fromkeys(names or ARMS))
    unknown = [name for name in chosen if name not in ARMS]
    if unknown:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"--arm {unknown[0]}: there is none; known are {', '.join(ARMS)}"
        )
    if not any(ARMS[name].control for name in chosen):
        raise GoodnoiseError(Code.INVALID_INPUT, "--arm: give a control too, for example balanced")
    return tuple(ARMS[name] for name in chosen)


def _run(plan: Plan, note: str) -> None:
    from cloud_server.augment.evaluate.report import write_report
    from cloud_server.augment.evaluate.runner import run_plan
    from cloud_server.augment.evaluate.summary import summarise
    from cloud_server.paper.progress import progress_bar

    with progress_bar("Trainings") as on_progress:
        results = run_plan(plan, on_progress=on_progress)
    summary = summarise(results)
    paths = write_report(plan, summary, note=note)
    typer.echo(summary.verdict)
    for path in paths:
        typer.echo(f"written: {path}")
