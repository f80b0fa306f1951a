"""What leaves a device at the levels above `pull`, byte by byte: how much, how fresh, and nothing else."""

from __future__ import annotations

import datetime
import ipaddress
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner

from edge_client.channel import Endpoint
from edge_client.cli import app
from edge_client.hints import CloudHints
from edge_client.ledger import Ledger
from edge_client.photos import read_photo
from shared.levels.labels import ASKING
from shared.wire.goodnoise.v1 import hint_pb2, hint_pb2_grpc

pytestmark = pytest.mark.zoo

REQUESTS = {
    "cluster": hint_pb2.ClusterRequest,
    "sketch": hint_pb2.SketchRequest,
    "sign": hint_pb2.SignRequest,
}
SIZES = {"cluster": (0, 2), "sketch": (4, 4), "sign": (4704 + 3, 4704 + 3)}
# Header fields of a call: gRPC's own, and a fixed user agent. `:authority` names the cloud.
HEADERS = {
    ":scheme",
    ":method",
    ":authority",
    ":path",
    "te",
    "content-type",
    "user-agent",
    "grpc-accept-encoding",
    "grpc-timeout",
}


class Answers(hint_pb2_grpc.HintServiceServicer):
    """A cloud that answers everything with one image, and keeps what it was asked."""

    def __init__(self):
        self.requests = []
        self.image = np.random.default_rng(3).integers(-127, 128, 3 * 112 * 112).astype(np.int8).tobytes()

    async def Cluster(self, request, context):  # noqa: N802 - the name in the proto
        self.requests.append(request)
        return hint_pb2.ClusterResponse(perturbation=self.image)

    async def Sketch(self, request, context):  # noqa: N802 - the name in the proto
        self.requests.append(request)
        return hint_pb2.SketchResponse(direction=self.image)

    async def Sign(self, request, context):  # noqa: N802 - the name in the proto
        self.requests.append(request)
        return hint_pb2.SignResponse(direction=self.image)


@pytest.fixture
def photo(photos, nets):
    pixels = read_photo(photos / "astronaut.png").pixels
    return pixels, nets.detector.find(pixels)[0]


def hints_of(level, address, home, nets):
    return CloudHints(level, Endpoint(address=address), Ledger(home), nets.surrogates)


@pytest.mark.parametrize("level", ASKING)
def test_two_calls_share_nothing_but_the_protocol(level, start_rogue, record, photo, nets, tmp_path):
    servicer = Answers()
    proxy = record(start_rogue(hint=servicer))
    # Two devices' homes stand for one whose budget allows a second call: what is sent must not depend on it.
    for number in range(2):
        answer = hints_of(level, proxy.address, tmp_path / str(number), nets).ask(*photo)
        assert answer.report.status == "asked", answer.report
    first, second = proxy.calls()
    assert len(proxy.connections) == 2  # a connection for each call
    for call in (first, second):
        assert {name for name, _ in call.headers} == HEADERS
        assert call.header("user-agent").startswith("goodnoise grpc-python/")
        (message,) = call.messages
        low, high = SIZES[level]
        assert low <= len(message) <= high
        assert REQUESTS[level].FromString(message).SerializeToString() == message  # no unknown field
    plain = [call.without("grpc-timeout") for call in (first, second)]
    assert plain[0].headers == plain[1].headers
    if level == "sign":
        assert agreement(*servicer.requests) < 0.75
    sent = proxy.raw()
    for secret in (b"astronaut", str(tmp_path).encode(), b"JFIF", b"PNG"):
        assert secret not in sent


def agreement(first, second):
    bits = [np.unpackbits(np.frombuffer(request.signs, np.uint8)) for request in (first, second)]
    return float((bits[0] == bits[1]).mean())


def test_sketches_of_one_photo_are_drawn_anew(start_rogue, photo, nets, tmp_path):
    servicer = Answers()
    address = start_rogue(hint=servicer)
    for number in range(10):
        hints_of("sketch", address, tmp_path / str(number), nets).ask(*photo)
    # Sixteen bits at epsilon 0.25 each: two of ten are the same in one of a thousand runs or so.
    assert len({request.bits for request in servicer.requests}) > 7


def test_a_kind_is_told_again_as_it_was_told_before(start_rogue, record, photo, nets, tmp_path):
    servicer = Answers()
    proxy = record(start_rogue(hint=servicer))
    for _ in range(6):
        assert (
            hints_of("cluster", proxy.address, tmp_path / "home", nets).ask(*photo).report.status == "asked"
        )
    assert len({request.cluster for request in servicer.requests}) == 1
    for number in range(24):
        hints_of("cluster", proxy.address, tmp_path / str(number), nets).ask(*photo)
    assert len({request.cluster for request in servicer.requests}) > 1  # it is randomised at first


@pytest.mark.parametrize("level", ["sketch", "sign"])
def test_a_second_call_about_a_photo_is_not_made(level, start_rogue, record, photo, nets, tmp_path):
    proxy = record(start_rogue(hint=Answers()))
    hints = hints_of(level, proxy.address, tmp_path / "home", nets)
    assert hints.ask(*photo).report.status == "asked"
    report = hints.ask(*photo).report
    assert (report.status, report.sent_bytes) == ("not asked", 0)
    assert "budget" in report.note
    assert len(proxy.calls()) == 1


