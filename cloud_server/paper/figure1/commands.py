"""`goodnoise-cloud paper figure1` and `figure1-study`, registered by `cloud_server.paper.commands`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from cloud_server.exits import command_errors
from cloud_server.paper.progress import progress_bar
from shared.files import storage_errors, write_atomically

__all__ = ["figure1", "figure1_study"]

_INTERRUPTED = "interrupted; run it again to go on from there"
Out = Annotated[
    Path, typer.Option(help="Folder of the results; a run goes on from there.", show_default=False)
]


def figure1(
    out: Out,
    full: Annotated[
        bool,
        typer.Option("--full", help="The paper's 1,000 + 200 images a letter: hours instead of minutes."),
    ] = False,
    train: Annotated[int | None, typer.Option(min=1, help="Training images a letter instead.")] = None,
    test: Annotated[int | None, typer.Option(min=1, help="Test images a letter instead.")] = None,
    updates: Annotated[int | None, typer.Option(min=1, help="Of each recogniser instead.")] = None,
    rate: Annotated[
        float | None, typer.Option(min=1e-7, max=1.0, help="Adam's rate instead; the paper's is 1e-5.")
    ] = None,
    noise: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Deviation of the set's own noise instead.")
    ] = None,
    levels: Annotated[int, typer.Option(min=1, max=50, help="Of distortion.")] = 8,
    participants: Annotated[
        int, typer.Option(min=0, max=1000, help="Write the kit of a study with so many people.")
    ] = 0,
    public: Annotated[
        bool, typer.Option("--public/--no-public", help="Let public readers read, where they are installed.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Of images, noise, weights and batches.")] = 0,
) -> None:
    """Figure 1: letters under FGSM steps and Gaussian noise, read by machines and by proxies for people.

    Trains six small recognisers, with and without noise in their images, on one thread; they and the public
    readers that are here (tesseract, ddddocr, PP-OCR) read. Writes figure1.json, figure1.md, figure1.png (as
    the paper's), rmse.png (curves over the size of the distortion) and, with --participants, study/ (for
    them) and study-key.json (not for them).
    """
    chosen = {"train": train, "test": test, "updates": updates, "rate": rate, "noise": noise}
    given = {name: value for name, value in chosen.items() if value is not None}
    with command_errors(interrupted=_INTERRUPTED):
        _figure1(
            out,
            {**given, "levels": levels, "seed": seed},
            full=full,
            participants=participants,
            public=public,
        )


def figure1_study(
    answers: Annotated[list[Path], typer.Argument(help="Files that the page saved.", show_default=False)],
    key: Annotated[Path, typer.Option(help="The study's key.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder of the results.", show_default=False)],
    results: Annotated[
        Path | None,
        typer.Option(help="Folder of a 'paper figure1', to draw people into its figure.", show_default=False),
    ] = None,
    least_clean: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Leave out who reads less of the undisturbed images."),
    ] = 0.0,
) -> None:
    """Accuracy of people by distortion and level, with intervals by participant.

    Writes people.json and people.md, and with --results figure1.png with the people's curves.
    """
    with command_errors(interrupted=_INTERRUPTED):
        _study(answers, key, out, results, least_clean)


def _figure1(out: Path, given: dict[str, Any], *, full: bool, participants: int, public: bool) -> None:
    from cloud_server.paper.figure1.settings import FULL, REDUCED

    protocol = replace(FULL if full else REDUCED, **given)
    with _one_thread():
        from cloud_server.paper.figure1.make import Order, make_figure

        order = Order(protocol=protocol, participants=participants, public=public, out=out)
        typer.echo(make_figure(order, progress=progress_bar))


def _study(answers: list[Path], key: Path, out: Path, results: Path | None, least_clean: float) -> None:
    from cloud_server.paper.figure1.study.analysis import analyse, read_answers, read_key, study_markdown

    known = read_key(key)
    found = analyse(known, read_answers(answers, known), least_clean=least_clean)
    text = study_markdown(found)
    with storage_errors(out, setting="--out"):
        out.mkdir(parents=True, exist_ok=True)
        content = json.dumps(found, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"
        write_atomically(out / "people.json", content)
        write_atomically(out / "people.md", text.encode())
    if results is not None:
        from cloud_server.paper.figure1.make import draw_with_people

        draw_with_people(results, found, out)
    typer.echo(text)


@contextmanager
def _one_thread() -> Iterator[None]:
    """These networks are too small for two threads, and sums in one order give the same figures again."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
