"""The one loop. An attack is a row of settings; `run` is the only code that takes steps with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from shared.attack.arrays import Array, check_images, doubles, like, namespace
from shared.attack.budgets import Budget
from shared.attack.keys import Keys
from shared.attack.oracles import Expectation, LossGradient, Oracle, ScaleCopies, unit
from shared.attack.steps import Rule, Smoothing, random_start, smoother, stepper, uniform
from shared.attack.transforms.base import Transform

__all__ = ["Attack", "Keep", "Loop", "OnStep", "Result", "State", "Variance", "begin", "dress", "run"]

Keep = Literal["last", "best"]
# Called after each step with its number (from 0) and the losses (N) that its gradient call returned, that is
# the losses before the step; may raise to cancel.
OnStep = Callable[[int, Array], None]


@dataclass(frozen=True)
class Variance:
    """Variance tuning (VMI, Wang and He, arXiv 2103.15571, algorithm 1).

    Args:
        copies: neighbours a step, each one more gradient call; 20 in the paper, 5 in torchattacks.
        beta: neighbours lie within `beta` times the budget's Linf radius; 3/2 in the paper.
    """

    copies: int = 20
    beta: float = 1.5


@dataclass(frozen=True)
class Attack:
    """A row of the table: everything about an attack but its oracle, its images and its budget.

    Args:
        name: as in the table.
        paper: arXiv id and where in it.
        convention: whose reading of the paper this follows.
        steps: gradient steps.
        step_size: length of a step as a share of the budget's radius, so that it means the same for any
            budget: of the Linf radius for 'sign' (2 levels at 8 levels are 0.25), of the L2 radius for 'l2'.
            None is 1 / steps, the rule of MI-FGSM.
        rule: 'sign', or 'l2' for steps along the normalised direction.
        decay: of the momentum; None is none, 0.0 keeps the arithmetic of momentum and forgets at once.
        nesterov: gradient at the point where the momentum leads (NI), x + decay * step * momentum.
        smoothing: of the gradient (TI).
        variance: tuning by neighbours (VMI).
        scale_copies: copies x / 2^i a step (SI), each one gradient call; 1 is the image alone.
        transform: of the input, drawn anew for each gradient call (DI, block shuffle, ...).
        draws: draws of the transform a step, each one gradient call, whose gradients are averaged.
        random_start: share of the budget's radius for a random start; 0 starts at the image.
    """

    name: str
    paper: str
    convention: str
    steps: int = 10
    step_size: float | None = None
    rule: Rule = "sign"
    decay: float | None = None
    nesterov: bool = False
    smoothing: Smoothing | None = None
    variance: Variance | None = None
    scale_copies: int = 1
    transform: Transform | None = None
    draws: int = 1
    random_start: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"{self.name}: steps must be 1 or more, got {self.steps}")
        if self.nesterov and self.decay is None:
            raise ValueError(f"{self.name}: nesterov looks along the momentum; give a decay, e.g. 1.0")
        if self.scale_copies < 1:
            raise ValueError(f"{self.name}: scale_copies must be 1 or more, got {self.scale_copies}")

    @property
    def share(self) -> float:
        """The step's length as a share of the radius."""
        return 1.0 / self.steps if self.step_size is None else self.step_size


@dataclass(frozen=True)
class State:
    """Where the loop stands between two steps: all that a resumed run needs. Arrays are N C H W.

    delta: the perturbation. momentum: accumulated direction, or None. variance: VMI's, or None. step: steps
        done.
    """

    delta: Array
    momentum: Array | None = None
    variance: Array | None = None
    step: int = 0


@dataclass(frozen=True)
class Result:
    """What an attack leaves.

    images: in [0,1], N C H W. delta: as images. losses: steps N, each of before its step.
    gradient_calls: how often the oracle was called.
    """

    images: Array
    delta: Array
    losses: Array
    gradient_calls: int


def run(  # noqa: PLR0913 - the last five have defaults and are rarely given
    attack: Attack,
    oracle: Oracle,
    images: Array,
    budget: Budget,
    *,
    seed: int = 0,
    ids: Sequence[int] | None = None,
    start: Array | None = None,
    on_step: OnStep | None = None,
    keep: Keep = "last",
) -> Result:
    """Ascend the oracle's loss from the images, inside the budget.

    Args:
        attack: the settings.
        oracle: called as often as the attack's steps ask for (copies included), never more.
        images: floating N C H W in [0,1]; not changed.
        budget: what the perturbation keeps after every step.
        seed: of everything random.
        ids: one integer an image; randomness depends on them and not on the batch. None numbers the images.
        start: initial perturbation, projected into the budget; replaces the attack's random start.
        on_step: see `OnStep`.
        keep: 'last' returns the last iterate. 'best' returns, for each image, the iterate of the highest loss
            among those whose loss was evaluated, which leaves out the last one: it costs no extra call. With
            random transforms the losses compared are of different draws.

    Raises:
        ValueError: for images, ids or start of the wrong shape.
    """
    check_images(images)
    keys = Keys(seed, _ids(ids, images))
    loop = Loop(attack, oracle, images, budget, keys)
    state = begin(attack, images, budget, keys, start=start)
    best = _Best() if keep == "best" else None
    losses = []
    for step in range(attack.steps):
        before = state.delta
        state, loss = loop.advance(state, last=step == attack.steps - 1)
        losses.append(loss)
        if best is not None:
            best.offer(before, loss)
        if on_step is not None:
            on_step(step, loss)
    delta = state.delta if best is None else best.delta
    return Result(images + delta, delta, namespace(images).stack(losses), loop.calls)


