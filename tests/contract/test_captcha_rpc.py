"""CaptchaService over a real socket: each RPC good, bad, late, too large, unauthorised, unknown."""

import concurrent.futures
import itertools
import logging
import time

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from prometheus_client import generate_latest

from cloud_server.captcha.settings import LimitSettings, Rates
from cloud_server.captcha.types import Work
from cloud_server.captcha.work import solves
from cloud_server.rpc.captcha.callers import peer_address
from shared.wire.goodnoise.v1 import captcha_pb2 as pb
from shared.wire.goodnoise.v1 import captcha_pb2_grpc

Code = grpc.StatusCode
IMAGE, AUDIO, WORK = pb.CAPTCHA_KIND_IMAGE, pb.CAPTCHA_KIND_AUDIO, pb.CAPTCHA_KIND_WORK
UNKNOWN_SITE = "gn_site_" + "A" * 22


class Client:
    """The stub of one service, with a deadline on every call."""

    def __init__(self, running):
        self.running = running
        self.channel = grpc.insecure_channel(running.address)
        self.stub = captcha_pb2_grpc.CaptchaServiceStub(self.channel)

    def __call__(self, method, *, metadata=(), timeout=60, **fields):
        name = "GetReport" if method == "GetReport" else method
        request = getattr(pb, f"{name}Request")(**fields)
        return getattr(self.stub, method)(request, timeout=timeout, metadata=metadata)

    def issue(self, kind=IMAGE, **fields):
        return self("Issue", site_key=self.running.site.key, kind=kind, **fields)

    def token(self, answer="HEXAR", **fields):
        """A good token."""
        self.running.fill(answer)
        answered = self("Answer", challenge_id=self.issue(**fields).challenge_id, answer=answer)
        assert answered.right
        return answered.token

    def verify(self, token, **fields):
        return self("Verify", token=token, metadata=self.running.bearer, **fields)


def refused(call, *arguments, **fields):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **fields)
    return caught.value


def detail(error, kind):
    for packed in rpc_status.from_call(error).details:
        found = kind()
        if packed.Unpack(found):
            return found
    return None


@pytest.fixture
def client(start_captcha):
    found = Client(start_captcha(site={"hostnames": ("shop.example",)}))
    with found.channel:
        yield found


@pytest.fixture
def anywhere(start_captcha):
    """Client of a site without a list of hosts."""
    found = Client(start_captcha())
    with found.channel:
        yield found


def solve(work):
    return next(str(n) for n in itertools.count() if solves(Work(work.salt, work.bits), str(n)))


# ---- good


@pytest.mark.parametrize("state", ["sqlite", "redis"])
def test_an_image_is_read_and_its_token_passes_once(start_captcha, request, state):
    url = request.getfixturevalue("redis").url if state == "redis" else None
    running = start_captcha(url, site={"hostnames": ("shop.example",)})
    client = Client(running)
    running.fill("HEXAR", "KLAMP3")
    issued = client.issue(hostname="Shop.Example", action="login", cdata="cart 7")
    assert (issued.kind, issued.answer_length, issued.HasField("work")) == (IMAGE, 5, False)
    assert 290 < issued.expire_time.ToSeconds() - time.time() < 310

    image = client("GetImage", challenge_id=issued.challenge_id)
    assert (image.media_type, image.content) == ("image/png", b"\x89PNG HEXAR")
    assert client("GetImage", challenge_id=issued.challenge_id) == image

    answered = client("Answer", challenge_id=issued.challenge_id, answer="hex-ar")
    assert answered.right
    verdict = client.verify(answered.token, visitor_address="192.0.2.7")
    assert (verdict.success, list(verdict.error_codes)) == (True, [])
    assert (verdict.hostname, verdict.action, verdict.cdata) == ("shop.example", "login", "cart 7")
    assert abs(verdict.challenge_time.ToSeconds() - time.time()) < 10

    again = client.verify(answered.token)
    assert (again.success, list(again.error_codes)) == (False, ["timeout-or-duplicate"])
    assert not again.HasField("challenge_time")


