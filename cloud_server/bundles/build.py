"""Assembling bundles from the zoo and trained hints, without torch, and publishing them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cloud_server.bundles.figures import UNCALIBRATED, read_margins, read_scores
from cloud_server.bundles.licences import accepted_among, notice, refuse_unaccepted
from cloud_server.bundles.networks import network_object, object_name
from cloud_server.bundles.profiles import DETECTOR, Part, Recipe, recipe_for
from cloud_server.bundles.store import PublishedBundles
from cloud_server.hints.files import prebuilt_hints, read_hint
from models.store import Store, all_cards, default_store
from shared.bundle import (
    PROFILE_BYTES,
    BundleObject,
    Hint,
    Manifest,
    Member,
    Profile,
    Role,
    manifest_to_json,
    sha256_hex,
)
from shared.cards import Card
from shared.errors import Code, GoodnoiseError

__all__ = [
    "NOTICE",
    "Assembled",
    "Order",
    "Published",
    "assemble",
    "build_bundle",
    "build_time",
    "check_orders",
]

NOTICE = "licences/notice.txt"
# Called with what is being made.
Report = Callable[[str], None]


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
class Assembled:
    """A bundle in memory: the manifest, and the content of its objects by name."""

    manifest: Manifest
    objects: Mapping[str, bytes]


@dataclass(frozen=True)
class Published:
    """What is published now, and whether the call changed it."""

    manifest: Manifest
    changed: bool


@dataclass(frozen=True)
class _Planned:
    """A member before its graph is made."""

    role: Role
    part: Part
    card: Card


def build_bundle(order: Order, out: Path, *, report: Report = lambda _: None) -> Published:
    """Assemble a bundle and publish it, unless the same content is published already.

    Args:
        order: what goes in.
        out: folder of published bundles.
        report: called with what is being made.

    Raises:
        GoodnoiseError: PERMISSION for weights that may not be passed on and were not accepted;
            PRECONDITION for a network without threshold or not fetched, for a bundle that is too large or
            older than the published one; NOT_FOUND for unknown names and files; INVALID_INPUT for what cannot
            go into a bundle.
    """
    made = assemble(order, report=report, command=f"goodnoise-cloud bundle build --out {out}")
    bundles = PublishedBundles(out)
    current = bundles.manifest(order.profile) if order.profile in bundles.profiles() else None
    if current is not None and content_id(current) == content_id(made.manifest):
        return Published(current, changed=False)
    manifest = replace(made.manifest, version=_free_version(made.manifest, bundles))
    report("publish")
    bundles.publish(manifest, made.objects)
    return Published(manifest, changed=True)


def check_orders(orders: Sequence[Order], *, command: str = "goodnoise-cloud bundle build") -> None:
    """Refuse what can be refused before any graph is made, for several bundles at once.

    Raises:
        GoodnoiseError: as of `build_bundle`.
    """
    plans = [plan for order in orders for plan in _plan(order)]
    accepted = tuple(dict.fromkeys(name for order in orders for name in order.accepted_licences))
    cards = {plan.card.name: plan.card for plan in plans}
    refuse_unaccepted(tuple(cards.values()), accepted, command=command)


def assemble(
    order: Order, *, report: Report = lambda _: None, command: str = "goodnoise-cloud bundle build"
) -> Assembled:
    """Make every object of a bundle and the manifest; errors as of `build_bundle`.

    The same zoo, hints, figures and time give the same bytes.

    Args:
        order: what goes in.
        report: called with what is being made.
        command: what the operator typed, for the message about licences.
    """
    check_orders([order], command=f"{command} --profile {order.profile}")
    plans = _plan(order)
    margins = read_margins(order.profile, order.margins)
    objects: dict[str, bytes] = {}
    members = []
    for plan in plans:
        report(f"{plan.role} {plan.card.name}")
        name = object_name(plan.role, plan.card)
        objects[name] = network_object(plan.role, plan.part, plan.card, order.store)
        margin = margins.get(plan.card.name, UNCALIBRATED) if plan.role != "detector" else UNCALIBRATED
        calibration = "" if plan.role == "detector" else margin.calibration
        members.append(Member(plan.role, plan.card, name, margin.value, calibration))
    hints = _hints(order.hints, objects)
    objects[NOTICE] = notice([plan.card for plan in plans]).encode()
    manifest = _manifest(order, tuple(members), hints, objects)
    _check_size(manifest)
    return Assembled(manifest, objects)


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


def content_id(manifest: Manifest) -> str:
    """Hex sha256 of all that a manifest says but version and time."""
    return sha256_hex(manifest_to_json(replace(manifest, version="0", created="")))


def _plan(order: Order) -> list[_Planned]:
    """Members in the manifest's order, their cards looked up and checked."""
    cards = all_cards(order.store.folder)
    recipe = order.recipe
    _check_names(order, recipe, cards)
    plans = [_Planned("detector", Part(DETECTOR, "float32"), cards[DETECTOR])]
    plans += [_Planned("surrogate", part, cards[part.name]) for part in recipe.surrogates]
    plans += [_Planned("checker", part, cards[part.name]) for part in recipe.checkers]
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


def _hints(paths: Sequence[Path] | None, objects: dict[str, bytes]) -> tuple[Hint, ...]:
    hints = []
    for path in prebuilt_hints() if paths is None else paths:
        hint, content = read_hint(path)
        if hint.object_name in objects:
            raise GoodnoiseError(Code.INVALID_INPUT, f"two hints are named {hint.name!r}; rename {path}")
        objects[hint.object_name] = content
        hints.append(hint)
    return tuple(hints)


def _manifest(
    order: Order, members: tuple[Member, ...], hints: tuple[Hint, ...], objects: Mapping[str, bytes]
) -> Manifest:
    created = order.created or build_time(None)
    manifest = Manifest(
        version="0",
        profile=order.profile,
        created=created.astimezone(UTC).isoformat(),
        members=members,
        hints=hints,
        objects=tuple(
            BundleObject(name, sha256_hex(content), len(content)) for name, content in sorted(objects.items())
        ),
        accepted_licences=accepted_among([member.card for member in members]),
        scores=read_scores(order.profile, order.scores),
    )
    return replace(manifest, version=f"{created.astimezone(UTC):%Y.%m.%d}-{content_id(manifest)[:8]}")


def _check_size(manifest: Manifest) -> None:
    allowed = PROFILE_BYTES[manifest.profile]
    if manifest.size <= allowed:
        return
    largest = sorted(manifest.objects, key=lambda item: -item.size)[:3]
    listed = ", ".join(f"{item.name} {item.size / 1e6:.1f} MB" for item in largest)
    raise GoodnoiseError(
        Code.PRECONDITION,
        f"the bundle has {manifest.size / 1e6:.1f} MB, profile {manifest.profile!r} allows "
        f"{allowed / 1e6:.0f} MB; leave a network out. Largest: {listed}",
        {"size": str(manifest.size), "allowed": str(allowed)},
    )


def _free_version(manifest: Manifest, bundles: PublishedBundles) -> str:
    """The version, with a number when the bundle before the current one has it.

    That happens when content comes back on the same day.
    """
    taken = {held.version for held in bundles.held() if held.profile == manifest.profile}
    version, number = manifest.version, 2
    while version in taken:
        version, number = f"{manifest.version}.{number}", number + 1
    return version
