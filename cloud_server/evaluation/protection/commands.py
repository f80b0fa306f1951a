"""`goodnoise-cloud evaluate protection`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cloud_server.exits import command_errors

if TYPE_CHECKING:
    from cloud_server.evaluation.protection.evaluate import Wanted

__all__ = ["protection"]

_Names = list[str] | None


def protection(
    lfw: Annotated[
        Path, typer.Option(help="LFW: folder with images/, pairs.txt, people.txt.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder for results, photos and pictures.", show_default=False)],
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of one person, largest albums first.")] = 150,
    tuning: Annotated[
        bool, typer.Option("--tuning", help="Sets 4-6 in place of 1-3: never for a reported figure.")
    ] = False,
    rows: Annotated[Path | None, typer.Option(help="TOML file with rows in place of the usual ones.")] = None,
    only: Annotated[_Names, typer.Option(help="Only rows whose name holds this text; repeat.")] = None,
    curve: Annotated[bool, typer.Option("--curve", help="Also the budgets of the curve.")] = False,
    levels: Annotated[
        bool, typer.Option("--levels", help="Also every wire level, beside a cloud that is started.")
    ] = False,
    attacks: Annotated[
        bool, typer.Option("--attacks", help="Also attacks of the core's table on the aligned crop.")
    ] = False,
    recogniser: Annotated[
        _Names, typer.Option(help="A network of the zoo to ask; repeat. Default: the four that come with it.")
    ] = None,
    quality: Annotated[
        tuple[str, str, str] | None,
        typer.Option(help="Rows: surrogates alone, with the hint, with the ensemble's member."),
    ] = None,
    purifiers: Annotated[
        _Names, typer.Option(help="A row whose photos are purified before recognising; repeat.")
    ] = None,
    adaptive: Annotated[
        _Names, typer.Option(help="A row on whose cloaks a recogniser is trained; repeat.")
    ] = None,
    adapt: Annotated[str, typer.Option(help="The recogniser that is trained.")] = "mobilefacenet-512",
    train_photos: Annotated[int, typer.Option(min=16, help="Cloaked photos to train on.")] = 300,
    adapt_steps: Annotated[int, typer.Option(min=1, help="Batches of 16 people.")] = 200,
    denoiser_steps: Annotated[int, typer.Option(min=1, help="Batches of 16 patches.")] = 600,
    processes: Annotated[int, typer.Option(min=1, help="Devices that work at a time, one thread each.")] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Of the devices and of training.")] = 0,
) -> None:
    """Measure protection on LFW's pairs, by the device's own program.

    Ctrl-C keeps what is measured; the same command goes on from there. Writes protection.json and .md,
    curve.png and contact.png. The purifiers' denoiser and --adaptive need the extra 'train'.
    """
    given = dict(locals())
    with command_errors(interrupted="interrupted; the same command goes on from here"):
        from cloud_server.evaluation.protection.evaluate import evaluate

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            text = evaluate(_wanted(given), _Bars(bar))
        typer.echo(text)


class _Bars:
    """One bar for each thing that is done."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar

    def __call__(self, what: str, done: int, total: int) -> None:
        """Move the bar of `what`, which begins when it is first named."""
        known = [task.id for task in self._bar.tasks if task.description == what]
        task = known[0] if known else self._bar.add_task(what, total=total)
        self._bar.update(task, completed=done, total=total)


def _wanted(given: dict[str, Any]) -> Wanted:
    from cloud_server.evaluation.protection.evaluate import JUDGES, Wanted, chosen_rows

    rows, qualities = chosen_rows(
        given["rows"],
        curve=given["curve"],
        levels=given["levels"],
        attacks=given["attacks"],
        only=tuple(given["only"] or ()),
        quality=given["quality"],
    )
    kept = {
        key: given[key]
        for key in (
            "lfw",
            "out",
            "pairs",
            "tuning",
            "adapt",
            "train_photos",
            "adapt_steps",
            "denoiser_steps",
            "processes",
            "seed",
        )
    }
    return Wanted(
        **kept,
        rows=rows,
        qualities=qualities,
        recognisers=tuple(given["recogniser"] or JUDGES),
        purifiers=tuple(given["purifiers"] or ()),
        adaptive=tuple(given["adaptive"] or ()),
    )