def test_an_image_goes_to_one_visitor(anywhere):
    anywhere.running.fill("HEXAR", "KLAMP")
    first, second = anywhere.issue(), anywhere.issue()
    assert first.challenge_id != second.challenge_id
    images = [anywhere("GetImage", challenge_id=each.challenge_id).content for each in (first, second)]
    assert images == [b"\x89PNG HEXAR", b"\x89PNG KLAMP"]


def test_a_wrong_answer_is_no_error_and_spends_the_challenge(anywhere):
    anywhere.running.fill("HEXAR")
    challenge = anywhere.issue().challenge_id
    wrong = anywhere("Answer", challenge_id=challenge, answer="WRONG")
    assert (wrong.right, wrong.token) == (False, "")
    again = refused(anywhere, "Answer", challenge_id=challenge, answer="HEXAR")
    assert again.code() is Code.FAILED_PRECONDITION
    assert refused(anywhere, "GetImage", challenge_id=challenge).code() is Code.FAILED_PRECONDITION


def test_an_unspecified_kind_is_an_image(anywhere):
    anywhere.running.fill("HEXAR")
    assert anywhere.issue(pb.CAPTCHA_KIND_UNSPECIFIED).kind == IMAGE


def test_an_empty_pool_gives_work_whose_nonce_brings_a_token(anywhere):
    issued = anywhere.issue(IMAGE)
    assert (issued.kind, issued.answer_length, issued.work.bits) == (WORK, 0, 4)
    answered = anywhere("Answer", challenge_id=issued.challenge_id, answer=solve(issued.work))
    assert anywhere.verify(answered.token).success
    assert refused(anywhere, "GetImage", challenge_id=issued.challenge_id).code() is Code.FAILED_PRECONDITION


def test_an_empty_pool_without_work_says_when_to_come_again(start_captcha):
    client = Client(start_captcha(site={"work_allowed": False}))
    error = refused(client.issue)
    assert error.code() is Code.UNAVAILABLE
    assert detail(error, error_details_pb2.RetryInfo).retry_delay.seconds == 10
    assert refused(client.issue, WORK).code() is Code.PERMISSION_DENIED


def sound_of(client, challenge):
    """A sound; until a language is recorded the service says to come again."""
    deadline = time.monotonic() + 90
    while True:
        try:
            return client("GetAudio", challenge_id=challenge, timeout=60)
        except grpc.RpcError as error:
            if error.code() is not Code.UNAVAILABLE or time.monotonic() > deadline:
                raise


