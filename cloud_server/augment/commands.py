"""`goodnoise-cloud augment`: make samples by a recipe file, look first at what would be made, and report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cloud_server.augment.columns import columns
from cloud_server.augment.evaluate.bias.command import evaluate_bias
from cloud_server.augment.evaluate.command import evaluate
from cloud_server.exits import EXIT_HELP, command_errors
from shared.errors import Code, GoodnoiseError

if TYPE_CHECKING:
    from cloud_server.augment.recipe import Recipe

__all__ = ["app"]

app = typer.Typer(
    help="Adversarial samples for short or biased classes, and honest controls.", no_args_is_help=True
)
app.command(epilog=EXIT_HELP)(evaluate)
app.command(epilog=EXIT_HELP)(evaluate_bias)

_INTERRUPTED = "interrupted; what was written stays; run it again to go on from there"
RecipeFile = Annotated[Path, typer.Argument(help="Recipe file (YAML).", show_default=False)]
Dataset = Annotated[
    Path,
    typer.Option(
        "--in",
        help="Dataset: a folder of class folders, Parquet, WebDataset tars, or .npz.",
        show_default=False,
    ),
]
Format = Annotated[
    str, typer.Option("--in-format", help="Of the dataset, where looking at it does not tell.")
]


@app.callback()
def options() -> None:
    """Adversarial samples for short or biased classes, and honest controls."""


@app.command(epilog=EXIT_HELP)
def run(
    recipe: RecipeFile,
    dataset: Dataset,
    out: Annotated[Path, typer.Option(help="Dataset that is written.", show_default=False)],
    only_new: Annotated[
        bool, typer.Option("--only-new", help="Write the samples alone, without the originals.")
    ] = False,
    ray: Annotated[bool, typer.Option("--ray", help="Make samples with Ray Data; the same bytes.")] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=4096, help="With --ray: processes, one CPU each (default 2)."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(help="With --ray: a running cluster, or 'auto'. Default: one of this run's own."),
    ] = None,
    in_format: Format = "auto",
    licence: Annotated[
        str,
        typer.Option(
            help="Of the output, for croissant.json: an SPDX name or address. Default: the dataset's."
        ),
    ] = "",
) -> None:
    """Make what the recipe file says of a dataset, and a report with pictures.

    Beside OUT, in OUT.augment, are the surrogate, report.html, report.md, examples.png and what a run needs
    to go on after an interruption. The same file and dataset give the same bytes, however often a run was
    interrupted and on however many workers it ran. Ctrl-C ends after the shard at hand.
    """
    with command_errors(interrupted=_INTERRUPTED):
        if not ray and (workers is not None or address is not None):
            raise GoodnoiseError(Code.INVALID_INPUT, "--workers and --address go with --ray; add it")
        from cloud_server.augment.job import read_job
        from cloud_server.augment.making import make
        from cloud_server.augment.opening import Opening

        opening = Opening(
            read_job(recipe), dataset, out, only_new=only_new, format=in_format, licence=licence
        )
        typer.echo(make(opening, workers=workers or 2 if ray else None, address=address))


@app.command(epilog=EXIT_HELP)
def plan(
    recipe: RecipeFile,
    dataset: Dataset,
    in_format: Format = "auto",
) -> None:
    """Say what a recipe file would make of a dataset. Nothing is written."""
    with command_errors():
        from cloud_server.augment.job import read_job
        from cloud_server.augment.making import preview
        from cloud_server.augment.opening import Opening

        typer.echo(preview(Opening(read_job(recipe), dataset, Path(), format=in_format)))


@app.command(epilog=EXIT_HELP)
def report(
    out: Annotated[Path, typer.Argument(help="Dataset that a run wrote.", show_default=False)],
) -> None:
    """Write a run's report again, from what is kept in OUT.augment."""
    with command_errors():
        from cloud_server.augment import pages
        from cloud_server.augment.making import work_of

        typer.echo(pages.write_pages(pages.report(work_of(out)), work_of(out)))


@app.command(epilog=EXIT_HELP)
def recipes(
    name: Annotated[str | None, typer.Argument(help="One of them, with all its settings.")] = None,
) -> None:
    """Print the table of recipes, or all about one of them."""
    from cloud_server.augment.recipes import RECIPES

    if name is None:
        rows = [(row.name, *_judging(row), row.paper) for row in RECIPES.values()]
        typer.echo(columns([("recipe", "budget", "steps", "accepted at", "otherwise", "source"), *rows]))
        return
    with command_errors():
        if name not in RECIPES:
            known = ", ".join(RECIPES)
            raise GoodnoiseError(Code.INVALID_INPUT, f"there is no recipe {name!r}; known are {known}")
        row = RECIPES[name]
        said = {"budget": row.budget, "steps": row.steps, "start_noise": row.start_noise}
        keys = ("paper", "convention", *said, "loss", "suppress", "confidence", "tries", "fallback")
        keys = (*keys, "targets", "parents", "beta", "bias", "universal", "start", "version")
        typer.echo(columns([(key, str(said.get(key, getattr(row, key)))) for key in keys]))


def _judging(row: Recipe) -> tuple[str, str, str, str]:
    """Budget, steps, and what becomes of samples; controls are not judged."""
    if row.control is not None:
        return str(row.budget), "-", "-", "-"
    accepted = f"{row.confidence:g}" if row.confidence else "first place"
    return str(row.budget), str(row.steps or "-"), accepted, row.fallback
