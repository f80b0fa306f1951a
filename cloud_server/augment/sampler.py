"""Adversarial samples by imbalanced-learn's conventions; of arrays, tables and datasets read lazily."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from imblearn.over_sampling.base import BaseOverSampler
from imblearn.utils import check_target_type
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils._param_validation import Interval
from torch import nn

from cloud_server.augment.engine import Engine
from cloud_server.augment.plan import plan, plan_counts
from cloud_server.augment.recipes import Recipe, recipe
from cloud_server.augment.rows import Rows, Unencoded, Values, scale_of
from cloud_server.augment.surrogate import Shape, Surrogate, as_surrogate
from cloud_server.augment.training import SurrogateTraining, train_surrogate
from cloud_server.augment.types import Codec, Draw, Kind, Labels, Sample, Source
from cloud_server.augment.universal import train_universal

__all__ = ["AdversarialSampler"]

# Draws that the engine gets at once: a part of a run, whose bytes never change.
_PART = 64


@dataclass(frozen=True)
class _Job:
    """All that one resampling follows from."""

    recipe: Recipe
    source: Source
    draws: tuple[Draw, ...]
    seed: int
    shape: Shape


class AdversarialSampler(BaseOverSampler):  # type: ignore[misc]  # imblearn has no types
    """Over-samples with images of other classes that a surrogate classifier takes for the rare ones.

    Values. An array N H W C, or rows with `image_shape`, holds images: uint8 (levels 0 to 255), or floating
    in [0,1]; anything else is refused. Rows without `image_shape` are a table: every column is scaled
    between its least and greatest value, and a row is attacked as an image of one line, with a surrogate
    of dense layers. New rows have the type and the scale of X, on a grid of 256 levels; rows that are merely
    repeated are exact.

    Args:
        sampling_strategy: as in imbalanced-learn. With a recipe against bias it is a word or a share and is
            applied to the groups inside each class.
        random_state: an int gives the same samples each time.
        recipe: a row of `recipes.RECIPES` by name, or a `Recipe` (`RECIPES["m2m"].with_(...)`).
        surrogate: a torch module from N C H W in [0,1] to logits in the order of `np.unique(y)`; a `.onnx` or
            `.npz` file of one; a `Surrogate`; or None, which trains one on the data, class-balanced. With
            a recipe against bias it tells groups apart.
        second: the `Surrogate` whose evidence for the parent's class is held down (M2m's network under
            training); None is the surrogate.
        image_shape: (H, W) or (H, W, C) of the rows' images.
        network: what is trained without a surrogate: a name of `models.vision.networks`.
        updates: of that training.

    Attributes:
        sampling_strategy_: how many samples of each class were asked for.
        sample_indices_: for each row of the result the row of X that it is or was made from.
        provenance_: for each new row where it comes from, as `types.Provenance`; a list that
            `pandas.DataFrame` takes.
        surrogate_: what was attacked, or None.
        n_features_in_: values of one row or image.
    """

    _parameter_constraints: Mapping[str, Any] = {
        **BaseOverSampler._parameter_constraints,
        "random_state": ["random_state"],
        "recipe": [str, Recipe],
        "surrogate": [nn.Module, str, Path, Surrogate, None],
        "second": [Surrogate, None],
        "image_shape": [tuple, list, None],
        "network": [str],
        "updates": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        sampling_strategy: Any = "auto",  # noqa: ANN401 - imblearn takes many kinds
        *,
        random_state: int | np.random.RandomState | None = None,
        recipe: str | Recipe = "m2m",
        surrogate: nn.Module | Path | str | Surrogate | None = None,
        second: Surrogate | None = None,
        image_shape: tuple[int, ...] | None = None,
        network: str = "small",
        updates: int = 300,
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.random_state = random_state
        self.recipe = recipe
        self.surrogate = surrogate
        self.second = second
        self.image_shape = image_shape
        self.network = network
        self.updates = updates

    def resample_source(self, source: Source, *, codec: Codec) -> Iterator[Sample]:
        """The new samples of a dataset that is read lazily, one after another; nothing is held but a part.

        Args:
            source: where parents, and images for a surrogate, are read from.
            codec: what samples are encoded with.

        Yields:
            Samples in the order of the plan. What they are new to stays where it is.
        """
        self._validate_params()
        row, seed = self._recipe(), self._seed()
        draws = plan(
            source.labels,
            classes=source.classes,
            recipe=row,
            strategy=self.sampling_strategy,
            seed=seed,
            groups=source.groups,
        )
        height, width, channels = source.read(0).shape
        shape = self.surrogate.shape if isinstance(self.surrogate, Surrogate) else (channels, height, width)
        yield from self._make(_Job(row, source, draws, seed, shape), codec)

    def _check_X_y(self, X: Any, y: Any) -> tuple[Values, Values, bool]:  # noqa: ANN401, N802, N803
        if getattr(X, "ndim", 2) <= 2:
            found: tuple[Values, Values, bool] = super()._check_X_y(X, y, accept_sparse=False)
            return found
        y, binarize_y = check_target_type(y, indicate_one_vs_all=True)
        X = np.asarray(X)  # noqa: N806 - scikit-learn's name
        if X.ndim != 4:
            raise ValueError(f"X: images must be N x H x W x C, got {X.shape}; for grey ones X[..., None]")
        check_consistent_length(X, y)
        if not len(X) or not np.isfinite(X).all():
            raise ValueError("X: expected one image or more, of finite values")
        self.n_features_in_ = int(np.prod(X.shape[1:]))
        return X, np.asarray(y), binarize_y

    def _fit_resample(
        self,
        X: Values,  # noqa: N803
        y: Values,
        groups: Sequence[Any] | None = None,
    ) -> tuple[Values, Values]:
        row, seed = self._recipe(), self._seed()
        if row.targets != "rare":
            raise ValueError(
                f"recipe {row.name!r} makes a sample of every image and balances nothing; use resample_source"
            )
        if self.image_shape is not None and len(self.image_shape) not in (2, 3):
            raise ValueError(f"image_shape must be (H, W) or (H, W, C), got {self.image_shape}")
        classes, labels = np.unique(y, return_inverse=True)
        scale = scale_of(X, None if self.image_shape is None else tuple(self.image_shape))
        names, values = _groups(groups, len(X))
        source = Rows(X, scale, labels.astype(np.int64), tuple(map(str, classes)), values, names)
        draws = self._draws(source, classes, row, seed)
        height, width, channels = scale.shape
        job = _Job(row, source, draws, seed, (channels, height, width))
        samples = list(self._make(job, Unencoded(scale.shape)))
        fresh = np.empty((len(samples), *X.shape[1:]), dtype=X.dtype)
        for place, sample in enumerate(samples):
            exact = sample.provenance.kind in (Kind.DUPLICATE, Kind.UNPERTURBED)
            fresh[place] = X[sample.parent] if exact else scale.values(sample.picture, X.shape[1:])
        parents = np.array([sample.parent for sample in samples], dtype=np.int64)
        self.sample_indices_ = np.concatenate([np.arange(len(X)), parents])
        self.provenance_ = [sample.provenance for sample in samples]
        made = classes[np.array([sample.draw.label for sample in samples], dtype=np.int64)]
        return np.concatenate([X, fresh]), np.concatenate([y, made.astype(y.dtype)])

    def _draws(self, source: Rows, classes: Values, row: Recipe, seed: int) -> tuple[Draw, ...]:
        if row.bias:
            strategy = self.sampling_strategy
            return plan(
                source.labels,
                classes=source.classes,
                recipe=row,
                strategy=strategy,
                seed=seed,
                groups=source.groups,
            )
        extra = {int(np.flatnonzero(classes == k)[0]): int(n) for k, n in self.sampling_strategy_.items()}
        return plan_counts(source.labels, extra, classes=len(classes), recipe=row, seed=seed)

    def _make(self, job: _Job, codec: Codec) -> Iterator[Sample]:
        self.surrogate_ = self._surrogate(job) if job.recipe.surrogate and job.draws else None
        patterns = None
        if job.recipe.universal and self.surrogate_ is not None:
            patterns = train_universal(job.recipe, self.surrogate_, job.source, seed=job.seed)
        if not job.draws:
            return
        engine = Engine(
            job.recipe,
            self.surrogate_,
            codec=codec,
            seed=job.seed,
            universal=patterns,
            second=self.second,
            shape=job.shape,
        )
        for start in range(0, len(job.draws), _PART):
            yield from engine.make(job.draws[start : start + _PART], job.source)

    def _surrogate(self, job: _Job) -> Surrogate:
        names = job.source.group_names if job.recipe.bias else job.source.classes
        if self.surrogate is None:
            settings = SurrogateTraining(network=self.network, updates=self.updates)
            return train_surrogate(
                job.source, settings, seed=job.seed, shape=job.shape, groups=job.recipe.bias
            )
        if not isinstance(self.surrogate, Surrogate):
            return as_surrogate(self.surrogate, classes=names, shape=job.shape)
        if self.surrogate.shape != job.shape:
            raise ValueError(
                f"surrogate: it takes C H W {self.surrogate.shape}, the images are {job.shape}; give another"
            )
        return self.surrogate

    def _recipe(self) -> Recipe:
        return self.recipe if isinstance(self.recipe, Recipe) else recipe(self.recipe)

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _more_tags(self) -> dict[str, Any]:
        return {"X_types": ["2darray", "3darray", "dataframe"], "sample_indices": True}

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401 - scikit-learn's
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.sampler_tags.sample_indices = True
        return tags


def _groups(groups: Sequence[Any] | None, count: int) -> tuple[tuple[str, ...], Labels | None]:
    if groups is None:
        return (), None
    names, values = np.unique(np.asarray(groups), return_inverse=True)
    if values.shape != (count,):
        raise ValueError(f"groups: expected one for each of {count} images, got {values.shape}")
    return tuple(map(str, names)), np.asarray(values, dtype=np.int64)
