"""What samples are made with, as files, and in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from shared.errors import Code, GoodnoiseError
from shared.files import sha256_of_file

if TYPE_CHECKING:
    from cloud_server.augment.surrogate import Surrogate

__all__ = ["Loaded", "Parts", "Shape", "load_network", "load_parts"]

Shape: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True)
class Parts:
    """What samples are made with, as files: what another process needs to make the same ones.

    Args:
        classes: names of the surrogate's outputs.
        shape: C H W of all images; None where each may have its own.
        surrogate: file of the network; None for recipes without one.
        surrogate_sha256: of its weights.
        second: see `Job`.
        second_sha256: of its weights.
        universal: file of the perturbations, an array K C H W.
        universal_sha256: of that file.
    """

    classes: tuple[str, ...]
    shape: Shape | None
    surrogate: Path | None = None
    surrogate_sha256: str = ""
    second: Path | None = None
    second_sha256: str = ""
    universal: Path | None = None
    universal_sha256: str = ""


@dataclass(frozen=True, eq=False)
class Loaded:
    """`Parts` in memory."""

    surrogate: Surrogate | None
    second: Surrogate | None
    universal: dict[int, npt.NDArray[np.float32]] | None


def load_parts(parts: Parts) -> Loaded:
    """The parts' content.

    Raises:
        GoodnoiseError: PRECONDITION where a file is not what it was when the run began.
    """
    if parts.shape is None or parts.surrogate is None:
        return Loaded(None, None, None)
    surrogate = _checked(parts.surrogate, parts.surrogate_sha256, parts)
    second = None if parts.second is None else _checked(parts.second, parts.second_sha256, parts)
    if parts.universal is None:
        return Loaded(surrogate, second, None)
    if sha256_of_file(parts.universal) != parts.universal_sha256:
        raise _changed(parts.universal)
    patterns = np.load(parts.universal, allow_pickle=False)
    return Loaded(surrogate, second, dict(enumerate(patterns)))


def load_network(file: Path, classes: tuple[str, ...], shape: Shape) -> Surrogate:
    """A network from its file, as a surrogate."""
    from cloud_server.augment.surrogate import as_surrogate

    return as_surrogate(file, classes=classes, shape=shape)


def _checked(file: Path, sha256: str, parts: Parts) -> Surrogate:
    if parts.shape is None:
        raise ValueError("parts with a surrogate have a shape")
    surrogate = load_network(file, parts.classes, parts.shape)
    if surrogate.sha256 != sha256:
        raise _changed(file)
    return surrogate


def _changed(file: Path) -> GoodnoiseError:
    return GoodnoiseError(
        Code.PRECONDITION,
        f"{file} changed since this run began; put it back, or begin anew with another --out",
    )