def test_a_cloud_that_answers_with_another_size_gives_nothing(start_rogue, photo, nets, tmp_path):
    servicer = Answers()
    servicer.image = servicer.image[:-1]
    address = start_rogue(hint=servicer)
    for level in ASKING:
        answer = hints_of(level, address, tmp_path / level, nets).ask(*photo)
        assert answer.advice is None
        assert answer.report.status == "failed"
        assert "37631 bytes" in answer.report.note


def test_a_cloud_without_an_ensemble_is_asked_once_only(start_cloud, record, photo, nets, tmp_path):
    proxy = record(start_cloud().address)
    hints = hints_of("sketch", proxy.address, tmp_path / "home", nets)
    assert hints.ask(*photo).report.status == "failed"
    other = np.ascontiguousarray(photo[0][:, ::-1]), photo[1]
    report = hints.ask(*other).report
    assert report.status == "not asked"
    assert "--public-faces" in report.note
    assert len(proxy.calls()) == 1
    Ledger(tmp_path / "home").sketch(Ledger(tmp_path / "home").photo(other[0]))  # its budget is untouched


def test_a_direction_comes_back_in_the_plain_frame(start_rogue, photo, nets, tmp_path):
    servicer = Answers()
    address = start_rogue(hint=servicer)
    plain = np.frombuffer(servicer.image, np.int8).reshape(3, 112, 112) / np.float32(127)
    for level in ASKING:
        found = hints_of(level, address, tmp_path / level, nets).ask(*photo).advice.direction
        assert found.shape == (3, 112, 112)
        same = math.isclose(float(np.abs(found - plain).max()), 0.0, abs_tol=1e-6)
        assert same is (level == "cluster")  # the others were turned back from a frame of their own


# ---- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate for 127.0.0.1: cert.pem and key.pem."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cloud")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder


SESSION_TICKET, PRE_SHARED_KEY, EARLY_DATA = 35, 41, 42


def extensions_of(sent):
    """Extensions of the ClientHello that begins a connection (RFC 8446, section 4.1.2), by number."""
    assert sent[0] == 22, "no handshake record"
    hello = sent[5 : 5 + int.from_bytes(sent[3:5], "big")]
    assert hello[0] == 1, "no ClientHello"
    at = 4 + 2 + 32
    session = hello[at + 1 : at + 1 + hello[at]]
    at += 1 + len(session)
    at += 2 + int.from_bytes(hello[at : at + 2], "big")
    at += 1 + hello[at]
    end = at + 2 + int.from_bytes(hello[at : at + 2], "big")
    at += 2
    found = {}
    while at < end:
        size = int.from_bytes(hello[at + 2 : at + 4], "big")
        found[int.from_bytes(hello[at : at + 2], "big")] = hello[at + 4 : at + 4 + size]
        at += 4 + size
    return session, found


def test_no_tls_session_is_resumed(start_cloud, record, photo, nets, certificate, tmp_path):
    cloud = start_cloud(tls_cert=certificate / "cert.pem", tls_key=certificate / "key.pem")
    proxy = record(cloud.address)
    endpoint = Endpoint(address=proxy.address, ca=str(certificate / "cert.pem"))
    hints = CloudHints("cluster", endpoint, Ledger(tmp_path / "home"), nets.surrogates)
    for _ in range(3):
        assert hints.ask(*photo).report.status == "asked"
    found = [extensions_of(bytes(connection.sent)) for connection in proxy.connections]
    assert len(found) == 3
    for session, extensions in found:
        assert extensions.get(SESSION_TICKET, b"") == b""  # offers no ticket
        assert PRE_SHARED_KEY not in extensions
        assert EARLY_DATA not in extensions
        assert session == b"" or sum(session == other for other, _ in found) == 1


# ---- the command


@pytest.fixture
def home(device_home, tmp_path):
    """A copy of a device's folder, for what a test spends."""
    return Path(shutil.copytree(device_home, tmp_path / "home"))


def protect(level, photo, home, out, *more):
    arguments = ["protect", str(photo), "-o", str(out), "--budget", "45dB", "--level", level, *more]
    return CliRunner().invoke(app, arguments, env={"GOODNOISE_HOME": str(home)})


@pytest.mark.parametrize("level", ASKING)
def test_a_level_that_asks_needs_a_cloud(level, photos, tmp_path):
    result = protect(level, photos / "grey.jpg", tmp_path / "home", tmp_path / "out")
    assert result.exit_code == 2
    assert "--cloud" in result.stderr


def test_another_level_is_refused(photos, tmp_path):
    result = protect("everything", photos / "grey.jpg", tmp_path / "home", tmp_path / "out")
    assert (result.exit_code, "'everything'" in result.stderr) == (2, True)


def test_the_command_says_what_is_sent_and_goes_on_without_an_answer(start_cloud, home, photos, tmp_path):
    cloud = start_cloud()
    result = protect("sign", photos / "grey.jpg", home, tmp_path / "out", "--cloud", cloud.address)
    assert result.exit_code in (0, 1), result.stderr
    assert "LEAKS" in result.stderr
    assert "1 of 1 photos went without a hint" in result.stderr
    assert (tmp_path / "out" / "grey.jpg").exists()


def test_a_cloud_that_cannot_be_reached_costs_no_budget(home, photos, tmp_path):
    result = protect("sketch", photos / "grey.jpg", home, tmp_path / "out", "--cloud", "127.0.0.1:1")
    assert result.exit_code in (0, 1), result.stderr
    ledger = Ledger(home)
    ledger.sketch(ledger.photo(read_photo(photos / "grey.jpg").pixels))
