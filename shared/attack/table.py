"""The table of attacks. A row is settings and their source; `dataclasses.replace` makes a variant of one.

Any row works with either norm (`rule='l2'` and an `L2` budget) and targeted (`oracles.Negated`).
"""

from __future__ import annotations

from shared.attack.attack import Attack, Variance
from shared.attack.steps import Smoothing
from shared.attack.transforms import BlockShuffle, Pad

__all__ = ["ATTACKS"]

_ROWS = (
    Attack("fgsm", "arXiv 1412.6572, section 4", "one step of the whole budget", steps=1),
    Attack("i-fgsm", "arXiv 1607.02533, section 2.2", "step = budget / steps, as in MI-FGSM's code"),
    Attack(
        "pgd",
        "arXiv 1706.06083, section 2.1",
        "torchattacks: uniform start, 2 levels a step at a budget of 8",
        step_size=0.25,
        random_start=1.0,
    ),
    Attack("mi-fgsm", "arXiv 1710.06081, algorithm 1", "official: mean absolute value, decay 1", decay=1.0),
    Attack("ni-fgsm", "arXiv 1908.06281, equations 6-7", "official, decay 1", decay=1.0, nesterov=True),
    Attack(
        "di2-fgsm",
        "arXiv 1803.06978, section 3.3",
        # Their enlarged input needs an oracle that takes two sizes: replace the transform by Pad('official').
        "official: no momentum, 20 steps of 1 level at a budget of 16; geometry of TransferAttack",
        steps=20,
        step_size=1 / 16,
        transform=Pad("transferattack"),
    ),
    Attack(
        "m-di2-fgsm",
        "arXiv 1803.06978, section 3.4",
        "TransferAttack: DI on MI, 10 steps",
        decay=1.0,
        transform=Pad("transferattack"),
    ),
    Attack(
        "ti",
        "arXiv 1904.02884, equation 7",
        "official kernel (gaussian, 15, 3 sigma), on MI",
        decay=1.0,
        smoothing=Smoothing(15, 3.0),
    ),
    Attack(
        "si",
        "arXiv 1908.06281, equation 8",
        "official: 5 copies, on NI",
        decay=1.0,
        nesterov=True,
        scale_copies=5,
    ),
    Attack(
        "vmi",
        "arXiv 2103.15571, algorithm 1",
        "official: 20 neighbours within 1.5 budgets, on MI",
        decay=1.0,
        variance=Variance(20, 1.5),
    ),
    Attack(
        "block-shuffle",
        "arXiv 2308.10299, section 3.2",
        "official: 2 x 2 blocks, 24 degrees, 20 draws a step, on MI",
        decay=1.0,
        transform=BlockShuffle(2, 24.0),
        draws=20,
    ),
    Attack(
        "uap",
        "arXiv 1610.08401; by stochastic gradient as arXiv 1811.11304, algorithm 2",
        "sign steps of 1/20 of the budget, one a batch; for `universal.train_universal`",
        steps=400,
        step_size=0.05,
    ),
)

ATTACKS: dict[str, Attack] = {row.name: row for row in _ROWS}
