"""`goodnoise-cloud bundle keys|sign|publish|refresh|rotate`: what devices trust."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cloud_server.exits import EXIT_HELP, command_errors

if TYPE_CHECKING:
    from cloud_server.bundles.signing.repository import Repository, Signing

__all__ = ["app"]

app = typer.Typer()

Bundles = Annotated[
    Path,
    typer.Option(
        envvar="GOODNOISE_CLOUD_BUNDLES", help="Folder that 'bundle build' wrote.", show_default=False
    ),
]
Keys = Annotated[
    Path,
    typer.Option(
        envvar="GOODNOISE_CLOUD_KEYS",
        help="Folder with keys; what lies in it and below is used. "
        "A passphrase goes into GOODNOISE_KEY_PASSPHRASE.",
        show_default=False,
    ),
]
Count = Annotated[int, typer.Option(min=1, max=16)]
Days = Annotated[int, typer.Option(min=1, max=3650)]


class RoleChoice(StrEnum):
    """Roles whose keys can be replaced."""

    ROOT = "root"
    TARGETS = "targets"
    SNAPSHOT = "snapshot"
    TIMESTAMP = "timestamp"


@app.command(epilog=EXIT_HELP)
def keys(
    out: Annotated[Path, typer.Option(help="Folder for the keys; it must hold none.", show_default=False)],
    root_keys: Count = 1,
    root_threshold: Count = 1,
    targets_keys: Count = 1,
    targets_threshold: Count = 1,
    root_days: Days = 365,
) -> None:
    """Make signing keys, and the first root.json for devices ('goodnoise update --root root.json').

    Keys of root, targets and online (snapshot, timestamp) lie in folders of their own: move root/ off this
    machine, and give a server nothing but online/.
    """
    from cloud_server.bundles.signing.keys import PASSPHRASE_VARIABLE, passphrase_of
    from cloud_server.bundles.signing.plans import KeyPlan, make_keys
    from cloud_server.bundles.signing.roles import Lifetimes
    from shared.bundle import sha256_hex

    with command_errors():
        plan = KeyPlan(root=(root_keys, root_threshold), targets=(targets_keys, targets_threshold))
        passphrase = passphrase_of()
        lifetimes = Lifetimes(root=timedelta(days=root_days))
        root = make_keys(out, plan, passphrase=passphrase, lifetimes=lifetimes)
    guarded = "with" if passphrase else f"without ({PASSPHRASE_VARIABLE} is not set)"
    typer.echo(f"keys in {out}/root, {out}/targets and {out}/online, passphrase: {guarded}")
    typer.echo(f"root.json for devices: {out / 'root.json'}, sha256 {sha256_hex(root)}")


@app.command(epilog=EXIT_HELP)
def sign(
    bundles: Bundles,
    keys: Keys,
    root: Annotated[
        Path | None, typer.Option(help="The first root.json; by default the one in --keys, or beside it.")
    ] = None,
    days: Days = 180,
) -> None:
    """Sign what was built last (and a root that waits for signatures); 'bundle publish' shows it to devices.

    Where a threshold is above 1, each holder of keys runs this.
    """
    from cloud_server.bundles.signing.keys import load_keys, passphrase_of

    with command_errors():
        repository = _repository(bundles, targets=days)
        repository.begin(lambda: _first_root(root, keys))
        for done in repository.sign(load_keys(keys, passphrase=passphrase_of())):
            _tell(done)


@app.command(epilog=EXIT_HELP)
def publish(bundles: Bundles, keys: Keys, snapshot_days: Days = 30, timestamp_days: Days = 7) -> None:
    """Show devices what was signed, in one step. Needs the online keys.

    A running server gives it out at once; the version before stays for downloads that run.
    """
    from cloud_server.bundles.signing.keys import load_keys, passphrase_of

    with command_errors():
        ring = load_keys(keys, passphrase=passphrase_of())
        repository = _repository(bundles, snapshot=snapshot_days, timestamp=timestamp_days)
        _tell_published("published", repository.publish(ring), repository)


@app.command(epilog=EXIT_HELP)
def refresh(bundles: Bundles, keys: Keys, snapshot_days: Days = 30, timestamp_days: Days = 7) -> None:
    """Renew the timestamp (and a snapshot that ends before it), for a daily job. Needs the online keys."""
    from cloud_server.bundles.signing.keys import load_keys, passphrase_of

    with command_errors():
        ring = load_keys(keys, passphrase=passphrase_of())
        repository = _repository(bundles, snapshot=snapshot_days, timestamp=timestamp_days)
        _tell_published("renewed", repository.refresh(ring), repository)


@app.command(epilog=EXIT_HELP)
def rotate(
    bundles: Bundles,
    keys: Keys,
    role: Annotated[
        RoleChoice | None,
        typer.Option(help="Whose keys to replace; without it the root's expiry is renewed."),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, max=16, help="How many keys; as many as before by default.")
    ] = None,
    threshold: Annotated[
        int | None, typer.Option(min=1, max=16, help="How many must sign; as before by default.")
    ] = None,
    root_days: Days = 365,
) -> None:
    """Replace the keys of a role: a new root that the old root keys sign, so that devices follow.

    Needs the root keys. Then 'bundle sign' (new targets keys, missing signatures) and 'bundle publish'.
    """
    from cloud_server.bundles.signing.keys import load_keys, passphrase_of
    from cloud_server.bundles.signing.plans import KeyChange

    with command_errors():
        passphrase = passphrase_of()
        change = None
        if role is not None:
            change = KeyChange(
                role=role.value, folder=keys, count=count, threshold=threshold, passphrase=passphrase
            )
        repository = _repository(bundles, root=root_days)
        done, retired = repository.rotate(change, load_keys(keys, passphrase=passphrase))
        _tell(done)
    if retired:
        typer.echo(f"{retired} key files that are trusted no longer end in .retired now")


def _repository(bundles: Path, **days: int) -> Repository:
    from cloud_server.bundles.signing.repository import Repository
    from cloud_server.bundles.signing.roles import Lifetimes

    return Repository(bundles, Lifetimes(**{role: timedelta(days=count) for role, count in days.items()}))


def _first_root(given: Path | None, keys: Path) -> bytes:
    from shared.errors import Code, GoodnoiseError

    places = [given] if given else [keys / "root.json", keys.parent / "root.json"]
    for place in places:
        if place.is_file():
            return place.read_bytes()
    raise GoodnoiseError(
        Code.NOT_FOUND,
        f"there is no {places[0]}; name the root.json that 'goodnoise-cloud bundle keys' wrote with --root",
    )


def _tell(done: Signing) -> None:
    parts = ", ".join(f"{part.have} of {part.need} by {part.role}" for part in done.signatures)
    named = f" ({', '.join(done.names)})" if done.names else ""
    way = "ready for 'bundle publish'" if done.complete else "let another holder of keys run 'bundle sign'"
    typer.echo(f"{done.role} {done.version}{named}: signatures {parts}; {way}")


def _tell_published(what: str, versions: dict[str, int], repository: Repository) -> None:
    listed = ", ".join(f"{role} {version}" for role, version in versions.items())
    typer.echo(f"{what}: {listed}")
    ends = ", ".join(f"{role} {end:%Y-%m-%d}" for role, end in repository.expiries().items())
    typer.echo(f"devices take it until: {ends}; renew the timestamp before with 'bundle refresh'")
