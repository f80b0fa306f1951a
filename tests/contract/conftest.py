"""Real servers on real sockets, and a proxy that records or cuts what passes."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import grpc.aio
import hpack
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tuf.api.metadata import Metadata, Root

from cloud_server.bundles.signing.keys import KeyRing, load_keys
from cloud_server.bundles.signing.plans import make_keys
from cloud_server.bundles.signing.repository import Repository
from cloud_server.bundles.signing.roles import (
    Lifetimes,
    add_signatures,
    make_snapshot,
    make_targets,
    make_timestamp,
)
from cloud_server.bundles.store import PublishedBundles
from cloud_server.captcha.settings import CaptchaSettings, LimitSettings
from cloud_server.captcha.sites import SiteBook
from cloud_server.captcha.state import Site
from cloud_server.captcha.stock import Stock
from cloud_server.captcha.types import Prepared
from cloud_server.rpc.captcha.server import CaptchaServer, running_captcha
from cloud_server.rpc.captcha.settings import ServeSettings
from cloud_server.rpc.server import CloudServer, start_server
from cloud_server.settings import Settings
from edge_client.agent.server import Agent, AgentSettings, running_agent
from edge_client.store import BundleStore
from shared.bundle import Manifest, sha256_hex
from shared.wire.goodnoise.v1 import bundle_pb2_grpc, hint_pb2_grpc

T = TypeVar("T")


class Loop:
    """One event loop in a thread, on which every in-process server of the session lives."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, work: Awaitable[T]) -> T:
        async def wrapped() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(wrapped(), self.loop).result(60)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture(scope="session")
def server_loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@dataclass(frozen=True)
class Trust:
    """Throw-away keys of every role, and the root that devices are given."""

    keys: Path
    root: bytes
    ring: KeyRing

    def trusting(self, store: BundleStore) -> BundleStore:
        """The store, with the root remembered."""
        (store.root / "trust").mkdir(parents=True)
        (store.root / "trust" / "root.json").write_bytes(self.root)
        return store

    def files(
        self,
        manifests: dict[str, bytes],
        *,
        version: int = 1,
        lifetimes: Lifetimes | None = None,
        ring: KeyRing | None = None,
        root: bytes | None = None,
    ) -> dict[str, bytes]:
        """Signed metadata of one version, by name, that names manifests by profile; and the manifests."""
        last = lifetimes or Lifetimes()
        signing, trusted = ring or self.ring, Metadata[Root].from_bytes(root or self.root).signed
        paths = {f"{profile}/manifest.json": content for profile, content in manifests.items()}
        targets = make_targets(paths, version=version, expires=last.end("targets"))
        add_signatures(targets, "targets", trusted, ring=signing)
        snapshot = make_snapshot(targets.to_bytes(), version, version=version, expires=last.end("snapshot"))
        add_signatures(snapshot, "snapshot", trusted, ring=signing)
        timestamp = make_timestamp(
            snapshot.to_bytes(), version, version=version, expires=last.end("timestamp")
        )
        add_signatures(timestamp, "timestamp", trusted, ring=signing)
        return {
            "1.root.json": self.root,
            f"{version}.targets.json": targets.to_bytes(),
            f"{version}.snapshot.json": snapshot.to_bytes(),
            "timestamp.json": timestamp.to_bytes(),
            **{f"{sha256_hex(content)}.manifest.json": content for content in manifests.values()},
        }


@pytest.fixture(scope="session")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    keys = tmp_path_factory.mktemp("keys")
    root = make_keys(keys)
    return Trust(keys, root, load_keys(keys))


class SignedBundles(PublishedBundles):
    """Bundles that are signed with the throw-away keys as soon as they are built."""

    def __init__(self, root: Path, trust: Trust) -> None:
        super().__init__(root)
        self.trust = trust

    def publish(self, manifest: Manifest, objects: Mapping[str, bytes | Path]) -> None:
        super().publish(manifest, objects)
        self.sign()

    def sign(self) -> None:
        """Sign and publish what was built last."""
        repository = Repository(self.root)
        repository.begin(lambda: self.trust.root)
        repository.sign(self.trust.ring)
        repository.publish(self.trust.ring)


