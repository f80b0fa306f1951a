"""`goodnoise-cloud bundle`: building and publishing bundles, and showing what is published."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from rich.console import Console
from rich.status import Status
from rich.table import Table

from cloud_server.bundles.signing.commands import app as signing_app
from cloud_server.exits import EXIT_HELP, command_errors
from shared.bundle import Manifest, Member, Profile, manifest_to_json
from shared.cards import Card
from shared.levels.labels import LEVELS, level_label

if TYPE_CHECKING:
    from cloud_server.bundles.build import Order

__all__ = ["app"]

app = typer.Typer(help="Bundles: build, sign and publish them, show what there is.", no_args_is_help=True)
app.add_typer(signing_app)

Names = list[str] | None


class ProfileChoice(StrEnum):
    """Which bundles to build."""

    PHONE = "phone"
    FULL = "full"
    ALL = "all"


@app.command(epilog=EXIT_HELP)
def build(
    out: Annotated[Path, typer.Option(help="Folder of published bundles.", show_default=False)],
    profile: Annotated[
        ProfileChoice, typer.Option(help="phone (at most 15 MB), full (at most 40 MB) or all of them.")
    ] = ProfileChoice.ALL,
    accept_licence: Annotated[
        Names, typer.Option(help="A network to publish though its licence is not clear; repeat.")
    ] = None,
    surrogate: Annotated[Names, typer.Option(help="A surrogate in place of the profile's; repeat.")] = None,
    checker: Annotated[Names, typer.Option(help="A checker in place of the profile's; repeat.")] = None,
    hint: Annotated[
        list[Path] | None, typer.Option(help="A hint (.npy) in place of the project's own; repeat.")
    ] = None,
    no_hints: Annotated[bool, typer.Option("--no-hints", help="Leave the project's own hints out.")] = False,
    faces: Annotated[
        Path | None,
        typer.Option(help="Photos, one folder a person: train the bundle's student and hints on them."),
    ] = None,
    work: Annotated[
        Path | None, typer.Option(help="Keeps trainings with --faces; the next run goes on. OUT/training.")
    ] = None,
    data: Annotated[str, typer.Option(help="What --faces are, in words; devices show it.")] = "own photos",
    teacher: Annotated[str, typer.Option(help="With --faces, the recogniser that stays here.")] = "sface",
    steps: Annotated[int, typer.Option(min=1, help="With --faces, batches of the student.")] = 900,
    margins: Annotated[Path | None, typer.Option(help="TOML file with margins of the check.")] = None,
    scores: Annotated[Path | None, typer.Option(help="TOML file with measured figures.")] = None,
    leak: Annotated[
        Path | None, typer.Option(help="leak.json of 'evaluate leak': its verdicts travel along.")
    ] = None,
    created: Annotated[
        str | None, typer.Option(help="When it counts as made, ISO 8601; else SOURCE_DATE_EPOCH, else now.")
    ] = None,
) -> None:
    """Assemble bundles from the zoo and hints. Devices get them after 'bundle sign' and 'bundle publish'.

    Needs 'goodnoise-models fetch' first, and no torch; only training with --faces does. Training shows its
    progress, and the same command goes on where it was cut off. A second run with the same content changes
    nothing.
    """
    given = dict(locals())
    with command_errors(interrupted="interrupted; what was published before is still there"):
        _build(given)


@app.command(epilog=EXIT_HELP)
def show(
    bundles: Annotated[
        Path,
        typer.Option(
            envvar="GOODNOISE_CLOUD_BUNDLES", help="Folder of published bundles.", show_default=False
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifests as JSON.")] = False,
) -> None:
    """What was built last: networks, roles, thresholds, licences, hints, scores, sizes, signatures."""
    from cloud_server.bundles.store import PublishedBundles
    from shared.errors import Code, GoodnoiseError

    with command_errors():
        published = PublishedBundles(bundles)
        manifests = [published.manifest(profile) for profile in published.profiles()]
        signed = _signed(bundles)
        if not manifests:
            raise GoodnoiseError(
                Code.NOT_FOUND,
                f"nothing is published in {bundles}; run 'goodnoise-cloud bundle build --out {bundles}'",
            )
    if as_json:
        typer.echo(json.dumps([json.loads(manifest_to_json(item)) for item in manifests], indent=1))
        return
    for manifest in manifests:
        _print(manifest)
    typer.echo(signed)


def _signed(bundles: Path) -> str:
    """Until when devices take what is published."""
    from cloud_server.bundles.signing.repository import Repository

    ends = Repository(bundles).expiries()
    if "timestamp" not in ends:
        return "not signed yet: devices get nothing before 'bundle sign' and 'bundle publish'"
    return "devices take it until: " + ", ".join(f"{role} {end:%Y-%m-%d}" for role, end in ends.items())


def _build(given: dict[str, Any]) -> None:
    from cloud_server.bundles.build import build_bundle, check_orders

    orders = _orders(given)
    if given["faces"]:
        # What would be refused later is refused before an hour of training.
        check_orders([replace(order, surrogates=None) for order in orders], command=_command(given))
        orders = _trained(given, orders)
    check_orders(orders, command=_command(given))
    console = Console(stderr=True)
    for order in orders:
        with console.status("") as status:
            result = build_bundle(order, given["out"], report=_Status(status, order.profile))
        manifest = result.manifest
        state = "built" if result.changed else "unchanged"
        typer.echo(
            f"{manifest.profile}: bundle {manifest.version} {state}, {manifest.size / 1e6:.1f} MB, "
            f"{len(manifest.members)} networks, {len(manifest.hints)} hints"
        )


def _trained(given: dict[str, Any], orders: list[Order]) -> list[Order]:
    """The orders with a student and hints trained on the operator's faces."""
    from cloud_server.bundles.training import TrainingOrder, train_for_bundle
    from cloud_server.hints.commands import load_folder, training_progress
    from cloud_server.hints.nets import require_torch

    require_torch("a student")
    order = TrainingOrder(
        work=given["work"] or given["out"] / "training",
        data=given["data"],
        teacher=given["teacher"],
        student_steps=given["steps"],
    )
    store = orders[0].store
    with training_progress() as step:
        found = load_folder(given["faces"], store, step)
        made = train_for_bundle(found, order, store, report=step)
    return [
        replace(
            wanted,
            surrogates=(*(name for name in _bodies(wanted) if name != order.teacher), made.student),
            hints=made.hints if wanted.hints is None else wanted.hints,
            measured={**wanted.measured, "hints": made.measured},
        )
        for wanted in orders
    ]


