"""What `goodnoise-cloud augment serve` can be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cloud_server.augment.jobs.quotas import Quotas
from cloud_server.rpc.captcha.settings import split_address
from shared.errors import Code, GoodnoiseError
from shared.wire.options import is_loopback

__all__ = ["AugmentSettings"]


@dataclass(frozen=True, kw_only=True)
class AugmentSettings:
    """Where a service listens, what it keeps, and how it ends.

    Args:
        data: folder of state, uploads and results; one server at a time works in it.
        listen: HOST:PORT; port 0 takes a free one, everywhere.
        tls_cert: certificate chain, PEM.
        tls_key: its key, PEM.
        insecure: allow no TLS outside loopback, for a proxy that ends TLS in front.
        operator_listen: HOST:PORT for operators, with mutual TLS; None for none.
        operator_ca: authority of the operators' certificates, PEM.
        datasets: folders that owners may name, by name.
        quotas: limits.
        workers: jobs that are made at a time, each on one core.
        nice: added to the workers' priority number.
        reflection: offer gRPC reflection.
        metrics_port: port on loopback for Prometheus; None for no metrics.
        port_file: file that receives the bound ports as JSON.
        rate_per_minute: calls that one address may make a minute; 0 for no limit.
        max_concurrent: calls at a time over all addresses; more are refused.
        drain_seconds: time between NOT_SERVING and the end of listening; a probe's period behind a balancer.
        grace_seconds: time that calls in flight get after that.
        look_seconds: how often expired jobs, removed owners and the disk are looked at.
    """

    data: Path
    listen: str = "127.0.0.1:50071"
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure: bool = False
    operator_listen: str | None = None
    operator_ca: Path | None = None
    datasets: Mapping[str, Path] = field(default_factory=dict)
    quotas: Quotas = field(default_factory=Quotas)
    workers: int = 1
    nice: int = 10
    reflection: bool = False
    metrics_port: int | None = None
    port_file: Path | None = None
    rate_per_minute: int = 600
    max_concurrent: int = 256
    drain_seconds: float = 0.0
    grace_seconds: float = 10.0
    look_seconds: float = 10.0

    def __post_init__(self) -> None:
        split_address("listen", self.listen)
        if (self.tls_cert is None) != (self.tls_key is None):
            raise _wrong("tls-cert", "and --tls-key belong together", "give both or neither")
        for name in ("tls_cert", "tls_key", "operator_ca"):
            path = getattr(self, name)
            if path is not None and not path.is_file():
                raise _wrong(name, f"is {str(path)!r}", "this is no file")
        if self.tls_cert is None and not self.insecure and not is_loopback(self.listen):
            raise _wrong(
                "listen",
                f"is {self.listen!r}, outside loopback and without TLS",
                "give --tls-cert and --tls-key, or --insecure behind a proxy that ends TLS",
            )
        self._check_operators()

    def _check_operators(self) -> None:
        if self.operator_listen is None and self.operator_ca is None:
            return
        if self.operator_listen is None or self.operator_ca is None or self.tls_cert is None:
            raise _wrong(
                "operator_listen",
                "is not complete",
                "it needs --operator-ca, --tls-cert and --tls-key beside it",
            )
        split_address("operator_listen", self.operator_listen)


def _wrong(name: str, found: str, advice: str) -> GoodnoiseError:
    return GoodnoiseError(Code.INVALID_INPUT, f"--{name.replace('_', '-')} {found}: {advice}")
