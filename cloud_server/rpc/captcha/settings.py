"""What `goodnoise-cloud captcha serve` can be told."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cloud_server.captcha.settings import LimitSettings
from cloud_server.captcha.web.settings import networks
from shared.errors import Code, GoodnoiseError
from shared.wire.options import is_loopback

__all__ = ["ServeSettings", "limits_of", "split_address"]

_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")
_LIMIT = re.compile(r"([a-z]+)\.([a-z]+)=(.*)")


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """Where a service listens, what it keeps running, and how it ends.

    Args:
        state: address of the store, as of `open_store`; it may hold a password.
        counters: address of the limits' counters, as `state`; None for those of `state`. A Redis of its
            own needs no disk: with `appendfsync always` a call's counts would wait for one.
        http: HOST:PORT for browsers and sites' servers; None for none. Port 0 takes a free one, everywhere.
        grpc: HOST:PORT for apps and sites' servers; None for none.
        admin: HOST:PORT for operators; None for none.
        admin_ca: authority of the operators' certificates, PEM; mutual TLS on `admin`.
        admin_token_file: without `admin_ca`, on loopback alone: file with the operators' token, made when
            there is none.
        tls_cert: certificate chain for all three addresses, PEM.
        tls_key: its key, PEM.
        insecure: allow no TLS outside loopback, for a proxy that ends TLS in front.
        trusted_proxies: networks whose `X-Forwarded-For` is believed over HTTP.
        speech: offer audio challenges.
        fill: the command that fills the pool, kept running; empty for none.
        environment: variables that it gets beside those of this process.
        report: JSON file that is published at the start; None for the one that the state holds.
        reflection: offer gRPC reflection.
        metrics_port: port on loopback for Prometheus; None for no metrics.
        port_file: file that receives the bound ports as JSON.
        max_concurrent: calls at a time on each address; more are refused.
        drain_seconds: time between NOT_SERVING and the end of listening; a probe's period behind a balancer.
        grace_seconds: time that calls in flight get after that.
        watch_seconds: how often the state is looked at, for health and the depth of the pool.
    """

    state: str = field(repr=False)
    counters: str | None = field(default=None, repr=False)
    http: str | None = None
    grpc: str | None = None
    admin: str | None = None
    admin_ca: Path | None = None
    admin_token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure: bool = False
    trusted_proxies: tuple[str, ...] = ()
    speech: bool = True
    fill: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    report: Path | None = None
    reflection: bool = False
    metrics_port: int | None = None
    port_file: Path | None = None
    max_concurrent: int = 1024
    drain_seconds: float = 0.0
    grace_seconds: float = 10.0
    watch_seconds: float = 5.0

    def __post_init__(self) -> None:
        if self.http is None and self.grpc is None:
            raise _wrong("http", "and --grpc are both off", "name an address for one of them at least")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise _wrong("tls-cert", "and --tls-key belong together", "give both or neither")
        for name in ("tls_cert", "tls_key", "admin_ca", "report"):
            path = getattr(self, name)
            if path is not None and not path.is_file():
                raise _wrong(name, f"is {str(path)!r}", "this is no file")
        for name in ("http", "grpc"):
            self._check_public(name, getattr(self, name))
        self._check_admin()
        networks(self.trusted_proxies)  # raises for what is none

    def _check_public(self, name: str, address: str | None) -> None:
        if address is None:
            return
        split_address(name, address)
        if self.tls_cert is None and not self.insecure and not is_loopback(address):
            raise _wrong(
                name,
                f"is {address!r}, outside loopback and without TLS",
                "give --tls-cert and --tls-key, or --insecure behind a proxy that ends TLS",
            )

    def _check_admin(self) -> None:
        if self.admin is None:
            if self.admin_ca is not None:
                raise _wrong("admin", "is not set", "--admin-ca needs an address to be asked on")
            return
        split_address("admin", self.admin)
        if self.admin_ca is not None and self.tls_cert is None:
            raise _wrong("admin_ca", "is set without --tls-cert and --tls-key", "mutual TLS needs both")
        if self.admin_ca is None and not is_loopback(self.admin):
            raise _wrong(
                "admin",
                f"is {self.admin!r}, outside loopback and without --admin-ca",
                "give the authority of operators' certificates, or use a loopback address and its token file",
            )
        if self.admin_ca is None and self.admin_token_file is None:
            raise _wrong("admin_token_file", "is not set", "without --admin-ca operators show a token")


def split_address(name: str, address: str) -> tuple[str, int]:
    """Host, without brackets, and port.

    Raises:
        GoodnoiseError: INVALID_INPUT naming the option.
    """
    found = _LISTEN.fullmatch(address)
    if found is None or int(found[2]) > 65535:
        raise _wrong(name, f"is {address!r}", "expected HOST:PORT, such as 127.0.0.1:8080")
    return found[1].strip("[]"), int(found[2])


def limits_of(changes: Sequence[str], *, off: bool = False) -> LimitSettings:
    """The limits with some of them changed.

    Args:
        changes: each such as `issue.address=10/minute`, or `issue.site=` for none.
        off: begin with no limits at all.

    Raises:
        GoodnoiseError: INVALID_INPUT naming what is no limit.
    """
    settings = LimitSettings.off() if off else LimitSettings()
    for change in changes:
        found = _LIMIT.fullmatch(change)
        kinds = [item.name for item in dataclasses.fields(settings)]
        if found is None or found[1] not in kinds or found[2] not in ("address", "subnet", "site"):
            raise _wrong(
                "limit",
                f"is {change!r}",
                f"expected WHAT.WHOSE=RATE, of {', '.join(kinds)} and address, subnet or site, such as "
                "issue.address=20/minute",
            )
        rates = dataclasses.replace(getattr(settings, found[1]), **{found[2]: found[3]})
        settings = dataclasses.replace(settings, **{found[1]: rates})
    return settings


def _wrong(name: str, found: str, advice: str) -> GoodnoiseError:
    return GoodnoiseError(Code.INVALID_INPUT, f"--{name.replace('_', '-')} {found}: {advice}")
