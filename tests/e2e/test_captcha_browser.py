"""The widget in a real browser, on a real page of another origin, before a real service."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

ACT = 30_000  # ms that one step may take on a busy machine

SNIPPETS = {
    "recaptcha": (
        "/recaptcha/api.js",
        '<div class="g-recaptcha" data-sitekey="{key}" {more}></div>',
        "g-recaptcha",
    ),
    "turnstile": (
        "/turnstile/v0/api.js",
        '<div class="cf-turnstile" data-sitekey="{key}" data-action="join" data-cdata="7" {more}></div>',
        "cf-turnstile",
    ),
    "goodnoise": ("/api.js", '<div class="goodnoise" data-sitekey="{key}" {more}></div>', "goodnoise"),
    "element": ("/api.js", '<goodnoise-captcha sitekey="{key}" {more}></goodnoise-captcha>', "goodnoise"),
}


@pytest.fixture
def server(captcha_server: Callable[..., Any]) -> Any:
    return captcha_server(hostnames=("localhost",))


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page whose errors fail the test."""
    context = browser.new_context()
    context.set_default_timeout(ACT)
    opened = context.new_page()
    broken: list[str] = []
    opened.on("pageerror", lambda error: broken.append(str(error)))
    yield opened
    context.close()
    assert broken == []


def embed(
    site: Any, server: Any, snippet: str = "goodnoise", *, query: str = "", more: str = "", head: str = ""
) -> None:
    script, body, _ = SNIPPETS[snippet]
    site.head = f'{head}<script src="{server.base}{script}{query}" async defer></script>'
    site.body = body.format(key=server.site_key, more=more)
    path = {"recaptcha": "/recaptcha/api/siteverify", "turnstile": "/turnstile/v0/siteverify"}.get(
        snippet, "/siteverify"
    )
    site.asks, site.secret = server.base + path, server.secret


