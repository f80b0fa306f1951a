"""Every route of the CAPTCHA's HTTP side over a real socket: good, bad, too large, late, forged."""

import json
import logging
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from prometheus_client import generate_latest

PROFILES = ("/recaptcha/api/siteverify", "/turnstile/v0/siteverify", "/siteverify")
FULL = PROFILES[1:]
CHALLENGES = "/api/v1/challenges"
SHOP = {"origin": "https://shop.example"}


@pytest.fixture(scope="module")
def lasting(lasting_captcha_server: Callable[..., Any]) -> Any:
    return lasting_captcha_server(hostnames=("shop.example",))


@pytest.fixture
def server(lasting: Any) -> Any:
    """The server of most tests, with an empty pool."""
    lasting.fill()
    return lasting


def client(server: Any) -> httpx.Client:
    return httpx.Client(base_url=server.base, headers=SHOP, trust_env=False, timeout=30)


@pytest.fixture
def http(server: Any) -> Iterator[httpx.Client]:
    with client(server) as opened:
        yield opened


def issue(http: httpx.Client, server: Any, kind: str = "image", **words: str) -> httpx.Response:
    return http.post(CHALLENGES, json={"sitekey": server.site_key, "kind": kind, **words})


def token(http: httpx.Client, server: Any, **words: str) -> str:
    server.fill("HEXAR")
    issued = issue(http, server, **words).json()
    answered = http.post(issued["answer"], json={"answer": "hexar"}).json()
    assert answered["right"]
    return str(answered["token"])


def verify(http: httpx.Client, path: str, **fields: str) -> dict[str, Any]:
    answer = http.post(path, data=fields)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json()
    return found


# --- siteverify ---------------------------------------------------------------------------------------------


def test_recaptcha_gets_its_words_and_no_others(http: httpx.Client, server: Any) -> None:
    found = verify(
        http, PROFILES[0], secret=server.secret, response=token(http, server), remoteip="127.0.0.1"
    )

    assert found.keys() == {"success", "challenge_ts", "hostname"}
    assert found["success"] is True
    assert found["hostname"] == "shop.example"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["challenge_ts"])


@pytest.mark.parametrize("path", PROFILES)
@pytest.mark.parametrize("remoteip", ["198.51.100.9", "2001:db8::1", "somewhere"])
def test_a_token_is_as_good_from_another_address(
    http: httpx.Client, server: Any, path: str, remoteip: str
) -> None:
    found = verify(http, path, secret=server.secret, response=token(http, server), remoteip=remoteip)
    assert found["success"] is True
    assert remoteip not in json.dumps(found)


@pytest.mark.parametrize("path", FULL)
def test_the_full_profiles_tell_action_and_cdata(http: httpx.Client, server: Any, path: str) -> None:
    given = token(http, server, action="sign-up", cdata="order-17")

    found = verify(http, path, secret=server.secret, response=given)

    assert found.keys() == {"success", "challenge_ts", "hostname", "error-codes", "action", "cdata"}
    assert (found["success"], found["error-codes"]) == (True, [])
    assert (found["action"], found["cdata"]) == ("sign-up", "order-17")


@pytest.mark.parametrize("path", FULL)
@pytest.mark.parametrize("form", ["json", "files"])
def test_the_full_profiles_take_json_and_multipart(
    http: httpx.Client, server: Any, path: str, form: str
) -> None:
    fields = {"secret": server.secret, "response": token(http, server)}
    body: Any = fields if form == "json" else {name: (None, text) for name, text in fields.items()}

    answer = http.post(path, **{form: body})

    assert (answer.status_code, answer.json()["success"]) == (200, True)


@pytest.mark.parametrize("path", PROFILES)
def test_a_token_passes_once(http: httpx.Client, server: Any, path: str) -> None:
    given = token(http, server)

    assert verify(http, path, secret=server.secret, response=given)["success"]
    again = verify(http, path, secret=server.secret, response=given)

    assert again["success"] is False
    assert again["error-codes"] == ["timeout-or-duplicate"]


