"""`goodnoise-cloud captcha report`."""

from __future__ import annotations

import asyncio
import secrets
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from cloud_server.captcha.places import KeyFile, ReadersFolder, StateUrl, key_file, state_url
from cloud_server.exits import command_errors
from shared.errors import Code, GoodnoiseError

if TYPE_CHECKING:
    from cloud_server.captcha.report.run import Report

__all__ = ["report"]

_Given = dict[str, Any]


def report(  # noqa: PLR0913, PLR0917 - a command's options are its signature
    out: Annotated[Path, typer.Option(help="Folder for the report and what a rerun needs.")],
    images: Annotated[
        int, typer.Option(min=10, help="Images that solvers read; intervals need 200 or more.")
    ] = 200,
    adaptive: Annotated[
        int,
        typer.Option(min=0, help="Images of the service that the adaptive solver learns from; 0 for none."),
    ] = 0,
    sounds: Annotated[
        int, typer.Option(min=0, help="Sounds that own digit solvers read; 0 for no section on sound.")
    ] = 200,
    solvers: Annotated[str, typer.Option(help="Names with commas between, or 'all'.")] = "all",
    seed: Annotated[int | None, typer.Option(min=0, help="Of the images; fresh ones by default.")] = None,
    publish: Annotated[  # noqa: FBT002 - a flag of the command
        bool, typer.Option("--publish", help="Let the service show this report from now on.")
    ] = False,
    state: StateUrl = None,
    key: KeyFile = None,
    readers: ReadersFolder = None,
) -> None:
    """Let programs read images such as the service issues now, with and without the attack.

    Makes own images with the service's settings; none of them is issued. Writes report.json, report.md,
    report.html, sheet.png and curve.png. 200 images take about ten minutes, an adaptive solver that learns
    from 8,000 half an hour more on one core, the solvers of sounds some minutes. Ctrl-C is safe: the same
    command goes on where it stopped.
    """
    given = dict(locals())
    with command_errors(interrupted="interrupted; the same command goes on from here"):
        made = _run(given)
    console = Console()
    for goal in made.content["goals"]:
        word = {True: "holds", False: "MISSED", None: "not measured"}[goal["holds"]]
        line = f"{word}: {goal['goal']}, {goal['wanted']}: {goal['found']}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _run(given: _Given) -> Report:
    if find_spec("torch") is None:
        raise GoodnoiseError(
            Code.PRECONDITION, 'making images needs torch; run: pip install "goodnoise[captcha]"'
        )
    from cloud_server.captcha.challenges.filler import deployment_of
    from cloud_server.captcha.challenges.maker import load_maker
    from cloud_server.captcha.keys import load_key
    from cloud_server.captcha.report.run import ReportOptions, make_report, write_report
    from cloud_server.captcha.report.sound import SoundPlan
    from cloud_server.hints.commands import training_progress
    from shared.files import storage_errors

    out, solvers = Path(given["out"]), _names(given["solvers"])
    with training_progress() as step, storage_errors(out, setting="--out"):
        seed = _seed(given["seed"], out / "work" / "seed")
        options = ReportOptions(
            images=given["images"],
            solvers=solvers,
            adaptive=given["adaptive"],
            seed=seed,
            sound=SoundPlan(sounds=given["sounds"], seed=seed) if given["sounds"] else None,
        )
        maker = load_maker(
            deployment=deployment_of(load_key(key_file(given["key"]))), readers=given["readers"]
        )
        made = make_report(maker, options, out / "work", progress=step)
        content = write_report(made, out)
        (out / "work" / "seed").unlink(missing_ok=True)
    if given["publish"]:
        asyncio.run(_publish(state_url(given["state"]), content))
    return made


def _names(text: str) -> tuple[str, ...]:
    from cloud_server.captcha.report.solvers import SOLVERS

    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if names == ("all",):
        return tuple(SOLVERS)
    if not names or not set(names) <= set(SOLVERS):
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"--solvers is {text!r}, expected 'all' or names of {', '.join(SOLVERS)}"
        )
    return names


def _seed(given: int | None, path: Path) -> int:
    """The seed given, that of a report that was interrupted, or a fresh one."""
    from shared.files import write_atomically

    if given is not None:
        return given
    if path.is_file() and (text := path.read_text(encoding="utf-8")).isdecimal():
        return int(text)
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = secrets.randbits(32)
    write_atomically(path, str(seed).encode())
    return seed


async def _publish(url: str, content: bytes) -> None:
    from cloud_server.captcha.state import open_store
    from shared.wire import captcha as limits

    checked = limits.report("report", content)
    store = open_store(url)
    try:
        await store.report_put(checked)
    finally:
        await store.close()
