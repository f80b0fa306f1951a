"""The process `goodnoise-cloud captcha serve`: start, signals, a kill and a restart, TLS, what it refuses."""

import asyncio
import json
import logging
import os
import signal
import ssl
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from typer.testing import CliRunner

from cloud_server.captcha.keys import load_key
from cloud_server.captcha.sites import SiteBook
from cloud_server.captcha.state import open_store
from cloud_server.captcha.stock import Stock
from cloud_server.captcha.types import Prepared
from cloud_server.cli import app
from cloud_server.exits import Exit
from cloud_server.rpc.captcha.http import start_http
from cloud_server.rpc.captcha.settings import ServeSettings
from shared.wire.goodnoise.v1 import captcha_pb2 as pb
from shared.wire.goodnoise.v1 import captcha_pb2_grpc

COMMAND = (sys.executable, "-m", "cloud_server.cli", "captcha")
ANYWHERE = ("--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0")


def run(*arguments, **environment):
    return subprocess.run(
        [*COMMAND, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment},
    )


@dataclass
class Service:
    """A real process, and its state."""

    process: subprocess.Popen[str]
    ports: dict[str, int]

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        _, logged = self.process.communicate(timeout=60)
        return self.process.returncode, logged

    def stub(self):
        return captcha_pb2_grpc.CaptchaServiceStub(grpc.insecure_channel(f"127.0.0.1:{self.ports['grpc']}"))


@dataclass
class Services:
    """Starts processes over one state."""

    folder: object
    state: str
    loop: object
    started: list = field(default_factory=list)

    def __call__(self, *arguments, **environment):
        port_file = self.folder / f"ports-{len(self.started)}"
        process = subprocess.Popen(
            [
                *COMMAND,
                "serve",
                *ANYWHERE,
                "--no-fill",
                "--no-speech",
                "--port-file",
                str(port_file),
                *arguments,
            ],
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONUNBUFFERED": "1",
                "GOODNOISE_CAPTCHA_STATE": self.state,
                "GOODNOISE_CAPTCHA_KEY_FILE": str(self.folder / "key"),
                "GOODNOISE_CAPTCHA_ADMIN_TOKEN_FILE": str(self.folder / "token"),
                **environment,
            },
        )
        self.started.append(process)
        line = process.stderr.readline()
        while '"serving"' not in line:
            assert line, "the service ended: " + process.stderr.read()
            line = process.stderr.readline()
        return Service(process, json.loads(port_file.read_text()))

    def with_store(self, work):
        async def run():
            store = open_store(self.state)
            try:
                return await work(store)
            finally:
                await store.close()

        return self.loop.run(run())

    def fill(self, *answers):
        images = [Prepared(b"\x89PNG " + answer.encode(), answer) for answer in answers]
        key = load_key(self.folder / "key")
        self.with_store(lambda store: Stock(store, key=key, style="test").put(images))

    def depth(self):
        return self.with_store(lambda store: store.pool_depth())

    def add_site(self):
        return self.with_store(lambda store: SiteBook(store).create("shop"))


@pytest.fixture(params=["sqlite", "redis"])
def services(request, tmp_path, server_loop):
    redis = request.param == "redis"
    state = request.getfixturevalue("redis").url if redis else f"sqlite:{tmp_path / 'state.sqlite'}"
    found = Services(tmp_path, state, server_loop)
    yield found
    stop(found)


@pytest.fixture
def embedded(tmp_path, server_loop):
    """Services over SQLite."""
    found = Services(tmp_path, f"sqlite:{tmp_path / 'state.sqlite'}", server_loop)
    yield found
    stop(found)


def stop(services):
    for process in services.started:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stderr.close()