def test_a_sound_is_heard_and_differs_each_time(start_captcha, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    client = Client(start_captcha(speech=True))
    issued = client.issue(AUDIO, language="en-GB")
    if issued.kind != AUDIO:
        pytest.skip("no speech engine is installed")
    assert issued.answer_length == 6
    sounds = [sound_of(client, issued.challenge_id) for _ in range(2)]
    assert {sound.media_type for sound in sounds} == {"audio/wav"}
    assert all(sound.content.startswith(b"RIFF") and len(sound.content) <= 2 << 20 for sound in sounds)
    assert sounds[0].content != sounds[1].content
    wrong = refused(client, "Answer", challenge_id=issued.challenge_id, answer="HEXAR")
    assert wrong.code() is Code.INVALID_ARGUMENT


def test_an_idempotent_verification_is_told_again(anywhere):
    token = anywhere.token()
    first = anywhere.verify(token, idempotency_key="7f3a")
    assert (first.success, anywhere.verify(token, idempotency_key="7f3a")) == (True, first)
    for other in ("7f3b", ""):
        assert list(anywhere.verify(token, idempotency_key=other).error_codes) == ["timeout-or-duplicate"]


def test_of_many_verifications_at_once_one_succeeds(anywhere):
    token = anywhere.token()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        verdicts = list(pool.map(lambda _: anywhere.verify(token), range(300)))
    assert sum(verdict.success for verdict in verdicts) == 1


def test_a_report_is_shown_once_it_is_published(anywhere):
    assert refused(anywhere, "GetReport").code() is Code.NOT_FOUND
    anywhere.running.loop.run(anywhere.running.server.store.report_put(b'{"solvers": []}'))
    assert anywhere("GetReport").report == b'{"solvers": []}'


# ---- bad and unknown


@pytest.mark.parametrize(
    ("method", "fields", "field"),
    [
        ("Issue", {"site_key": ""}, "site_key"),
        ("Issue", {"site_key": "gn_site_é"}, "site_key"),
        ("Issue", {"site_key": "k" * 65}, "site_key"),
        ("Issue", {"kind": 9}, "kind"),
        ("Issue", {"hostname": "h" * 256}, "hostname"),
        ("Issue", {"hostname": "shop example"}, "hostname"),
        ("Issue", {"action": "a" * 33}, "action"),
        ("Issue", {"action": "log in"}, "action"),
        ("Issue", {"cdata": "c" * 256}, "cdata"),
        ("Issue", {"cdata": "a\nb"}, "cdata"),
        ("Issue", {"language": "l" * 36}, "language"),
        ("Issue", {"visitor_address": "quite near"}, "visitor_address"),
        ("GetImage", {"challenge_id": ""}, "challenge_id"),
        ("GetImage", {"challenge_id": "c" * 129}, "challenge_id"),
        ("GetImage", {"visitor_address": "1" * 46}, "visitor_address"),
        ("GetAudio", {"challenge_id": "\t"}, "challenge_id"),
        ("Answer", {"answer": ""}, "answer"),
        ("Answer", {"answer": "A" * 65}, "answer"),
        ("Answer", {"answer": "!?;"}, "answer"),
        ("Verify", {"idempotency_key": "i" * 65}, "idempotency_key"),
        ("Verify", {"idempotency_key": "ü"}, "idempotency_key"),
        ("Verify", {"visitor_address": "1.2.3.4.5"}, "visitor_address"),
    ],
)
def test_a_bad_field_is_named_and_not_quoted(anywhere, method, fields, field):
    anywhere.running.fill("HEXAR")
    challenge = anywhere.issue().challenge_id
    good = {
        "Issue": {"site_key": anywhere.running.site.key},
        "GetImage": {"challenge_id": challenge},
        "GetAudio": {"challenge_id": challenge},
        "Answer": {"challenge_id": challenge, "answer": "HEXAR"},
        "Verify": {"token": "token"},
    }[method]
    error = refused(anywhere, method, metadata=anywhere.running.bearer, **{**good, **fields})
    assert error.code() is Code.INVALID_ARGUMENT
    assert detail(error, error_details_pb2.BadRequest).field_violations[0].field == field
    value = str(fields[field])
    assert len(error.details()) < 300
    assert len(value) < 3 or value not in error.details()
    # Nothing was spent by it.
    assert anywhere("Answer", challenge_id=challenge, answer="HEXAR").right


@pytest.mark.parametrize(
    ("method", "fields", "code"),
    [
        ("Issue", {"site_key": UNKNOWN_SITE}, Code.NOT_FOUND),
        ("Issue", {"site_key": "shop"}, Code.NOT_FOUND),
        ("GetImage", {"challenge_id": "A" * 32}, Code.NOT_FOUND),
        ("GetAudio", {"challenge_id": "A" * 32}, Code.NOT_FOUND),
        ("Answer", {"challenge_id": "A" * 32, "answer": "HEXAR"}, Code.NOT_FOUND),
    ],
)
def test_what_is_unknown_is_not_found(anywhere, method, fields, code):
    assert refused(anywhere, method, **fields).code() is code


@pytest.mark.parametrize(
    ("token", "word"),
    [
        ("", "missing-input-response"),
        ("gn1.forged", "invalid-input-response"),
        ("ü", "invalid-input-response"),
        ("x" * 100_000, "invalid-input-response"),
    ],
)
def test_what_is_no_token_gets_a_verdict(anywhere, token, word):
    verdict = anywhere.verify(token)
    assert (verdict.success, list(verdict.error_codes)) == (False, [word])


def test_a_token_with_one_bit_turned_is_refused_and_stays_good(anywhere):
    token = anywhere.token()
    turned = token[:-8] + chr(ord(token[-8]) ^ 1) + token[-7:]
    assert list(anywhere.verify(turned).error_codes) == ["invalid-input-response"]
    assert anywhere.verify(token).success


def test_another_sites_token_is_refused_and_stays_good(anywhere):
    token = anywhere.token()
    _, other = anywhere.running.add_site()
    verdict = anywhere("Verify", token=token, metadata=(("authorization", f"Bearer {other}"),))
    assert list(verdict.error_codes) == ["invalid-input-response"]
    assert anywhere.verify(token).success


def test_an_expired_challenge_and_token_are_refused(start_captcha):
    client = Client(start_captcha(captcha={"challenge_seconds": 1, "token_seconds": 1, "skew_seconds": 0}))
    token = client.token()
    client.running.fill("HEXAR")
    issued = client.issue()
    deadline = time.monotonic() + 20
    code = None
    while code is not Code.FAILED_PRECONDITION:  # asked again until the service's own clock says it
        assert time.monotonic() < deadline
        try:
            client("GetImage", challenge_id=issued.challenge_id)
        except grpc.RpcError as error:
            code = error.code()
    assert refused(client, "Answer", challenge_id=issued.challenge_id, answer="HEXAR").code() is code
    assert list(client.verify(token).error_codes) == ["timeout-or-duplicate"]


def test_a_page_of_another_host_is_denied(client):
    for hostname in ("evil.example", "", "shop.example.evil.example"):
        error = refused(client.issue, hostname=hostname)
        assert error.code() is Code.PERMISSION_DENIED


# ---- late and too large

CALLS = {
    "Issue": {"site_key": UNKNOWN_SITE},
    "GetImage": {"challenge_id": "A" * 32},
    "GetAudio": {"challenge_id": "A" * 32},
    "Answer": {"challenge_id": "A" * 32, "answer": "HEXAR"},
    "Verify": {"token": "token"},
    "GetReport": {},
}


@pytest.mark.parametrize("method", CALLS)
def test_a_call_without_time_ends_with_its_deadline(anywhere, method):
    error = refused(anywhere, method, timeout=0.0, metadata=anywhere.running.bearer, **CALLS[method])
    assert error.code() is Code.DEADLINE_EXCEEDED


def test_a_late_call_takes_no_image_from_the_pool(anywhere):
    running = anywhere.running
    running.fill("HEXAR")
    refused(anywhere.issue, timeout=0.0)
    assert running.loop.run(running.server.store.pool_depth()) == 1


@pytest.mark.parametrize("method", [name for name in CALLS if CALLS[name]])
def test_a_giant_message_is_refused_before_it_is_read(anywhere, method):
    field = next(name for name, value in CALLS[method].items() if isinstance(value, str))
    error = refused(anywhere, method, **{**CALLS[method], field: "x" * (5 << 20)})
    assert error.code() is Code.RESOURCE_EXHAUSTED


# ---- unauthorised


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", "Bearer gn_secret_" + "A" * 43),),
        (("authorization", "Bearer "),),
        (("authorization", "Bearer " + "x" * 4000),),
        (("authorization", "Basic c2hvcDpzZWNyZXQ="),),
        (("authorization", "gn_secret_" + "A" * 43),),
        (("authorization-bin", b"\xff\x00"),),
    ],
)
def test_verify_wants_a_sites_secret(anywhere, metadata):
    token = anywhere.token()
    error = refused(anywhere, "Verify", token=token, metadata=metadata)
    assert error.code() is Code.UNAUTHENTICATED
    assert "gn_secret" not in error.details()
    assert anywhere.verify(token).success