def begin(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_role("button", name="I am human").click()


def type_answer(page: Page, answer: str) -> None:
    # The number in the label tells the next challenge from the one before: tests give them other lengths.
    page.get_by_role("textbox", name=re.compile(f"Type the {len(answer)} ")).fill(answer)
    page.keyboard.press("Enter")


def send(page: Page) -> str:
    page.get_by_role("button", name="Send").click()
    return page.get_by_role("heading").inner_text()


def confirmed(page: Page) -> None:
    page.get_by_text("Confirmed").wait_for()


def status(page: Page, text: str) -> None:
    page.get_by_role("status").filter(has_text=text).wait_for()


def focused(page: Page, name: str) -> None:
    field = page.get_by_role("textbox", name=name).element_handle()
    page.wait_for_function("field => field.getRootNode().activeElement === field", arg=field)


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_form_is_sent_once(page: Page, site: Any, server: Any, snippet: str) -> None:
    embed(site, server, snippet)
    server.fill("HEXAR")
    begin(page, site.url)
    type_answer(page, "hexar")
    confirmed(page)
    name = f"{SNIPPETS[snippet][2]}-response"
    token = page.locator(f'input[name="{name}"]').input_value()

    assert send(page) == "Welcome"
    assert site.verdicts[0]["hostname"] == "localhost"
    if snippet == "turnstile":
        assert (site.verdicts[0]["action"], site.verdicts[0]["cdata"]) == ("join", "7")

    page.goto(site.url)
    page.evaluate("([n, t]) => { document.querySelector(`[name='${n}']`).value = t; }", [name, token])
    assert send(page) == "Refused: timeout-or-duplicate"


def test_a_form_without_an_answer_is_refused(page: Page, site: Any, server: Any) -> None:
    embed(site, server)
    page.goto(site.url)
    page.get_by_role("button", name="I am human").wait_for()

    assert send(page) == "Refused: missing-input-response"


def test_a_wrong_answer_brings_another_picture(page: Page, site: Any, server: Any) -> None:
    embed(site, server)
    server.fill("HEXAR", "MARTY9")
    begin(page, site.url)
    page.get_by_role("textbox", name="Type the 5").press("Enter")
    status(page, "Type the answer first")
    type_answer(page, "WRONG")
    status(page, "That was not right")

    type_answer(page, "MARTY9")
    confirmed(page)
    assert send(page) == "Welcome"


def test_what_was_said_while_a_picture_came_can_still_be_read(page: Page, site: Any, server: Any) -> None:
    embed(site, server)
    server.fill("HEXAR")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/image*", hold)
    begin(page, site.url)
    status(page, "Loading")
    page.get_by_role("textbox", name="Type the 5").press("Enter")
    status(page, "Type the answer first")

    page.get_by_role("img", name="Picture of 5").evaluate(
        "image => { window.shown = new Promise(done => { image.onload = () => setTimeout(done); }); }"
    )
    held[0].continue_()
    page.evaluate("() => window.shown")
    status(page, "Type the answer first")


def test_a_picture_that_cannot_be_read_is_exchanged(page: Page, site: Any, server: Any) -> None:
    embed(site, server)
    server.fill("HEXAR", "MARTY9")
    begin(page, site.url)
    picture = page.get_by_role("img", name="Picture of 5")
    before = picture.get_attribute("src")

    page.get_by_role("button", name="New challenge").click()

    after = page.get_by_role("img", name="Picture of 6")
    after.wait_for()
    assert after.get_attribute("src") != before
    type_answer(page, "MARTY9")
    confirmed(page)


def test_the_picture_is_really_shown(page: Page, site: Any, server: Any) -> None:
    embed(site, server)
    server.fill("HEXAR")
    begin(page, site.url)
    picture = page.get_by_role("img", name="Picture of 5")
    page.wait_for_function(
        "image => image.complete && image.naturalWidth === 256", arg=picture.element_handle()
    )


def test_who_does_not_see_can_hear(
    page: Page, site: Any, captcha_server: Callable[..., Any], overheard: Any
) -> None:
    server = captcha_server(hostnames=("localhost",), speaker=overheard)
    embed(site, server)
    server.fill("HEXAR")
    begin(page, site.url)
    page.get_by_role("button", name="Use sound").click()
    sound = page.locator("audio")
    page.wait_for_function("audio => audio.duration > 1", arg=sound.element_handle())

    type_answer(page, overheard.heard[-1])
    confirmed(page)
    assert send(page) == "Welcome"


@pytest.mark.parametrize(
    "policy", ["", "script-src {0}; connect-src {0}; img-src {0}; media-src {0}; default-src 'none'"]
)
def test_who_neither_sees_nor_hears_lets_the_device_work(
    page: Page, site: Any, server: Any, policy: str
) -> None:
    embed(site, server)
    site.policy = policy.format(server.base)
    server.fill("HEXAR")
    begin(page, site.url)

    page.get_by_role("button", name="Let this device work").click()

    confirmed(page)
    assert send(page) == "Welcome"


def test_an_empty_pool_lets_the_device_work(page: Page, site: Any, server: Any) -> None:
    embed(site, server)
    begin(page, site.url)

    confirmed(page)
    assert send(page) == "Welcome"


def test_a_strict_policy_of_the_page_is_kept(page: Page, site: Any, server: Any) -> None:
    embed(site, server)
    rules = ("script-src", "connect-src", "img-src", "media-src")
    site.policy = "default-src 'none'; require-trusted-types-for 'script'; " + "; ".join(
        f"{r} {server.base}" for r in rules
    )
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if "Policy" in message.text else None)
    server.fill("HEXAR")
    begin(page, site.url)
    type_answer(page, "HEXAR")
    confirmed(page)

    assert (
        page.get_by_role("group", name="Human check").evaluate("box => getComputedStyle(box).width")
        == "320px"
    )
    assert complaints == []


def test_the_keyboard_is_enough(page: Page, site: Any, server: Any) -> None:
    embed(site, server)
    server.fill("HEXAR", "MARTY9")
    page.goto(site.url)
    page.get_by_role("button", name="I am human").wait_for()
    page.keyboard.press("Tab")  # the name
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    focused(page, "Type the 5")
    page.keyboard.press("Tab")  # Check
    page.keyboard.press("Tab")  # New challenge
    page.keyboard.press("Space")
    focused(page, "Type the 6")
    page.keyboard.type("marty9")
    page.keyboard.press("Enter")
    confirmed(page)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    page.get_by_role("heading", name="Welcome").wait_for()


def test_an_unknown_site_key_is_said(page: Page, site: Any, server: Any) -> None:
    embed(
        site,
        server,
        more='data-error-callback="failed"',
        head="<script>failed = (c) => { code = c; }</script>",
    )
    site.body = site.body.replace(server.site_key, "gn_site_unknown")
    begin(page, site.url)

    status(page, "The site key of this check is not known")
    assert page.evaluate("code") == "404"