def test_after_a_kill_a_spent_token_stays_spent_and_the_pool_is_there(services):
    site, secret = services.add_site()
    services.fill("HEXAR", "KLAMP", "NARVE")
    bearer = (("authorization", f"Bearer {secret}"),)
    before = services()
    stub = before.stub()
    tokens, open_challenge = [], None
    for answer in ("HEXAR", "KLAMP"):
        issued = stub.Issue(pb.IssueRequest(site_key=site.key), timeout=60)
        answered = stub.Answer(pb.AnswerRequest(challenge_id=issued.challenge_id, answer=answer), timeout=60)
        tokens.append(answered.token)
    assert stub.Verify(pb.VerifyRequest(token=tokens[0]), timeout=60, metadata=bearer).success
    open_challenge = issued.challenge_id
    assert before.end(signal.SIGKILL)[0] == -signal.SIGKILL

    after = services()
    stub = after.stub()
    spent = stub.Verify(pb.VerifyRequest(token=tokens[0]), timeout=60, metadata=bearer)
    assert list(spent.error_codes) == ["timeout-or-duplicate"]
    assert stub.Verify(pb.VerifyRequest(token=tokens[1]), timeout=60, metadata=bearer).success
    assert not stub.Verify(pb.VerifyRequest(token=tokens[1]), timeout=60, metadata=bearer).success
    with pytest.raises(grpc.RpcError):  # an answered challenge stays answered
        stub.Answer(pb.AnswerRequest(challenge_id=open_challenge, answer="KLAMP"), timeout=60)
    assert services.depth() == 1
    issued = stub.Issue(pb.IssueRequest(site_key=site.key), timeout=60)
    image = stub.GetImage(pb.GetImageRequest(challenge_id=issued.challenge_id), timeout=60)
    assert image.content == b"\x89PNG NARVE"  # no image that was given before


def test_two_processes_share_one_state(services):
    site, secret = services.add_site()
    services.fill("HEXAR")
    one, other = services().stub(), services().stub()
    issued = one.Issue(pb.IssueRequest(site_key=site.key), timeout=60)
    answer = pb.AnswerRequest(challenge_id=issued.challenge_id, answer="HEXAR")
    token = other.Answer(answer, timeout=60).token
    bearer = (("authorization", f"Bearer {secret}"),)
    verdicts = [
        each.Verify(pb.VerifyRequest(token=token), timeout=60, metadata=bearer).success
        for each in (one, other)
    ]
    assert verdicts == [True, False]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_cleanly(embedded, number):
    code, logged = embedded().end(number)
    events = [json.loads(line)["event"] for line in logged.splitlines()]
    assert code == 0
    assert events[-2:] == ["draining", "stopped"]


def test_while_it_drains_probes_are_told_and_calls_still_answered(embedded):
    site, _ = embedded.add_site()
    service = embedded("--drain-seconds", "3")
    stub = service.stub()
    stub.Issue(pb.IssueRequest(site_key=site.key), timeout=60)
    health = health_pb2_grpc.HealthStub(grpc.insecure_channel(f"127.0.0.1:{service.ports['grpc']}"))
    watched = health.Watch(health_pb2.HealthCheckRequest(), timeout=60)
    assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
    service.process.send_signal(signal.SIGTERM)
    assert next(watched).status == health_pb2.HealthCheckResponse.NOT_SERVING
    stub.Issue(pb.IssueRequest(site_key=site.key), timeout=60)
    assert httpx.get(f"http://127.0.0.1:{service.ports['http']}/healthz", timeout=60).status_code == 200
    assert service.end()[0] == 0