def test_a_token_is_spent_over_all_profiles(http: httpx.Client, server: Any) -> None:
    given = token(http, server)

    verdicts = [verify(http, path, secret=server.secret, response=given)["success"] for path in PROFILES]

    assert verdicts == [True, False, False]


@pytest.mark.parametrize("path", FULL)
def test_a_repeat_with_the_same_key_gets_the_stored_answer(
    http: httpx.Client, server: Any, path: str
) -> None:
    fields = {"secret": server.secret, "response": token(http, server)}

    first = verify(http, path, **fields, idempotency_key="k-1")

    assert first["success"]
    assert verify(http, path, **fields, idempotency_key="k-1") == first
    assert verify(http, path, **fields, idempotency_key="k-2")["error-codes"] == ["timeout-or-duplicate"]
    assert verify(http, path, **fields)["error-codes"] == ["timeout-or-duplicate"]


def test_recaptcha_knows_no_repeats(http: httpx.Client, server: Any) -> None:
    fields = {"secret": server.secret, "response": token(http, server), "idempotency_key": "k-1"}

    assert verify(http, PROFILES[0], **fields)["success"]
    assert verify(http, PROFILES[0], **fields)["error-codes"] == ["timeout-or-duplicate"]


@pytest.mark.parametrize("path", PROFILES)
@pytest.mark.parametrize(
    ("fields", "codes"),
    [
        ({}, ["missing-input-secret", "missing-input-response"]),
        ({"response": "x"}, ["missing-input-secret"]),
        ({"secret": "SECRET"}, ["missing-input-response"]),
        ({"secret": "SECRET", "response": ""}, ["missing-input-response"]),
        ({"secret": "gn_secret_unknown", "response": "x"}, ["invalid-input-secret"]),
        ({"secret": "x" * 3000, "response": "x"}, ["invalid-input-secret"]),
        ({"secret": "SECRET", "response": "forged"}, ["invalid-input-response"]),
        ({"secret": "SECRET", "response": "x" * 3000}, ["invalid-input-response"]),
        ({"secret": "SECRET", "response": "\0\n\u20ac"}, ["invalid-input-response"]),
        ({"secret": "\0\n\u20ac", "response": "x"}, ["invalid-input-secret"]),
    ],
)
def test_what_is_missing_or_wrong_is_named(
    http: httpx.Client, server: Any, path: str, fields: dict[str, str], codes: list[str]
) -> None:
    real = {name: server.secret if text == "SECRET" else text for name, text in fields.items()}

    found = verify(http, path, **real)

    assert (found["success"], found["error-codes"]) == (False, codes)
    assert not found.keys() & {"hostname", "challenge_ts"}


@pytest.mark.parametrize("path", PROFILES)
def test_a_token_is_good_for_its_own_site_alone(http: httpx.Client, server: Any, path: str) -> None:
    _, other = server.add_site("other", ())
    given = token(http, server)

    assert verify(http, path, secret=other, response=given)["error-codes"] == ["invalid-input-response"]
    assert verify(http, path, secret=server.secret, response=given)["success"], "the wrong site spent it"


@pytest.mark.parametrize("path", PROFILES)
def test_a_changed_token_is_refused(http: httpx.Client, server: Any, path: str) -> None:
    given = token(http, server)
    middle = len(given) // 2
    forged = given[:middle] + ("A" if given[middle] != "A" else "B") + given[middle + 1 :]

    assert verify(http, path, secret=server.secret, response=forged)["error-codes"] == [
        "invalid-input-response"
    ]


@pytest.mark.parametrize("path", PROFILES)
def test_an_expired_token_is_refused(http: httpx.Client, server: Any, path: str) -> None:
    given = token(http, server)
    server.later(server.token_seconds + 60)

    assert verify(http, path, secret=server.secret, response=given)["error-codes"] == ["timeout-or-duplicate"]