def test_a_service_that_is_gone_is_said_and_asked_again(page: Page, site: Any, server: Any) -> None:
    embed(site, server)
    server.fill("HEXAR")
    page.route("**/api/v1/challenges", lambda route: route.abort(), times=1)
    begin(page, site.url)
    status(page, "cannot be reached")

    page.get_by_role("button", name="I am human").click()
    type_answer(page, "HEXAR")
    confirmed(page)


def test_a_limit_is_said_with_its_wait(page: Page, site: Any, captcha_server: Callable[..., Any]) -> None:
    server = captcha_server(hostnames=("localhost",), issues_a_day=1)
    embed(site, server)
    server.fill("HEXAR", "MARTY9")
    begin(page, site.url)
    page.get_by_role("img", name="Picture").wait_for()

    page.get_by_role("button", name="New challenge").click()

    status(page, "Too many tries. Wait")
    type_answer(page, "HEXAR")  # what was on the screen is still good
    confirmed(page)


def test_a_way_that_the_site_does_not_offer_is_said(
    page: Page, site: Any, captcha_server: Callable[..., Any]
) -> None:
    server = captcha_server(hostnames=("localhost",), work_allowed=False)
    embed(site, server)
    server.fill("HEXAR")
    begin(page, site.url)
    page.get_by_role("button", name="Let this device work").click()
    status(page, "not offered here")

    type_answer(page, "HEXAR")
    confirmed(page)


def test_a_test_key_that_always_fails_does_not_ask_for_ever(page: Page, site: Any, server: Any) -> None:
    embed(site, server)
    site.body = site.body.replace(server.site_key, "2x00000000000000000000AB")
    begin(page, site.url)

    status(page, "The check failed")
    assert send(page) == "Refused: missing-input-response"


# --- what pages call ----------------------------------------------------------------------------------------

CALLS = """<script>
  seen = [];
  good = (token) => seen.push(['good', token.length > 20]);
  late = () => seen.push(['late']);
  ready = () => { number = %s; };
</script>"""
EXPLICIT = "?onload=ready&render=explicit"


@pytest.mark.parametrize(
    ("snippet", "name"), [("recaptcha", "grecaptcha"), ("turnstile", "turnstile"), ("goodnoise", "goodnoise")]
)
def test_a_page_renders_reads_and_resets(page: Page, site: Any, server: Any, snippet: str, name: str) -> None:
    words = f"{{sitekey: '{server.site_key}', callback: good, 'expired-callback': 'late', theme: 'dark'}}"
    embed(site, server, snippet, query=EXPLICIT, head=CALLS % f"{name}.render('here', {words})")
    site.body = '<div id="here"></div>'
    server.fill("HEXAR", "MARTY9")
    page.clock.install()
    begin(page, site.url)
    assert page.evaluate(f"{name}.getResponse(number)") == ""
    type_answer(page, "HEXAR")
    confirmed(page)
    assert (
        page.evaluate(f"{name}.getResponse()") == page.locator("input[name$='-response']").input_value() != ""
    )

    page.clock.fast_forward(int(server.token_seconds * 1000) + 1000)

    status(page, "The confirmation has expired")
    assert page.evaluate(f"[{name}.getResponse(number), seen]") == ["", [["good", True], ["late"]]]
    page.get_by_role("button", name="I am human").click()
    page.get_by_role("img").wait_for()
    page.evaluate(f"{name}.reset(number)")
    page.get_by_role("button", name="I am human").wait_for()
    assert page.get_by_role("group").get_attribute("data-theme") == "dark"


def test_an_invisible_widget_asks_when_it_is_told_to(page: Page, site: Any, server: Any) -> None:
    embed(site, server, "recaptcha", more='data-size="invisible" data-callback="good"', head=CALLS % "0")
    server.fill("HEXAR", "MARTY9")
    page.goto(site.url)
    page.wait_for_function(
        "window.grecaptcha?.execute && document.querySelector('[name=g-recaptcha-response]')"
    )
    assert page.get_by_role("dialog").count() == 0
    page.evaluate("promise = grecaptcha.execute().catch(() => {}); 0")
    page.get_by_role("dialog", name="Human check").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")

    page.evaluate("promise = grecaptcha.execute(); 0")
    type_answer(page, "MARTY9")

    assert len(page.evaluate("promise")) > 20
    assert page.evaluate("seen") == [["good", True]]
    assert send(page) == "Welcome"