def test_two_secrets_are_none(anywhere):
    error = refused(anywhere, "Verify", **CALLS["Verify"], metadata=anywhere.running.bearer * 2)
    assert error.code() is Code.UNAUTHENTICATED


def test_a_wrong_secret_is_refused_by_every_method_that_reads_one(anywhere):
    wrong = (("authorization", "Bearer gn_secret_" + "A" * 43),)
    for method in ("Issue", "GetImage", "GetAudio", "Answer", "Verify"):
        assert refused(anywhere, method, metadata=wrong, **CALLS[method]).code() is Code.UNAUTHENTICATED


def test_only_its_own_server_may_say_who_visits_a_site(start_captcha):
    limit = LimitSettings(issue=Rates("2/hour"), image=Rates(), answer=Rates(), unsolved=Rates())
    running = start_captcha(limit=limit)
    client = Client(running)
    own, (_, other) = running.bearer, running.add_site()
    stranger = (("authorization", f"Bearer {other}"),)
    for metadata in ((), stranger):
        error = refused(client.issue, visitor_address="192.0.2.7", metadata=metadata)
        assert error.code() is Code.PERMISSION_DENIED
    for _ in range(2):
        client.issue(visitor_address="192.0.2.7", metadata=own)
    error = refused(client.issue, visitor_address="192.0.2.7", metadata=own)
    assert error.code() is Code.RESOURCE_EXHAUSTED
    assert detail(error, error_details_pb2.RetryInfo).retry_delay.seconds > 0
    assert "192.0.2.7" not in error.details()
    # Other visitors of the site, and the peer itself, have limits of their own.
    client.issue(visitor_address="2001:db8::7", metadata=own)
    client.issue(metadata=own)


