"""`goodnoise-cloud evaluate`: figures with their controls. Each command loads what it needs when it runs."""

from __future__ import annotations

import typer

from cloud_server.evaluation.leak.commands import leak
from cloud_server.evaluation.protection.commands import protection
from cloud_server.exits import EXIT_HELP

__all__ = ["app"]

app = typer.Typer(help="Measure what is promised, with controls and intervals.", no_args_is_help=True)
app.command(epilog=EXIT_HELP)(leak)
app.command(epilog=EXIT_HELP)(protection)


@app.callback()
def options() -> None:
    """Measure what is promised, with controls and intervals."""
