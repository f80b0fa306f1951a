"""Exit codes of `goodnoise-cloud`, and the one place where errors become them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import typer

from shared.errors import Code, GoodnoiseError

__all__ = ["EXIT_HELP", "Exit", "command_errors", "exit_of"]


class Exit(IntEnum):
    """What the command ended with."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    UNREACHABLE = 3
    INTERRUPTED = 130


EXIT_HELP = """Exit codes: 0 done (serve: stopped by SIGTERM or SIGINT; health: serving); 1 failed
(health: not serving); 2 bad input or settings; 3 an address cannot be used or reached; 130 interrupted."""


@contextmanager
def command_errors(*, interrupted: str = "interrupted; nothing was changed") -> Iterator[None]:
    """Turn the project's errors and Ctrl-C into one line on standard error and an exit code."""
    try:
        yield
    except GoodnoiseError as error:
        typer.echo(f"goodnoise-cloud: {error.message}", err=True)
        raise typer.Exit(exit_of(error.code)) from None
    except KeyboardInterrupt:
        typer.echo(f"goodnoise-cloud: {interrupted}", err=True)
        raise typer.Exit(Exit.INTERRUPTED) from None


def exit_of(code: Code) -> Exit:
    """The exit code of an error's code."""
    if code in (Code.INVALID_INPUT, Code.NOT_FOUND, Code.NO_FACE, Code.PRECONDITION, Code.PERMISSION):
        return Exit.BAD_INPUT
    return Exit.UNREACHABLE if code in (Code.UNAVAILABLE, Code.DEADLINE) else Exit.FAILED
