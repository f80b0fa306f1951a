"""Parts of the CAPTCHA's HTTP side that need no server: addresses, host names, languages, tickets."""

import ipaddress
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from cloud_server.captcha.web.assets import read_static
from cloud_server.captcha.web.languages import language_for, load_texts
from cloud_server.captcha.web.settings import WebSettings
from cloud_server.captcha.web.tickets import Tickets
from cloud_server.captcha.web.visitors import Visitors, address_text, forwarded_address, page_hostname
from shared.errors import Code, GoodnoiseError

PROXIES = ("10.0.0.0/8", "fd00::/8")


def request_with(peer: str | None, **headers: str) -> Request:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    client = None if peer is None else (peer, 1234)
    return Request({"type": "http", "client": client, "headers": pairs})


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # not a proxy: what it says is not read
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.1", "198.51.100.1"),  # the left part was written by the visitor
        ("10.0.0.1", "1.2.3.4, 198.51.100.1, 10.9.9.9", "198.51.100.1"),
        ("10.0.0.1", "10.7.7.7, 10.9.9.9", "10.7.7.7"),  # all inside: the one that is farthest away
        ("10.0.0.1", "1.2.3.4, nonsense, 10.9.9.9", "10.9.9.9"),  # nothing left of nonsense is believed
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("fd00::1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("::ffff:10.0.0.1", "2001:DB8::7", "2001:db8::7"),
        ("::ffff:203.0.113.9", "198.51.100.1", "203.0.113.9"),
        (None, "198.51.100.1", ""),  # a socket that nobody called trusted
    ],
)
def test_the_address_is_the_right_most_that_no_trusted_proxy_has(
    peer: str | None, forwarded: str, expected: str
) -> None:
    visitors = Visitors(WebSettings(trusted_proxies=PROXIES))

    assert visitors.address(request_with(peer, x_forwarded_for=forwarded)) == expected


def test_a_trusted_socket_brings_the_address() -> None:
    visitors = Visitors(WebSettings(trusted_proxies=("unix", *PROXIES)))

    assert (
        visitors.address(request_with(None, x_forwarded_for="1.1.1.1, 198.51.100.1, 10.1.1.1"))
        == "198.51.100.1"
    )


def test_a_proxy_that_is_no_network_is_named() -> None:
    with pytest.raises(GoodnoiseError, match=r"'10.0.0.0/99' is no network") as caught:
        Visitors(WebSettings(trusted_proxies=("10.0.0.0/99",)))

    assert caught.value.code is Code.INVALID_INPUT


@given(st.ip_addresses(), st.lists(st.one_of(st.ip_addresses().map(str), st.text(max_size=12)), max_size=6))
def test_no_header_hides_an_untrusted_peer(peer: object, chain: list[str]) -> None:
    trusted = [ipaddress.ip_network("10.0.0.0/8")]
    known = address_text(str(peer))
    if not known.startswith("10."):
        assert forwarded_address(known, chain, trusted=trusted) == known


@given(st.lists(st.text(max_size=12), max_size=6))
def test_what_a_visitor_writes_left_of_its_address_changes_nothing(chain: list[str]) -> None:
    trusted = [ipaddress.ip_network("10.0.0.0/8")]

    assert (
        forwarded_address("10.0.0.1", [*chain, "198.51.100.1", "10.0.0.2"], trusted=trusted) == "198.51.100.1"
    )


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"origin": "https://Shop.Example:8443"}, "shop.example"),
        ({"origin": "https://shop.example."}, "shop.example"),
        ({"origin": "null", "referer": "https://shop.example/a?b"}, "shop.example"),
        ({"referer": "https://shop.example/a"}, "shop.example"),
        ({"origin": "https://a.example", "referer": "https://b.example/"}, "a.example"),
        ({"sec_fetch_site": "same-origin", "host": "own.example:8000"}, "own.example"),
        ({"sec_fetch_site": "cross-site", "host": "own.example"}, ""),
        ({"origin": "http://[2001:db8::1]:80"}, "2001:db8::1"),
        ({"origin": "http://[broken"}, ""),
        ({"origin": "https://user@evil.example\\@shop.example"}, ""),
        ({"origin": f"https://{'a' * 300}.example"}, ""),
        ({}, ""),
    ],
)
def test_the_page_is_the_one_that_the_browser_names(headers: dict[str, str], expected: str) -> None:
    assert page_hostname(request_with("203.0.113.9", **headers)) == expected


@pytest.mark.parametrize(
    ("asked", "accepted", "expected"),
    [
        ("de", "fr", "de"),
        ("pt-BR", "", "pt"),
        ("zh_TW", "", "zh"),
        ("tlh", "fr;q=0.5, nl;q=0.9", "nl"),
        ("", "xx, ja;q=0.1", "ja"),
        ("", "de;q=0, it;q=0.2", "it"),
        ("", "de;q=lots", "en"),
        ("../../etc", "", "en"),
        ("", "", "en"),
    ],
)
def test_the_language_is_the_nearest_that_there_is(asked: str, accepted: str, expected: str) -> None:
    assert language_for(asked, accepted, load_texts()) == expected


def test_every_language_has_every_text_with_its_number() -> None:
    texts = load_texts()
    assert set(texts) >= {"en", "de", "fr", "es", "pt", "it", "nl", "zh", "ja"}
    for language, words in texts.items():
        assert set(words) == set(texts["en"]), language
        for name, text in words.items():
            assert ("{n}" in text) == ("{n}" in texts["en"][name]), (language, name)


def test_every_text_that_the_widget_names_exists() -> None:
    texts = load_texts()["en"]
    scripts = read_static("view.js") + read_static("widget.js")
    named = set(re.findall(r"(?:texts\.|say\('|say \|\| '|say: '|text\(')(\w+)", scripts))
    assert named >= {"title", "start", "loading", "gone", "wrong", "empty"}
    assert named <= set(texts)


def test_a_ticket_holds_for_one_site_one_address_and_a_time() -> None:
    now = [1000.0]
    tickets = Tickets(b"k" * 32, seconds=60, now=lambda: now[0])
    ticket = tickets.write("shop.example", site_key="site", address="198.51.100.1")

    assert tickets.read(ticket, site_key="site", address="198.51.100.1") == "shop.example"
    assert tickets.read(ticket, site_key="other", address="198.51.100.1") is None
    assert tickets.read(ticket, site_key="site", address="198.51.100.2") is None
    assert tickets.read(ticket.replace("shop", "evil"), site_key="site", address="198.51.100.1") is None
    now[0] += 61
    assert tickets.read(ticket, site_key="site", address="198.51.100.1") is None


@given(st.text(max_size=80))
def test_no_text_is_a_ticket(text: str) -> None:
    tickets = Tickets(b"k" * 32, seconds=60)

    assert tickets.read(text, site_key="site", address="") is None


def test_the_fields_of_a_ticket_cannot_be_shifted() -> None:
    tickets = Tickets(b"k" * 32, seconds=60, now=lambda: 0.0)
    ticket = tickets.write("ab", site_key="c", address="")

    assert tickets.read(ticket[:-1], site_key="bc", address="") is None


def test_the_settings_do_not_show_their_key() -> None:
    assert "page_key" not in repr(WebSettings(page_key=b"k" * 32))
