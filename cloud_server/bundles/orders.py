"""What an operator asks for, and whether it can go into a bundle."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cloud_server.bundles.licences import refuse_unaccepted
from cloud_server.bundles.profiles import DETECTOR, Part, Recipe, recipe_for
from models.store import Store, all_cards, default_store
from shared.bundle import Profile, Role
from shared.cards import Card
from shared.errors import Code, GoodnoiseError

__all__ = ["Order", "Planned", "build_time", "check_orders", "plan_of"]


@dataclass(frozen=True, kw_only=True)
class Order:
    """What an operator asks for.

    Args:
        profile: 'phone' or 'full'.
        accepted_licences: networks whose weights may go in though it is not shown that they may be passed on.
        surrogates: names in place of the profile's; None keeps those.
        checkers: names in place of the profile's; None keeps those.
        hints: `.npy` files with their `.json`; None takes the project's own, an empty tuple none.
        margins: TOML file in place of the project's own; see `figures`.
        scores: likewise.
        measured: further scores, added to those of the file.
        created: when the bundle counts as made; None is the time of the call.
        models: folder of the zoo; None is the user's.
    """

    profile: Profile
    accepted_licences: tuple[str, ...] = ()
    surrogates: tuple[str, ...] | None = None
    checkers: tuple[str, ...] | None = None
    hints: tuple[Path, ...] | None = None
    margins: Path | None = None
    scores: Path | None = None
    measured: Mapping[str, Any] = field(default_factory=dict)
    created: datetime | None = None
    models: Path | None = None

    @property
    def store(self) -> Store:
        """The zoo."""
        return Store(self.models or default_store())

    @property
    def recipe(self) -> Recipe:
        """The networks; errors as of `recipe_for`."""
        return recipe_for(self.profile, surrogates=self.surrogates, checkers=self.checkers)


@dataclass(frozen=True)
class Planned:
    """A member before its graph is made."""

    role: Role
    part: Part
    card: Card


def check_orders(orders: Sequence[Order], *, command: str = "goodnoise-cloud bundle build") -> None:
    """Refuse what can be refused before any graph is made, for several bundles at once.

    Raises:
        GoodnoiseError: as of `build_bundle`.
    """
    plans = [plan for order in orders for plan in plan_of(order)]
    accepted = tuple(dict.fromkeys(name for order in orders for name in order.accepted_licences))
    cards = {plan.card.name: plan.card for plan in plans}
    refuse_unaccepted(tuple(cards.values()), accepted, command=command)


def build_time(given: str | None, environment: Mapping[str, str] = os.environ) -> datetime:
    """When a bundle counts as made: as given, else `SOURCE_DATE_EPOCH`, else now; UTC, whole seconds.

    Args:
        given: ISO 8601; without a time zone it is UTC.
        environment: where the variable is looked up.

    Raises:
        GoodnoiseError: INVALID_INPUT naming the bad value.
    """
    epoch = environment.get("SOURCE_DATE_EPOCH")
    try:
        if given is not None:
            moment = datetime.fromisoformat(given)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        elif epoch:
            moment = datetime.fromtimestamp(int(epoch), UTC)
        else:
            moment = datetime.now(UTC)
        return moment.astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError, OSError) as error:
        what = f"--created is {given!r}, expected ISO 8601 such as 2025-01-31T12:00:00Z"
        bad_epoch = f"SOURCE_DATE_EPOCH is {epoch!r}, expected seconds since 1970"
        raise GoodnoiseError(Code.INVALID_INPUT, what if given is not None else bad_epoch) from error


def plan_of(order: Order) -> list[Planned]:
    """Members in the manifest's order, their cards looked up and checked."""
    cards = all_cards(order.store.folder)
    recipe = order.recipe
    _check_names(order, recipe, cards)
    plans = [Planned("detector", Part(DETECTOR, "float32"), cards[DETECTOR])]
    plans += [Planned("surrogate", part, cards[part.name]) for part in recipe.surrogates]
    plans += [Planned("checker", part, cards[part.name]) for part in recipe.checkers]
    for plan in plans[1:]:
        _check_recogniser(plan.role, plan.card)
    return plans


def _check_names(order: Order, recipe: Recipe, cards: Mapping[str, Card]) -> None:
    wanted = [part.name for part in (*recipe.surrogates, *recipe.checkers)]
    for name in (*wanted, *order.accepted_licences):
        if name not in cards:
            raise GoodnoiseError(
                Code.NOT_FOUND, f"there is no network {name!r}; known are {', '.join(cards)}"
            )


def _check_recogniser(role: Role, card: Card) -> None:
    if card.kind != "recogniser":
        raise GoodnoiseError(Code.INVALID_INPUT, f"{card.name!r} is a {card.kind} and cannot be a {role}")
    if card.metric != "cosine" and role == "surrogate":
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"{card.name!r} compares by {card.metric} distance; gradient graphs are made for cosine, "
            "so it can be a checker only",
        )
    if card.threshold is None:
        raise GoodnoiseError(
            Code.PRECONDITION,
            f"{card.name!r} has no threshold, so a device could not check with it; measure one with "
            f"'goodnoise-models threshold {card.name}'",
        )
