"""`goodnoise-cloud augment evaluate-bias`: whether augmentation closes a gap between groups."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cloud_server.exits import command_errors
from shared.errors import Code, GoodnoiseError

if TYPE_CHECKING:
    from cloud_server.augment.evaluate.bias.arms import BiasArm
    from cloud_server.augment.evaluate.bias.runner import BiasPlan, Makes

__all__ = ["evaluate_bias"]


class Bias(StrEnum):
    """Which dataset."""

    DIGITS = "digits"
    TINT = "tint"
    ATTRIBUTES = "attributes"


def evaluate_bias(  # noqa: PLR0913, PLR0917 - a command's options are its signature
    out: Annotated[
        Path, typer.Option(help="Folder of the results; a run goes on there.", show_default=False)
    ],
    bias: Annotated[
        Bias,
        typer.Option(
            help="digits: coloured digits that are drawn; tint: two classes of --data under a tint; "
            "attributes: CelebA's lists in --data."
        ),
    ] = Bias.DIGITS,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the images, for tint and attributes.", show_default=False)
    ] = None,
    pair: Annotated[str, typer.Option(help="tint: the two classes.")] = "automobile,truck",
    label: Annotated[str, typer.Option(help="attributes: what is learnt.")] = "Smiling",
    group: Annotated[str, typer.Option(help="attributes: what shall not matter.")] = "Male",
    share: Annotated[float, typer.Option(min=0.5, max=0.999, help="Of a class in its large group.")] = 0.95,
    images: Annotated[int, typer.Option(min=40, help="Training images of a class.")] = 2000,
    seeds: Annotated[int, typer.Option(min=1, max=50, help="Trainings of each arm.")] = 3,
    updates: Annotated[int, typer.Option(min=1, help="Updates of every training.")] = 300,
    network: Annotated[str, typer.Option(help="Of every training.")] = "tiny",
    arm: Annotated[list[str] | None, typer.Option(help="An arm in place of all; repeat.")] = None,
    note: Annotated[str, typer.Option(help="On the data, printed with the figures.")] = "",
) -> None:
    """Train remedies against a bias, with and without augmentation, and measure fairness beside accuracy."""
    with command_errors(interrupted="interrupted; run it again to go on from there"):
        from cloud_server.augment.evaluate.bias.runner import BiasPlan
        from models.vision.networks import NETWORKS
        from models.vision.training import Training

        if network not in NETWORKS:
            raise GoodnoiseError(Code.INVALID_INPUT, f"--network {network}: known are {', '.join(NETWORKS)}")
        training = Training(updates=updates, batch=64, rate=0.1)
        plan = BiasPlan(bias.value, out, _arms(arm), tuple(range(seeds)), network, training)
        words = {"pair": pair, "label": label, "group": group}
        _run(plan, _makes(bias, data, words, images=images, share=share, cache=out / "work"), note)


def _arms(names: list[str] | None) -> tuple[BiasArm, ...]:
    from cloud_server.augment.evaluate.bias.arms import BIAS_ARMS

    chosen = tuple(dict.fromkeys(names or BIAS_ARMS))
    unknown = [name for name in chosen if name not in BIAS_ARMS]
    if unknown:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"--arm {unknown[0]}: there is none; known are {', '.join(BIAS_ARMS)}"
        )
    if not any(BIAS_ARMS[name].control for name in chosen):
        raise GoodnoiseError(Code.INVALID_INPUT, "--arm: give a control too, for example over-sampling")
    return tuple(BIAS_ARMS[name] for name in chosen)


def _makes(
    bias: Bias, data: Path | None, words: dict[str, str], *, images: int, share: float, cache: Path
) -> Makes:
    from cloud_server.augment.evaluate.bias.attributes import open_attributes
    from cloud_server.augment.evaluate.bias.planted import from_source
    from cloud_server.augment.evaluate.bias.runner import digits, tints
    from cloud_server.augment.evaluate.datasets import load_pair

    if bias is Bias.DIGITS:
        return digits(images, share, 500)
    if data is None:
        raise GoodnoiseError(Code.INVALID_INPUT, f"--bias {bias}: needs --data, the folder of the images")
    if bias is Bias.TINT:
        first, _, second = words["pair"].partition(",")
        try:
            return tints(load_pair(data, cache=cache), (first.strip(), second.strip()), images, share, 500)
        except ValueError as error:
            raise GoodnoiseError(Code.INVALID_INPUT, f"--bias tint: {error}") from error
    known = {"label": words["label"], "group": words["group"]}
    train, test = (from_source(open_attributes(data, **known, split=s)) for s in ("train", "test"))
    return lambda _seed: (train, test)


def _run(plan: BiasPlan, makes: Makes, note: str) -> None:
    from cloud_server.augment.evaluate.bias.report import write_bias_report
    from cloud_server.augment.evaluate.bias.runner import run_bias
    from cloud_server.augment.evaluate.bias.summary import summarise_bias
    from cloud_server.paper.progress import progress_bar

    with progress_bar("Trainings") as on_progress:
        results = run_bias(plan, makes, on_progress=on_progress)
    summary = summarise_bias(results)
    paths = write_bias_report(results, summary, note=note)
    typer.echo(summary.verdict)
    for path in paths:
        typer.echo(f"written: {path}")
