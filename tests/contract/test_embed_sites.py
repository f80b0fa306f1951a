"""Sites' side of the CAPTCHA: middlewares and the form field, against the service's own HTTP app."""

from __future__ import annotations

import asyncio
import html
import io
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from cloud_server.captcha import embed
from cloud_server.captcha.embed import asgi, wsgi
from cloud_server.captcha.embed.guard import Fails, Guard, Refusal
from cloud_server.captcha.embed.verify import TOKEN_FIELDS, Result, SecretRefusedError, Unverifiable, Verifier
from cloud_server.captcha.types import Verdict
from cloud_server.captcha.web.app import create_app
from cloud_server.captcha.web.settings import WebSettings
from shared.errors import Code, GoodnoiseError

SECRET = "gn_secret_of-the-tests"  # noqa: S105
DJANGO_SITE = Path(__file__).parent / "embedded" / "django_site.py"


@dataclass
class Tokens:
    """What the HTTP app needs of the service to answer `siteverify`: tokens that are spent once."""

    fresh: set[str] = field(default_factory=set)
    spent: set[str] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)
    fails: bool = False

    def token(self) -> str:
        token = f"token-{len(self.fresh) + len(self.spent)}"
        self.fresh.add(token)
        return token

    async def verify(
        self, secret: str, token: str, *, address: str = "", idempotency_key: str = ""
    ) -> Verdict:
        self.asked.append((token, address))
        if self.fails:
            raise GoodnoiseError(Code.INTERNAL, "broken")
        if secret != SECRET:
            return Verdict(success=False, error_codes=("invalid-input-secret",))
        if token not in self.fresh:
            return Verdict(success=False, error_codes=("timeout-or-duplicate",))
        self.fresh.remove(token)
        self.spent.add(token)
        return Verdict(success=True, challenge_ts=datetime.now(UTC), hostname="shop.example", action="buy")


@dataclass(frozen=True)
class Service:
    url: str
    tokens: Tokens


async def elsewhere(request: Request) -> Response:
    return RedirectResponse(str(request.url).replace("/moved/", "/"), 307)


