"""How much data and how much training: one fixed reduced protocol beside the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from models.vision.cifar import Labelled
from models.vision.training import Labels, Training
from shared.errors import Code, GoodnoiseError

__all__ = ["PROTOCOLS", "Protocol", "imbalanced", "rare_classes"]

# The paper's four, where the data have them.
_PAPERS_RARE = ("frog", "horse", "ship", "truck")
_RARE_SHARE = 0.4
_WORD = (1 << 63) - 1


@dataclass(frozen=True)
class Protocol:
    """Data and training of every arm.

    Args:
        frequent: images of each frequent class.
        rare: images of each rare class, or of the rarest where `tailed`.
        network: of `models.vision.networks`.
        training: of every arm and of the surrogate.
        tailed: counts fall from `frequent` to `rare` from class to class instead of in one step.
    """

    frequent: int
    rare: int
    network: str
    training: Training
    tailed: bool = False

    def counts(self, classes: int, rare: Labels) -> dict[int, int]:
        """Images of each class."""
        order = [k for k in range(classes) if k not in rare] + [int(k) for k in rare]
        if not self.tailed:
            return {k: self.rare if k in rare else self.frequent for k in order}
        fall = (self.rare / self.frequent) ** (1.0 / max(classes - 1, 1))
        return {k: round(self.frequent * fall**i) for i, k in enumerate(order)}


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        "quick": Protocol(200, 40, "tiny", Training(updates=60, batch=32, rate=0.1)),
        "reduced": Protocol(2000, 200, "small", Training(updates=800, batch=128, rate=0.2)),
        # The paper's counts, and networks that have learnt enough for an image more to matter.
        "hours": Protocol(
            5000, 500, "medium", Training(updates=2000, batch=128, rate=0.2, precision="bfloat16")
        ),
        "full": Protocol(5000, 500, "resnet18", Training(updates=20_000, batch=128, rate=0.1)),
    }
)


def rare_classes(classes: tuple[str, ...], given: tuple[str, ...] = ()) -> Labels:
    """Indices of the classes that are made rare: those given, the paper's four, or the last two fifths.

    Raises:
        GoodnoiseError: INVALID_INPUT for a name that the data do not have, or when no class stays frequent.
    """
    if not given:
        have = all(name in classes for name in _PAPERS_RARE)
        given = _PAPERS_RARE if have else classes[-max(round(len(classes) * _RARE_SHARE), 1) :]
    unknown = [name for name in given if name not in classes]
    if unknown or len(set(given)) >= len(classes):
        wrong = f"no class {unknown[0]!r}" if unknown else "no frequent class is left"
        raise GoodnoiseError(Code.INVALID_INPUT, f"--rare: {wrong}; classes are {', '.join(classes)}")
    return np.array(sorted(classes.index(name) for name in set(given)), np.int64)


def imbalanced(data: Labelled, protocol: Protocol, rare: Labels, *, seed: int) -> Labelled:
    """The data with the protocol's counts; which images stay is drawn from the seed.

    Raises:
        GoodnoiseError: PRECONDITION for a class that has too few images.
    """
    rng = np.random.default_rng([seed & _WORD, 11])
    kept = []
    for k, count in sorted(protocol.counts(len(data.classes), rare).items()):
        members = np.flatnonzero(data.labels == k)
        if len(members) < count:
            raise GoodnoiseError(
                Code.PRECONDITION,
                f"class {data.classes[k]!r} has {len(members)} images, the protocol needs {count}; "
                "give --frequent and --rare-images",
            )
        kept.append(rng.choice(members, size=count, replace=False))
    return data.take(np.sort(np.concatenate(kept)))