@dataclass(frozen=True)
class RunningCloud:
    """A cloud on loopback in this process."""

    server: CloudServer
    bundles: SignedBundles
    loop: Loop

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def stop(self) -> None:
        self.loop.run(self.server.stop(drain_seconds=0, grace_seconds=0))


@pytest.fixture
def start_cloud(server_loop: Loop, tmp_path: Path, trust: Trust) -> Iterator[Callable[..., RunningCloud]]:
    """Starts clouds: `start_cloud(**settings)`; their bundles lie in `tmp_path / "published"`."""
    started: list[RunningCloud] = []

    def start(**settings: Any) -> RunningCloud:
        root = tmp_path / "published"
        root.mkdir(exist_ok=True)
        chosen = Settings(**{"bundles": root, "listen": "127.0.0.1:0", "rate_per_minute": 0, **settings})
        running = RunningCloud(server_loop.run(start_server(chosen)), SignedBundles(root, trust), server_loop)
        started.append(running)
        return running

    yield start
    for running in started:
        running.stop()


@pytest.fixture
def start_rogue(server_loop: Loop) -> Iterator[Callable[..., str]]:
    """Starts servers of the test's own: `start_rogue(bundle_servicer, hint_servicer)` returns the address."""
    started: list[grpc.aio.Server] = []

    async def build(bundle: Any, hint: Any) -> int:
        server = grpc.aio.server(options=[("grpc.max_send_message_length", 64 << 20)])
        started.append(server)
        if bundle is not None:
            bundle_pb2_grpc.add_BundleServiceServicer_to_server(bundle, server)
        if hint is not None:
            hint_pb2_grpc.add_HintServiceServicer_to_server(hint, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return port

    yield lambda bundle=None, hint=None: f"127.0.0.1:{server_loop.run(build(bundle, hint))}"
    for server in started:
        server_loop.run(server.stop(0))


@dataclass
class Agents:
    """Starts agents here: `start(listen="unix:...", **settings)`; their bundles lie in `folder`/device."""

    loop: Loop
    folder: Path
    root: bytes
    running: list[tuple[Any, Agent]] = field(default_factory=list)

    def __call__(self, listen: str | None = None, **settings: Any) -> Agent:
        place = listen or f"unix:{self.folder}/run/agent.sock"
        chosen = AgentSettings(place, **{"root": self.root, **settings})
        life = running_agent(BundleStore(self.folder / "device"), chosen)
        agent = self.loop.run(life.__aenter__())
        self.running.append((life, agent))
        return agent

    def stop(self) -> None:
        """Stop them all; every call has then given back the memory that it held."""
        while self.running:
            life, agent = self.running.pop()
            self.loop.run(life.__aexit__(None, None, None))
            assert agent.service.room.free == agent.service.room.size


@pytest.fixture
def start_agent(server_loop: Loop, tmp_path: Path, trust: Trust) -> Iterator[Agents]:
    agents = Agents(server_loop, tmp_path, trust.root)
    yield agents
    agents.stop()


@dataclass
class CloudProcess:
    """A real `goodnoise-cloud serve`."""

    process: subprocess.Popen[str]
    port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal; returns the exit code and what was logged."""
        self.process.send_signal(number)
        _, logged = self.process.communicate(timeout=60)
        return self.process.returncode, logged


@pytest.fixture
def spawn_cloud(tmp_path: Path) -> Iterator[Callable[..., CloudProcess]]:
    """Starts processes: `spawn_cloud(*arguments)`; their bundles lie in `tmp_path / "published"`."""
    started: list[subprocess.Popen[str]] = []

    def spawn(*arguments: str) -> CloudProcess:
        root, port_file = tmp_path / "published", tmp_path / f"port-{len(started)}"
        root.mkdir(exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "cloud_server.cli",
            "serve",
            "--bundles",
            str(root),
            "--listen",
            "127.0.0.1:0",
        ]
        process = subprocess.Popen(
            [*command, "--port-file", str(port_file), *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        started.append(process)
        assert process.stderr is not None
        first = process.stderr.readline()  # the first line comes when it serves, or says why it does not
        assert '"serving"' in first, first + process.stderr.read()
        return CloudProcess(process, int(port_file.read_text()))

    yield spawn
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


@dataclass(frozen=True)
class SentCall:
    """One call as it left the client: path of the method, header fields in order, serialised messages."""

    method: str
    headers: tuple[tuple[str, str], ...]
    messages: tuple[bytes, ...]

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)

    def without(self, *names: str) -> SentCall:
        """The same call without some header fields, such as `grpc-timeout`, which counts down."""
        return SentCall(self.method, tuple(h for h in self.headers if h[0] not in names), self.messages)


@dataclass
class Connection:
    """One connection through the proxy: every byte that the client sent."""

    sent: bytearray = field(default_factory=bytearray)


class RecordingProxy:
    """A plaintext TCP proxy that keeps every byte that the client sends, and can cut the line.

    Args:
        target: host:port to forward to.
        cut_after: close a connection after this many bytes from the server; None for never.
    """

    def __init__(self, target: str, *, cut_after: int | None = None) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._cut_after = cut_after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]
        self._threads: list[threading.Thread] = []
        self.connections: list[Connection] = []
        self._start(self._accept)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def raw(self) -> bytes:
        """Every byte sent, connection after connection."""
        return b"".join(bytes(connection.sent) for connection in self.connections)

    def calls(self) -> list[SentCall]:
        """Every call in the order of its headers on the wire."""
        return [call for connection in self.connections for call in _calls(bytes(connection.sent))]

    def other_frames(self) -> list[tuple[int, int, bytes]]:
        """Type, flags and payload of all frames that carry no call: settings, windows, pings, resets."""
        return [
            (*f[:2], f[3]) for c in self.connections for f in _frames(bytes(c.sent)) if f[0] not in (0, 1, 9)
        ]

    def close(self) -> None:
        for item in list(self._sockets):
            with contextlib.suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)
            item.close()
        for thread in list(self._threads):
            thread.join(10)

    def _start(self, work: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._target)
                except OSError:
                    client.close()
                    continue
                connection = Connection()
                self.connections.append(connection)
                self._sockets += [client, server]
                self._start(self._pump, client, server, connection.sent, None)
                self._start(self._pump, server, client, None, self._cut_after)

    @staticmethod
    def _pump(
        source: socket.socket, target: socket.socket, record: bytearray | None, cut_after: int | None
    ) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while (part := source.recv(1 << 16)) and (cut_after is None or passed < cut_after):
                if record is not None:
                    record += part
                target.sendall(part)
                passed += len(part)
        for item in (source, target):
            with contextlib.suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def _frames(sent: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Type, flags, stream and payload of each frame; every byte belongs to one."""
    assert sent.startswith(PREFACE), sent[:24]
    at = len(PREFACE)
    while at < len(sent):
        length = int.from_bytes(sent[at : at + 3], "big")
        kind, flags, stream = struct.unpack(">BBI", sent[at + 3 : at + 9])
        payload = sent[at + 9 : at + 9 + length]
        assert len(payload) == length, "a frame is cut off"
        yield kind, flags, stream & 0x7FFFFFFF, payload
        at += 9 + length


def _calls(sent: bytes) -> list[SentCall]:
    decoder = hpack.Decoder()
    headers: dict[int, bytes] = {}
    fields: dict[int, tuple[tuple[str, str], ...]] = {}
    bodies: dict[int, bytes] = {}
    for kind, flags, stream, payload in _frames(sent):
        if kind not in (0, 1, 9):
            continue
        assert not flags & 0x28 or kind == 9, "padding and priorities are not expected"
        if kind == 0:
            bodies[stream] = bodies.get(stream, b"") + payload
            continue
        headers[stream] = headers.get(stream, b"") + payload
        if flags & 0x4:
            fields[stream] = tuple((_text(n), _text(v)) for n, v in decoder.decode(headers.pop(stream)))
    return [SentCall(dict(f)[":path"], f, tuple(_messages(bodies.get(s, b"")))) for s, f in fields.items()]


def _messages(body: bytes) -> Iterator[bytes]:
    while body:
        compressed, length = struct.unpack(">BI", body[:5])
        assert not compressed
        assert len(body) >= 5 + length, "a message is cut off"
        yield body[5 : 5 + length]
        body = body[5 + length :]


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()


@pytest.fixture
def record() -> Iterator[Callable[..., RecordingProxy]]:
    """Puts proxies in front of servers: `record(address, cut_after=None)`."""
    started: list[RecordingProxy] = []

    def start(target: str, *, cut_after: int | None = None) -> RecordingProxy:
        started.append(RecordingProxy(target, cut_after=cut_after))
        return started[-1]

    yield start
    for proxy in started:
        proxy.close()


# ---- a throw-away authority


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _certificate(
    subject: str,
    public: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> bytes:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(subject))
        .issuer_name(_named("throw-away"))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    )
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _authority() -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    return key, _certificate("throw-away", key.public_key(), key, constraints)


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, cert.pem and key.pem for 127.0.0.1, and other.pem, an authority of nothing."""
    folder = tmp_path_factory.mktemp("tls")
    authority, ca = _authority()
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "ca.pem").write_bytes(ca)
    (folder / "cert.pem").write_bytes(_certificate("server", key.public_key(), authority, names))
    (folder / "key.pem").write_bytes(private)
    (folder / "other.pem").write_bytes(_authority()[1])
    return folder


# ---- the CAPTCHA


@dataclass
class Redis:
    """A real Redis on a socket of its own, that can be killed and started again."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.folder}/redis.sock"

    def start(self) -> None:
        """Returns when it listens."""
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is not installed")
        options = {"port": "0", "unixsocket": "redis.sock", "save": "", "appendonly": "no", "daemonize": "no"}
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        self.process = subprocess.Popen([program, *flags], cwd=self.folder, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        while b"ready to accept connections" not in (line := self.process.stdout.readline().lower()):
            assert line, "redis-server ended"

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    server = Redis(tmp_path_factory.mktemp("r"))
    server.start()
    yield server
    server.kill()


@dataclass(frozen=True)
class RunningCaptcha:
    """A CAPTCHA service in this process, with one site."""

    server: CaptchaServer
    loop: Loop
    site: Site
    secret: str
    token: str
    key: bytes

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.ports['grpc']}"

    @property
    def admin(self) -> str:
        return f"127.0.0.1:{self.server.ports['admin']}"

    @property
    def bearer(self) -> tuple[tuple[str, str], ...]:
        """Metadata of the site's server."""
        return (("authorization", f"Bearer {self.secret}"),)

    def fill(self, *answers: str) -> None:
        """Puts images into the pool; each has its answer in its bytes, so that a test can read it."""
        stock = Stock(self.server.store, key=self.key, style="test")
        images = [Prepared(b"\x89PNG " + answer.encode(), answer) for answer in answers]
        self.loop.run(stock.put(images))

    def add_site(self, **settings: Any) -> tuple[Site, str]:
        return self.loop.run(SiteBook(self.server.store).create(**settings))


