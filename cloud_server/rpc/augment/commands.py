"""`goodnoise-cloud augment serve`."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from cloud_server.augment.jobs.commands import Data, data_folder
from cloud_server.exits import command_errors

__all__ = ["serve"]

_ADDRESS = "HOST:PORT (port 0: a free one)"
_MIB = 1 << 20


def serve(
    data: Data = None,
    listen: Annotated[str, typer.Option(help=f"{_ADDRESS} where owners call.")] = "127.0.0.1:50071",
    allow_dataset: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=FOLDER that owners may name, as NAME/below; repeat. Results show what is in it."
        ),
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, PEM.")] = None,
    insecure: Annotated[
        bool,
        typer.Option("--insecure", help="Allow no TLS outside loopback, behind a proxy that ends it."),
    ] = False,
    operator_listen: Annotated[
        str | None,
        typer.Option(help=f"{_ADDRESS} for operators: health and reflection, with mutual TLS."),
    ] = None,
    operator_ca: Annotated[
        Path | None, typer.Option(help="Authority of the operators' certificates, PEM.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Jobs that are made at a time, a core each.")] = 1,
    nice: Annotated[int, typer.Option(min=0, max=19, help="How far workers stand back.")] = 10,
    images: Annotated[int, typer.Option(min=2, help="Images of one upload.")] = 50_000,
    image_mib: Annotated[int, typer.Option(min=1, max=3, help="MiB of one image.")] = 3,
    upload_mib: Annotated[int, typer.Option(min=1, help="MiB of one upload.")] = 2048,
    open_jobs: Annotated[int, typer.Option(min=1, help="Jobs of one owner that wait or run.")] = 4,
    jobs: Annotated[int, typer.Option(min=1, help="Jobs of one owner that are kept.")] = 100,
    disk_mib: Annotated[int, typer.Option(min=1, help="MiB that all jobs hold.")] = 51_200,
    samples: Annotated[int, typer.Option(min=1, help="Samples that one job may make.")] = 200_000,
    job_hours: Annotated[float, typer.Option(min=0.001, help="Hours that a job may run.")] = 6.0,
    crashes: Annotated[int, typer.Option(min=1, help="Deaths of a job's worker until it is given up.")] = 3,
    keep_hours: Annotated[
        float, typer.Option(min=0.001, help="Hours from a job's end until its files go.")
    ] = 168.0,
    idle_seconds: Annotated[
        float, typer.Option(min=0.1, help="Time between two images of an upload.")
    ] = 60.0,
    reflection: Annotated[bool, typer.Option("--reflection", help="Offer gRPC reflection.")] = False,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Serve Prometheus metrics on this loopback port.")
    ] = None,
    rate_per_minute: Annotated[
        int, typer.Option(min=0, help="Calls of one address a minute; 0 for no limit.")
    ] = 600,
    max_concurrent: Annotated[int, typer.Option(min=1, help="Calls at a time.")] = 256,
    drain_seconds: Annotated[
        float, typer.Option(min=0, help="Time between NOT_SERVING and the end of listening.")
    ] = 0.0,
    grace_seconds: Annotated[float, typer.Option(min=0, help="Time that calls in flight get.")] = 10.0,
    port_file: Annotated[
        Path | None, typer.Option(help="Write the bound ports to this file, JSON, once it serves.")
    ] = None,
) -> None:
    """Take in jobs of augmentation over gRPC and make them, until SIGTERM or SIGINT.

    Owners are added with 'augment owners add'. A server that is killed goes on with its jobs when it is
    started again. Each option has a variable, such as GOODNOISE_AUGMENT_DATA; a flag goes first.
    """
    with command_errors():
        from cloud_server.augment.jobs.quotas import Quotas
        from cloud_server.augment.jobs.roots import parse_folders
        from cloud_server.logs import configure_logs
        from cloud_server.rpc.augment.server import serve_augment
        from cloud_server.rpc.augment.settings import AugmentSettings

        quotas = Quotas(
            images=images,
            image_bytes=image_mib * _MIB,
            upload_bytes=upload_mib * _MIB,
            open_jobs=open_jobs,
            jobs=jobs,
            disk=disk_mib * _MIB,
            samples=samples,
            job_seconds=job_hours * 3600,
            crashes=crashes,
            keep_seconds=keep_hours * 3600,
            idle_seconds=idle_seconds,
        )
        settings = AugmentSettings(
            data=data_folder(data),
            listen=listen,
            tls_cert=tls_cert,
            tls_key=tls_key,
            insecure=insecure,
            operator_listen=operator_listen,
            operator_ca=operator_ca,
            datasets=parse_folders(allow_dataset or ()),
            quotas=quotas,
            workers=workers,
            nice=nice,
            reflection=reflection,
            metrics_port=metrics_port,
            port_file=port_file,
            rate_per_minute=rate_per_minute,
            max_concurrent=max_concurrent,
            drain_seconds=drain_seconds,
            grace_seconds=grace_seconds,
        )
        os.umask(0o077)  # whatever is written here is its owner's alone
        configure_logs()
        asyncio.run(serve_augment(settings))