@pytest.mark.parametrize("path", PROFILES)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_only_post_asks(http: httpx.Client, path: str, method: str) -> None:
    answer = http.request(method, path, params={"secret": "s", "response": "r"})

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["error-codes"] == ["bad-request"]


BAD_BODIES = [
    (b"secret=s&response=" + b"x" * 20_000, "application/x-www-form-urlencoded", 413),
    (b"x", "text/plain", 415),
    (b"x", "", 415),
    (b"\xff\xfe=1", "application/x-www-form-urlencoded", 400),
    (b"&".join(b"a%d=1" % n for n in range(100)), "application/x-www-form-urlencoded", 400),
    (b"nonsense", "multipart/form-data; boundary=x", 400),
    (b"--x\r\n", "multipart/form-data", 400),
    (
        b'--x\r\nContent-Disposition: form-data; name="secret"; filename="f"\r\n\r\nabc\r\n--x--\r\n',
        "multipart/form-data; boundary=x",
        400,
    ),
]
BAD_JSON = [
    b"{",
    b"[]",
    b'"secret"',
    b'{"secret": 7}',
    b'{"secret": ["a"], "response": "r"}',
    b'{"secret": {"a": 1}}',
    b'{"secret": "\\ud800", "response": "r"}',
    b"[" * 10_000,
    b"\xff",
]


@pytest.mark.parametrize("path", PROFILES)
@pytest.mark.parametrize(("body", "kind", "status"), BAD_BODIES)
def test_a_body_that_is_none_gets_json_all_the_same(
    http: httpx.Client, path: str, body: bytes, kind: str, status: int
) -> None:
    answer = http.post(path, content=body, headers={"content-type": kind})

    assert answer.status_code == status
    assert answer.json()["success"] is False
    assert answer.json()["error-codes"] == ["bad-request"]


@pytest.mark.parametrize("path", FULL)
@pytest.mark.parametrize("body", BAD_JSON)
def test_json_that_is_no_object_of_texts_is_refused(http: httpx.Client, path: str, body: bytes) -> None:
    answer = http.post(path, content=body, headers={"content-type": "application/json"})

    assert (answer.status_code, answer.json()["error-codes"]) == (400, ["bad-request"])


def test_recaptcha_takes_no_json(http: httpx.Client, server: Any) -> None:
    assert http.post(PROFILES[0], json={"secret": server.secret, "response": "r"}).status_code == 415