def _bodies(order: Order) -> list[str]:
    """The surrogates of an order but for students, which the new one replaces."""
    names = [part.name for part in order.recipe.surrogates]
    return [name for name in names if "student" not in name]


@dataclass(frozen=True)
class _Status:
    status: Status
    profile: str

    def __call__(self, what: str) -> None:
        self.status.update(f"{self.profile}: {what}")


def _orders(given: dict[str, Any]) -> list[Order]:
    from cloud_server.bundles.build import Order, build_time
    from cloud_server.evaluation.leak.report import read_report

    profiles = get_args(Profile) if given["profile"] is ProfileChoice.ALL else (str(given["profile"]),)
    hints = () if given["no_hints"] else None
    created = build_time(given["created"])
    measured = {"leak": read_report(given["leak"])} if given["leak"] else {}
    return [
        Order(
            profile=profile,
            accepted_licences=tuple(given["accept_licence"] or ()),
            surrogates=_tuple(given["surrogate"]),
            checkers=_tuple(given["checker"]),
            hints=_tuple(given["hint"]) or hints,
            margins=given["margins"],
            scores=given["scores"],
            measured=measured,
            created=created,
        )
        for profile in profiles
    ]


def _tuple(values: list[Any] | None) -> tuple[Any, ...] | None:
    return tuple(values) if values else None


def _command(given: dict[str, Any]) -> str:
    """What the operator typed, without the accepted licences."""
    words = [
        "goodnoise-cloud",
        "bundle",
        "build",
        "--out",
        str(given["out"]),
        "--profile",
        str(given["profile"]),
    ]
    for key in ("surrogate", "checker", "hint", "margins", "scores", "leak", "created"):
        values = given[key] if isinstance(given[key], list) else [given[key]]
        for value in values:
            words += [] if value is None else [f"--{key}", str(value)]
    return shlex.join(words + (["--no-hints"] if given["no_hints"] else []))


def _print(manifest: Manifest) -> None:
    console = Console()
    table = Table(title=f"{manifest.profile}: bundle {manifest.version}, {manifest.size / 1e6:.1f} MB")
    for column in ("network", "role", "MB", "threshold", "margin"):
        table.add_column(column, no_wrap=column == "network")
    for member in manifest.members:
        table.add_row(*_row(member, manifest.object_of(member.object_name).size))
    console.print(table)
    for line in _lines(manifest):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _row(member: Member, size: int) -> tuple[str, ...]:
    card = member.card
    threshold = "" if card.threshold is None else f"{card.threshold.value:.3f}"
    margin = "" if member.role == "detector" else f"{member.margin:.3f}"
    return card.name, member.role, f"{size / 1e6:.2f}", threshold, margin


def _lines(manifest: Manifest) -> list[str]:
    """What is too long for the table."""
    licences = [
        _licence(m.card, accepted=m.card.name in manifest.accepted_licences) for m in manifest.members
    ]
    margins = [f"margin of {m.card.name}: {m.calibration}" for m in manifest.members if m.calibration]
    hints = [f"hint {hint.name}: {hint.kind}, {hint.trained_on}" for hint in manifest.hints]
    scores = [f"score {name}: {value}" for name, value in manifest.scores.items() if name != "leak"]
    levels = [level_label(level, manifest.scores) for level in LEVELS]
    return [*licences, *margins, *hints, *scores, *levels, f"made {manifest.created}"]


def _licence(card: Card, *, accepted: bool) -> str:
    passing = f"passing on: {card.licence.redistribution}{', accepted by name' if accepted else ''}"
    return f"licence of {card.name}: {card.licence.name}; {passing}"
