"""Universal perturbations by class: one for each target, trained on images of all the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from cloud_server.augment.oracle import TargetOracle
from cloud_server.augment.pixels import as_planes
from cloud_server.augment.recipes import Recipe
from cloud_server.augment.surrogate import Surrogate, evaluating
from cloud_server.augment.types import Source
from shared.attack.attack import Attack
from shared.attack.oracles import Oracle
from shared.attack.universal import Batch
from shared.attack.universal import train_universal as train

__all__ = ["OnStep", "train_universal", "universal_for"]

# Called after each step with the target, the step's number from 0 and the mean confidence's logarithm (or
# what else the recipe's loss is); may raise to cancel.
OnStep = Callable[[int, int, float], None]
Pattern = npt.NDArray[np.float32]


def train_universal(  # noqa: PLR0913 - the last four have defaults
    recipe: Recipe,
    surrogate: Surrogate,
    source: Source,
    *,
    seed: int,
    batch: int = 64,
    done: Mapping[int, Pattern] | None = None,
    on_step: OnStep | None = None,
    on_target: Callable[[int, Pattern], None] | None = None,
    resize: bool = False,
) -> dict[int, Pattern]:
    """The perturbation of each output of the surrogate, C H W in the units of [0,1].

    Args:
        recipe: its attack is taken step by step, one batch each; its budget holds.
        surrogate: what is attacked.
        source: images of the targets themselves are left out.
        seed: of the choice of images.
        batch: images a step.
        done: perturbations of an earlier call, which are not made again.
        on_step: see `OnStep`.
        on_target: called with each output and its perturbation as soon as that is there, to keep it.
        resize: bring images of another size to the surrogate's.

    Raises:
        ValueError: for a recipe that adds no universal perturbations, or when a target has no images to
            train on.
    """
    found = dict(done or {})
    for target in range(len(surrogate.classes)):
        if target in found:
            continue
        found[target] = universal_for(
            recipe, surrogate, source, target, seed=seed, batch=batch, on_step=on_step, resize=resize
        )
        if on_target is not None:
            on_target(target, found[target])
    return found


def universal_for(  # noqa: PLR0913 - the last four have defaults
    recipe: Recipe,
    surrogate: Surrogate,
    source: Source,
    target: int,
    *,
    seed: int,
    batch: int = 64,
    on_step: OnStep | None = None,
    resize: bool = False,
    halvings: int = 0,
) -> Pattern:
    """The perturbation of one output of the surrogate; see `train_universal`.

    Args:
        recipe: as there.
        surrogate: as there.
        source: as there.
        target: the output.
        seed: as there.
        batch: as there.
        on_step: as there.
        resize: as there.
        halvings: the steps are taken in this many equal parts and one more, each with half the step of the
            one before; long steps arrive, short ones settle what they leave to and fro.
    """
    if recipe.attack is None or not recipe.universal:
        raise ValueError(f"recipe {recipe.name!r} adds no universal perturbations")
    network = surrogate.network

    def oracle(part: Batch) -> Oracle:
        targets = torch.full((len(part.ids),), target, dtype=torch.int64)
        return TargetOracle(network, targets, recipe.loss)

    def stepped(step: int, loss: torch.Tensor) -> None:
        if on_step is not None:
            on_step(target, step, float(loss[0]))

    indices = _others(recipe, surrogate, source, target)
    stream = _stream(source, indices, surrogate, seed=seed, target=target, batch=batch, resize=resize)
    budget = recipe.budget.budget(surrogate.shape)
    state = None
    with evaluating(network):
        for part in _parts(recipe.attack, halvings):
            state = train(oracle, stream, part, budget, seed=seed, state=state, on_batch=stepped)
    if state is None:
        raise ValueError(f"recipe {recipe.name!r}: an attack of a perturbation takes one step or more")
    return np.asarray(state.delta[0].numpy(), dtype=np.float32)


def _parts(attack: Attack, halvings: int) -> Iterator[Attack]:
    """The attack up to the end of each part, whose states follow one another."""
    for part in range(halvings + 1):
        steps = attack.steps * (part + 1) // (halvings + 1)
        if steps:
            yield replace(attack, steps=steps, step_size=attack.share * 0.5**part)


def _others(recipe: Recipe, surrogate: Surrogate, source: Source, target: int) -> npt.NDArray[np.int64]:
    names: Sequence[str] = source.group_names if recipe.bias else source.classes
    values = source.groups if recipe.bias else source.labels
    if values is None:
        raise ValueError(f"recipe {recipe.name!r} works against a bias: give the group of each image")
    own = [i for i, name in enumerate(names) if name == surrogate.classes[target]]
    others = np.flatnonzero(~np.isin(values, own))
    if not len(others):
        raise ValueError(f"universal: no image is of another class than {surrogate.classes[target]!r}")
    return others


def _stream(
    source: Source,
    indices: npt.NDArray[np.int64],
    surrogate: Surrogate,
    *,
    seed: int,
    target: int,
    batch: int,
    resize: bool,
) -> Iterator[Batch]:
    """Batches without end, in one random order after another."""
    rng = np.random.default_rng([seed & ((1 << 64) - 1), 3, target])
    waiting: list[int] = []
    while True:
        while len(waiting) < batch:
            waiting += [int(i) for i in rng.permutation(indices)]
        ids, waiting = tuple(waiting[:batch]), waiting[batch:]
        planes = [as_planes(source.read(i), surrogate.shape, name=source.name(i), resize=resize) for i in ids]
        yield Batch(torch.from_numpy(np.stack(planes)).to(torch.float32) / 255.0, ids)