def test_a_body_without_length_is_bounded_too(http: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        yield b"secret=s&response="
        for _ in range(64):
            yield b"x" * 1024

    answer = http.post(
        "/siteverify", content=endless(), headers={"content-type": "application/x-www-form-urlencoded"}
    )

    assert (answer.status_code, answer.json()["error-codes"]) == (413, ["bad-request"])


@pytest.mark.parametrize("path", PROFILES)
def test_a_state_that_fails_is_an_internal_error_in_json(
    captcha_server: Callable[..., Any], path: str
) -> None:
    server = captcha_server(hostnames=("shop.example",))
    with client(server) as http:
        given = token(http, server)
        server.break_state()

        assert verify(http, path, secret=server.secret, response=given)["error-codes"] == ["internal-error"]
        assert http.get("/healthz").status_code == 503


# --- the API of the widget ----------------------------------------------------------------------------------


def test_an_image_is_issued_seen_and_answered(http: httpx.Client, server: Any) -> None:
    server.fill("HEXAR")
    answer = issue(http, server)
    issued = answer.json()

    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    assert issued.keys() == {"id", "kind", "expires", "seconds", "answer", "length", "image"}
    assert (issued["kind"], issued["length"]) == ("image", 5)
    first, second = http.get(issued["image"]), http.get(issued["image"])
    assert first.content.startswith(b"\x89PNG")
    assert first.content == second.content
    assert (first.headers["content-type"], first.headers["cache-control"]) == ("image/png", "no-store")
    right = http.post(issued["answer"], json={"answer": " HEXAR".strip()})
    assert right.json().keys() == {"right", "token", "seconds"}
    assert right.headers["cache-control"] == "no-store"
    assert http.post(issued["answer"], json={"answer": "HEXAR"}).status_code in {404, 410}
    assert http.get(issued["image"]).status_code in {404, 410}


def test_a_wrong_answer_spends_the_challenge(http: httpx.Client, server: Any) -> None:
    server.fill("HEXAR")
    issued = issue(http, server).json()

    assert http.post(issued["answer"], json={"answer": "HEXAC"}).json() == {"right": False}
    assert http.post(issued["answer"], json={"answer": "HEXAR"}).status_code in {404, 410}


def test_a_sound_is_other_each_time(captcha_server: Callable[..., Any], overheard: Any) -> None:
    server = captcha_server(speaker=overheard)
    with client(server) as http:
        check_sound(http, server, overheard)


def check_sound(http: httpx.Client, server: Any, overheard: Any) -> None:
    issued = issue(http, server, "audio", language="de-AT").json()
    first, second = http.get(issued["audio"]), http.get(issued["audio"])

    assert issued["kind"] == "audio"
    assert (first.headers["content-type"], first.headers["cache-control"]) == ("audio/wav", "no-store")
    assert first.content.startswith(b"RIFF")
    assert first.content != second.content
    assert http.get(f"{CHALLENGES}/{issued['id']}/image").status_code == 410
    assert http.post(issued["answer"], json={"answer": overheard.heard[-1]}).json()["right"]


def test_work_is_done(http: httpx.Client, server: Any) -> None:
    issued = issue(http, server, "work").json()
    assert issued.keys() == {"id", "kind", "expires", "seconds", "answer", "work"}

    nonce = server.solve(issued["work"])

    assert http.post(issued["answer"], json={"answer": nonce}).json()["right"]


def test_an_empty_pool_gives_work(http: httpx.Client, server: Any) -> None:
    assert issue(http, server).json()["kind"] == "work"


def test_an_empty_pool_without_work_says_when_to_come_again(
    captcha_server: Callable[..., Any],
) -> None:
    server = captcha_server(work_allowed=False)
    answer = httpx.post(server.base + CHALLENGES, json={"sitekey": server.site_key}, trust_env=False)

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) == answer.json()["retry_after"] >= 1
    work = {"sitekey": server.site_key, "kind": "work"}
    assert httpx.post(server.base + CHALLENGES, json=work, trust_env=False).status_code == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"sitekey": ""}, 400),
        ({"sitekey": 7}, 400),
        ({"sitekey": ["a"]}, 400),
        ({"sitekey": "x" * 600}, 400),
        ({"sitekey": "gn_site_unknown"}, 404),
        ({"sitekey": "\0"}, 404),
        ({"sitekey": "SITE", "kind": "riddle"}, 400),
        ({"sitekey": "SITE", "kind": 1}, 400),
        ({"sitekey": "SITE", "action": "a" * 400}, 400),
        ({"sitekey": "SITE", "action": "not allowed"}, 400),
        ({"sitekey": "SITE", "cdata": {"a": 1}}, 400),
    ],
)
def test_a_bad_question_is_refused(
    http: httpx.Client, server: Any, body: dict[str, Any], status: int
) -> None:
    server.fill("HEXAR")
    if body.get("sitekey") == "SITE":
        body = {**body, "sitekey": server.site_key}

    answer = http.post(CHALLENGES, json=body)

    assert answer.status_code == status
    assert answer.json().keys() >= {"error", "message"}
    assert server.depth() == 1, "a refused question took an image"


