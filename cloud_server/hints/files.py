"""A hint on disk: an int8 `.npy` and a `.json` beside it that says how it was made."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.bundle import Hint, sha256_hex
from shared.errors import Code, GoodnoiseError
from shared.files import write_atomically

__all__ = ["FRAME", "prebuilt_hints", "read_hint", "write_hint"]

FRAME = "arcface112"
_SHAPE = (3, 112, 112)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


def write_hint(path: Path, levels: npt.NDArray[np.int8], about: Mapping[str, Any]) -> None:
    """Write a hint and its sidecar, each whole; the sidecar comes last and names the hint's sha256.

    Args:
        path: the `.npy` file.
        levels: int8 of shape 3 112 112.
        about: JSON values; `trained_on` is what a bundle shows.
    """
    stream = io.BytesIO()
    np.save(stream, levels, allow_pickle=False)
    content = stream.getvalue()
    sidecar = {**about, "kind": "universal", "frame": FRAME, "sha256": sha256_hex(content)}
    write_atomically(path, content)
    write_atomically(
        path.with_suffix(".json"), (json.dumps(sidecar, indent=1, sort_keys=True) + "\n").encode()
    )


def read_hint(path: Path) -> tuple[Hint, bytes]:
    """A hint as a bundle holds it, and its bytes.

    Raises:
        GoodnoiseError: NOT_FOUND, CORRUPT or INVALID_INPUT naming the file and what is wrong.
    """
    try:
        content = path.read_bytes()
        sidecar = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise GoodnoiseError(
            Code.NOT_FOUND, f"{error.filename} is missing; a hint is a .npy file with a .json file beside it"
        ) from error
    except (OSError, ValueError) as error:
        raise GoodnoiseError(Code.CORRUPT, f"hint {path} cannot be read ({error}); train it again") from error
    if not isinstance(sidecar, dict) or sidecar.get("sha256") != sha256_hex(content):
        raise GoodnoiseError(
            Code.CORRUPT, f"hint {path} and its .json file do not belong together; train it again"
        )
    _check_levels(path, content)
    name = _name(path)
    trained_on = str(sidecar.get("trained_on", "not stated"))
    return Hint(name, "universal", f"hints/{name}.npy", FRAME, trained_on), content


def prebuilt_hints() -> tuple[Path, ...]:
    """The hints that come with the project, in order of name."""
    folder = Path(str(files("cloud_server.hints"))) / "prebuilt"
    return tuple(sorted(folder.glob("*.npy")))


def _check_levels(path: Path, content: bytes) -> None:
    try:
        levels = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise GoodnoiseError(
            Code.CORRUPT, f"hint {path} is no .npy file ({error}); train it again"
        ) from error
    if levels.dtype != np.int8 or levels.shape != _SHAPE:
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"hint {path} is {levels.dtype} of shape {levels.shape}, expected int8 of {_SHAPE}",
        )


def _name(path: Path) -> str:
    name = path.stem.lower().replace("_", "-")
    if not _NAME.fullmatch(name):
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"hint {path}: its name may hold letters, digits, '-' and '_' only; rename the file",
        )
    return name