def test_a_site_may_say_who_visits_at_its_own_challenges_alone(start_captcha):
    running = start_captcha()
    client = Client(running)
    running.fill("HEXAR")
    challenge = client.issue().challenge_id
    stranger = (("authorization", f"Bearer {running.add_site()[1]}"),)
    stated = {"challenge_id": challenge, "visitor_address": "192.0.2.7"}
    for method, words in (("GetImage", {}), ("Answer", {"answer": "HEXAR"})):
        error = refused(client, method, **stated, **words, metadata=stranger)
        assert error.code() is Code.PERMISSION_DENIED
        assert "192.0.2.7" not in error.details()
    assert client("GetImage", **stated, metadata=running.bearer).content
    assert client("Answer", **stated, answer="HEXAR", metadata=running.bearer).right


def test_no_site_uses_up_what_a_visitor_has_at_another(start_captcha):
    limit = LimitSettings(issue=Rates("1/hour"), image=Rates(), answer=Rates(), unsolved=Rates("1/hour"))
    running = start_captcha(limit=limit)
    client = Client(running)
    for _ in range(2):
        site, secret = running.add_site()
        stated = {"site_key": site.key, "visitor_address": "192.0.2.7"}
        bearer = (("authorization", f"Bearer {secret}"),)
        client("Issue", **stated, metadata=bearer)
        error = refused(client, "Issue", **stated, metadata=bearer)
        assert error.code() is Code.RESOURCE_EXHAUSTED


def test_the_peer_is_limited_where_nobody_else_is_named(start_captcha):
    limit = LimitSettings(issue=Rates(), image=Rates("1/hour"), answer=Rates("1/hour"), unsolved=Rates())
    client = Client(start_captcha(limit=limit))
    client.running.fill("HEXAR")
    challenge = client.issue().challenge_id
    client("GetImage", challenge_id=challenge)
    assert refused(client, "GetImage", challenge_id=challenge).code() is Code.RESOURCE_EXHAUSTED
    assert client("Answer", challenge_id=challenge, answer="HEXAR").right
    again = refused(client, "Answer", challenge_id=challenge, answer="HEXAR")
    assert again.code() is Code.RESOURCE_EXHAUSTED


def test_unsolved_challenges_count(start_captcha):
    limit = LimitSettings(issue=Rates(), image=Rates(), answer=Rates(), unsolved=Rates("2/hour"))
    client = Client(start_captcha(limit=limit))
    client.running.fill(*["HEXAR"] * 5)
    first = client.issue().challenge_id
    client.issue()
    assert refused(client.issue).code() is Code.RESOURCE_EXHAUSTED
    client("Answer", challenge_id=first, answer="HEXAR")
    client.issue()


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.7:5081", "192.0.2.7"),
        ("ipv6:[2001:db8::7]:5081", "2001:db8::7"),
        ("ipv6:%5B2001:db8::7%5D:5081", "2001:db8::7"),
        ("ipv6:[::ffff:192.0.2.7]:5081", "192.0.2.7"),
        ("ipv6:[fe80::1%25eth0]:5081", "fe80::1"),
        ("unix:/run/captcha.sock", ""),
        ("unix:", ""),
        ("ipv4:nonsense", ""),
    ],
)
def test_a_peers_address_is_read_from_grpcs_text(peer, address):
    assert peer_address(peer) == address


