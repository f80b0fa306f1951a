"""Whom the attackers are tried on: one enrolled photo a person, and the photos that devices work on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cloud_server.hints.data import FaceSet
from shared.errors import Code, GoodnoiseError

__all__ = ["Trial", "some_faces", "trial_of"]

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Trial:
    """The people the attackers are tried on.

    Args:
        faces: a probe of each person, the enrolled photo of each, then their further photos.
        owner: the person of each row, 0 to people - 1.
        people: how many.
    """

    faces: FaceSet
    owner: Rows
    people: int

    @property
    def probes(self) -> Rows:
        """Row of each person's photo that many calls are made about."""
        return np.arange(self.people)

    @property
    def gallery(self) -> Rows:
        """Row of each person's enrolled photo."""
        return np.arange(self.people, 2 * self.people)

    @property
    def all_probes(self) -> Rows:
        """Rows of all photos that are not enrolled."""
        return np.concatenate([self.probes, np.arange(2 * self.people, len(self.faces))])


def trial_of(
    faces: FaceSet, *, trained_on: Sequence[str], people: int | None, photos: int, seed: int
) -> Trial:
    """Choose gallery and probes.

    Args:
        faces: candidates; people with one photo are left out.
        trained_on: people that attackers learn from.
        people: at most so many; None for all.
        photos: at most so many of a person beside the enrolled one.
        seed: decides who and which.

    Raises:
        GoodnoiseError: PRECONDITION when a person is in both sets, or fewer than two people remain.
    """
    both = sorted(set(faces.people) & set(trained_on))
    if both:
        raise GoodnoiseError(
            Code.PRECONDITION, f"{both[0]} is among those that attackers learn from; keep the sets apart"
        )
    rng = np.random.default_rng(seed)
    names = np.array(faces.people)
    groups = [rng.permutation(np.flatnonzero(names == name)) for name in sorted(set(faces.people))]
    groups = [group for group in groups if len(group) >= 2]
    if len(groups) < 2:
        raise GoodnoiseError(
            Code.PRECONDITION, f"{len(groups)} people have two photos or more; give photos of two or more"
        )
    chosen = [groups[i] for i in sorted(rng.permutation(len(groups))[:people].tolist())]
    rounds = [(rank, owner) for rank in range(photos + 1) for owner in range(len(chosen))]
    kept = [(rank, owner) for rank, owner in rounds if rank < len(chosen[owner])]
    rows = [chosen[owner][rank] for rank, owner in kept]
    return Trial(faces.pick(rows), np.array([owner for _, owner in kept], np.intp), len(chosen))


def some_faces(faces: FaceSet, count: int | None, seed: int) -> FaceSet:
    """At most so many of the faces, drawn at random."""
    if count is None or count >= len(faces):
        return faces
    return faces.pick(np.sort(np.random.default_rng(seed).permutation(len(faces))[:count]))
