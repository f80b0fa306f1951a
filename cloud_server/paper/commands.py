"""`goodnoise-cloud paper`: the paper's tables, figures and observation II, made again on what is at hand."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cloud_server.exits import EXIT_HELP, command_errors
from cloud_server.paper.features.commands import figure3, observation2, table3
from cloud_server.paper.figure1.commands import figure1, figure1_study
from cloud_server.paper.progress import progress_bar
from shared.errors import Code, GoodnoiseError

if TYPE_CHECKING:
    from cloud_server.paper.cloaks import Anchor

__all__ = ["app"]

app = typer.Typer(help="Make the paper's tables, figures and observation II again.", no_args_is_help=True)

_INTERRUPTED = "interrupted; run it again to go on from there"


class AnchorChoice(StrEnum):
    """What attacks move away from."""

    OWN = "own"
    PAIR = "pair"
    BOTH = "both"


class AttackChoice(StrEnum):
    """Attacks of table 1."""

    FGSM = "fgsm"
    I_FGSM = "i-fgsm"
    MI_FGSM = "mi-fgsm"
    DI2_FGSM = "di2-fgsm"
    M_DI2_FGSM = "m-di2-fgsm"


Data = Annotated[
    list[str],
    typer.Option(
        help="NAME=FOLDER (LFW's, or pictures with a pairs.txt) or NAME=FILE.bin (InsightFace's); repeat.",
        show_default=False,
    ),
]
Out = Annotated[
    Path, typer.Option(help="Folder of the results; a run goes on from there.", show_default=False)
]
Pairs = Annotated[
    int, typer.Option(min=1, help="Pairs of each set to report on, and of each kind for thresholds.")
]
Full = Annotated[bool, typer.Option("--full", help="All pairs instead.")]
Processes = Annotated[int, typer.Option(min=1, max=64, help="Processes of one thread each.")]
Networks = Annotated[list[str] | None, typer.Option(help="A recogniser in place of the zoo's four; repeat.")]
Levels = Annotated[float, typer.Option(min=0.5, max=64, help="Budget, levels of 8 bits.")]
Seed = Annotated[int, typer.Option(min=0, help="Of attacks, styles and the choice of pairs.")]


@app.callback()
def options() -> None:
    """Make the paper's tables, figures and observation II again."""


@app.command(epilog=EXIT_HELP)
def table1(
    data: Data,
    out: Out,
    pairs: Pairs = 50,
    full: Full = False,
    anchor: Annotated[
        AnchorChoice,
        typer.Option(help="Move away from the photo itself (own) or from the enrolled one (pair)."),
    ] = AnchorChoice.OWN,
    attack: Annotated[
        list[AttackChoice] | None, typer.Option(help="An attack in place of all five; repeat.")
    ] = None,
    network: Networks = None,
    levels: Levels = 8.0,
    seed: Seed = 0,
    processes: Processes = 2,
) -> None:
    """Table 1: FGSM, I-FGSM, MI-FGSM, DI2-FGSM and M-DI2-FGSM with open weights, by equation 1.

    'pair' is the paper's setting and an upper bound: whoever protects a photo does not have the enrolled one.
    Writes table1.json, table1.md and table1.png; 50 pairs take about three minutes on two cores.
    """
    chosen = tuple(dict.fromkeys(item.value for item in attack or AttackChoice))
    with command_errors(interrupted=_INTERRUPTED):
        _make("table1", dict(locals()), chosen, _anchors(anchor), faces=0)


@app.command(epilog=EXIT_HELP)
def table2(
    data: Data,
    out: Out,
    pairs: Pairs = 100,
    full: Full = False,
    attack: Annotated[
        AttackChoice, typer.Option(help="The attack; the paper's is fgsm.")
    ] = AttackChoice.FGSM,
    anchor: Annotated[
        AnchorChoice,
        typer.Option(help="Move away from the photo without makeup (own) or from the enrolled one (pair)."),
    ] = AnchorChoice.OWN,
    network: Networks = None,
    levels: Levels = 8.0,
    seed: Seed = 0,
    processes: Processes = 2,
    faces: Annotated[int, typer.Option(min=0, max=20, help="Faces in the picture; 0 for none.")] = 5,
) -> None:
    """Table 2: makeup, an attack, and the attack on top of the makeup, by equation 1.

    Writes table2.json, table2.md, table2.png and, with faces as in the paper's figure 2, faces.png.
    """
    with command_errors(interrupted=_INTERRUPTED):
        if anchor is AnchorChoice.BOTH:
            raise GoodnoiseError(Code.INVALID_INPUT, "--anchor both is for table1; give own or pair")
        _make("table2", dict(locals()), (attack.value,), _anchors(anchor), faces=faces)


def _anchors(choice: AnchorChoice) -> tuple[Anchor, ...]:
    named: dict[AnchorChoice, tuple[Anchor, ...]] = {
        AnchorChoice.OWN: ("own",),
        AnchorChoice.PAIR: ("pair",),
        AnchorChoice.BOTH: ("own", "pair"),
    }
    return named[choice]


def _make(
    table: str, given: dict[str, Any], attacks: tuple[str, ...], anchors: tuple[Anchor, ...], *, faces: int
) -> None:
    from cloud_server.paper.bench import Settings
    from cloud_server.paper.nets import DEFAULT_NETWORKS
    from cloud_server.paper.tables import Order, make_table
    from models.store import default_store

    settings = Settings(
        table=table,
        data=_data(given["data"]),
        networks=tuple(dict.fromkeys(given["network"] or DEFAULT_NETWORKS)),
        attacks=attacks,
        anchors=anchors,
        levels=given["levels"],
        seed=given["seed"],
        models=str(default_store().resolve()),
    )
    order = Order(
        settings=settings,
        pairs=None if given["full"] else given["pairs"],
        processes=given["processes"],
        faces=faces,
        out=given["out"],
    )
    typer.echo(make_table(order, progress=progress_bar))


def _data(given: list[str]) -> tuple[tuple[str, str], ...]:
    parts = [item.partition("=") for item in given]
    names = [name for name, _, _ in parts]
    wrong = [item for item, (name, _, path) in zip(given, parts, strict=True) if not name or not path]
    if wrong or len(set(names)) != len(names):
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"--data {(wrong or given)[-1]}: expected NAME=FOLDER or NAME=FILE.bin, each name once",
        )
    return tuple((name, str(Path(path).resolve())) for name, _, path in parts)


app.command(epilog=EXIT_HELP)(figure1)
app.command("figure1-study", epilog=EXIT_HELP)(figure1_study)
app.command(epilog=EXIT_HELP)(figure3)
app.command(epilog=EXIT_HELP)(observation2)
app.command(epilog=EXIT_HELP)(table3)
