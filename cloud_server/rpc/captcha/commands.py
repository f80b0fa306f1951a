"""`goodnoise-cloud captcha serve`."""

from __future__ import annotations

import asyncio
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from cloud_server.captcha.places import (
    KEY_FILE,
    STATE,
    KeyFile,
    ReadersFolder,
    StateUrl,
    data_folder,
    state_url,
)
from cloud_server.captcha.places import key_file as key_file_of
from cloud_server.exits import command_errors
from shared.errors import Code, GoodnoiseError

__all__ = ["serve"]

_ADDRESS = "HOST:PORT (port 0: a free one)"


def serve(
    state: StateUrl = None,
    key_file: KeyFile = None,
    counters: Annotated[
        str | None,
        typer.Option(
            help="redis://HOST:PORT/DB of the limits' counters; this one needs no disk.",
            show_default="those of --state; with SQLite each process counts for itself",
        ),
    ] = None,
    http: Annotated[
        str, typer.Option(help=f"{_ADDRESS} for browsers and sites' servers; 'off' for none.")
    ] = "127.0.0.1:8080",
    grpc: Annotated[
        str, typer.Option(help=f"{_ADDRESS} for apps and sites' servers; 'off' for none.")
    ] = "127.0.0.1:50061",
    admin: Annotated[
        str | None,
        typer.Option(
            help=f"{_ADDRESS} for operators: with --admin-ca, or on loopback with a token.",
            show_default="none",
        ),
    ] = None,
    admin_ca: Annotated[
        Path | None, typer.Option(help="Authority of the operators' certificates, PEM: mutual TLS.")
    ] = None,
    admin_token_file: Annotated[
        Path | None,
        typer.Option(
            help="The operators' token, mode 0600; made when there is none.", show_default="beside the state"
        ),
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain for all addresses, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, PEM.")] = None,
    insecure: Annotated[
        bool,
        typer.Option("--insecure", help="Allow no TLS outside loopback, behind a proxy that ends it."),
    ] = False,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(help="Network such as 10.0.0.0/8 whose X-Forwarded-For is believed; repeat."),
    ] = None,
    pool: Annotated[int, typer.Option(min=1, help="Images that --fill keeps ready.")] = 2000,
    fill: Annotated[
        bool, typer.Option(help="Keep a process running that fills the pool (needs the extra 'captcha').")
    ] = True,
    readers: ReadersFolder = None,
    challenge_seconds: Annotated[float, typer.Option(help="Life of a challenge.")] = 300.0,
    token_seconds: Annotated[float, typer.Option(help="Life of a token.")] = 120.0,
    work_bits: Annotated[int, typer.Option(help="Difficulty of a proof of work, leading zero bits.")] = 18,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            help="Change one limit, such as issue.address=20/minute; of issue, image, answer, unsolved by "
            "address, subnet, site; repeat."
        ),
    ] = None,
    no_limits: Annotated[
        bool, typer.Option("--no-limits", help="No limits but those of --limit; for measurements.")
    ] = False,
    speech: Annotated[bool, typer.Option(help="Offer audio, where there is a speech engine.")] = True,
    test_keys: Annotated[
        bool, typer.Option("--test-keys", help="Honour the test keys. Never in production.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Report to publish at the start, JSON of 'captcha report'.")
    ] = None,
    reflection: Annotated[bool, typer.Option("--reflection", help="Offer gRPC reflection.")] = False,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Serve Prometheus metrics on this loopback port.")
    ] = None,
    max_concurrent: Annotated[int, typer.Option(min=1, help="Calls at a time on each address.")] = 1024,
    drain_seconds: Annotated[
        float, typer.Option(min=0, help="Time between NOT_SERVING and the end of listening.")
    ] = 0.0,
    grace_seconds: Annotated[float, typer.Option(min=0, help="Time that calls in flight get.")] = 10.0,
    port_file: Annotated[
        Path | None, typer.Option(help="Write the bound ports to this file, JSON, once it serves.")
    ] = None,
) -> None:
    """Serve challenges and verdicts over HTTP and gRPC until SIGTERM or SIGINT.

    Each option has a variable, such as GOODNOISE_CAPTCHA_STATE; GOODNOISE_CAPTCHA_TRUSTED_PROXY takes
    several with blanks between; a flag goes first.
    """
    from cloud_server.captcha.keys import load_key
    from cloud_server.captcha.settings import CaptchaSettings
    from cloud_server.logs import configure_logs
    from cloud_server.rpc.captcha.server import serve_captcha
    from cloud_server.rpc.captcha.settings import ServeSettings, limits_of

    with command_errors():
        place, key = state_url(state), key_file_of(key_file)
        settings = ServeSettings(
            state=place,
            counters=counters,
            http=None if http == "off" else http,
            grpc=None if grpc == "off" else grpc,
            admin=admin,
            admin_ca=admin_ca,
            admin_token_file=admin_token_file or data_folder() / "admin-token",
            tls_cert=tls_cert,
            tls_key=tls_key,
            insecure=insecure,
            trusted_proxies=tuple(trusted_proxy or ()),
            speech=speech,
            fill=_fill_command(pool, readers) if fill else (),
            environment={STATE: place, KEY_FILE: str(key)},
            report=report,
            reflection=reflection,
            metrics_port=metrics_port,
            port_file=port_file,
            max_concurrent=max_concurrent,
            drain_seconds=drain_seconds,
            grace_seconds=grace_seconds,
        )
        captcha = CaptchaSettings(
            key=load_key(key),
            challenge_seconds=challenge_seconds,
            token_seconds=token_seconds,
            work_bits=work_bits,
            test_keys=test_keys,
        )
        limits = limits_of(limit or (), off=no_limits)
        configure_logs()
        asyncio.run(serve_captcha(settings, captcha, limits))


def _fill_command(pool: int, readers: Path | None) -> tuple[str, ...]:
    if find_spec("torch") is None:
        raise GoodnoiseError(
            Code.PRECONDITION,
            "--fill makes images, which needs the extra 'captcha' (pip install 'goodnoise[captcha]'); give "
            "--no-fill where 'goodnoise-cloud captcha fill' runs elsewhere on the same state",
        )
    if readers is not None and not readers.is_dir():
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"--readers is {str(readers)!r}, which is no folder; make one with 'captcha train'",
        )
    # State and key go by the environment: an address of Redis may hold a password, and others see arguments.
    command = (
        sys.executable,
        "-m",
        "cloud_server.captcha.fill_child",
        "captcha",
        "fill",
        "--pool",
        str(pool),
    )
    return command if readers is None else (*command, "--readers", str(readers))
