"""`goodnoise-cloud captcha`: sites, the pool and the report, directly on the state."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cloud_server.captcha.challenges.commands import fill
from cloud_server.captcha.places import StateUrl, state_url
from cloud_server.captcha.report.command import report as make_report
from cloud_server.captcha.training.commands import train
from cloud_server.exits import EXIT_HELP, command_errors

if TYPE_CHECKING:
    from cloud_server.captcha.state import Site, Store

__all__ = ["app"]

T = TypeVar("T")

app = typer.Typer(
    help="A CAPTCHA that sites embed: serve it, keep its sites, see its pool, publish its report.",
    no_args_is_help=True,
)
sites = typer.Typer(help="Sites that embed the widget, and their secrets.", no_args_is_help=True)
app.add_typer(sites, name="sites")
app.command(epilog=EXIT_HELP)(fill)
app.command(epilog=EXIT_HELP)(train)
app.command("report", epilog=EXIT_HELP)(make_report)

SiteKey = Annotated[str, typer.Argument(help="The site's public key, gn_site_...", metavar="SITE_KEY")]


@sites.command(epilog=EXIT_HELP)
def add(
    name: Annotated[str, typer.Argument(help="For people, such as the site's address.")] = "",
    hostname: Annotated[
        list[str] | None,
        typer.Option(help="Host of pages that may show the widget, or *.DOMAIN; repeat. Default: any."),
    ] = None,
    work: Annotated[bool, typer.Option(help="Offer proof of work, also where no image waits.")] = True,
    state: StateUrl = None,
) -> None:
    """Add a site. Prints its key and its secret as JSON; the secret is shown now and never again."""
    from cloud_server.captcha.sites import SiteBook

    with command_errors():
        site, secret = _with_store(
            state, lambda store: SiteBook(store).create(name, hostnames=hostname or (), work_allowed=work)
        )
        _tell({**_words(site), "secret": secret})


@sites.command("list", epilog=EXIT_HELP)
def list_sites(state: StateUrl = None) -> None:
    """List all sites as JSON, the oldest first, without secrets."""
    from cloud_server.captcha.sites import SiteBook

    with command_errors():
        found = _with_store(state, lambda store: SiteBook(store).sites())
        _tell([_words(site) for site in found])


@sites.command(epilog=EXIT_HELP)
def rotate(
    site_key: SiteKey,
    end_old: Annotated[
        bool, typer.Option("--end-old", help="The secret of before is bad at once: it was stolen.")
    ] = False,
    state: StateUrl = None,
) -> None:
    """Give a site a new secret, shown now and never again. The newest one of before stays good beside it."""
    from cloud_server.captcha.sites import SiteBook

    with command_errors():
        site, secret = _with_store(
            state, lambda store: SiteBook(store).rotate(site_key, keep_old=not end_old)
        )
        _tell({**_words(site), "secret": secret})


@sites.command(epilog=EXIT_HELP)
def disable(site_key: SiteKey, state: StateUrl = None) -> None:
    """Give a site no challenges and no verdicts, until it is enabled."""
    _switch(site_key, state, disabled=True)


@sites.command(epilog=EXIT_HELP)
def enable(site_key: SiteKey, state: StateUrl = None) -> None:
    """Undo 'disable'."""
    _switch(site_key, state, disabled=False)


@sites.command(epilog=EXIT_HELP)
def remove(site_key: SiteKey, state: StateUrl = None) -> None:
    """Forget a site for good."""
    from cloud_server.captcha.sites import SiteBook

    with command_errors():
        _with_store(state, lambda store: SiteBook(store).remove(site_key))
        _tell({"site_key": site_key, "removed": True})


@app.command(epilog=EXIT_HELP)
def depth(state: StateUrl = None) -> None:
    """Print how many images wait for a visitor."""
    with command_errors():
        _tell({"images": _with_store(state, lambda store: store.pool_depth())})


@app.command(epilog=EXIT_HELP)
def publish(
    report: Annotated[Path, typer.Argument(help="JSON of 'captcha report'.", metavar="REPORT.json")],
    state: StateUrl = None,
) -> None:
    """Publish a report: the service shows it at /report from now on."""
    from shared.files import storage_errors
    from shared.wire import captcha as limits

    with command_errors():
        with storage_errors(report, setting="another REPORT.json"):
            content = report.read_bytes()
        checked = limits.report(str(report), content)
        _with_store(state, lambda store: store.report_put(checked))
        _tell({"published": str(report), "bytes": len(checked)})


def _switch(site_key: str, state: str | None, *, disabled: bool) -> None:
    from cloud_server.captcha.sites import SiteBook

    with command_errors():
        site = _with_store(state, lambda store: SiteBook(store).change(site_key, disabled=disabled))
        _tell(_words(site))


def _with_store(state: str | None, work: Callable[[Store], Awaitable[T]]) -> T:
    from cloud_server.captcha.state import open_store

    async def run() -> T:
        store = open_store(state_url(state))
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


def _words(site: Site) -> dict[str, object]:
    return {
        "site_key": site.key,
        "name": site.name,
        "hostnames": list(site.hostnames),
        "work_allowed": site.work_allowed,
        "disabled": site.disabled,
        "created": datetime.fromtimestamp(site.created, UTC).isoformat(timespec="seconds"),
        "secrets": len(site.secrets),
    }


def _tell(found: object) -> None:
    typer.echo(json.dumps(found, indent=2))
