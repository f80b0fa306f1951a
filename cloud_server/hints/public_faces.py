"""What the levels `sketch` and `sign` run on: an ensemble of the zoo and faces that are public."""

from __future__ import annotations

import zipfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cloud_server.hints.data import load_faces
from cloud_server.hints.directions import Directions
from cloud_server.hints.nets import load_net
from models.store import Store, default_store, load_card
from shared.errors import Code, GoodnoiseError
from shared.faces.detect import Detector
from shared.files import storage_errors

__all__ = ["ENSEMBLE", "MOST_FACES", "load_directions", "public_faces"]

ENSEMBLE = ("mobilefacenet-512", "mobilefacenet-192", "sface")
MOST_FACES = 256  # more cost seconds at the start and add nothing to a choice of eight
_SHAPE = (3, 112, 112)
_KEY = "faces"


def load_directions(
    *, ensemble: tuple[str, ...] = (), faces: Path | None = None, models: Path | None = None
) -> Directions:
    """Load the networks and look at every public face once; takes seconds.

    Args:
        ensemble: names in the zoo; empty takes `ENSEMBLE`.
        faces: see `public_faces`.
        models: folder of the zoo; None for the default one.

    Raises:
        GoodnoiseError: as of `load_net` and `public_faces`.
    """
    store = Store(models or default_store())
    nets = [load_net(name, store) for name in ensemble or ENSEMBLE]
    return Directions(nets, public_faces(faces, store))


def public_faces(path: Path | None, store: Store) -> npt.NDArray[np.uint8]:
    """Aligned faces, uint8 N 3 112 112, at most `MOST_FACES`.

    Args:
        path: a folder of photos (one folder a person, or all in it), or a `.npz` file that holds the aligned
            faces as `faces`; None takes those that come with the project.
        store: the zoo, for its detector.

    Raises:
        GoodnoiseError: PRECONDITION without any, NOT_FOUND, CORRUPT or NO_FACE for what cannot be used.
    """
    if path is None:
        path = Path(str(files("cloud_server.hints"))) / "prebuilt" / "faces.npz"
        if not path.is_file():
            raise GoodnoiseError(
                Code.PRECONDITION, "no public faces come with this release; name some with --public-faces"
            )
    if path.is_dir():
        detector = Detector(store.read(load_card("yunet", store.folder)))
        return load_faces(path, detector, progress=_silent).levels[:MOST_FACES]
    return _from_file(path)


def _from_file(path: Path) -> npt.NDArray[np.uint8]:
    try:
        with storage_errors(path, setting="--public-faces"), np.load(path, allow_pickle=False) as archive:
            faces: npt.NDArray[Any] = archive[_KEY]
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise GoodnoiseError(
            Code.CORRUPT, f"--public-faces {path} is no .npz file with an array {_KEY!r} ({error})"
        ) from error
    if faces.dtype != np.uint8 or faces.ndim != 4 or faces.shape[1:] != _SHAPE or not len(faces):
        raise GoodnoiseError(
            Code.CORRUPT,
            f"--public-faces {path} holds {faces.dtype} {faces.shape}, expected uint8 N 3 112 112",
        )
    return faces[:MOST_FACES]


def _silent(_what: str, _done: int, _total: int) -> None:
    """Nobody watches a server start."""