def test_a_key_and_an_action_bring_a_token_as_in_the_third_version(
    page: Page, site: Any, server: Any
) -> None:
    embed(site, server, "recaptcha", query=f"?render={server.site_key}")
    site.body = '<input type="hidden" class="g-recaptcha" name="g-recaptcha-response" data-sitekey="x">'
    server.fill("HEXAR")
    page.goto(site.url)
    page.wait_for_function("() => window.grecaptcha?.execute !== undefined")
    page.evaluate("key => { promise = grecaptcha.execute(key, {action: 'join'}); }", server.site_key)
    type_answer(page, "HEXAR")
    page.evaluate("promise.then((token) => { document.querySelector('.g-recaptcha').value = token; })")

    assert send(page) == "Welcome"
    assert site.verdicts[0]["action"] == "join"


def test_a_button_can_be_the_widget(page: Page, site: Any, server: Any) -> None:
    embed(site, server, "recaptcha", head="<script>sent = () => document.forms[0].submit();</script>")
    site.body = (
        f'<button class="g-recaptcha" data-sitekey="{server.site_key}" data-callback="sent">Join</button>'
    )
    server.fill("HEXAR")
    page.goto(site.url)
    page.locator("[name=g-recaptcha-response]").wait_for(state="attached")
    page.get_by_role("button", name="Join").click()
    type_answer(page, "HEXAR")

    page.get_by_role("heading", name="Welcome").wait_for()


def test_an_element_tells_its_page(page: Page, site: Any, server: Any) -> None:
    embed(site, server, "element")
    server.fill("HEXAR")
    page.goto(site.url)
    page.get_by_role("button", name="I am human").wait_for()
    page.evaluate("addEventListener('goodnoise-verified', (event) => { told = event.detail; })")
    page.get_by_role("button", name="I am human").click()
    type_answer(page, "HEXAR")
    confirmed(page)

    element = page.locator("goodnoise-captcha")
    assert page.evaluate("told") == element.evaluate("e => e.value") != ""
    element.evaluate("e => e.reset()")
    assert element.evaluate("e => e.value") == ""


@pytest.mark.parametrize(
    ("query", "more", "text"),
    [
        ("", "", "I am human"),
        ("?hl=de", "", "Ich bin ein Mensch"),
        ("?hl=de", 'data-hl="ja"', "私は人間です"),
        ("", 'data-language="zh-TW"', "我是真人"),
        ("?hl=tlh", "", "I am human"),
    ],
)
def test_the_language_is_the_one_asked_for(
    page: Page, site: Any, server: Any, query: str, more: str, text: str
) -> None:
    embed(site, server, query=query, more=more)
    page.goto(site.url)

    page.get_by_role("button", name=text).wait_for()


def test_two_widgets_keep_to_themselves(page: Page, site: Any, server: Any) -> None:
    embed(site, server)
    site.body += site.body
    server.fill("HEXAR")
    page.goto(site.url)
    page.get_by_role("button", name="I am human").nth(1).click()
    type_answer(page, "HEXAR")
    page.get_by_text("Confirmed").nth(1).wait_for()

    fields = page.locator("input[name='goodnoise-response']")
    assert [bool(fields.nth(i).input_value()) for i in range(2)] == [False, True]


def test_no_cookie_and_nothing_stored(page: Page, site: Any, server: Any) -> None:
    embed(site, server)
    server.fill("HEXAR")
    begin(page, site.url)
    type_answer(page, "HEXAR")
    confirmed(page)

    assert page.context.cookies() == []
    assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]


# --- without JavaScript, and for everybody ------------------------------------------------------------------

NOSCRIPT = """<noscript><iframe src="{base}/fallback?k={key}&amp;hl=en&amp;theme={theme}" title="Human check"
 width="330" height="320" referrerpolicy="origin"></iframe>
<p><label>Text from the box <textarea name="g-recaptcha-response"></textarea></label></p></noscript>"""