def test_both_edges_serve_one_state_and_one_page_of_metrics(embedded):
    site, secret = embedded.add_site()
    embedded.fill("HEXAR", "KLAMP")
    service = embedded("--metrics-port", "0", "--admin", "127.0.0.1:0")
    stub = service.stub()
    with httpx.Client(base_url=f"http://127.0.0.1:{service.ports['http']}", timeout=60) as http:
        issued = http.post("/api/v1/challenges", json={"sitekey": site.key, "kind": "image"}).json()
        answer = pb.AnswerRequest(challenge_id=issued["id"], answer="HEXAR")
        token = stub.Answer(answer, timeout=60).token
        verdict = http.post("/siteverify", data={"secret": secret, "response": token}).json()
        assert verdict["success"] is True
        assert http.get("/report.json").status_code == 404
        admin = captcha_pb2_grpc.CaptchaAdminServiceStub(
            grpc.insecure_channel(f"127.0.0.1:{service.ports['admin']}")
        )
        bearer = (("authorization", f"Bearer {(embedded.folder / 'token').read_text().strip()}"),)
        admin.PublishReport(pb.PublishReportRequest(report=b'{"a": 1}'), timeout=60, metadata=bearer)
        assert http.get("/report.json").json() == {"a": 1}
    page = urllib.request.urlopen(f"http://127.0.0.1:{service.ports['metrics']}/metrics").read().decode()
    for line in (
        'goodnoise_captcha_issued_total{kind="image",outcome="ok"} 1.0',
        'goodnoise_captcha_answered_total{kind="image",outcome="right"} 1.0',
        'goodnoise_captcha_verified_total{kind="image",outcome="success"} 1.0',
        'goodnoise_rpc_total{code="OK",method="CaptchaService/Answer"} 1.0',
        'goodnoise_captcha_http_requests_total{route="/siteverify",status="200"} 1.0',
    ):
        assert line in page
    _, logged = service.end()
    for secret_text in (token, secret, site.key, issued["id"], "127.0.0.1", "HEXAR"):
        assert secret_text not in logged


def test_who_sends_no_whole_request_is_let_go(embedded, tmp_path):
    """Else a few idle connections would keep everybody out."""
    settings = ServeSettings(state=embedded.state, http="127.0.0.1:0")

    async def served() -> bytes:
        async def app(scope, receive, send):
            await asyncio.sleep(0)
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})

        server = await start_http(app, settings)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost:")
        said = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        await writer.wait_closed()
        await server.stop(0)
        return said

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cloud_server.rpc.captcha.http._HEAD_SECONDS", 0.05)
        assert asyncio.run(served()).count(b"HTTP/1.1 204") == 1


def test_a_report_of_the_command_line_is_shown(embedded, tmp_path):
    (tmp_path / "report.json").write_text('{"solvers": 7}')
    service = embedded("--report", str(tmp_path / "report.json"))
    found = service.stub().GetReport(pb.GetReportRequest(), timeout=60)
    assert json.loads(found.report) == {"solvers": 7}


def test_both_edges_speak_tls(embedded, tls):
    service = embedded("--tls-cert", str(tls / "cert.pem"), "--tls-key", str(tls / "key.pem"))
    base = f"127.0.0.1:{service.ports['http']}"
    trust = ssl.create_default_context(cafile=str(tls / "ca.pem"))
    assert httpx.get(f"https://{base}/healthz", verify=trust, timeout=60).status_code == 200
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://{base}/healthz", timeout=60)
    known = grpc.ssl_channel_credentials((tls / "ca.pem").read_bytes())
    with grpc.secure_channel(f"127.0.0.1:{service.ports['grpc']}", known) as channel:
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=60)
    assert health.status == health_pb2.HealthCheckResponse.SERVING


def test_settings_come_from_the_environment_and_flags_go_first(embedded):
    service = embedded(
        "--max-concurrent", "7", GOODNOISE_CAPTCHA_TEST_KEYS="true", GOODNOISE_CAPTCHA_WORK_BITS="3"
    )
    issued = service.stub().Issue(pb.IssueRequest(site_key="1x00000000000000000000AA"), timeout=60)
    assert issued.kind == pb.CAPTCHA_KIND_WORK