def test_another_page_gets_no_challenge(http: httpx.Client, server: Any) -> None:
    server.fill("HEXAR")

    for headers in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "https://shop.example.evil.example"},
    ):
        answer = http.post(CHALLENGES, json={"sitekey": server.site_key}, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (403, "permission")
    assert server.depth() == 1


@pytest.mark.parametrize("part", ["image", "audio", "answer"])
@pytest.mark.parametrize("challenge", ["unknown", "x" * 700, "%00", "%E2%82%AC", "..%2F.."])
def test_an_unknown_challenge_is_not_found(http: httpx.Client, part: str, challenge: str) -> None:
    path = f"{CHALLENGES}/{challenge}/{part}"
    answer = http.post(path, json={"answer": "x"}) if part == "answer" else http.get(path)

    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


@pytest.mark.parametrize(
    "body", [{}, {"answer": ""}, {"answer": 5}, {"answer": "x" * 600}, {"answer": ["H"]}]
)
def test_a_bad_answer_does_not_spend_the_challenge(
    http: httpx.Client, server: Any, body: dict[str, Any]
) -> None:
    server.fill("HEXAR")
    issued = issue(http, server).json()

    assert http.post(issued["answer"], json=body).status_code == 400
    assert http.post(issued["answer"], json={"answer": "HEXAR"}).json()["right"]


def test_a_late_answer_is_gone(http: httpx.Client, server: Any) -> None:
    server.fill("HEXAR")
    issued = issue(http, server).json()
    server.later(issued["seconds"] + 60)

    assert http.post(issued["answer"], json={"answer": "HEXAR"}).status_code in {404, 410}


@pytest.mark.parametrize("path", [CHALLENGES, f"{CHALLENGES}/x/answer"])
def test_the_api_takes_bounded_json_alone(http: httpx.Client, path: str) -> None:
    assert http.post(path, json={"answer": "x" * 20_000, "sitekey": "s"}).status_code == 413
    assert http.post(path, data={"answer": "x"}).status_code == 415
    assert http.post(path, content=b"{", headers={"content-type": "application/json"}).status_code == 400
    assert http.get(path).status_code == 405


def test_too_many_questions_of_one_address_are_told_to_wait(captcha_server: Callable[..., Any]) -> None:
    server = captcha_server(issues_a_day=2, trusted_proxies=("127.0.0.0/8",))
    asked = {"sitekey": server.site_key, "kind": "work"}

    def ask(address: str) -> httpx.Response:
        headers = {"x-forwarded-for": f"192.0.2.77, {address}"}
        return httpx.post(server.base + CHALLENGES, json=asked, headers=headers, trust_env=False)

    statuses = [ask("198.51.100.1").status_code for _ in range(3)]
    refused = ask("198.51.100.1")

    assert statuses == [201, 201, 429]
    assert int(refused.headers["retry-after"]) == refused.json()["retry_after"] >= 1
    assert ask("203.0.113.1").status_code == 201, "an address that the visitor wrote itself was counted"


def test_pages_of_other_origins_may_call_the_api(http: httpx.Client, server: Any) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    before = http.options(CHALLENGES, headers=asked)
    answer = issue(http, server, "work")

    assert before.status_code == 200
    assert before.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    refused = http.post(CHALLENGES, json={"sitekey": "gn_site_unknown"})
    assert refused.headers["access-control-allow-origin"] == "*", "the widget could not read the status"


# --- files and pages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api.js", "/recaptcha/api.js", "/turnstile/v0/api.js"])
def test_the_script_is_kept_and_checked(http: httpx.Client, path: str) -> None:
    first = http.get(path, params={"hl": "de", "render": "explicit"})
    again = http.get(path, headers={"if-none-match": first.headers["etag"]})

    assert first.headers["content-type"] == "text/javascript; charset=utf-8"
    assert first.headers["cross-origin-resource-policy"] == "cross-origin"
    assert "max-age" in first.headers["cache-control"]
    assert (again.status_code, again.content) == (304, b"")


def test_the_script_needs_no_unsafe_policy() -> None:
    from cloud_server.captcha.web.assets import widget_script
    from cloud_server.captcha.web.languages import load_texts

    script = widget_script(load_texts(), seconds=1).content.decode()

    assert not re.search(
        r"\beval\(|new Function|innerHTML\s*=|document\.write|document\.cookie|localStorage", script
    )


ALL_ROUTES = [
    *(("POST", path) for path in PROFILES),
    ("GET", "/api.js"),
    ("POST", CHALLENGES),
    ("GET", "/fallback"),
    ("GET", "/report"),
    ("GET", "/healthz"),
    ("GET", "/static/pages.css"),
    ("GET", "/nowhere"),
]


@pytest.mark.parametrize(("method", "path"), ALL_ROUTES)
def test_every_answer_has_the_headers_and_no_cookie(http: httpx.Client, method: str, path: str) -> None:
    answer = http.request(method, path)

    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] in {"no-referrer", "same-origin"}
    assert "set-cookie" not in answer.headers