def test_test_keys_are_honoured_only_where_they_are_on(start_captcha, anywhere):
    site, secret = (
        "1x00000000000000000000AA",
        (("authorization", "Bearer 1x0000000000000000000000000000000AA"),),
    )
    assert refused(anywhere, "Issue", site_key=site).code() is Code.NOT_FOUND
    assert refused(anywhere, "Verify", **CALLS["Verify"], metadata=secret).code() is Code.UNAUTHENTICATED
    trial = Client(start_captcha(captcha={"test_keys": True}))
    issued = trial("Issue", site_key=site, metadata=secret, visitor_address="192.0.2.7")
    answered = trial("Answer", challenge_id=issued.challenge_id, answer="1")
    assert trial("Verify", token=answered.token, metadata=secret).success
    other = trial("Issue", site_key="2x00000000000000000000AB", metadata=secret, visitor_address="192.0.2.7")
    stated = {"challenge_id": other.challenge_id, "visitor_address": "192.0.2.7"}
    assert not trial("Answer", **stated, answer="1", metadata=secret).right
    real = refused(trial.issue, metadata=secret, visitor_address="192.0.2.7")
    assert real.code() is Code.PERMISSION_DENIED


# ---- what is told to operators


def test_logs_and_metrics_name_no_visitor_no_site_and_no_secret(client, caplog):
    caplog.set_level(logging.DEBUG, "goodnoise.cloud")
    running = client.running
    token = client.token(hostname="shop.example", action="act7", cdata="c77", metadata=running.bearer)
    client.verify(token, visitor_address="192.0.2.7")
    client.verify(token)
    refused(client.issue, hostname="evil.example")
    refused(client, "Answer", challenge_id="A" * 32, answer="KLAMP")
    refused(client, "Verify", token=token, metadata=(("authorization", "Bearer gn_secret_x"),))
    client.issue(hostname="shop.example")  # of an empty pool
    text = generate_latest(running.server.metrics.registry).decode()
    logged = "".join(f"{r.getMessage()} {getattr(r, 'fields', {})}" for r in caplog.records)
    assert "CaptchaService/Verify" in logged
    for secret in (
        token,
        running.secret,
        running.site.key,
        "192.0.2.7",
        "127.0.0.1",
        "shop.ex",
        "HEXAR",
        "act7",
        "c77",
    ):
        assert secret not in logged
        assert secret not in text
    for line in (
        'goodnoise_captcha_issued_total{kind="image",outcome="ok"} 1.0',
        'goodnoise_captcha_issued_total{kind="work",outcome="ok"} 1.0',
        'goodnoise_captcha_issued_total{kind="image",outcome="permission"} 1.0',
        'goodnoise_captcha_answered_total{kind="image",outcome="right"} 1.0',
        'goodnoise_captcha_answered_total{kind="none",outcome="not_found"} 1.0',
        'goodnoise_captcha_verified_total{kind="image",outcome="success"} 1.0',
        'goodnoise_captcha_verified_total{kind="image",outcome="timeout-or-duplicate"} 1.0',
        'goodnoise_captcha_verified_total{kind="none",outcome="invalid-input-secret"} 1.0',
        "goodnoise_captcha_pool_empty_total 1.0",
        "goodnoise_captcha_pool_depth 0.0",
    ):
        assert line in text


def test_without_its_state_the_service_says_so_and_recovers(start_captcha, redis):
    running = start_captcha(redis.url, watch_seconds=0.05)
    client = Client(running)
    token = client.token()
    watched = health_pb2_grpc.HealthStub(client.channel).Watch(
        health_pb2.HealthCheckRequest(service="goodnoise.v1.CaptchaService"), timeout=60
    )
    serving, lost = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
    assert next(watched).status == serving
    redis.kill()
    assert next(watched).status == lost
    for call in (client.issue, lambda: client.verify(token)):
        assert refused(call).code() is Code.UNAVAILABLE
    redis.start()
    assert next(watched).status == serving
    # Redis had no disk here, and what it lost does not pass; the site may be remembered for a moment.
    try:
        passed = client.verify(token).success
    except grpc.RpcError:
        passed = False
    assert not passed
