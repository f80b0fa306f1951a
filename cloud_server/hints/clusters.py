"""Universal perturbations for the clusters of level `cluster`: one a kind of face, trained on that kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cloud_server.hints.data import FaceSet
from cloud_server.hints.files import write_hint
from cloud_server.hints.nets import Net
from cloud_server.hints.train import Provenance, Report, train_hint
from cloud_server.hints.universal import Training
from shared.errors import Code, GoodnoiseError
from shared.levels.cluster import CLUSTERS, cluster_name, cluster_of_face

__all__ = ["average_faces", "cluster_file", "faces_of_cluster", "train_clusters"]

# Fewer say more of their people than of the cluster.
_LEAST_FACES = 4
_LEAST_PEOPLE = 10

# Called with the cluster's number; gives what reports its batches.
Reports = Callable[[int], Report]


def cluster_file(folder: Path, number: int) -> Path:
    """Where the perturbation of a cluster lies."""
    return folder / f"cluster-{number:02d}.npy"


def faces_of_cluster(faces: FaceSet, number: int) -> FaceSet:
    """Faces of a cluster's pose and light, those that are so in a mirror mirrored.

    The size of a face in its photo is not asked: all faces are trained in one frame, so that a cluster of
    small faces and that of large ones hold the same faces.
    """
    wanted = number // 2
    rows, mirrored = [], []
    for row in range(len(faces)):
        turn, levels = float(faces.turn[row]), faces.levels[row]
        if _kind(turn, levels) == wanted:
            rows.append(row)
        elif _kind(-turn, levels[..., ::-1]) == wanted:
            mirrored.append(row)
    chosen = faces.pick([*rows, *mirrored])
    flip = np.arange(len(chosen)) >= len(rows)
    levels = np.where(flip[:, None, None, None], chosen.levels[..., ::-1], chosen.levels)
    return FaceSet(levels, chosen.people, np.where(flip, -chosen.turn, chosen.turn))


def train_clusters(
    folder: Path,
    faces: FaceSet,
    nets: Sequence[Net],
    settings: Training,
    *,
    provenance: Provenance,
    most: int | None = None,
    resume: bool = False,
    reports: Reports,
) -> dict[int, dict[str, Any]]:
    """Train the perturbation of every cluster. Small and large faces of a kind share one.

    Args:
        folder: receives `cluster-00.npy` to `cluster-15.npy` and a `.json` beside each.
        faces: of many people, turned and lit every way.
        nets: the ensemble.
        settings: see `Training`.
        provenance: for the sidecars.
        most: at most so many faces a cluster.
        resume: go on from an interrupted training.
        reports: gives each cluster's progress.

    Returns:
        The sidecars by number.

    Raises:
        GoodnoiseError: PRECONDITION naming a cluster with too few faces, or as of `train_hint`.
    """
    kinds = {
        number: _thinned(faces_of_cluster(faces, number), most, settings) for number in range(0, CLUSTERS, 2)
    }
    for number, chosen in kinds.items():
        if len(chosen) < _LEAST_FACES or len(set(chosen.people)) < 2:
            raise GoodnoiseError(
                Code.PRECONDITION,
                f"cluster {number} ({cluster_name(number)}) has {len(chosen)} faces, expected {_LEAST_FACES} "
                "or more of two people or more; give more photos",
            )
    made: dict[int, dict[str, Any]] = {}
    for number, chosen in kinds.items():
        out = cluster_file(folder, number)
        about = replace(provenance, pose=cluster_name(number))
        made[number] = train_hint(
            out, chosen, nets, settings, provenance=about, resume=resume, report=reports(number)
        )
        twin = {**made[number], "pose": cluster_name(number + 1)}
        write_hint(cluster_file(folder, number + 1), np.load(out), twin)
        made[number + 1] = twin
    return made


def average_faces(faces: FaceSet) -> npt.NDArray[np.uint8]:
    """The mean face of each pose and light, uint8 8 3 112 112: faces of nobody, to ask an ensemble about.

    Raises:
        GoodnoiseError: PRECONDITION when a mean would be of fewer than 10 people.
    """
    means = []
    for number in range(0, CLUSTERS, 2):
        chosen = faces_of_cluster(faces, number)
        people = len(set(chosen.people))
        if people < _LEAST_PEOPLE:
            raise GoodnoiseError(
                Code.PRECONDITION,
                f"cluster {number} ({cluster_name(number)}) shows {people} people; a mean face of fewer than "
                f"{_LEAST_PEOPLE} would show them; give more photos",
            )
        means.append(np.rint(chosen.levels.mean(axis=0, dtype=np.float64)))
    return np.stack(means).astype(np.uint8)


def _thinned(faces: FaceSet, most: int | None, settings: Training) -> FaceSet:
    """At most so many faces."""
    if most is None or len(faces) <= most:
        return faces
    rng = np.random.default_rng(settings.seed)
    return faces.pick(np.sort(rng.permutation(len(faces))[:most]))


def _kind(turn: float, levels: np.ndarray[Any, np.dtype[np.uint8]]) -> int:
    """Pose and light, as the cluster's number without its last bit."""
    return cluster_of_face(turn, levels.astype(np.float32), large=False) // 2
