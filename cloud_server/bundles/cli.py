"""`goodnoise-cloud bundle`: build and publish bundles."""

from __future__ import annotations

import typer

__all__ = ["app"]

app = typer.Typer(help="Build and publish bundles.", no_args_is_help=True)


@app.callback()
def bundle_options() -> None:
    """Build and publish bundles."""
