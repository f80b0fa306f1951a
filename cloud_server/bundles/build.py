"""Assembling bundles from the zoo and trained hints, without torch, and publishing them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path

from cloud_server.bundles.figures import UNCALIBRATED, read_margins, read_scores
from cloud_server.bundles.licences import accepted_among, notice
from cloud_server.bundles.networks import network_object, object_name
from cloud_server.bundles.orders import Order, build_time, check_orders, plan_of
from cloud_server.bundles.store import PublishedBundles
from cloud_server.hints.files import prebuilt_hints, read_hint
from shared.bundle import (
    PROFILE_BYTES,
    BundleObject,
    Hint,
    Manifest,
    Member,
    manifest_to_json,
    sha256_hex,
)
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
    plans = plan_of(order)
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


def content_id(manifest: Manifest) -> str:
    """Hex sha256 of all that a manifest says but version and time."""
    return sha256_hex(manifest_to_json(replace(manifest, version="0", created="")))


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
        scores={**read_scores(order.profile, order.scores), **order.measured},
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