def hidden(page: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))


@pytest.mark.parametrize("path", ["/fallback", "/recaptcha/api/fallback"])
def test_without_script_a_plain_form_ends_with_a_token(http: httpx.Client, server: Any, path: str) -> None:
    server.fill("HEXAR")
    shown = http.get(
        path, params={"k": server.site_key, "hl": "de"}, headers={"referer": "https://shop.example/"}
    )
    assert 'lang="de"' in shown.text
    assert "<script" not in shown.text
    assert "default-src 'none'" in shown.headers["content-security-policy"]
    assert "frame-ancestors" not in shown.headers["content-security-policy"]
    image = re.search(r'<img src="([^"]+)"', shown.text)
    assert image
    # From here on the browser names the frame itself, as it does in a real one.
    framed = {"origin": server.base, "referer": server.base + path}
    assert http.get(image[1], headers=framed).headers["content-type"] == "image/png"

    done = http.post(path, data={**hidden(shown.text), "answer": "hexar"}, headers=framed)

    found = re.search(r"<textarea[^>]*>([^<]+)</textarea>", done.text)
    assert found
    assert done.headers["cache-control"] == "no-store"
    verdict = verify(http, PROFILES[0], secret=server.secret, response=found[1])
    assert (verdict["success"], verdict["hostname"]) == (True, "shop.example")


def test_without_script_a_wrong_answer_shows_another_challenge(http: httpx.Client, server: Any) -> None:
    server.fill("HEXAR", "MARTY")
    shown = http.get("/fallback", params={"k": server.site_key})
    again = http.post("/fallback", data={**hidden(shown.text), "answer": "WRONG"})

    assert "That was not right" in again.text
    assert hidden(again.text)["challenge"] != hidden(shown.text)["challenge"]
    late = http.post("/fallback", data={**hidden(shown.text), "answer": "HEXAR"})
    assert late.status_code in {200, 503}
    assert "<textarea" not in late.text


@pytest.mark.parametrize(
    ("query", "referer", "status"),
    [
        ({}, "https://shop.example/", 404),
        ({"k": "gn_site_unknown"}, "https://shop.example/", 404),
        ({"k": "SITE"}, "https://evil.example/", 403),
        ({"k": "SITE", "page": "99999999999:00:shop.example"}, "https://evil.example/", 403),
        ({"k": "SITE", "kind": "work"}, "https://shop.example/", 503),  # the pool is empty
        ({"k": '"><script>alert(1)</script>', "hl": "<b>", "theme": '"x'}, "https://shop.example/", 404),
    ],
)
def test_without_script_what_is_refused_is_a_page(
    http: httpx.Client, server: Any, query: dict[str, str], referer: str, status: int
) -> None:
    query = {name: server.site_key if text == "SITE" else text for name, text in query.items()}
    answer = http.get("/fallback", params=query, headers={"origin": "", "referer": referer})

    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script" not in answer.text
    assert 'role="status"' in answer.text


