"""The universal perturbations that level `cluster` answers with: one for each public kind of face."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shared.errors import Code, GoodnoiseError
from shared.files import storage_errors
from shared.levels.cluster import CLUSTERS, cluster_pose
from shared.wire.arrays import array_from_bytes

__all__ = ["ClusterHints", "load_cluster_hints"]

_SHAPE = (3, 112, 112)


@dataclass(frozen=True, eq=False)
class ClusterHints:
    """Perturbations by the number of the kind, int8 3 112 112 in levels, in the frame 'arcface112'.

    `own` says for how many kinds one was trained; the others get that of their pose.
    """

    levels: tuple[npt.NDArray[np.int8], ...]
    own: int

    def __getitem__(self, number: int) -> npt.NDArray[np.int8]:
        return self.levels[number]


def load_cluster_hints(folder: Path | None = None) -> ClusterHints:
    """Read `cluster-00.npy` to `cluster-15.npy`; a kind without one gets the universal of its pose.

    Args:
        folder: where they are; None takes those that come with the project.

    Raises:
        GoodnoiseError: NOT_FOUND for a folder without any, CORRUPT naming a file that cannot be used.
    """
    prebuilt = Path(str(files("cloud_server.hints"))) / "prebuilt"
    place = prebuilt / "clusters" if folder is None else folder
    found = {number: place / f"cluster-{number:02d}.npy" for number in range(CLUSTERS)}
    own = {number: path for number, path in found.items() if path.is_file()}
    if folder is not None and not own:
        raise GoodnoiseError(
            Code.NOT_FOUND,
            f"--cluster-hints {folder} holds no cluster-00.npy to cluster-{CLUSTERS - 1}.npy; train them, or "
            "leave the option out for those that come with the project",
        )
    poses = {pose: _read(prebuilt / f"universal-{pose}.npy") for pose in ("left", "right")}
    levels = tuple(
        _read(own[number]) if number in own else poses[cluster_pose(number)] for number in range(CLUSTERS)
    )
    return ClusterHints(levels, len(own))


def _read(path: Path) -> npt.NDArray[np.int8]:
    with storage_errors(path, setting="--cluster-hints"):
        content = path.read_bytes()
    return array_from_bytes(content, dtype=np.int8, shape=_SHAPE, what=f"hint {path}")
