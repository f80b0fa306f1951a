"""The engine: draws in, samples out. What it makes follows from its arguments alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cloud_server.augment.crafting import Crafter, Universal
from cloud_server.augment.pixels import Planes, as_picture, as_planes
from cloud_server.augment.recipes import Recipe
from cloud_server.augment.surrogate import Surrogate
from cloud_server.augment.types import Codec, Draw, Kind, Picture, Provenance, Sample, Source

__all__ = ["Engine", "Perturbed"]


class Perturbed(NamedTuple):
    """What `Engine.perturb` returns.

    images: uint8 N C H W, inside the budget. confidence: of the surrogate in the target, N, in [0,1].
    accepted: whether the recipe's condition holds, N.
    """

    images: Planes
    confidence: npt.NDArray[np.float32]
    accepted: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Made:
    """One attempt at a draw."""

    draw: Draw
    parent: int
    before: Planes
    data: bytes
    picture: Picture
    confidence: float
    accepted: bool
    tries: int


class Engine:
    """Makes samples by a recipe.

    The same draws in one call give the same bytes, whatever was made before, on any number of threads.
    Cutting the draws elsewhere gave the same bytes too wherever it was tried, but torch does not promise
    that an image's place in its batch leaves the last bits alone: cut a run always in the same places.

    Args:
        recipe: the settings.
        surrogate: what is attacked; None for a control.
        codec: what samples are encoded with before they are judged.
        seed: of everything random.
        universal: for recipes that add them: perturbations by the surrogate's outputs, as
            `universal.train_universal` makes them.
        batch: images that the network gets at once.
        second: the network whose evidence for the parent's class is held down (M2m's network under
            training); None is the surrogate.
        shape: C H W that images must have; None is the surrogate's, and without one each image's own.
        resize: bring images of another size to it.

    Raises:
        ValueError: when a part is missing that the recipe needs.
    """

    def __init__(  # noqa: PLR0913 - the parts of a run, most with defaults
        self,
        recipe: Recipe,
        surrogate: Surrogate | None,
        *,
        codec: Codec,
        seed: int,
        universal: Universal | None = None,
        batch: int = 64,
        second: Surrogate | None = None,
        shape: tuple[int, int, int] | None = None,
        resize: bool = False,
    ) -> None:
        self.recipe, self.surrogate, self.codec, self.seed = recipe, surrogate, codec, seed
        self._shape = shape if surrogate is None else surrogate.shape
        self._resize = resize
        # Without one shape for all there is no batch.
        size = 1 if self._shape is None else batch
        self._crafter = Crafter(recipe, surrogate, seed=seed, universal=universal, batch=size, second=second)

    def make(self, draws: Sequence[Draw], source: Source) -> list[Sample]:
        """The samples of some draws, in their order; without those that the recipe drops.

        Parents are tried in the order of each draw's seeds, and only draws that were not accepted go on. Of
        samples that are kept although none was accepted it is the one of the highest confidence.

        Raises:
            GoodnoiseError: for an image that cannot be read or has another shape, and for a surrogate that
                does not know a class.
        """
        best: dict[int, _Made] = {}
        for attempt in range(self.recipe.tries):
            pending = [
                draw
                for draw in draws
                if attempt < len(draw.seeds) and not (draw.number in best and best[draw.number].accepted)
            ]
            for made in self._attempt(pending, attempt, source):
                other = best.get(made.draw.number)
                if other is None or made.accepted or made.confidence > other.confidence:
                    best[made.draw.number] = made
        finished = (self._finish(draw, best.get(draw.number), source) for draw in draws)
        return [sample for sample in finished if sample is not None]

    def perturb(
        self,
        images: Planes,
        origins: npt.NDArray[np.int64],
        targets: npt.NDArray[np.int64],
        ids: Sequence[int],
    ) -> Perturbed:
        """Perturbed images for training that goes on meanwhile: rounded to 8 bits, not encoded.

        Args:
            images: uint8 N C H W.
            origins: N, outputs of the surrogate: the images' classes.
            targets: N, outputs of the surrogate.
            ids: N, integers that key what is random, each once in a training.
        """
        moved = self._crafter.perturb(images, origins, targets, ids)
        return Perturbed(moved, *self._crafter.judge(moved, targets))

    def _attempt(self, draws: Sequence[Draw], attempt: int, source: Source) -> Iterator[_Made]:
        size = self._crafter.batch
        for start in range(0, len(draws), size):
            yield from self._batch(draws[start : start + size], attempt, source)

    def _batch(self, draws: Sequence[Draw], attempt: int, source: Source) -> Iterator[_Made]:
        parents = [draw.seeds[attempt] for draw in draws]
        before = np.stack([self._planes(source, parent) for parent in parents])
        origins = np.array([self._origin(source, parent) for parent in parents])
        targets = np.array([self._target(source, draw) for draw in draws])
        ids = [attempt << _NUMBER_BITS | draw.number for draw in draws]
        moved = self._crafter.perturb(before, origins, targets, ids)
        files = [self.codec.encode(as_picture(planes)) for planes in moved]
        pictures = [self.codec.decode(data) for data in files]
        judged = self._crafter.judge(np.stack([as_planes(picture) for picture in pictures]), targets)
        for i, draw in enumerate(draws):
            confidence, accepted = float(judged.confidence[i]), bool(judged.accepted[i])
            yield _Made(draw, parents[i], before[i], files[i], pictures[i], confidence, accepted, attempt + 1)

    def _planes(self, source: Source, index: int) -> Planes:
        return as_planes(source.read(index), self._shape, name=source.name(index), resize=self._resize)

    def _origin(self, source: Source, parent: int) -> int:
        if self.surrogate is None or not self.recipe.suppress:
            return 0
        if self.recipe.bias:
            return self.surrogate.index(source.group_names[_groups(source)[parent]])
        return self.surrogate.index(source.classes[source.labels[parent]])

    def _target(self, source: Source, draw: Draw) -> int:
        return 0 if self.surrogate is None else self.surrogate.index(self._target_name(source, draw))

    def _target_name(self, source: Source, draw: Draw) -> str:
        return (source.group_names if self.recipe.bias else source.classes)[draw.target]

    def _finish(self, draw: Draw, made: _Made | None, source: Source) -> Sample | None:
        if made is not None and (made.accepted or self.recipe.fallback == "keep"):
            return self._sample(made, self._kind(made), source)
        if self.recipe.fallback == "duplicate" and draw.spare >= 0:
            sample = self._sample(self._duplicate(draw, made, source), Kind.DUPLICATE, source)
            return sample if made is None else replace(sample, replaced=made.confidence)
        return None

    def _kind(self, made: _Made) -> Kind:
        if self.recipe.control is not None:
            return self.recipe.control
        return Kind.ADVERSARIAL if made.accepted else Kind.UNACCEPTED

    def _duplicate(self, draw: Draw, made: _Made | None, source: Source) -> _Made:
        before = self._planes(source, draw.spare)
        data = self.codec.encode(as_picture(before))
        tries = 0 if made is None else made.tries
        return _Made(
            draw, draw.spare, before, data, self.codec.decode(data), 0.0, accepted=False, tries=tries
        )

    def _sample(self, made: _Made, kind: Kind, source: Source) -> Sample:
        attacked = kind in (Kind.ADVERSARIAL, Kind.UNACCEPTED)
        change = made.picture.astype(np.int64) - as_picture(made.before)
        weights = "" if self.surrogate is None or not attacked else self.surrogate.sha256
        provenance = Provenance(
            kind=kind,
            parent=source.name(made.parent),
            parent_sha256=source.digest(made.parent),
            source_label=source.classes[source.labels[made.parent]],
            target_label=source.classes[made.draw.label],
            target=self._target_name(source, made.draw),
            surrogate_sha256=weights,
            recipe=str(self.recipe),
            budget=str(self.recipe.budget),
            l2=float(np.sqrt(np.square(change).sum())) / 255.0,
            levels=int(np.abs(change).max()),
            steps=self.recipe.steps if attacked else 0,
            confidence=made.confidence,
            accepted=made.accepted,
            tries=made.tries,
            encoding=self.codec.name,
            seed=self.seed,
            number=made.draw.number,
        )
        return Sample(made.draw, made.parent, made.data, made.picture, provenance)


# Draws have numbers far below this many; above are the attempts.
_NUMBER_BITS = 40


def _groups(source: Source) -> npt.NDArray[np.int64]:
    if source.groups is None:
        raise ValueError("a recipe against bias needs a source with groups")
    return source.groups
