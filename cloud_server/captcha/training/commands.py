"""`goodnoise-cloud captcha train`: train the readers that challenges are attacked with."""

from __future__ import annotations

import json
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from cloud_server.exits import command_errors
from shared.errors import Code, GoodnoiseError

__all__ = ["train"]


class StageName(StrEnum):
    """Which readers."""

    PLAIN = "plain"
    HARDENED = "hardened"
    ADAPTED = "adapted"
    ALL = "all"


def train(
    out: Annotated[Path, typer.Option(help="Folder for weights, figures and checkpoints.")],
    stage: Annotated[
        StageName,
        typer.Option(help="plain: rendered samples; hardened: under attack; adapted: what would be issued."),
    ] = StageName.ALL,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Updates of each reader. Default: 1000 plain, 600 hardened, 450 adapted."),
    ] = None,
    batch: Annotated[int, typer.Option(min=2, help="Samples an update.")] = 48,
    images: Annotated[
        int, typer.Option(min=2, help="Images of the service for each adapted round, held-out ones included.")
    ] = 2500,
    held_out: Annotated[int, typer.Option(min=1, help="Samples that a reader is measured on.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same weights.")] = 0,
) -> None:
    """Train every reader, in rounds: plain, then hardened twice, then adapted to what the service issues.

    Prints what was measured as JSON, which is also in the folder. Ctrl-C keeps what is done: the same command
    goes on from there and ends in the same weights. 'captcha fill --readers' uses the folder.
    """
    given = dict(locals())
    with command_errors(interrupted="interrupted; the same command goes on from here"):
        found = _train(given)
    typer.echo(json.dumps(found, indent=2))


def _train(given: dict[str, Any]) -> dict[str, Any]:
    if find_spec("torch") is None:
        raise GoodnoiseError(
            Code.PRECONDITION, "training needs torch; install it with: pip install 'goodnoise[captcha]'"
        )
    if given["images"] <= given["held_out"]:
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"--images is {given['images']}, expected more than --held-out, {given['held_out']}",
        )
    import torch

    from cloud_server.captcha.training.plan import Plan, Stage
    from cloud_server.captcha.training.run import train_readers
    from cloud_server.hints.commands import training_progress
    from shared.files import storage_errors

    torch.set_num_threads(1)
    plan = Plan(**{key: given[key] for key in ("steps", "batch", "images", "held_out", "seed")})
    stages = tuple(Stage) if given["stage"] is StageName.ALL else (Stage(given["stage"].value),)
    out: Path = given["out"]
    with training_progress() as step, storage_errors(out, setting="--out"):
        return train_readers(out, plan, stages=stages, report=step)
