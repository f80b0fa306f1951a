"""What a recipe is: settings, their source, and variants that say what they changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from cloud_server.augment.types import Kind
from shared.attack.attack import Attack
from shared.attack.budgets import L2, Budget, Linf

__all__ = ["Fallback", "Loss", "Parents", "Recipe", "Size", "Targets"]

Norm = Literal["l2", "linf"]
# What the attack ascends: minus the cross-entropy of the target, its logit, or its logit over the best other.
Loss = Literal["cross-entropy", "logit", "margin"]
# What is made of a draw none of whose parents was accepted.
Fallback = Literal["duplicate", "keep", "drop"]
# 'rare': as many of each short class as the strategy asks for. 'random' and 'next': every image once, with
# another class drawn at random, or the class after its own; for recipes against bias another group.
Targets = Literal["rare", "random", "next"]
# 'larger': any image of a class with more images than the target's. 'm2m': a larger class first, by M2m's
# weights, then an image of it. 'own': the class's own images.
Parents = Literal["larger", "m2m", "own"]

_CHOICES: dict[str, tuple[str, ...]] = {
    "norm": ("l2", "linf"),
    "loss": ("cross-entropy", "logit", "margin"),
    "fallback": ("duplicate", "keep", "drop"),
    "targets": ("rare", "random", "next"),
    "parents": ("larger", "m2m", "own"),
}


@dataclass(frozen=True)
class Size:
    """How large a perturbation may be.

    Args:
        norm: 'l2' over the whole image, or 'linf'.
        radius: for 'l2' in the units of [0,1], for 'linf' in levels of 8 bits.
    """

    norm: Norm
    radius: float

    def __str__(self) -> str:
        return f"{self.norm} {self.radius:g}"

    def budget(self, shape: tuple[int, int, int]) -> Budget:
        """The budget of the attack core for images of shape C H W."""
        if self.norm == "linf":
            return Linf(self.radius)
        return L2.of_radius(self.radius, shape[0] * shape[1] * shape[2])


@dataclass(frozen=True)
class Recipe:
    """A row of the table: how samples are made, and which of them are kept.

    Args:
        name: as in the table.
        paper: where it is from.
        convention: whose reading of it this follows, and where it departs.
        attack: its settings; None for the controls that attack nothing.
        budget: what a perturbation keeps after rounding to 8 bits.
        loss: what the attack ascends.
        suppress: lambda of M2m: this times the second network's logit of the parent's class is descended.
        confidence: a sample is accepted when the surrogate, after rounding and encoding, names the target
            first and with at least this confidence, in [0,1]. 0 asks for the first place alone.
        tries: parents that may be tried for one sample.
        fallback: what becomes of a sample that was not accepted.
        targets: see `Targets`.
        parents: see `Parents`.
        beta: of M2m's weights of parents' classes, 1 - beta^(N_parent - N_target).
        bias: attack a classifier of the bias attribute, toward the group that is short; the label is kept.
        universal: add the target's universal perturbation instead of attacking each image.
        control: what a control makes; None for recipes that attack.
        start: share of the training after which its samples are used (M2m's deferred start); what trains on
            the samples reads it.
        version: goes up when the same settings would give other samples.
        changes: what `with_` changed, key and value.
    """

    name: str
    paper: str
    convention: str
    attack: Attack | None
    budget: Size
    loss: Loss = "cross-entropy"
    suppress: float = 0.0
    confidence: float = 0.0
    tries: int = 1
    fallback: Fallback = "keep"
    targets: Targets = "rare"
    parents: Parents = "larger"
    beta: float = 0.999
    bias: bool = False
    universal: bool = False
    control: Kind | None = None
    start: float = 0.0
    version: int = 1
    changes: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for key, low, high in _RANGES:
            _check_range(self.name, key, getattr(self, key), low, high)
        for key in ("loss", "fallback", "targets", "parents"):
            _check_choice(self.name, key, getattr(self, key))
        self._check_size(self.budget)

    def __str__(self) -> str:
        """Name, version and what was changed: what provenance says."""
        changed = "".join(f" {key}={value}" for key, value in self.changes)
        return f"{self.name}/{self.version}{changed}"

    @property
    def steps(self) -> int:
        """Of the attack on one image; 0 where none is attacked."""
        return 0 if self.attack is None or self.universal else self.attack.steps

    @property
    def start_noise(self) -> float:
        """Size of the random start, in the units of the budget's radius."""
        return 0.0 if self.attack is None else self.attack.random_start * self.budget.radius

    @property
    def surrogate(self) -> bool:
        """Whether it needs one."""
        return self.control is None

    @property
    def digest(self) -> str:
        """SHA-256 of all settings, hexadecimal."""
        return hashlib.sha256(repr(self).encode()).hexdigest()

    def with_(self, **changes: Any) -> Recipe:  # noqa: ANN401 - from a recipe file
        """A variant of this row.

        Args:
            changes: any of `norm`, `radius`, `steps`, `step` (length of one, in the radius' units),
                `start_noise` (as `step`), `loss`, `suppress`, `confidence`, `tries`, `fallback`, `parents`,
                `beta`, `start`. Another radius scales step and start with it unless they are given too.

        Raises:
            ValueError: naming the key and the value, for one that is unknown or out of range.
        """
        unknown = sorted(set(changes) - set(_KEYS))
        if unknown:
            raise ValueError(f"recipe {self.name!r}: no key {unknown[0]!r}; known are {', '.join(_KEYS)}")
        if not changes:
            return self
        direct = {key: value for key, value in changes.items() if key in _DIRECT}
        size = self._size(changes)
        noted = dict(self.changes) | {key: f"{value}" for key, value in changes.items()}
        return replace(
            self,
            **direct,
            budget=size,
            attack=self._attack(size, changes),
            changes=tuple(sorted(noted.items())),
        )

    def _size(self, changes: Mapping[str, Any]) -> Size:
        norm, radius = changes.get("norm", self.budget.norm), changes.get("radius", self.budget.radius)
        _check_choice(self.name, "norm", norm)
        if norm != self.budget.norm and "radius" not in changes:
            raise ValueError(f"recipe {self.name!r}: norm {norm!r} needs a radius of its own; give one")
        size = Size(norm, radius)
        self._check_size(size)
        return size

    def _check_size(self, size: Size) -> None:
        _check_choice(self.name, "norm", size.norm)
        _check_range(self.name, "radius", size.radius, 0.0, _LARGEST[size.norm])
        if size.radius == 0 and (self.attack is not None or self.control is Kind.NOISE):
            raise ValueError(f"recipe {self.name!r}: radius must be above 0, got {size.radius!r}")

    def _attack(self, size: Size, changes: Mapping[str, Any]) -> Attack | None:
        if self.attack is None:
            for key in ("steps", "step", "start_noise"):
                if key in changes:
                    raise ValueError(
                        f"recipe {self.name!r} attacks nothing: no use of {key} {changes[key]!r}"
                    )
            return None
        settings: dict[str, Any] = {"rule": "sign" if size.norm == "linf" else "l2"}
        if "steps" in changes:
            _check_range(self.name, "steps", changes["steps"], 1, 10_000)
            settings["steps"] = changes["steps"]
        for key, field in (("step", "step_size"), ("start_noise", "random_start")):
            if key in changes:
                _check_range(self.name, key, changes[key], 0.0, size.radius)
                settings[field] = changes[key] / size.radius
        return replace(self.attack, **settings)


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("suppress", 0.0, 1e3),
    ("confidence", 0.0, 1.0),
    ("tries", 1, 1000),
    ("beta", 0.0, 1.0),
    ("start", 0.0, 1.0),
)
_LARGEST = {"linf": 255.0, "l2": 1e3}
_DIRECT = ("loss", "suppress", "confidence", "tries", "fallback", "parents", "beta", "start")
_KEYS = ("norm", "radius", "steps", "step", "start_noise", *_DIRECT)
_WHOLE = ("steps", "tries")


def _check_number(name: str, key: str, value: object) -> None:
    kinds = int if key in _WHOLE else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        wanted = "a whole number" if key in _WHOLE else "a number"
        raise ValueError(f"recipe {name!r}: {key} must be {wanted}, got {value!r}")  # noqa: TRY004 - the value comes from a file


def _check_range(name: str, key: str, value: Any, low: float, high: float) -> None:  # noqa: ANN401
    _check_number(name, key, value)
    if not low <= value <= high:
        raise ValueError(f"recipe {name!r}: {key} must lie in {low:g} to {high:g}, got {value!r}")


def _check_choice(name: str, key: str, value: object) -> None:
    if value not in _CHOICES[key]:
        raise ValueError(f"recipe {name!r}: {key} must be one of {', '.join(_CHOICES[key])}, got {value!r}")