async def endless(_request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 8192
            await asyncio.sleep(0)  # lets the server see that the reader has gone

    return StreamingResponse(parts())


async def dripping(_request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.02)

    return StreamingResponse(parts())


def _odd_services() -> list[Any]:
    answers = {"/page": b"<html>", "/list": b"[]", "/text": b'{"success": "true"}', "/none": b"{}"}
    odd = [
        Route(f"{path}/siteverify", lambda _, body=body: Response(body), methods=["POST"])
        for path, body in answers.items()
    ]
    for path, answer in (("/moved", elsewhere), ("/endless", endless), ("/dripping", dripping)):
        odd.append(Route(f"{path}/siteverify", answer, methods=["POST"]))
    return odd


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """The address of an ASGI app that a real server runs in a thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="critical", lifespan="off", ws="none", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture(scope="module")
def shared_service() -> Iterator[Service]:
    tokens = Tokens()
    service = create_app(tokens, WebSettings())  # type: ignore[arg-type]
    with serving(Starlette(routes=[*_odd_services(), Mount("/", service)])) as url:
        yield Service(url, tokens)


@pytest.fixture
def service(shared_service: Service) -> Service:
    shared_service.tokens.fails = False
    shared_service.tokens.asked.clear()
    return shared_service


@pytest.fixture
def nowhere() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return f"http://127.0.0.1:{closed.getsockname()[1]}"


Verify = Callable[..., Result]


@pytest.fixture(params=["blocking", "httpx", "thread"])
def verify(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Verify:
    """The three ways to ask, as one: `verify(verifier, token, address="")`."""
    if request.param == "thread":
        monkeypatch.setitem(sys.modules, "httpx", None)
    if request.param == "blocking":
        return lambda verifier, token, **more: verifier.verify(token, **more)
    return lambda verifier, token, **more: asyncio.run(verifier.averify(token, **more))


# --- the client ---------------------------------------------------------------------------------------------


def test_a_token_is_good_once(service: Service, verify: Verify) -> None:
    verifier, token = Verifier(service.url + "/", SECRET), service.tokens.token()

    first, second = verify(verifier, token, address="192.0.2.7"), verify(verifier, token)

    assert (first.success, first.hostname, first.action) == (True, "shop.example", "buy")
    assert datetime.fromisoformat(first.challenge_ts) <= datetime.now(UTC)
    assert second == Result(success=False, error_codes=("timeout-or-duplicate",))
    assert service.tokens.asked == [(token, "192.0.2.7"), (token, "")]


def test_no_token_and_too_long_ones_are_refused_without_a_question(service: Service, verify: Verify) -> None:
    verifier = Verifier(service.url, SECRET, timeout=60)

    assert verify(verifier, "").error_codes == ("missing-input-response",)
    assert verify(verifier, "x" * 2049).error_codes == ("invalid-input-response",)
    assert service.tokens.asked == []


def test_a_token_of_another_page_is_refused(service: Service, verify: Verify) -> None:
    verifier = Verifier(service.url, SECRET, hostnames=("other.example",))
    own = Verifier(service.url, SECRET, hostnames=("SHOP.example",))

    assert verify(verifier, service.tokens.token()).error_codes == ("hostname-mismatch",)
    assert verify(own, service.tokens.token()).success


def test_a_wrong_secret_is_the_sites_fault(service: Service, verify: Verify) -> None:
    with pytest.raises(SecretRefusedError, match="secret") as caught:
        verify(Verifier(service.url, "gn_secret_wrong"), service.tokens.token())

    assert "gn_secret_wrong" not in str(caught.value)


@pytest.mark.parametrize(
    "path", ["/page", "/list", "/text", "/none", "/moved", "/endless", "/dripping", "/absent"]
)
def test_an_odd_answer_says_nothing_about_a_token(service: Service, verify: Verify, path: str) -> None:
    began = time.monotonic()

    with pytest.raises(Unverifiable, match="CAPTCHA service"):
        verify(Verifier(service.url + path, SECRET, timeout=1.0), service.tokens.token())
    assert time.monotonic() - began < 60
    assert service.tokens.asked == []  # a redirect is not followed with the secret


def test_a_failing_and_an_absent_service_say_nothing(service: Service, verify: Verify, nowhere: str) -> None:
    service.tokens.fails = True

    for url in (service.url, nowhere):
        with pytest.raises(Unverifiable):
            verify(Verifier(url, SECRET), "token")


def test_a_silent_service_costs_no_more_than_the_timeout(verify: Verify) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(Unverifiable):
            verify(Verifier(f"http://127.0.0.1:{silent.getsockname()[1]}", SECRET, timeout=0.3), "token")
        assert 0.2 < time.monotonic() - began < 60


@pytest.mark.parametrize(
    "url",
    ["http://captcha.example", "http://10.0.0.1", "ftp://captcha.example", "captcha.example", "https://", ""],
)
def test_an_unsafe_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="CAPTCHA address"):
        Verifier(url, SECRET)


@pytest.mark.parametrize(
    "url", ["http://localhost:1", "http://127.0.0.2", "http://[::1]:1", "https://c.example/a"]
)
def test_https_and_this_machine_are_safe(url: str) -> None:
    assert Verifier(url, SECRET)
    assert Verifier("http://10.0.0.1", SECRET, allow_http=True)


def test_an_empty_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="secret is empty"):
        Verifier("https://captcha.example", "")


def test_the_folder_works_alone(service: Service, tmp_path: Path) -> None:
    source = Path(embed.__file__).parent
    shutil.copytree(source, tmp_path / "captcha_embed", ignore=shutil.ignore_patterns("__pycache__"))
    code = (
        "import sys, asyncio; folder, url, secret, token = sys.argv[1:]; sys.path.insert(0, folder);"
        "from captcha_embed import asgi, guard, wsgi; from captcha_embed.verify import Verifier;"
        "print(asyncio.run(Verifier(url, secret).averify(token)).success);"
        "assert not {'cloud_server', 'shared', 'httpx', 'numpy'} & set(sys.modules)"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(tmp_path)]

    done = subprocess.run(
        [*command, service.url, SECRET, service.tokens.token()], check=True, capture_output=True, text=True
    )

    assert done.stdout.strip() == "True"


# --- both middlewares ---------------------------------------------------------------------------------------


async def echo(request: Request) -> Response:
    body = await request.body()
    async with request.form() as form:
        names = {
            name: value if isinstance(value, str) else (await value.read()).hex()
            for name, value in form.items()
        }
    action = getattr(request.scope.get("goodnoise"), "action", None)
    return JSONResponse({"form": names, "size": len(body), "action": action, "path": request.url.path})


def wsgi_echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    size = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(size)

    async def parse() -> dict[str, Any]:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        headers = [(b"content-type", environ.get("CONTENT_TYPE", "").encode())]
        scope = {
            "type": "http",
            "method": environ["REQUEST_METHOD"],
            "headers": headers,
            "path": environ["PATH_INFO"],
            "query_string": b"",
            "server": ("x", 80),
            "goodnoise": environ.get("goodnoise"),
        }
        found: dict[str, Any] = json.loads((await echo(Request(scope, receive))).body)
        return found

    content = json.dumps(asyncio.run(parse())).encode()
    start_response("200 OK", [("content-type", "application/json"), ("content-length", str(len(content)))])
    return [content]


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving_wsgi(app: Any) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


Site = Callable[..., Any]


@pytest.fixture(params=["asgi", "wsgi"])
def site(request: pytest.FixtureRequest, service: Service) -> Site:
    """`with site(url=..., secret=..., timeout=..., **guard) as client`: a guarded site over a real socket."""

    @contextmanager
    def made(
        url: str = service.url, secret: str = SECRET, timeout: float = 60.0, **guard: Any
    ) -> Iterator[httpx.Client]:
        verifier = Verifier(url, secret, timeout=timeout)
        settings = Guard(**{"paths": ["/login", "/forms/*"], **guard})
        if request.param == "wsgi":
            server = serving_wsgi(wsgi.CaptchaMiddleware(wsgi_echo, verifier, settings))
        else:
            app = Starlette(routes=[Route("/{path:path}", echo, methods=["GET", "POST", "PUT"])])
            server = serving(asgi.CaptchaMiddleware(app, verifier, settings))  # type: ignore[arg-type]
        with server as base, httpx.Client(base_url=base, trust_env=False, timeout=100) as client:
            yield client

    return made


@pytest.mark.parametrize("name", TOKEN_FIELDS)
def test_a_solved_form_reaches_the_app_whole(service: Service, site: Site, name: str) -> None:
    token = service.tokens.token()
    with site() as client:
        found = client.post("/login", data={"user": "Zoë & co", name: token}).json()

    assert found["form"] == {"user": "Zoë & co", name: token}
    assert found["action"] == "buy"  # the app sees what the service said


def test_a_solved_upload_reaches_the_app_whole(service: Service, site: Site) -> None:
    upload = bytes(range(256)) * 40 + b"\r\n--not-the-boundary\r\n"
    token = service.tokens.token()
    with site() as client:
        found = client.post(
            "/forms/photo", data={TOKEN_FIELDS[0]: token}, files={"photo": ("a.bin", upload)}
        ).json()

    assert found["form"] == {TOKEN_FIELDS[0]: token, "photo": upload.hex()}


def test_a_replayed_form_is_refused(service: Service, site: Site) -> None:
    form = {TOKEN_FIELDS[0]: service.tokens.token()}
    with site() as client:
        statuses = [client.post("/login", data=form).status_code for _ in range(3)]

    assert statuses == [200, 403, 403]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "application/x-www-form-urlencoded"),
        (b"user=me", "application/x-www-form-urlencoded"),
        (b"goodnoise-response=", "application/x-www-form-urlencoded"),
        (b"goodnoise-response=forged", "application/x-www-form-urlencoded"),
        (b"goodnoise-response=" + b"x" * 5000, "application/x-www-form-urlencoded"),
        (b"\xff\xfe=1", "application/x-www-form-urlencoded"),
        (b"a=1&" * 2000, "application/x-www-form-urlencoded"),
        (b'{"goodnoise-response": "forged"}', "application/json"),
        (b"--b\r\n\r\nno name\r\n--b--", "multipart/form-data; boundary=b"),
        (b"no parts at all", "multipart/form-data; boundary=b"),
        (b"no boundary", "multipart/form-data"),
        (b"\0" * 100, ""),
    ],
)
def test_what_holds_no_good_token_is_refused(site: Site, content: bytes, kind: str) -> None:
    with site() as client:
        answer = client.post("/login", content=content, headers={"content-type": kind})

    assert answer.status_code == 403
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert "CAPTCHA was not solved" in answer.text


@pytest.mark.parametrize(
    "path", ["/login", "/login/", "//login", "/%6cogin", "/forms/a", "/forms//a/b", "/forms"]
)
def test_no_spelling_of_a_path_gets_around(site: Site, path: str) -> None:
    with site() as client:
        assert (
            client.post(httpx.URL(str(client.base_url).rstrip("/") + path), data={"a": "b"}).status_code
            == 403
        )


@pytest.mark.parametrize("path", ["/", "/logins", "/formsheet", "/other/login"])
def test_other_paths_are_let_through(service: Service, site: Site, path: str) -> None:
    with site() as client:
        assert client.post(path, data={"a": "b"}).json()["form"] == {"a": "b"}
        assert client.get("/login").json()["form"] == {}
    assert service.tokens.asked == []


def test_the_root_guards_all(site: Site) -> None:
    with site(paths=["/*"]) as client:
        assert {client.post(path).status_code for path in ("/", "/a", "/a/b")} == {403}


def test_a_large_form_is_refused_unread(service: Service, site: Site) -> None:
    with site(max_body=1000) as client:
        answer = client.post("/login", data={TOKEN_FIELDS[0]: service.tokens.token(), "text": "x" * 1000})

    assert answer.status_code == 413
    assert service.tokens.asked == []


def test_without_the_service_forms_are_refused_for_now(site: Site, nowhere: str) -> None:
    with site(url=nowhere) as client:
        answer = client.post("/login", data={TOKEN_FIELDS[0]: "token"})

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


def test_without_the_service_forms_pass_where_the_site_wants_it(
    site: Site, nowhere: str, caplog: pytest.LogCaptureFixture
) -> None:
    with site(url=nowhere, fails=Fails.OPEN) as client:
        passed = client.post("/login", data={TOKEN_FIELDS[0]: "a-token"})
        refused = client.post("/login", data={"user": "me"})

    assert passed.json()["form"] == {TOKEN_FIELDS[0]: "a-token"}
    assert passed.json()["action"] is None
    assert refused.status_code == 403  # no token is no token, with or without the service
    assert "cannot be asked" in caplog.text
    assert "a-token" not in caplog.text


def test_a_wrong_secret_never_opens_a_site(service: Service, site: Site) -> None:
    with site(secret="gn_secret_wrong", fails=Fails.OPEN) as client:  # noqa: S106
        assert client.post("/login", data={TOKEN_FIELDS[0]: service.tokens.token()}).status_code == 503


@pytest.mark.parametrize("send", [True, False])
def test_the_visitors_address_is_told_only_where_asked(service: Service, site: Site, send: bool) -> None:
    with site(send_address=send) as client:
        client.post("/login", data={TOKEN_FIELDS[0]: service.tokens.token()})

    assert service.tokens.asked[0][1] == ("127.0.0.1" if send else "")


def test_a_site_has_its_own_page(site: Site) -> None:
    def page(refusal: Refusal) -> str:
        return f"<h1>{refusal.status.value} {','.join(refusal.error_codes)}</h1>"

    with site(page=page) as client:
        assert client.post("/login").text == "<h1>403 missing-input-response</h1>"


@pytest.mark.parametrize("paths", [[], ["login"], "/login"])
def test_guarded_paths_are_a_list_of_paths(paths: Any) -> None:
    with pytest.raises(ValueError, match="guarded paths"):
        Guard(paths=paths)


async def test_a_mounted_app_is_guarded_by_its_own_paths(service: Service) -> None:
    app = Starlette(routes=[Route("/login", echo, methods=["POST"])])
    guarded = asgi.CaptchaMiddleware(app, Verifier(service.url, SECRET, timeout=60), Guard(paths=["/login"]))  # type: ignore[arg-type]
    site = Starlette(routes=[Mount("/shop", guarded)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(site), base_url="http://site") as client:
        assert (await client.post("/shop/login")).status_code == 403
        form = {TOKEN_FIELDS[0]: service.tokens.token()}
        assert (await client.post("/shop/login", data=form)).status_code == 200


async def test_a_visitor_who_goes_costs_nothing(service: Service) -> None:
    async def app(*_: object) -> None:
        pytest.fail("the app was called")

    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(_: object) -> None:
        pytest.fail("an answer was sent")

    guarded = asgi.CaptchaMiddleware(app, Verifier(service.url, SECRET, timeout=60), Guard(paths=["/*"]))  # type: ignore[arg-type]
    await guarded({"type": "http", "method": "POST", "path": "/", "headers": []}, gone, send)  # type: ignore[arg-type]
    assert service.tokens.asked == []


async def test_other_protocols_and_lifespan_pass() -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        seen.append("up")
        yield

    guarded = asgi.CaptchaMiddleware(
        Starlette(lifespan=lifespan),  # type: ignore[arg-type]
        Verifier("https://captcha.example", SECRET),
        Guard(paths=["/*"]),
    )
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        seen.append(message["type"])

    await guarded({"type": "lifespan"}, receive, send)
    assert seen == ["up", "lifespan.startup.complete", "lifespan.shutdown.complete"]


@pytest.mark.parametrize("length", ["", "-1", "1e3", "²"])
def test_a_wsgi_form_without_a_length_is_refused(service: Service, length: str) -> None:
    answers: list[str] = []
    guarded = wsgi.CaptchaMiddleware(
        wsgi_echo, Verifier(service.url, SECRET, timeout=60), Guard(paths=["/login"])
    )
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/login",
        "CONTENT_LENGTH": length,
        "wsgi.input": io.BytesIO(b"x"),
    }

    list(guarded(environ, lambda status, _: answers.append(status)))  # type: ignore[arg-type, func-returns-value]

    assert answers == ["411 Length Required"]


# --- Django -------------------------------------------------------------------------------------------------


@contextmanager
def django_site(**settings: Any) -> Iterator[httpx.Client]:
    named = {f"GOODNOISE_CAPTCHA_{name}": value for name, value in settings.items()}
    command = [sys.executable, str(DJANGO_SITE), json.dumps(named)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout
            port = process.stdout.readline().strip()
            assert port, "the Django site did not start"
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=100) as client:
                yield client
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def django(shared_service: Service) -> Iterator[httpx.Client]:
    with django_site(TIMEOUT=60, URL=shared_service.url, SITE_KEY='gn_site_"1&2', SECRET=SECRET) as client:
        yield client


def code_of(answer: httpx.Response) -> str:
    (error,) = answer.json()["errors"]["captcha"]
    return str(error["code"])


def test_a_django_form_shows_the_challenge_with_and_without_javascript(
    django: httpx.Client, service: Service
) -> None:
    page = django.get("/contact").text
    plain = html.unescape(page)

    assert f'<script src="{service.url}/api.js" async defer></script>' in page
    assert 'class="goodnoise"' in page
    assert 'data-sitekey="gn_site_"1&2"' in plain
    assert 'gn_site_"1' not in page  # escaped
    assert 'data-theme="dark"' in page
    assert 'data-language="d"e"' in plain
    assert f'<noscript>\n<iframe src="{service.url}/fallback?k=gn_site_%221%262" title="CAPTCHA"' in page
    assert 'name="goodnoise-response"' in page[page.index("<noscript>") : page.index("</noscript>")]


@pytest.mark.parametrize("name", TOKEN_FIELDS)
def test_a_django_form_is_valid_once(django: httpx.Client, service: Service, name: str) -> None:
    form = {"name": "Zoë", name: service.tokens.token()}

    first, again = django.post("/contact", data=form), django.post("/contact", data=form)

    assert first.json() == {"sent": "Zoë", "captcha": True}
    assert (again.status_code, code_of(again)) == (400, "captcha_invalid")
    assert form[name] not in again.json()["again"]  # a spent token is not shown again


def test_a_django_form_without_a_token_is_not_asked_about(django: httpx.Client, service: Service) -> None:
    assert code_of(django.post("/contact", data={"name": "me"})) == "required"
    assert code_of(django.post("/contact", data={"name": "me", "captcha": "x"})) == "required"
    assert service.tokens.asked == []


def test_a_django_form_is_refused_while_the_service_fails(django: httpx.Client, service: Service) -> None:
    service.tokens.fails = True

    assert (
        code_of(django.post("/contact", data={"name": "me", TOKEN_FIELDS[0]: "x"})) == "captcha_unavailable"
    )


def test_a_django_site_may_open_while_the_service_is_away(nowhere: str) -> None:
    with django_site(URL=nowhere, SITE_KEY="k", SECRET=SECRET, FAIL_OPEN=True) as client:
        assert client.post("/contact", data={"name": "me", TOKEN_FIELDS[0]: "x"}).json()["sent"] == "me"
        assert code_of(client.post("/contact", data={"name": "me"})) == "required"


@pytest.mark.parametrize("settings", [{}, {"URL": "http://captcha.example", "SITE_KEY": "k", "SECRET": "s"}])
def test_a_django_site_with_wrong_settings_fails_loudly(settings: dict[str, str]) -> None:
    with django_site(**settings) as client:
        assert client.post("/contact", data={"name": "me", TOKEN_FIELDS[0]: "x"}).status_code == 500


# --- the whole service --------------------------------------------------------------------------------------


def test_a_django_form_takes_a_token_of_the_real_service_once(captcha_server: Callable[..., Any]) -> None:
    server = captcha_server(hostnames=("shop.example",))
    server.fill("HEXAR")
    with httpx.Client(
        base_url=server.base, headers={"origin": "https://shop.example"}, trust_env=False
    ) as http:
        issued = http.post("/api/v1/challenges", json={"sitekey": server.site_key, "kind": "image"}).json()
        token = http.post(issued["answer"], json={"answer": "hexar"}).json()["token"]
    form = {"name": "me", TOKEN_FIELDS[0]: token}

    with django_site(TIMEOUT=60, URL=server.base, SITE_KEY=server.site_key, SECRET=server.secret) as client:
        assert client.post("/contact", data=form).json()["captcha"] is True
        assert code_of(client.post("/contact", data=form)) == "captcha_invalid"
