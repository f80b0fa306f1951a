"""`goodnoise-cloud augment submit`, `watch`, `fetch`, `list`, `cancel` and `delete`: for owners of jobs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cloud_server.exits import EXIT_HELP, Exit, command_errors

if TYPE_CHECKING:
    from cloud_server.rpc.augment.client import AugmentClient
    from shared.wire.goodnoise.v1 import augment_pb2

__all__ = ["register"]

TOKEN = "GOODNOISE_AUGMENT_TOKEN"  # noqa: S105 - the variable's name
_AGAIN = "interrupted; the job goes on at the server; run it again to go on from there"

Server = Annotated[
    str, typer.Option("--server", help="HOST:PORT of the service.", envvar="GOODNOISE_AUGMENT_SERVER")
]
TokenFile = Annotated[
    Path | None, typer.Option(help="File with your token.", show_default=f"the variable {TOKEN}")
]
Ca = Annotated[Path | None, typer.Option(help="Certificates to trust, PEM.", show_default="the system's")]
JobId = Annotated[str, typer.Argument(help="The job, gn_job_...", metavar="JOB")]
_HERE = "127.0.0.1:50071"


def submit(
    recipe: Annotated[Path, typer.Argument(help="Recipe file (YAML).", show_default=False)],
    images: Annotated[
        Path | None, typer.Option("--in", help="Folder of class folders, whose images are sent.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Instead of images: a dataset of the server, such as photos/holidays.")
    ] = None,
    include_originals: Annotated[
        bool, typer.Option("--include-originals", help="Have the originals in the results too.")
    ] = False,
    key: Annotated[
        str | None,
        typer.Option(
            help="Your own word for the job; the same word gives the same job.", show_default="random"
        ),
    ] = None,
    server: Server = _HERE,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Hand in a job. Prints it as JSON; the images are deleted from the server with the job."""
    from cloud_server.augment.job import parse_job
    from cloud_server.rpc.augment.client import labelled_images
    from shared.errors import Code, GoodnoiseError
    from shared.files import storage_errors
    from shared.wire.goodnoise.v1 import augment_pb2

    with _client(server, token_file, ca, "interrupted; run it again with the same --key") as client:
        if (images is None) == (dataset is None):
            raise GoodnoiseError(Code.INVALID_INPUT, "give one of --in and --dataset")
        with storage_errors(recipe, setting="another RECIPE"):
            text = recipe.read_text(encoding="utf-8", errors="replace")
        job = parse_job(text, where=recipe.name)
        found = [] if images is None else labelled_images(images, group=job.group)
        order = augment_pb2.AugmentOrder(
            key=key or str(uuid.uuid4()),
            recipe=text,
            dataset=dataset or "",
            images=len(found),
            include_originals=include_originals,
        )
        answer = client.submit(order, iter(found))
        _tell({**_words(answer.job), "repeated_call": answer.repeated_call})


def watch(job: JobId, server: Server = _HERE, token_file: TokenFile = None, ca: Ca = None) -> None:
    """Show a job's progress until it has ended, then print it as JSON. Ends with 1 unless it is done."""
    with _client(server, token_file, ca, _AGAIN) as client:
        last = _watched(client, job)
        _tell(_words(last))
    raise typer.Exit(Exit.DONE if _state(last) == "done" else Exit.FAILED)


def fetch(
    job: JobId,
    out: Annotated[Path, typer.Option(help="Folder that is written.", show_default=False)],
    server: Server = _HERE,
    token_file: TokenFile = None,
    ca: Ca = None,
) -> None:
    """Fetch a job's results and check each file. What is there already is not fetched again."""
    from rich.console import Console
    from rich.progress import Progress

    from shared.files import storage_errors

    with _client(server, token_file, ca, _AGAIN) as client:
        found = client.get(job)
        with (
            Progress(console=Console(stderr=True), transient=True) as bar,
            storage_errors(out, setting="--out"),
        ):
            task = bar.add_task("files, bytes", total=found.result_bytes)
            count = 0
            for file in client.fetch(job, out):
                bar.advance(task, file.size)
                count += 1
        _tell({"job": job, "out": str(out), "files": count, "bytes": found.result_bytes})


def list_jobs(server: Server = _HERE, token_file: TokenFile = None, ca: Ca = None) -> None:
    """List your jobs as JSON, the newest first."""
    with _client(server, token_file, ca) as client:
        _tell([_words(job) for job in client.jobs()])


def cancel(job: JobId, server: Server = _HERE, token_file: TokenFile = None, ca: Ca = None) -> None:
    """End a job, and delete its files from the server."""
    with _client(server, token_file, ca) as client:
        _tell(_words(client.cancel(job)))


def delete(job: JobId, server: Server = _HERE, token_file: TokenFile = None, ca: Ca = None) -> None:
    """End a job, delete its files from the server, and forget it."""
    with _client(server, token_file, ca) as client:
        client.delete(job)
        _tell({"job": job, "deleted": True})


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (submit, watch, fetch, cancel, delete):
        app.command(epilog=EXIT_HELP)(command)
    app.command("list", epilog=EXIT_HELP)(list_jobs)


@contextmanager
def _client(
    server: str, token_file: Path | None, ca: Path | None, interrupted: str = "interrupted"
) -> Iterator[AugmentClient]:
    from cloud_server.rpc.augment.client import AugmentClient

    with command_errors(interrupted=interrupted):
        client = AugmentClient(server, token=_token(token_file), ca=ca)
        try:
            yield client
        finally:
            client.close()


def _token(file: Path | None) -> str:
    import os

    from shared.errors import Code, GoodnoiseError
    from shared.files import storage_errors

    if file is None:
        token = os.environ.get(TOKEN, "")
    else:
        with storage_errors(file, setting="--token-file"):
            token = file.read_text(encoding="utf-8", errors="replace")
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable():
        raise GoodnoiseError(
            Code.UNAUTHENTICATED,
            f"there is no token; give --token-file, or set {TOKEN}; your operator has it",
        )
    return token


def _watched(client: AugmentClient, job: str) -> augment_pb2.AugmentJob:
    from rich.console import Console
    from rich.progress import Progress

    from shared.wire.goodnoise.v1 import augment_pb2

    last = augment_pb2.AugmentJob()
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("waits", total=None)
        for last in client.watch(job):
            step = last.progress
            stage = augment_pb2.AugmentStage.Name(step.stage).removeprefix("AUGMENT_STAGE_").lower()
            said = stage if last.HasField("progress") else f"{_state(last)}, {last.waiting_before} before it"
            bar.update(task, description=said, completed=step.done, total=step.total or None)
    return last


def _state(job: augment_pb2.AugmentJob) -> str:
    from shared.wire.goodnoise.v1 import augment_pb2

    return str(augment_pb2.AugmentState.Name(job.state).removeprefix("AUGMENT_STATE_").lower())


def _words(job: augment_pb2.AugmentJob) -> dict[str, Any]:
    words: dict[str, Any] = {
        "job": job.job_id,
        "key": job.key,
        "state": _state(job),
        "recipe": job.recipe,
        "images": job.images,
        "made": job.progress.made,
        "accepted": job.progress.accepted,
        "created": job.create_time.ToJsonString(),
    }
    if job.dataset:
        words["dataset"] = job.dataset
    if job.HasField("failure"):
        words["failure"] = {"code": job.failure.code, "message": job.failure.message}
    if job.result_files:
        words |= {"files": job.result_files, "bytes": job.result_bytes}
    if job.HasField("expire_time"):
        words["expires"] = job.expire_time.ToJsonString()
    return words


def _tell(words: object) -> None:
    typer.echo(json.dumps(words, indent=2))
