"""`goodnoise-cloud captcha fill`: make images until so many wait in the pool."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from cloud_server.captcha.places import KeyFile, ReadersFolder, StateUrl, key_file, state_url
from cloud_server.exits import command_errors

__all__ = ["fill"]


def fill(
    pool: Annotated[int, typer.Option(min=1, help="Images that should wait.")] = 2000,
    until_full: Annotated[bool, typer.Option("--until-full", help="Stop when so many wait.")] = False,
    state: StateUrl = None,
    key: KeyFile = None,
    readers: ReadersFolder = None,
) -> None:
    """Make images and keep so many of them waiting. One core makes ten to twenty a second.

    Several can run at once, also on other machines, with the same state and key.
    """
    from cloud_server.logs import configure_logs

    with command_errors():
        configure_logs()
        asyncio.run(_fill(pool, state_url(state), key_file(key), readers, until_full=until_full))


async def _fill(pool: int, url: str, key_path: Path, readers: Path | None, *, until_full: bool) -> None:
    from cloud_server.captcha.challenges.filler import Filled, deployment_of
    from cloud_server.captcha.challenges.filler import fill as fill_pool
    from cloud_server.captcha.challenges.maker import load_maker
    from cloud_server.captcha.keys import load_key
    from cloud_server.captcha.state import open_store
    from cloud_server.captcha.stock import Stock
    from cloud_server.logs import log

    key = load_key(key_path)
    maker = await asyncio.to_thread(load_maker, deployment=deployment_of(key), readers=readers)
    store = open_store(url)

    def report(state: Filled) -> None:
        log(
            "captcha.filled",
            depth=state.depth,
            added=state.added,
            refused=state.refused,
            per_second=round(state.rate, 1),
        )

    try:
        stock = Stock(store, key=key, style=maker.version)
        await fill_pool(stock, maker, pool=pool, until_full=until_full, report=report)
    finally:
        await store.close()
