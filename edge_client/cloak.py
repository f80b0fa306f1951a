"""One face's cloak: the attack on the canvas, through what stands between a photo and its recogniser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from edge_client.advice import (
    Advice,
    Start,
    best_start,
    lifted,
    probe_of,
    random_step,
    without_trace,
)
from edge_client.check import Anchors
from edge_client.devicenets import DeviceNets
from edge_client.ladder import Rung
from edge_client.looks import Looks, face_mask, weight_map
from edge_client.recognisers import GradientOracle, Recogniser
from edge_client.region import Region
from shared.attack.attack import Attack, run
from shared.attack.budgets import L2, Budget, Linf
from shared.attack.oracles import Ensemble, Expectation, Keys, Oracle
from shared.attack.steps import Rule
from shared.attack.table import ATTACKS
from shared.attack.transforms import Chain, Jitter, Jpeg, Maybe, Resize, Warp
from shared.faces.frames import similarity_to_frame

__all__ = ["Cloak", "CloakSettings", "make_cloak"]

# How much wider than a face's oval the crop of a recogniser is.
_CROP = 1.3
# What rounding to whole levels takes from the PSNR, kept back so that the file holds what the budget says.
_ROUNDING_DB = 0.1

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class CloakSettings:
    """The attack's settings.

    Args:
        steps: gradient steps on the first rung; each is one call of every surrogate.
        more_steps: steps on a later rung, which goes on from the cloak before.
        step_size: length of a step, as a share of the budget's radius. Transforms drawn anew turn the
            direction at every step, so that small steps never reach the budget's edge.
        jitter: how far another detector and aligner may be off.
        resize: smallest factor by which a platform shrinks the photo.
        quality: lowest and highest JPEG quality that a platform saves at.
        platform: probability that a step sees each of resize and JPEG.
        looks: where a change may go.
        last_steps: steps that end an attack which began with a cloud's answer, after its trace was removed.
        keep_trace: leave the answer's trace in, to measure what it gives. Never for a photo that is
            published: who made the answer could find it there.
    """

    steps: int = 30
    more_steps: int = 15
    step_size: float = 0.14
    jitter: Jitter = field(default_factory=lambda: Jitter(scale=0.05, rotation=3.0, shift=0.03))
    resize: float = 0.5
    quality: tuple[int, int] = (60, 95)
    platform: float = 0.7
    looks: Looks = field(default_factory=Looks)
    last_steps: int = 8
    keep_trace: bool = False


@dataclass(frozen=True)
class Cloak:
    """A perturbation of a region's canvas, float32 1 3 H W in [-1,1], and how many gradients it took.

    `advised` says whether it began with a cloud's answer; `seed` is that of its randomness.
    """

    delta: Floats
    gradient_calls: int
    advised: bool = False
    seed: int = 0


def make_cloak(  # noqa: PLR0913 - the last five have defaults
    photo: Pixels,
    region: Region,
    anchors: Anchors,
    nets: DeviceNets,
    rung: Rung,
    settings: CloakSettings,
    *,
    seed: int = 0,
    grey: bool = False,
    previous: Cloak | None = None,
    advice: Advice | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Cloak:
    """Attack one face within one budget.

    Args:
        photo: the original, uint8 H W 3.
        region: the face's part of it.
        anchors: embeddings K D for each surrogate's name; what the attack moves away from.
        nets: surrogates and hints.
        rung: the budget.
        settings: the attack's.
        seed: of all randomness.
        grey: equal in all channels.
        previous: a cloak for a smaller budget, to go on from.
        advice: a cloud's answer about this face; used where it helps, and then with its own seed.
        on_step: called with steps done and steps in all; may raise to stop.
    """
    canvas = region.cut(photo)
    budget = _budget(canvas, region, rung, settings.looks, grey=grey)
    work = _Work(
        canvas,
        device_oracle(region, canvas.shape, nets.surrogates, anchors, settings),
        budget,
        _attack(rung, settings, first=previous is None),
        _image_id(region),
        on_step,
    )
    if previous is not None:
        if previous.advised:
            return replace(work.run(previous.seed, previous.delta), advised=True)
        return work.run(seed, previous.delta)
    start = _start(canvas, region, nets, anchors, budget, advice)
    if advice is None or start.answer is None:
        return work.run(seed, start.delta)
    return work.run_advised(advice.seed, start, settings, grey=grey)


@dataclass(frozen=True, eq=False)
class _Work:
    """One attack, ready to run."""

    canvas: Floats
    oracle: Oracle
    budget: Budget
    attack: Attack
    image_id: int
    on_step: Callable[[int, int], None] | None

    def run(self, seed: int, start: Floats | None) -> Cloak:
        """From a start, or a random one."""
        delta = self._steps(self.attack.steps, seed, start, done=0)
        return Cloak(delta, self.attack.steps, seed=seed)

    def run_advised(self, seed: int, start: Start, settings: CloakSettings, *, grey: bool) -> Cloak:
        """From a start that a cloud had a part in; the last steps are the device's own (module `advice`)."""
        if start.delta is None or start.answer is None:
            raise ValueError("start: expected one with an answer in it")
        rng = np.random.default_rng(seed)
        last = min(settings.last_steps, self.attack.steps - 1)
        probe = probe_of(start.answer, rng, grey=grey)
        begun = self._steps(self.attack.steps - last, seed, start.delta + probe, done=0)
        if not settings.keep_trace:
            begun = without_trace(begun, start.answer, probe)
        ended = self._steps(last, int(rng.integers(2**63)), begun, done=self.attack.steps - last)
        delta = np.asarray(self.budget.project(random_step(ended, rng, grey=grey), self.canvas), np.float32)
        return Cloak(delta, self.attack.steps, advised=True, seed=seed)

    def _steps(self, count: int, seed: int, start: Floats | None, *, done: int) -> Floats:
        result = run(
            replace(self.attack, steps=count),
            self.oracle,
            self.canvas,
            self.budget,
            seed=seed,
            ids=(self.image_id,),
            start=start,
            on_step=None if self.on_step is None else self._told(done),
        )
        return np.asarray(result.delta, np.float32)

    def _told(self, done: int) -> Callable[[int, object], None]:
        def tell(step: int, _losses: object) -> None:
            if self.on_step is not None:
                self.on_step(done + step + 1, self.attack.steps)

        return tell


