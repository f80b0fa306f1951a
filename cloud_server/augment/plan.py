"""Which samples are to be made of which images: follows from labels, recipe and seed, before any is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from cloud_server.augment.recipes import Recipe
from cloud_server.augment.types import Draw, Labels

__all__ = ["Strategy", "plan", "plan_counts", "wanted"]

Counts: TypeAlias = npt.NDArray[np.int64]
# As imbalanced-learn has it: a word, a ratio, counts after the resampling, or what makes these of the labels.
Strategy: TypeAlias = (
    str | float | Mapping[str, int] | Mapping[int, int] | Callable[[npt.NDArray[np.str_]], Mapping[str, int]]
)
_WORDS = ("auto", "minority", "not minority", "not majority", "all")


def plan(
    labels: Labels,
    *,
    classes: Sequence[str],
    recipe: Recipe,
    strategy: Strategy = "auto",
    seed: int,
    groups: Labels | None = None,
) -> tuple[Draw, ...]:
    """The draws of a run, numbered from 0; the same again for the same arguments.

    Args:
        labels: N, indices of `classes`.
        classes: their names.
        recipe: `targets` decides what is made: for 'rare' what the strategy asks for; for 'random' and 'next'
            every image once, whatever the strategy. With `bias` targets are groups and labels are kept: for
            'rare' every class gets its groups evened out, by the strategy applied to each class by itself.
        strategy: imbalanced-learn's `sampling_strategy`. A float is the least share of the largest class that
            every class is brought to, which for two classes is imbalanced-learn's ratio. A mapping gives the
            counts after the resampling, by name or by index. A callable gets the names of the labels (N).
        seed: of all that is drawn.
        groups: N, the bias attribute's values; needed with `bias`.

    Raises:
        ValueError: for a strategy that asks for fewer images than there are or for unknown classes, for a
            recipe against bias without groups, and where no image could be a parent.
    """
    if recipe.bias:
        return _against_bias(labels, _given(groups, recipe), len(classes), recipe, strategy, seed)
    if recipe.targets != "rare":
        return tuple(Draw(i, t, t, (i,)) for i, t in enumerate(_others(labels, len(classes), recipe, seed)))
    extra = wanted(labels, classes, strategy)
    return plan_counts(labels, extra, classes=len(classes), recipe=recipe, seed=seed)


def plan_counts(
    labels: Labels, extra: Mapping[int, int], *, classes: int, recipe: Recipe, seed: int
) -> tuple[Draw, ...]:
    """The draws that make so many new samples of each class; in the order of the classes.

    Parents come without repeats until all of a class were used. A class that none outnumbers takes its
    parents from all the others.
    """
    counts = np.bincount(labels, minlength=classes)
    members = [np.flatnonzero(labels == k) for k in range(classes)]
    draws: list[Draw] = []
    for target in sorted(k for k, count in extra.items() if count > 0):
        rng = np.random.default_rng([seed & _WORD, 1, target])
        own, weights = members[target], _weights(recipe, counts, target)
        pools = {int(k): members[k] for k in np.flatnonzero(weights)}
        if not pools:
            raise ValueError(f"class {target}: no image could be a parent; add images of other classes")
        draws += _fill(len(draws), extra[target], target, target, own, pools, weights, recipe.tries, rng)
    return tuple(draws)


def wanted(labels: Labels, classes: Sequence[str], strategy: Strategy) -> dict[int, int]:
    """How many new samples of each class a strategy asks for.

    Raises:
        ValueError: as `plan`.
    """
    counts = np.bincount(labels, minlength=len(classes))
    if callable(strategy):
        strategy = strategy(np.asarray(classes)[labels])
    if isinstance(strategy, Mapping):
        return _by_mapping(counts, classes, strategy)
    if isinstance(strategy, str):
        return _by_word(counts, strategy)
    if isinstance(strategy, bool) or not 0.0 < strategy <= 1.0:
        raise ValueError(f"sampling_strategy: a share must lie in 0 to 1, got {strategy!r}")
    goal = int(strategy * counts.max())
    return {k: int(goal - n) for k, n in enumerate(counts) if 0 < n < goal}


_WORD = (1 << 64) - 1


def _by_word(counts: Counts, word: str) -> dict[int, int]:
    if word not in _WORDS:
        raise ValueError(f"sampling_strategy: must be one of {', '.join(_WORDS)}, got {word!r}")
    present = np.flatnonzero(counts)
    most, least = int(present[np.argmax(counts[present])]), int(present[np.argmin(counts[present])])
    left_out = {"auto": {most}, "not majority": {most}, "not minority": {least}, "all": set[int]()}
    chosen = {least} if word == "minority" else {int(k) for k in present} - left_out[word]
    return {k: int(counts[most] - counts[k]) for k in sorted(chosen) if counts[k] < counts[most]}


def _by_mapping(
    counts: Counts, classes: Sequence[str], goals: Mapping[str, int] | Mapping[int, int]
) -> dict[int, int]:
    extra = {}
    for key, goal in goals.items():
        k = _index(key, classes)
        if isinstance(goal, bool) or not isinstance(goal, int | np.integer) or goal < counts[k]:
            raise ValueError(
                f"sampling_strategy: class {key!r} has {counts[k]} images; its count afterwards must be a "
                f"whole number, as many or more, got {goal!r}"
            )
        extra[k] = int(goal - counts[k])
    return extra


def _index(key: str | int, classes: Sequence[str]) -> int:
    if isinstance(key, int | np.integer) and 0 <= key < len(classes):
        return int(key)
    if key not in classes:
        raise ValueError(f"sampling_strategy: there is no class {key!r}; known are {', '.join(classes)}")
    return classes.index(str(key))


def _weights(recipe: Recipe, counts: Counts, target: int) -> npt.NDArray[np.float64]:
    """How often each class gives a parent, K; sums to 1, or all 0 where none could."""
    others = np.where(np.arange(len(counts)) == target, 0, counts).astype(np.float64)
    if recipe.parents == "own":
        weights = np.where(np.arange(len(counts)) == target, counts, 0).astype(np.float64)
    elif recipe.parents == "m2m":
        more = np.maximum(counts - counts[target], 0)
        weights = np.where(counts > 0, 1.0 - recipe.beta**more, 0.0)
    else:
        weights = np.where(counts > counts[target], others, 0.0)
    if not weights.any() and recipe.parents != "own":
        weights = others
    total = weights.sum()
    return weights / total if total else weights


def _fill(  # noqa: PLR0913, PLR0917 - private, all from two callers
    first: int,
    count: int,
    label: int,
    target: int,
    own: Counts,
    pools: Mapping[int, Counts],
    weights: npt.NDArray[np.float64],
    tries: int,
    rng: np.random.Generator,
) -> list[Draw]:
    kinds = rng.choice(len(weights), size=(count, tries), p=weights)
    rounds = {k: _cycle(pool, rng) for k, pool in pools.items()}
    spares = _cycle(own, rng) if len(own) else None
    draws = []
    for i in range(count):
        seeds = tuple(dict.fromkeys(next(rounds[int(k)]) for k in kinds[i]))
        draws.append(Draw(first + i, label, target, seeds, -1 if spares is None else next(spares)))
    return draws


def _cycle(pool: Counts, rng: np.random.Generator) -> Iterator[int]:
    """All of the pool in a random order, then all again in another."""
    while True:
        yield from (int(i) for i in rng.permutation(pool))


def _others(values: Labels, count: int, recipe: Recipe, seed: int) -> list[int]:
    """For each of the values (N, of so many) another one."""
    if count < 2:
        what = "groups" if recipe.bias else "classes"
        raise ValueError(f"recipe {recipe.name!r} needs two {what} or more, got {count}")
    jump = np.ones(len(values), dtype=np.int64)
    if recipe.targets == "random":
        jump = np.random.default_rng([seed & _WORD, 0]).integers(1, count, len(values))
    return [int(other) for other in (values + jump) % count]


def _given(groups: Labels | None, recipe: Recipe) -> Labels:
    if groups is None:
        raise ValueError(f"recipe {recipe.name!r} works against a bias: give the group of each image")
    return groups


def _against_bias(
    labels: Labels, groups: Labels, classes: int, recipe: Recipe, strategy: Strategy, seed: int
) -> tuple[Draw, ...]:
    names = [str(g) for g in range(int(groups.max(initial=-1)) + 1)]
    if recipe.targets != "rare":
        targets = _others(groups, len(names), recipe, seed)
        return tuple(Draw(i, int(labels[i]), target, (i,)) for i, target in enumerate(targets))
    draws: list[Draw] = []
    for label in range(classes):
        inside = np.flatnonzero(labels == label)
        counts = np.bincount(groups[inside], minlength=len(names))
        if np.count_nonzero(counts) == 0:
            continue
        members = [inside[groups[inside] == g] for g in range(len(names))]
        for group, count in _short_groups(counts, names, strategy, groups[inside]).items():
            rng = np.random.default_rng([seed & _WORD, 2, label, group])
            weights = _weights(recipe, counts, group)
            pools = {int(g): members[g] for g in np.flatnonzero(weights)}
            own = members[group]
            draws += _fill(len(draws), count, label, group, own, pools, weights, recipe.tries, rng)
    return tuple(draws)


def _short_groups(counts: Counts, names: Sequence[str], strategy: Strategy, inside: Labels) -> dict[int, int]:
    """What each group of a class lacks. A group that a class has no image of is short of all of them."""
    if not isinstance(strategy, str | float):
        raise ValueError(  # noqa: TRY004 - the value comes from a file
            "sampling_strategy: against a bias it is a word or a share, for each class alike"
        )
    if isinstance(strategy, str) and strategy in ("auto", "not majority", "all"):
        strategy = 1.0
    if isinstance(strategy, str):
        return wanted(inside, names, strategy)
    if not 0.0 < strategy <= 1.0:
        raise ValueError(f"sampling_strategy: a share must lie in 0 to 1, got {strategy!r}")
    goal = int(strategy * counts.max())
    return {g: int(goal - n) for g, n in enumerate(counts) if n < goal}