def test_without_script_a_bad_form_is_a_page(http: httpx.Client, server: Any) -> None:
    assert http.post("/fallback", json={"k": "x"}).status_code == 415
    assert http.post("/fallback", data={"k": "x" * 20_000}).status_code == 413
    assert http.post("/fallback", data={"k": server.site_key}).status_code == 400
    assert http.post("/fallback", data={"k": "x", "challenge": "c" * 600, "answer": "a"}).status_code == 400


@pytest.mark.parametrize(
    "path", [*(f"{path}/" for path in PROFILES), f"{CHALLENGES}/", "/report/", "/nothing"]
)
def test_no_address_leads_to_another(http: httpx.Client, server: Any, path: str) -> None:
    """A redirect would send a site's secret to the host and scheme that the request named."""
    for answer in (http.get(path), http.post(path, data={"secret": server.secret})):
        assert answer.status_code == 404
        assert "location" not in answer.headers
        assert "no '/' at its end" in answer.json()["message"]


def test_another_method_is_told_which_one_is_taken(http: httpx.Client) -> None:
    answer = http.get(CHALLENGES)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json() == {"error": "method_not_allowed", "message": "this address takes POST"}


@pytest.mark.parametrize(
    "path", ["/healthz", "/nothing", "/siteverify", "/api.js", "/report.json", "/report"]
)
def test_every_answer_says_what_a_browser_may_make_of_it(http: httpx.Client, path: str) -> None:
    headers = http.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == ("public, max-age=3600" if path == "/api.js" else "no-store")


def test_a_body_that_does_not_come_is_not_waited_for(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud_server.captcha.web.bodies._PATIENCE", 0.05)
    head = b"POST /siteverify HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", int(server.base.rpartition(":")[2])), timeout=60) as line:
        line.sendall(head + b"content-length: 99\r\n\r\n{")
        answer = line.recv(65536)
    assert b" 408 " in answer.splitlines()[0]


def test_the_report_is_a_page_and_json(captcha_server: Callable[..., Any]) -> None:
    server = captcha_server(hostnames=("shop.example",))
    with client(server) as http:
        assert http.get("/report").status_code == 404
        assert http.get("/report.json").status_code == 404
        report = {
            "solvers": [{"name": "<i>ocr</i>", "seen": False, "clean": 0.875, "interval": [0.82, 0.91]}],
            "made": "2026-11-23",
        }
        server.publish(json.dumps(report).encode())

        page = http.get("/report", headers={"accept": "text/html,application/xhtml+xml"})
        plain = http.get("/report", headers={"accept": "application/json"})

        assert plain.json() == http.get("/report.json").json() == report
        assert "&lt;i&gt;ocr&lt;/i&gt;" in page.text
        assert "<td>0.875</td><td>0.82, 0.91</td>" in page.text
        assert "Vision-language models" in page.text
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


def test_health_tells_the_depth_of_the_pool(http: httpx.Client, server: Any) -> None:
    server.fill("HEXAR", "MARTY")

    assert http.get("/healthz").json() == {"status": "ok", "pool": 2}


def test_counters_and_logs_name_nobody(
    captcha_server: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    server = captcha_server(hostnames=("shop.example",))
    with client(server) as http:
        caplog.set_level(logging.DEBUG)
        given = token(http, server)
        verify(http, PROFILES[1], secret=server.secret, response=given)
        http.get(f"{CHALLENGES}/unknown-challenge/image")

        counted = generate_latest(server.registry).decode()

        assert 'goodnoise_captcha_http_verdicts_total{outcome="success",profile="turnstile"} 1.0' in counted
        assert re.search(
            r'http_requests_total\{route="[^"]*/challenges/\{challenge\}/image",status="404"\} 1.0', counted
        )
        ours = "".join(
            r.getMessage() for r in caplog.records if r.name.split(".")[0] in {"goodnoise", "uvicorn"}
        )
        for private in (given, server.secret, server.site_key, "HEXAR", "unknown-challenge", "127.0.0.1:"):
            assert private not in counted
            assert private not in ours