def device_oracle(
    region: Region,
    shape: tuple[int, ...],
    surrogates: tuple[Recogniser, ...],
    anchors: Anchors,
    settings: CloakSettings,
) -> Oracle:
    """Every surrogate through its own warp, behind what a platform does to a photo.

    Members count equally by the length of their gradients, so that the one with the largest does not decide
    alone.
    """
    landmarks = region.landmarks()
    members: list[Oracle] = []
    for surrogate in surrogates:
        matrix = similarity_to_frame(landmarks, surrogate.frame)
        warp = Warp(matrix[None], surrogate.frame.size, jitter=settings.jitter)
        away = anchors[surrogate.name]
        oracle = GradientOracle(surrogate, away[None], np.full((1, len(away)), -1.0 / len(away), np.float32))
        members.append(Expectation(oracle, warp))
    platform = Chain(
        (
            Maybe(Resize(settings.resize, 1.0), settings.platform),
            Maybe(Jpeg(*settings.quality), settings.platform),
        )
    )
    return Expectation(Ensemble(tuple(members), normalise="l2"), platform)


def _attack(rung: Rung, settings: CloakSettings, *, first: bool) -> Attack:
    steps = settings.steps if first else settings.more_steps
    # PGD: momentum did not help here, with transforms drawn anew at each step and several surrogates.
    # Similarity to oneself has no gradient at the original photo, hence the random start.
    rule: Rule = "sign" if rung.psnr_db is None else "l2"
    return replace(ATTACKS["pgd"], steps=steps, step_size=settings.step_size, rule=rule, random_start=0.3)


def _budget(canvas: Floats, region: Region, rung: Rung, looks: Looks, *, grey: bool) -> Budget:
    landmarks = region.landmarks()
    if rung.psnr_db is None:
        # The rows of the paper's table change the whole crop; here what a recogniser crops, with a soft edge.
        mask = face_mask((canvas.shape[2], canvas.shape[3]), landmarks, edge=looks.edge, reach=_CROP)
        return Linf(rung.levels, weight=mask[None, None], grey=grey)
    left, top, right, bottom = region.box()
    support = np.zeros((1, 1, *canvas.shape[2:]), np.float32)
    support[:, :, top:bottom, left:right] = 1.0
    return L2(
        rung.psnr_db + _ROUNDING_DB,
        rung.levels,
        weight=weight_map(canvas, landmarks, looks),
        support=support,
        grey=grey,
    )


def _start(
    canvas: Floats,
    region: Region,
    nets: DeviceNets,
    anchors: Anchors,
    budget: Budget,
    advice: Advice | None,
) -> Start:
    """The hint that lowers the device's own loss most: of the bundle's universals, and a cloud's answer.

    Similarity to oneself has no gradient at the original photo, so the attack has to begin somewhere else; a
    hint is better than noise. The start is empty when there is no hint or none helps.
    """
    landmarks, size = region.landmarks(), (canvas.shape[2], canvas.shape[3])
    universals = [lifted(universal, landmarks, size) for universal in nets.universals]

    def drop(delta: Floats) -> float:
        return _drop(canvas, canvas + delta, region, nets, anchors)

    if advice is None:
        return best_start(canvas, universals, budget, drop)
    rng = np.random.default_rng((advice.seed, 1))  # apart from the one that ends the attack
    noise = probe_of(advice.direction[None], rng, grey=False)[0]
    answer, beaten = (lifted(image, landmarks, size) for image in (advice.direction, noise))
    return best_start(canvas, universals, budget, drop, answer=answer, noise=beaten)


def _drop(before: Floats, after: Floats, region: Region, nets: DeviceNets, anchors: Anchors) -> float:
    """By how much the surrogates' mean similarity to the anchors falls."""
    total = 0.0
    for surrogate in nets.surrogates:
        warp = Warp(similarity_to_frame(region.landmarks(), surrogate.frame)[None], surrogate.frame.size)
        params = warp.draw(Keys(0, (0,), 0), before.shape)
        faces = np.concatenate([warp.apply(before, params), warp.apply(after, params)])
        similarity = surrogate.similarity(surrogate.embed(faces), anchors[surrogate.name]).mean(axis=1)
        total += float(similarity[0] - similarity[1])
    return total / len(nets.surrogates)


def _image_id(region: Region) -> int:
    """A number for the face's place, so that two faces of one photo draw apart."""
    x0, y0, x1, y1 = region.window
    return (x0 * 1_000_003 + y0) * 1_000_003 + x1 * 1_009 + y1
