"""Sites: keys, secrets, hostnames."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from cloud_server.captcha.sites import SiteBook, Sites, allows, checked_hostnames, hash_secret
from cloud_server.captcha.state import Site, Store, open_store
from shared.errors import Code, GoodnoiseError


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = open_store(f"sqlite:{tmp_path / 'state.db'}")
    yield opened
    await opened.close()


@pytest.fixture
def book(store: Store) -> SiteBook:
    return SiteBook(store, clock=lambda: 7.0)


async def test_a_site_has_a_key_to_show_and_a_secret_to_keep(book: SiteBook, store: Store) -> None:
    site, secret = await book.create("Shop", hostnames=["Shop.Example.org."], work_allowed=False)
    assert site.key.startswith("gn_site_")
    assert secret.startswith("gn_secret_")
    assert len(secret) == len("gn_secret_") + 43  # 32 bytes
    assert site == Site(
        key=site.key,
        secrets=(hash_secret(secret),),
        created=7.0,
        name="Shop",
        hostnames=("shop.example.org",),
        work_allowed=False,
    )
    assert await book.get(site.key) == site
    assert await book.sites() == (site,)
    found = Sites(store)
    assert await found.of_key(site.key) == await found.of_secret(secret) == site


async def known(sites: Sites, *secrets: str) -> list[bool]:
    return [await sites.of_secret(each) is not None for each in secrets]


async def test_a_rotation_keeps_one_secret_of_before(book: SiteBook, store: Store) -> None:
    site, first = await book.create()
    _, second = await book.rotate(site.key)
    found = Sites(store, seconds=0)
    assert await known(found, first, second) == [True, True]
    _, third = await book.rotate(site.key)
    assert await known(found, first, second, third) == [False, True, True]
    _, fourth = await book.rotate(site.key, keep_old=False)
    assert await known(found, second, third, fourth) == [False, False, True]


async def test_a_disabled_site_is_not_found_until_it_is_enabled(book: SiteBook, store: Store) -> None:
    site, secret = await book.create()
    found = Sites(store, seconds=0)
    assert (await book.change(site.key, disabled=True)).disabled
    assert await found.of_key(site.key) is None
    assert await found.of_secret(secret) is None
    await book.change(site.key, disabled=False)
    assert await found.of_key(site.key) == site


async def test_a_change_leaves_the_rest(book: SiteBook) -> None:
    site, _ = await book.create("Shop", hostnames=["a.example"])
    changed = await book.change(site.key, name="Other", work_allowed=False)
    assert (changed.name, changed.hostnames, changed.work_allowed) == ("Other", ("a.example",), False)
    assert (await book.change(site.key, hostnames=[])).hostnames == ()


async def test_an_unknown_site_is_named(book: SiteBook) -> None:
    site, _ = await book.create()
    await book.remove(site.key)
    for key in (site.key, "nonsense", ""):
        for step in (book.get(key), book.rotate(key), book.change(key, name="x"), book.remove(key)):
            with pytest.raises(GoodnoiseError) as caught:
                await step
            assert caught.value.code is Code.NOT_FOUND


async def test_a_site_is_remembered_for_a_moment_only(book: SiteBook, store: Store) -> None:
    now = [0.0]
    found = Sites(store, seconds=2, clock=lambda: now[0])
    site, _ = await book.create()
    assert await found.of_key(site.key) == site
    await book.remove(site.key)
    now[0] = 1.9
    assert await found.of_key(site.key) == site
    now[0] = 2.0
    assert await found.of_key(site.key) is None


async def test_a_site_in_use_is_asked_for_again_before_it_is_forgotten(book: SiteBook, store: Store) -> None:
    now = [0.0]
    found = Sites(store, seconds=2, clock=lambda: now[0])
    site, _ = await book.create("old")
    await found.of_key(site.key)
    new = await book.change(site.key, name="new")
    now[0] = 1.5
    assert await found.of_key(site.key) == site  # at once, while it is asked for
    while asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.sleep(0)
    now[0] = 2.5  # later than the first look lasts
    await book.remove(site.key)
    assert await found.of_key(site.key) == new
    while asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.sleep(0)
    assert await found.of_key(site.key) is None


async def test_callers_at_once_share_one_look_and_a_site_made_since_is_found(
    book: SiteBook, store: Store
) -> None:
    found = Sites(store)
    site, _ = await book.create()
    said = await asyncio.gather(*(found.of_key(site.key) for _ in range(50)))
    assert said == [site] * 50
    missing = site.key[:-1] + ("A" if site.key[-1] != "A" else "B")
    assert await found.of_key(missing) is None


@pytest.mark.parametrize("secret", ["", "gn_secret_", "gn_secret_é", "x", "gn_secret_\udc80"])
async def test_a_text_that_is_no_secret_is_nobodys(book: SiteBook, store: Store, secret: str) -> None:
    await book.create()
    assert await Sites(store).of_secret(secret) is None


@pytest.mark.parametrize(
    ("hostnames", "host", "allowed"),
    [
        ((), "", True),
        ((), "any.example", True),
        (("example.org",), "example.org", True),
        (("example.org",), "www.example.org", False),
        (("example.org",), "", False),
        (("*.example.org",), "www.example.org", True),
        (("*.example.org",), "a.b.example.org", True),
        (("*.example.org",), "example.org", False),
        (("*.example.org",), ".example.org", False),
        (("*.example.org",), "badexample.org", False),
        (("a.example", "b.example"), "b.example", True),
    ],
)
def test_hostnames_of_a_site(hostnames: tuple[str, ...], host: str, allowed: bool) -> None:
    assert allows(Site(key="k", secrets=(), created=0.0, hostnames=hostnames), host) == allowed


def test_hostnames_are_kept_in_one_spelling() -> None:
    written = [
        " Example.ORG. ",
        "example.org",
        "bücher.example",
        "*.a.example",
        "localhost",
        "::1",
    ]
    assert checked_hostnames(written) == (
        "example.org",
        "xn--bcher-kva.example",
        "*.a.example",
        "localhost",
        "::1",
    )


@pytest.mark.parametrize(
    "text",
    ["", "http://example.org", "example.org:80", "a b", "*", "*.", "a..b", "-a.example", "x" * 300],
)
def test_what_is_no_hostname_is_refused(text: str) -> None:
    with pytest.raises(GoodnoiseError, match="hostname") as caught:
        checked_hostnames([text])
    assert caught.value.code is Code.INVALID_INPUT


async def test_a_name_too_long_and_too_many_hostnames_are_refused(book: SiteBook) -> None:
    with pytest.raises(GoodnoiseError, match="100 printable"):
        await book.create("x" * 101)
    with pytest.raises(GoodnoiseError, match="too many"):
        await book.create(hostnames=[f"h{n}.example" for n in range(101)])
