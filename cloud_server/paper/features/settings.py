"""How much of everything: the paper's counts, and a protocol of minutes on two cores."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.vision.training import Training

__all__ = ["FULL", "PAPER", "REDUCED", "Protocol"]


@dataclass(frozen=True)
class Protocol:
    """Data, networks and attacks of figure 3 and observation II.

    Args:
        name: 'reduced' or 'full'.
        images: of the training set, spread over classes alike; None for all.
        network: of `models.vision.networks`.
        training: of every network.
        universal_steps: of each universal perturbation, one batch each.
        universal_batch: images a step.
        levels: budgets of figure 3, levels of 8 bits.
        held_out: test images that figure 3's perturbations are added to; None for all.
        steps: of observation II's attacks (L2 0.5; the paper that it repeats takes 100 of 0.1).
        seed: of everything random.
    """

    name: str
    images: int | None
    network: str
    training: Training
    universal_steps: int = 200
    universal_batch: int = 64
    levels: tuple[float, ...] = (4.0, 8.0, 16.0)
    held_out: int | None = 2000
    steps: int = 20
    seed: int = 0


REDUCED = Protocol("reduced", 8_000, "small", Training(updates=500), universal_steps=150)
FULL = Protocol(
    "full",
    None,
    "resnet18",
    Training(updates=20_000, rate=0.1),
    universal_steps=2000,
    held_out=None,
    steps=100,
)


@dataclass(frozen=True)
class _Paper:
    """What the paper reports.

    observation2: accuracy of f_ori and f_adv. table3: accuracy by class before and after, in [0,1].
    """

    observation2: tuple[float, float] = (0.944, 0.663)
    table3: dict[str, tuple[float, float]] = field(
        default_factory=lambda: {
            "frog": (0.447, 0.537),
            "horse": (0.425, 0.454),
            "ship": (0.566, 0.580),
            "truck": (0.541, 0.617),
        }
    )


PAPER = _Paper()