@pytest.mark.parametrize("kind", ["image", "audio"])
def test_without_script_the_same_form_is_sent(
    browser: Browser, site: Any, captcha_server: Callable[..., Any], overheard: Any, kind: str
) -> None:
    server = captcha_server(hostnames=("localhost",), speaker=overheard)
    embed(site, server, "recaptcha")
    site.body += NOSCRIPT.format(base=server.base, key=server.site_key, theme="auto")
    server.fill("HEXAR", "MARTY9")
    with browser.new_context(java_script_enabled=False) as context:
        context.set_default_timeout(ACT)
        page = context.new_page()
        page.goto(site.url)
        frame = page.frame_locator("iframe")
        answer = frame.get_by_role("textbox", name="Type the 5 characters")
        answer.fill("WRONG")
        answer.press("Enter")
        frame.get_by_text("That was not right").wait_for()
        if kind == "audio":
            with page.expect_response(lambda response: response.url.endswith("/audio")):
                frame.get_by_role("link", name="Use sound").click()
        frame.get_by_role("textbox", name="Type the 6").fill(
            "MARTY9" if kind == "image" else overheard.heard[-1]
        )
        frame.get_by_role("button", name="Check").click()
        token = frame.get_by_role("textbox", name="Your confirmation").input_value()
        page.get_by_label("Text from the box").fill(token)

        assert send(page) == "Welcome"
        assert site.verdicts[0]["hostname"] == "localhost"


def violations(page: Page) -> str:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page)
    nodes = [n["html"] + n["failureSummary"] for v in found.response["violations"] for n in v["nodes"]]
    return found.generate_snapshot() + "".join(nodes)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", ["normal", "compact"])
def test_no_violation_of_accessibility_in_any_mode(
    page: Page, site: Any, captcha_server: Callable[..., Any], overheard: Any, theme: str, size: str
) -> None:
    server = captcha_server(hostnames=("localhost",), speaker=overheard)
    style = "" if theme == "light" else "<style>body { background: #111; color: #eee; }</style>"
    embed(site, server, more=f'data-theme="{theme}" data-size="{size}"', head=style)
    server.fill("HEXAR", "MARTY9", "CHEFA")
    page.goto(site.url)
    page.get_by_role("button", name="I am human").wait_for()
    assert violations(page) == "", "idle"
    page.get_by_role("button", name="I am human").click()
    page.get_by_role("textbox", name="Type the 5").wait_for()
    page.get_by_role("img").wait_for()
    assert violations(page) == "", "image"
    type_answer(page, "WRONG")
    status(page, "That was not right")
    assert violations(page) == "", "wrong"
    page.get_by_role("button", name="Use sound").click()
    page.get_by_role("textbox", name="Type the 6 digits").wait_for()
    assert violations(page) == "", "audio"
    page.get_by_role("button", name="Use a picture").click()
    type_answer(page, "CHEFA")
    confirmed(page)
    assert violations(page) == "", "done"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_violation_while_the_device_works(
    page: Page, site: Any, captcha_server: Callable[..., Any], theme: str
) -> None:
    server = captcha_server(
        hostnames=("localhost",), work_bits=26
    )  # it will not be done before we have looked
    embed(site, server, more=f'data-theme="{theme}"')
    begin(page, site.url)
    page.get_by_text("working on a proof").wait_for()

    assert violations(page) == ""
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="I am human").wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_violation_in_the_dialog(page: Page, site: Any, server: Any, theme: str) -> None:
    embed(site, server, more=f'data-size="invisible" data-theme="{theme}"')
    server.fill("HEXAR")
    page.goto(site.url)
    page.wait_for_function("window.goodnoise?.execute && document.querySelector('[name=goodnoise-response]')")
    page.evaluate("goodnoise.execute(); 0")
    page.get_by_role("dialog").get_by_role("img").wait_for()

    assert violations(page) == ""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_violation_on_the_pages_without_script(
    page: Page, captcha_server: Callable[..., Any], overheard: Any, theme: str
) -> None:
    server = captcha_server(speaker=overheard)
    server.fill("HEXAR", "MARTY9")
    page.goto(f"{server.base}/fallback?k={server.site_key}&hl=en&theme={theme}")
    assert violations(page) == "", "image"
    page.get_by_role("textbox").fill("WRONG")
    page.get_by_role("button").click()
    page.get_by_text("That was not right").wait_for()
    assert violations(page) == "", "wrong"
    page.get_by_role("textbox").fill("MARTY9")
    page.get_by_role("button").click()
    page.get_by_text("Copy this text").wait_for()
    assert violations(page) == "", "done"
    page.goto(f"{server.base}/fallback?k={server.site_key}&hl=en&theme={theme}&kind=audio")
    page.locator("audio").wait_for()
    assert violations(page) == "", "audio"


def test_no_violation_on_the_report(page: Page, server: Any) -> None:
    server.publish(b'{"made": "2026-11-23", "solvers": [{"name": "ocr", "clean": 0.9, "attacked": 0.1}]}')
    page.goto(f"{server.base}/report")

    assert violations(page) == ""
