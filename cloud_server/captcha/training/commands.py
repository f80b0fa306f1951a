"""`goodnoise-cloud captcha train`: train the networks that challenges are attacked with."""

from __future__ import annotations

import json
from dataclasses import replace
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from cloud_server.exits import command_errors
from shared.errors import Code, GoodnoiseError

__all__ = ["train"]


class StageName(StrEnum):
    """Which networks."""

    PLAIN = "plain"
    HARDENED = "hardened"
    ADAPTED = "adapted"
    PERTURBER = "perturber"
    ALL = "all"


def train(
    out: Annotated[Path, typer.Option(help="Folder for weights, figures and checkpoints.")],
    stage: Annotated[
        StageName,
        typer.Option(
            help="plain: readers of rendered samples; hardened: under attack; adapted: of issued ones; "
            "perturber: draws where attacks begin."
        ),
    ] = StageName.ALL,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, help="Updates of each. Default: 1000 plain, 600 hardened, 450 adapted, 2600 perturber."
        ),
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=2, help="Samples an update. Default: 48, of the perturber 16.")
    ] = None,
    images: Annotated[
        int, typer.Option(min=2, help="Images of the service for each adapted round, held-out ones included.")
    ] = 2500,
    held_out: Annotated[int, typer.Option(min=1, help="Samples that a reader is measured on.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same weights.")] = 0,
) -> None:
    """Train every reader, in rounds: plain, then hardened twice, then adapted to what the service issues.

    Last the perturber, against PP-OCR, captcha-whisperer and the plain readers: half an hour of a core that
    multiplies bfloat16 matrices, an hour and a half of another one.

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
    from cloud_server.captcha.training.perturbing import (
        PERTURBER_BATCH,
        PERTURBER_STEPS,
        load_lesson,
        train_perturber,
    )
    from cloud_server.captcha.training.plan import Plan, Stage
    from cloud_server.captcha.training.run import train_readers
    from cloud_server.hints.commands import training_progress
    from cloud_server.threads import one_thread
    from models.text.perturber import PERTURBER
    from shared.files import storage_errors

    one_thread()
    wanted: StageName = given["stage"]
    plan = Plan(
        **{key: given[key] for key in ("steps", "images", "held_out", "seed")}, batch=given["batch"] or 48
    )
    stages = tuple(stage for stage in Stage if wanted in (StageName.ALL, StageName(stage.value)))
    out: Path = given["out"]
    found: dict[str, Any] = {}
    with training_progress() as step, storage_errors(out, setting="--out"):
        if stages:
            found = train_readers(out, plan, stages=stages, report=step)
        if wanted in (StageName.ALL, StageName.PERTURBER):
            steps = plan.steps or PERTURBER_STEPS
            small = replace(plan, batch=given["batch"] or PERTURBER_BATCH)
            found[PERTURBER] = train_perturber(
                out,
                small,
                load_lesson(small, out if wanted is StageName.ALL else None),
                steps=steps,
                on_update=lambda done, left: step(PERTURBER, done, steps, f"left {left:.2f}"),
            )
    return found