CAPTCHA_KEY = bytes(range(32))


@pytest.fixture
def start_captcha(server_loop: Loop, tmp_path: Path) -> Iterator[Callable[..., RunningCaptcha]]:
    """Starts services: `start_captcha(state=None, captcha={}, limit=None, site={}, **serve_settings)`.

    State is a file of SQLite in `tmp_path` unless named; there are no limits unless given.
    """
    started: list[Any] = []

    def start(
        state: str | None = None,
        captcha: Mapping[str, Any] | None = None,
        limit: LimitSettings | None = None,
        site: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> RunningCaptcha:
        chosen = {
            "grpc": "127.0.0.1:0",
            "admin": "127.0.0.1:0",
            "admin_token_file": tmp_path / "admin-token",
            "speech": False,
            **settings,
        }
        serve = ServeSettings(state=state or f"sqlite:{tmp_path / 'state.sqlite'}", **chosen)
        made = CaptchaSettings(**{"key": CAPTCHA_KEY, "work_bits": 4, **(captcha or {})})
        life = running_captcha(serve, made, limit or LimitSettings.off())
        server = server_loop.run(life.__aenter__())
        started.append((life, server))
        owner, secret = server_loop.run(SiteBook(server.store).create(**(site or {})))
        file = chosen["admin_token_file"]
        token = file.read_text().strip() if file is not None else ""
        return RunningCaptcha(server, server_loop, owner, secret, token, CAPTCHA_KEY)

    yield start
    for life, server in started:
        server_loop.run(server.stop(drain_seconds=0, grace_seconds=0))
        server_loop.run(life.__aexit__(None, None, None))