def begin(attack: Attack, images: Array, budget: Budget, keys: Keys, *, start: Array | None = None) -> State:
    """The state before the first step."""
    xp = namespace(images)
    if start is not None:
        if start.ndim != 4 or tuple(start.shape[1:]) != tuple(images.shape[1:]):
            raise ValueError(
                f"start: expected the images' shape {tuple(images.shape)}, got {tuple(start.shape)}"
            )
        return State(budget.project(xp.zeros_like(images) + like(doubles(start), images), images))
    if attack.random_start:
        noise = random_start(attack.rule, attack.random_start, budget, images, keys.fork(0))
        return State(budget.project(noise, images))
    return State(xp.zeros_like(images))


def dress(attack: Attack, oracle: Oracle) -> Oracle:
    """The oracle with what the attack does to its input: random transforms, scale copies."""
    dressed = oracle
    if attack.transform is not None:
        dressed = Expectation(dressed, attack.transform, attack.draws)
    if attack.scale_copies > 1:
        dressed = ScaleCopies(dressed, attack.scale_copies)
    return dressed


class Loop:
    """One step after another on fixed images, with what never changes between steps made once."""

    def __init__(self, attack: Attack, oracle: Oracle, images: Array, budget: Budget, keys: Keys) -> None:
        self.calls = 0
        self._attack = attack
        self._images = images
        self._budget = budget
        self._keys = keys
        self._oracle = dress(attack, self._counted(oracle))
        self._project = budget.projector(images)
        self._step = stepper(attack.rule, attack.share, budget, images)
        self._smooth = smoother(attack.smoothing, images)
        self._weight = None if budget.weight is None else like(doubles(budget.weight), images)

    def advance(self, state: State, *, last: bool = False) -> tuple[State, Array]:
        """One step.

        Args:
            state: not changed.
            last: no step follows, so nothing is computed for one.

        Returns:
            The state after the step, and the loss (N) of the gradient call before it.
        """
        keys = self._keys.at(state.step)
        x = self._images + state.delta
        loss, raw = self._oracle(self._look_ahead(x, state), keys.fork(1))
        gradient = raw if state.variance is None else raw + state.variance
        direction, momentum = self._direction(gradient, state.momentum)
        moved = self._step(direction)
        moved += state.delta
        delta = self._project(moved)
        variance = None
        if self._attack.variance is not None and not last:
            variance = self._tune(self._attack.variance, x, raw, keys)
        return State(delta, momentum, variance, state.step + 1), loss

    def _counted(self, oracle: Oracle) -> Oracle:
        def counted(images: Array, keys: Keys, /) -> LossGradient:
            self.calls += 1
            return oracle(images, keys)

        return counted

    def _look_ahead(self, x: Array, state: State) -> Array:
        if not self._attack.nesterov or state.momentum is None:
            return x
        length = self._attack.share * self._budget.linf_radius(self._images)
        return x + state.momentum * (length * (self._attack.decay or 0.0))

    def _direction(self, gradient: Array, momentum: Array | None) -> tuple[Array, Array | None]:
        if self._weight is not None:
            gradient = gradient * self._weight
        if self._smooth is not None:
            gradient = self._smooth(gradient)
        if self._attack.decay is None:
            return gradient, None
        # Dong et al. (arXiv 1710.06081, equation 6) divide by the L1 norm; all code takes the mean absolute
        # value, which differs by a constant and gives the same signs.
        direction = unit(gradient, "l1")
        if momentum is not None:
            decay = self._attack.decay
            direction += momentum if decay == 1.0 else momentum * decay
        return direction, direction

    def _tune(self, variance: Variance, x: Array, gradient: Array, keys: Keys) -> Array:
        radius = variance.beta * self._budget.linf_radius(self._images)
        total = namespace(x).zeros_like(x)
        for copy in range(variance.copies):
            noise = uniform(keys.fork(2 + 2 * copy), x, radius)
            total += self._oracle(x + noise, keys.fork(3 + 2 * copy)).gradient
        return total / variance.copies - gradient


class _Best:
    """For each image the perturbation of the highest loss so far."""

    def __init__(self) -> None:
        self.delta: Array = None
        self._loss: Array = None

    def offer(self, delta: Array, loss: Array) -> None:
        if self._loss is None:
            self.delta, self._loss = delta, loss
            return
        xp = namespace(delta)
        better = loss > self._loss
        self.delta = xp.where(better[:, None, None, None], delta, self.delta)
        self._loss = xp.where(better, loss, self._loss)


def _ids(ids: Sequence[int] | None, images: Array) -> tuple[int, ...]:
    count = images.shape[0]
    numbers = tuple(range(count)) if ids is None else tuple(int(i) for i in ids)
    if len(numbers) != count:
        raise ValueError(f"ids: expected one an image, {count}, got {len(numbers)}")
    return numbers
