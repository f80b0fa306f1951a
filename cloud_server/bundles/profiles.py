"""Profiles: what each bundle holds, as rows of one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.gradients.compress import WeightType
from shared.bundle import Profile
from shared.errors import Code, GoodnoiseError

__all__ = ["DETECTOR", "JUDGES", "RECIPES", "Part", "Recipe", "recipe_for"]

DETECTOR = "yunet"
# They decide nothing, so that a figure on them says something; a bundle must not hold them.
JUDGES = ("dlib-resnet",)


@dataclass(frozen=True)
class Part:
    """A network of the zoo and how its weights are stored in the bundle."""

    name: str
    weights: WeightType


@dataclass(frozen=True)
class Recipe:
    """What a profile's bundle holds beside the detector.

    `weights` is how networks outside the table are stored.
    """

    profile: Profile
    surrogates: tuple[Part, ...]
    checkers: tuple[Part, ...]
    weights: WeightType


RECIPES: dict[Profile, Recipe] = {
    # SFace stays in the cloud: its student stands in for it, at a quarter of its size and time.
    "phone": Recipe(
        "phone",
        surrogates=(
            Part("mobilefacenet-512", "float16"),
            Part("mobilefacenet-192", "float16"),
            Part("sface-student", "float16"),
        ),
        checkers=(),
        weights="float16",
    ),
    "full": Recipe(
        "full",
        surrogates=(
            Part("mobilefacenet-512", "float16"),
            Part("mobilefacenet-192", "float16"),
            Part("sface", "int8-block"),
        ),
        checkers=(),
        weights="float16",
    ),
}


def recipe_for(
    profile: Profile, *, surrogates: Sequence[str] | None = None, checkers: Sequence[str] | None = None
) -> Recipe:
    """The profile's row, with other networks where some are named.

    Args:
        profile: the row.
        surrogates: names in place of the row's surrogates; None keeps them.
        checkers: names in place of the row's checkers; None keeps those that are no surrogate.

    Raises:
        GoodnoiseError: INVALID_INPUT when a judge is named, a name comes twice, or no surrogate is left.
    """
    row = RECIPES[profile]
    stored = {part.name: part for part in (*row.surrogates, *row.checkers)}

    def parts(names: Sequence[str]) -> tuple[Part, ...]:
        return tuple(stored.get(name, Part(name, row.weights)) for name in names)

    chosen = row if surrogates is None else replace(row, surrogates=parts(surrogates))
    attacked = {part.name for part in chosen.surrogates}
    kept = [part.name for part in row.checkers if part.name not in attacked]
    chosen = replace(chosen, checkers=parts(kept if checkers is None else checkers))
    _check(chosen)
    return chosen


def _check(recipe: Recipe) -> None:
    names = [part.name for part in (*recipe.surrogates, *recipe.checkers)]
    if not recipe.surrogates:
        raise GoodnoiseError(
            Code.INVALID_INPUT, "a bundle needs at least one surrogate; give --surrogate NAME"
        )
    for name in names:
        if name in JUDGES:
            raise GoodnoiseError(
                Code.INVALID_INPUT,
                f"{name!r} is a judge: figures on it count only while no device holds it; "
                "name another recogniser",
            )
        if names.count(name) > 1:
            raise GoodnoiseError(Code.INVALID_INPUT, f"{name!r} is named twice; each network has one role")
