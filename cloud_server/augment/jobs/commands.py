"""`goodnoise-cloud augment owners`: who may hand in jobs, directly on the state."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import platformdirs
import typer

from cloud_server.exits import EXIT_HELP, command_errors

if TYPE_CHECKING:
    from cloud_server.augment.jobs.owners import OwnerBook

__all__ = ["DATA", "PREFIX", "Data", "app", "data_folder"]

T = TypeVar("T")
PREFIX = "GOODNOISE_AUGMENT"
DATA = f"{PREFIX}_DATA"

app = typer.Typer(help="Owners of jobs, and their tokens.", no_args_is_help=True)
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Folder of the service's state, uploads and results.",
        envvar=DATA,
        show_default="in the user's data folder",
    ),
]
Name = Annotated[str, typer.Argument(help="Of the owner, for the operator.")]


def data_folder(given: Path | None) -> Path:
    """The folder of a service."""
    return given or platformdirs.user_data_path("goodnoise") / "augment"


@app.command(epilog=EXIT_HELP)
def add(name: Name, data: Data = None) -> None:
    """Add an owner. Prints the token as JSON; it is shown now and never again."""
    with command_errors():
        owner, token = _with_book(data, lambda book: book.add(name))
        _tell({"name": owner.name, "created": _time(owner.created), "token": token})


@app.command("list", epilog=EXIT_HELP)
def list_owners(data: Data = None) -> None:
    """List all owners as JSON, the oldest first, without tokens."""
    with command_errors():
        found = _with_book(data, lambda book: book.owners())
        _tell([{"name": owner.name, "created": _time(owner.created)} for owner in found])


@app.command(epilog=EXIT_HELP)
def rotate(name: Name, data: Data = None) -> None:
    """Give an owner a new token, shown now and never again. The one of before is bad at once."""
    with command_errors():
        _tell({"name": name, "token": _with_book(data, lambda book: book.rotate(name))})


@app.command(epilog=EXIT_HELP)
def remove(name: Name, data: Data = None) -> None:
    """Forget an owner for good; the server deletes their jobs and images."""
    with command_errors():
        _with_book(data, lambda book: book.remove(name))
        _tell({"name": name, "removed": True})


def _with_book(data: Path | None, work: Callable[[OwnerBook], Awaitable[T]]) -> T:
    from cloud_server.augment.jobs.owners import OwnerBook
    from cloud_server.augment.jobs.places import Places
    from cloud_server.augment.jobs.store import JobStore

    async def run() -> T:
        store = JobStore(Places(data_folder(data)).state)
        try:
            return await work(OwnerBook(store))
        finally:
            await store.close()

    return asyncio.run(run())


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _tell(words: object) -> None:
    typer.echo(json.dumps(words, indent=2))
