"""Where the commands of the CAPTCHA find state and keys, unless they are told otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import platformdirs
import typer

__all__ = [
    "KEY_FILE",
    "PREFIX",
    "READERS",
    "STATE",
    "KeyFile",
    "ReadersFolder",
    "StateUrl",
    "data_folder",
    "key_file",
    "state_url",
]

PREFIX = "GOODNOISE_CAPTCHA"
STATE = f"{PREFIX}_STATE"
KEY_FILE = f"{PREFIX}_KEY_FILE"
READERS = f"{PREFIX}_READERS"

StateUrl = Annotated[
    str | None,
    typer.Option(
        "--state",
        help="sqlite:PATH, or redis://HOST:PORT/DB.",
        envvar=STATE,
        show_default="a file of SQLite in the user's data folder",
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        help="The server's key, mode 0600; made when there is none. Replicas have the same one.",
        envvar=KEY_FILE,
        show_default="in the user's data folder",
    ),
]
ReadersFolder = Annotated[
    Path | None,
    typer.Option(
        "--readers",
        help="Folder of 'captcha train': the readers that images are made against.",
        envvar=READERS,
        show_default="the readers that come along",
    ),
]


def data_folder() -> Path:
    """The folder of this user for what is not named."""
    return platformdirs.user_data_path("goodnoise") / "captcha"


def state_url(given: str | None) -> str:
    """The address of the state."""
    if given is not None:
        return given
    data_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    return f"sqlite:{data_folder() / 'state.sqlite'}"


def key_file(given: Path | None) -> Path:
    """The file of the server's key."""
    return given or data_folder() / "key"
