"""What the attackers see: each level with its noise and without, and the baselines; rows of one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cloud_server.hints.data import FaceSet
from shared.levels.cluster import CLUSTER_EPSILON, CLUSTERS, cluster_of_face
from shared.levels.response import keep_probability, randomise_choice
from shared.levels.sketch import SKETCH_EPSILON

__all__ = [
    "KINDS",
    "Calls",
    "Kind",
    "Seen",
    "mirrored",
    "shuffled_back",
    "signed_maps",
    "true_clusters",
    "unshuffled",
]

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Seen:
    """All that payloads of a set of faces are made from; rows of every array are those of `faces`.

    Args:
        faces: the photos.
        fresh: of each call, `bits` and `signs` of gradients at random starts in random frames; call 0 also
            has `gradient`. Later calls may cover fewer rows than there are faces.
        fixed: `bits` of gradients at one start without frame.
        cloak: what the predecessor sends, int8 levels 3 112 112, of the rows in `cloaked`.
        cloaked: which rows those are.
        clusters: of every row, without noise.
    """

    faces: FaceSet
    fresh: tuple[Mapping[str, npt.NDArray[Any]], ...]
    fixed: Mapping[str, npt.NDArray[Any]]
    cloak: npt.NDArray[np.int8]
    cloaked: Rows
    clusters: Rows

    def frames(self, rows: Rows) -> int:
        """How many gradients at most there are of each of these rows."""
        return sum(1 for call in self.fresh if len(call["bits"]) > rows.max())


@dataclass(frozen=True)
class Calls:
    """Calls about each photo that the attacker looks at together: how many, and the number of the first."""

    count: int = 1
    first: int = 0


# Payloads of rows: bits N B, averaged over the calls, or maps N 12 56 56 of the first of them.
Make = Callable[[Seen, Rows, Calls, np.random.Generator], Floats]


@dataclass(frozen=True)
class Kind:
    """One kind of payload.

    Args:
        name: in tables.
        make: what the attacker sees of some calls about each photo.
        level: the wire level that it is, or whose noise is off; empty for a baseline.
        noise: whether this is the level as it is sent.
        calls: numbers of calls about one photo that tell different things.
        together: whether the attacker averages payloads of many calls, in place of what it guesses from each.
        cloaked: whether it is there only for rows that were cloaked.
        direction: whether it is a direction in the face, which can be added to other faces.
    """

    name: str
    make: Make
    level: Literal["", "cluster", "sketch", "sign"] = ""
    noise: bool = True
    calls: tuple[int, ...] = (1,)
    together: bool = False
    cloaked: bool = False
    direction: bool = False


def true_clusters(faces: FaceSet) -> Rows:
    """The cluster of each face. Its size in the photo is not known here; 'small' stands for all."""
    return np.array(
        [
            cluster_of_face(float(faces.turn[row]), faces.levels[row].astype(np.float32), large=False)
            for row in range(len(faces))
        ],
        np.intp,
    )


def _crop(seen: Seen, rows: Rows, _calls: Calls, _rng: np.random.Generator) -> Floats:
    return unshuffled(seen.faces.levels[rows].astype(np.float32) / np.float32(127.5) - 1)


def _cloak(seen: Seen, rows: Rows, _calls: Calls, _rng: np.random.Generator) -> Floats:
    at = np.searchsorted(seen.cloaked, rows)
    if not np.array_equal(seen.cloaked[np.minimum(at, len(seen.cloaked) - 1)], rows):
        raise ValueError("cloak: some rows were not cloaked")
    return unshuffled(seen.cloak[at].astype(np.float32) / np.float32(8))


def _gradient(seen: Seen, rows: Rows, _calls: Calls, _rng: np.random.Generator) -> Floats:
    return unshuffled(np.clip(seen.fresh[0]["gradient"][rows].astype(np.float32), -6, 6))


def signed_maps(packed: npt.NDArray[np.uint8]) -> Floats:
    """Sign maps as sent, N 4704, as +1 and -1: N 12 56 56."""
    bits = np.unpackbits(packed, axis=1).reshape(-1, 3, 112, 112)
    return unshuffled(bits.astype(np.float32) * 2 - 1)


def _sign(seen: Seen, rows: Rows, calls: Calls, _rng: np.random.Generator) -> Floats:
    return signed_maps(seen.fresh[calls.first % seen.frames(rows)]["signs"][rows])


def _sketch(seen: Seen, rows: Rows, calls: Calls, rng: np.random.Generator) -> Floats:
    """The mean of each bit over calls: all there is in them, since each bit is flipped by itself.

    There are fewer gradients than calls where that is asked for: calls go round them, each with its own
    randomised response.
    """
    have = seen.frames(rows)
    order = (calls.first + np.arange(min(calls.count, have))) % have
    each = [calls.count // len(order) + (at < calls.count % len(order)) for at in range(len(order))]
    kept = keep_probability(2, SKETCH_EPSILON)
    total = np.zeros((len(rows), seen.fixed["bits"].shape[1]), np.int64)
    for frame, times in zip(order, each, strict=True):
        truth = np.asarray(seen.fresh[frame]["bits"][rows], np.bool_)
        total += rng.binomial(times, np.where(truth, kept, 1 - kept))
    return (2 * total / calls.count - 1).astype(np.float32)


def _sketch_off(seen: Seen, rows: Rows, _calls: Calls, _rng: np.random.Generator) -> Floats:
    return np.where(seen.fixed["bits"][rows], 1, -1).astype(np.float32)


def _cluster(seen: Seen, rows: Rows, _calls: Calls, rng: np.random.Generator) -> Floats:
    sent = [
        randomise_choice(int(truth), CLUSTERS, epsilon=CLUSTER_EPSILON, rng=rng)
        for truth in seen.clusters[rows]
    ]
    return np.eye(CLUSTERS, dtype=np.float32)[sent]


def _cluster_off(seen: Seen, rows: Rows, _calls: Calls, _rng: np.random.Generator) -> Floats:
    return np.eye(CLUSTERS, dtype=np.float32)[seen.clusters[rows]]


def unshuffled(maps: Floats) -> Floats:
    """N 3 112 112 as N 12 56 56: every number is kept, and networks work on a quarter of the places."""
    parts = maps.reshape(len(maps), 3, 56, 2, 56, 2).transpose(0, 1, 3, 5, 2, 4)
    return np.ascontiguousarray(parts.reshape(len(maps), 12, 56, 56))


def shuffled_back(maps: Floats) -> Floats:
    """What `unshuffled` was given."""
    parts = maps.reshape(len(maps), 3, 2, 2, 56, 56).transpose(0, 1, 4, 2, 5, 3)
    return np.ascontiguousarray(parts.reshape(len(maps), 3, 112, 112))


def mirrored(maps: Floats) -> Floats:
    """Maps N 12 56 56 of the mirrored faces."""
    parts = maps.reshape(len(maps), 3, 2, 2, 56, 56)
    return np.ascontiguousarray(parts[:, :, :, ::-1, :, ::-1].reshape(maps.shape))


KINDS: tuple[Kind, ...] = (
    # The device remembers its answer about a photo, so asking again brings the same.
    Kind("cluster", _cluster, "cluster"),
    Kind("cluster, noise off", _cluster_off, "cluster", noise=False),
    Kind("sketch", _sketch, "sketch", calls=(1, 10, 100), together=True),
    Kind("sketch, noise off", _sketch_off, "sketch", noise=False),
    Kind("sign", _sign, "sign", calls=(1, 10), direction=True),
    Kind("float gradient", _gradient, direction=True),
    Kind("float x_adv - x", _cloak, cloaked=True, direction=True),
    Kind("clean crop", _crop),
)
