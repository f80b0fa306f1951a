"""The server's settings: flags first, then `GOODNOISE_CLOUD_*`, then the defaults here."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import Code, GoodnoiseError
from shared.wire.options import is_loopback

__all__ = ["PREFIX", "Settings", "load_settings"]

PREFIX = "GOODNOISE_CLOUD_"
_LISTEN = re.compile(r"(\S+):([0-9]{1,5})")
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that `goodnoise-cloud serve` can be told.

    Args:
        bundles: folder of published bundles.
        listen: HOST:PORT; port 0 takes a free one.
        port_file: file that receives the bound port.
        tls_cert: certificate chain, PEM.
        tls_key: its key, PEM.
        operator_listen: HOST:PORT for operators, with mutual TLS; None for no such address.
        operator_ca: authority of the operators' certificates, PEM.
        insecure: allow no TLS outside loopback, for a proxy that ends TLS in front.
        reflection: offer gRPC reflection.
        metrics_port: port on loopback for Prometheus; None for no metrics, 0 for a free one.
        rate_per_minute: calls that one address may make a minute; 0 for no limit, where a proxy limits.
        max_concurrent: calls at a time over all addresses; more are refused.
        drain_seconds: time between NOT_SERVING and the end of listening; a probe's period behind a balancer.
        grace_seconds: time that calls in flight get after that.
        cluster_hints: folder of `cluster-00.npy` to `cluster-15.npy`; None for those of the project.
        ensemble: recognisers that answer the levels `sketch` and `sign`. Without these and `public_faces`
            both levels are not offered, and no network is loaded.
        public_faces: what they are asked on: a folder of photos, or a `.npz` file of aligned faces.
        models: folder of the zoo that holds the ensemble; None for the default one.
        waiting: calls that may wait for the ensemble; more are refused.
    """

    bundles: Path
    listen: str = "127.0.0.1:50051"
    port_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    operator_listen: str | None = None
    operator_ca: Path | None = None
    insecure: bool = False
    reflection: bool = False
    metrics_port: int | None = None
    rate_per_minute: int = 600
    max_concurrent: int = 256
    drain_seconds: float = 0.0
    grace_seconds: float = 10.0
    cluster_hints: Path | None = None
    ensemble: tuple[str, ...] = ()
    public_faces: Path | None = None
    models: Path | None = None
    waiting: int = 16

    @property
    def runs_ensemble(self) -> bool:
        """Whether the levels `sketch` and `sign` are offered."""
        return bool(self.ensemble) or self.public_faces is not None


def load_settings(flags: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """The settings from a command's flags and the environment.

    Args:
        flags: values by field; None stands for a flag that was not given.
        environment: such as `os.environ`.

    Raises:
        GoodnoiseError: INVALID_INPUT naming the flag or variable and its bad value.
    """
    values: dict[str, Any] = {}
    for field in dataclasses.fields(Settings):
        variable = PREFIX + field.name.upper()
        if flags.get(field.name) is not None:
            values[field.name] = flags[field.name]
        elif environment.get(variable):
            values[field.name] = _parse(variable, environment[variable], str(field.type))
    if "bundles" not in values:
        raise _wrong("bundles", "is not set", "name the folder of published bundles")
    settings = Settings(**values)
    _check(settings)
    return settings


def _parse(variable: str, text: str, kind: str) -> object:
    base = kind.removesuffix(" | None")
    readers: dict[str, tuple[Callable[[str], object], str]] = {
        "Path": (Path, "a path"),
        "str": (str, "a text"),
        "int": (int, "a whole number"),
        "float": (float, "a number"),
        "bool": (_boolean, "true or false"),
        "tuple[str, ...]": (_names, "names with commas between"),
    }
    read, expected = readers[base]
    try:
        return read(text)
    except ValueError as error:
        raise GoodnoiseError(Code.INVALID_INPUT, f"{variable} is {text!r}, expected {expected}") from error


def _boolean(text: str) -> bool:
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise ValueError(text)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _check(settings: Settings) -> None:
    if not _address(settings.listen):
        raise _wrong("listen", f"is {settings.listen!r}", "expected HOST:PORT, such as 0.0.0.0:50051")
    for name in ("rate_per_minute", "metrics_port", "drain_seconds", "grace_seconds", "waiting"):
        value = getattr(settings, name)
        if value is not None and not 0 <= value < 1e6:  # also false for a number that is none
            raise _wrong(name, f"is {value}", "expected 0 or more")
    if not 1 <= settings.max_concurrent < 1e6:
        raise _wrong("max_concurrent", f"is {settings.max_concurrent}", "expected 1 or more")
    if not settings.bundles.is_dir():
        raise _wrong("bundles", f"is {str(settings.bundles)!r}", "this is no folder; make it first")
    _check_places(settings)
    _check_tls(settings)
    _check_operators(settings)


def _check_places(settings: Settings) -> None:
    for name in ("cluster_hints", "models"):
        path = getattr(settings, name)
        if path is not None and not path.is_dir():
            raise _wrong(name, f"is {str(path)!r}", "this is no folder")
    faces = settings.public_faces
    if faces is not None and not faces.exists():
        raise _wrong("public_faces", f"is {str(faces)!r}", "there is no such folder or file")


def _check_operators(settings: Settings) -> None:
    if settings.operator_listen is None and settings.operator_ca is None:
        return
    for name in ("operator_listen", "operator_ca", "tls_cert"):
        if getattr(settings, name) is None:
            raise _wrong(
                name,
                "is not set",
                "operators' own address needs --operator-listen, --operator-ca, --tls-cert and --tls-key",
            )
    if not _address(settings.operator_listen or ""):
        raise _wrong("operator_listen", f"is {settings.operator_listen!r}", "expected HOST:PORT")
    if settings.operator_ca is not None and not settings.operator_ca.is_file():
        raise _wrong("operator_ca", f"is {str(settings.operator_ca)!r}", "this is no file")


def _address(text: str) -> bool:
    found = _LISTEN.fullmatch(text)
    return found is not None and int(found[2]) <= 65535


def _check_tls(settings: Settings) -> None:
    if (settings.tls_cert is None) != (settings.tls_key is None):
        given, other = ("tls_cert", "tls_key") if settings.tls_cert else ("tls_key", "tls_cert")
        raise _wrong(other, "is not set", f"{_flag(given)} needs it")
    for name in ("tls_cert", "tls_key"):
        path = getattr(settings, name)
        if path is not None and not path.is_file():
            raise _wrong(name, f"is {str(path)!r}", "this is no file")
    if settings.tls_cert is None and not settings.insecure and not is_loopback(settings.listen):
        raise _wrong(
            "listen",
            f"is {settings.listen!r}, outside loopback and without TLS",
            "give --tls-cert and --tls-key, or --insecure behind a proxy that ends TLS",
        )


def _wrong(name: str, found: str, advice: str) -> GoodnoiseError:
    return GoodnoiseError(Code.INVALID_INPUT, f"{_flag(name)} (or {PREFIX}{name.upper()}) {found}: {advice}")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