@pytest.mark.torch
def test_the_service_fills_its_pool_with_attacked_images(embedded):
    site, _ = embedded.add_site()
    service = embedded("--fill", "--pool", "1")
    lines = []
    for line in service.process.stderr:
        lines.append(line)
        filled = json.loads(line)
        if filled["event"] == "captcha.filled" and filled["depth"] > 0:
            break
    else:
        pytest.fail(f"the service ended with {service.process.wait()}: {lines}")
    issued = service.stub().Issue(pb.IssueRequest(site_key=site.key), timeout=30)
    image = service.stub().GetImage(pb.GetImageRequest(challenge_id=issued.challenge_id), timeout=30)
    assert image.content.startswith(b"\x89PNG\r\n")
    assert issued.answer_length == 6
    assert service.end()[0] == 0  # and its standard error, which the child shares, has ended


@pytest.mark.torch
def test_the_pool_is_filled_against_the_readers_that_are_named(embedded, tmp_path):
    (tmp_path / "readers").mkdir()
    service = embedded("--fill", "--readers", str(tmp_path / "readers"))
    # The folder is empty, and whoever fills the pool says which file it looked for.
    wanted = f"there is no {tmp_path / 'readers'}/text-"
    assert any(wanted in "".join(line.split("\n")) for line in service.process.stderr)
    service.process.kill()


@pytest.fixture
def own_logs():
    """Commands send logs to standard error; afterwards they go where they went before."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--http", "off", "--grpc", "off"), "--http"),
        (("--http", "nowhere"), "--http"),
        (("--http", "0.0.0.0:0"), "--insecure"),
        (("--grpc", "0.0.0.0:0"), "--tls-cert"),
        (("--admin", "0.0.0.0:0"), "--admin-ca"),
        (("--tls-cert", "/nonexistent.pem"), "--tls-key"),
        (("--tls-cert", "/nonexistent.pem", "--tls-key", "/nonexistent.pem"), "/nonexistent.pem"),
        (("--limit", "issue.address=often"), "often"),
        (("--limit", "issue=1/minute"), "WHAT.WHOSE=RATE"),
        (("--trusted-proxy", "10.0.0.0/33"), "10.0.0.0/33"),
        (("--work-bits", "99"), "work_bits"),
        (("--state", "memory"), "sqlite:PATH"),
        (("--report", "/nonexistent.json"), "/nonexistent.json"),
        pytest.param(("--fill", "--readers", "/nonexistent"), "--readers", marks=pytest.mark.torch),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, arguments, word, own_logs):
    state = ("--state", f"sqlite:{tmp_path / 's'}", "--key-file", str(tmp_path / "key"))
    command = ["captcha", "serve", *ANYWHERE, "--no-fill", "--no-speech", *state, *arguments]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == Exit.BAD_INPUT
    assert word in done.stderr


def test_a_variable_that_holds_no_number_is_named():
    done = CliRunner().invoke(app, ["captcha", "serve"], env={"GOODNOISE_CAPTCHA_MAX_CONCURRENT": "many"})
    assert (done.exit_code, "--max-concurrent" in done.stderr) == (Exit.BAD_INPUT, True)


def test_a_taken_port_is_an_error_that_names_it(embedded, tmp_path):
    ports = embedded().ports
    for edge in ("http", "grpc"):
        other = {"http": "grpc", "grpc": "http"}[edge]
        taken = f"127.0.0.1:{ports[edge]}"
        places = ("--state", f"sqlite:{tmp_path / 'o'}", "--key-file", str(tmp_path / "key"))
        done = run("serve", *places, f"--{edge}", taken, f"--{other}", "off", "--no-fill", "--no-speech")
        assert (done.returncode, taken in done.stderr) == (3, True), done.stderr


def test_a_key_that_others_can_read_is_refused(embedded, tmp_path):
    load_key(tmp_path / "key")
    (tmp_path / "key").chmod(0o644)
    done = run(
        "serve", *ANYWHERE, "--no-fill", "--key-file", str(tmp_path / "key"), "--state", embedded.state
    )
    assert (done.returncode, "chmod 600" in done.stderr) == (2, True)
