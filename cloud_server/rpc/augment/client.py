"""A client of AugmentService: sends a folder of classes, watches the job, fetches and checks its results."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from shared.errors import Code, GoodnoiseError
from shared.wire import augment as limits
from shared.wire.goodnoise.v1 import augment_pb2, augment_pb2_grpc
from shared.wire.options import CALL_SECONDS, STREAM_SECONDS, client_options, host_port, is_loopback
from shared.wire.status import error_from_call

__all__ = ["AugmentClient", "Labelled", "ended", "labelled_images"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_UPLOAD_SECONDS = 6 * 3600.0
_TRIES = 5
_OPEN = (augment_pb2.AUGMENT_STATE_QUEUED, augment_pb2.AUGMENT_STATE_RUNNING)


@dataclass(frozen=True)
class Labelled:
    """An image to send.

    Args:
        path: of the file.
        label: its class.
        group: value of the bias attribute; empty for none.
        name: what the owner will know it by.
    """

    path: Path
    label: str
    group: str
    name: str


class AugmentClient:
    """Calls of one owner.

    Args:
        address: HOST:PORT; without TLS on loopback unless `ca` is given.
        token: the owner's.
        ca: certificates to trust, PEM; None for those of the system.

    Raises:
        GoodnoiseError: INVALID_INPUT for what is no address or unreadable.
    """

    def __init__(self, address: str, *, token: str, ca: Path | None = None) -> None:
        self._address = host_port(address)
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._channel = _channel(address, ca)
        self._stub = augment_pb2_grpc.AugmentServiceStub(self._channel)

    def close(self) -> None:
        """Hang up."""
        self._channel.close()

    def submit(
        self, order: augment_pb2.AugmentOrder, images: Iterable[Labelled] = ()
    ) -> augment_pb2.SubmitJobResponse:
        """Hand in a job; again with the same key after an unclear end."""

        def parts() -> Iterator[augment_pb2.SubmitJobRequest]:
            yield augment_pb2.SubmitJobRequest(order=order)
            for item in images:
                sent = augment_pb2.AugmentImage(
                    content=item.path.read_bytes(), label=item.label, group=item.group, name=item.name
                )
                yield augment_pb2.SubmitJobRequest(image=sent)

        seconds = _UPLOAD_SECONDS if order.images else CALL_SECONDS
        with self._errors():
            answer: augment_pb2.SubmitJobResponse = self._stub.SubmitJob(
                parts(), timeout=seconds, metadata=self._metadata
            )
        return answer

    def get(self, job: str) -> augment_pb2.AugmentJob:
        """How a job is."""
        with self._errors():
            request = augment_pb2.GetJobRequest(job_id=job)
            answer: augment_pb2.GetJobResponse = self._stub.GetJob(
                request, timeout=CALL_SECONDS, metadata=self._metadata
            )
        return answer.job

    def jobs(self) -> Iterator[augment_pb2.AugmentJob]:
        """All jobs, the newest first."""
        token, more = "", True
        while more:
            with self._errors():
                request = augment_pb2.ListJobsRequest(page_token=token)
                page = self._stub.ListJobs(request, timeout=CALL_SECONDS, metadata=self._metadata)
            yield from page.jobs
            token = page.next_page_token
            more = bool(token)

    def cancel(self, job: str) -> augment_pb2.AugmentJob:
        """End a job."""
        with self._errors():
            request = augment_pb2.CancelJobRequest(job_id=job)
            answer: augment_pb2.CancelJobResponse = self._stub.CancelJob(
                request, timeout=3 * CALL_SECONDS, metadata=self._metadata
            )
        return answer.job

    def delete(self, job: str) -> None:
        """Forget a job."""
        with self._errors():
            request = augment_pb2.DeleteJobRequest(job_id=job)
            self._stub.DeleteJob(request, timeout=3 * CALL_SECONDS, metadata=self._metadata)

    def watch(self, job: str) -> Iterator[augment_pb2.AugmentJob]:
        """A job after each change until it has ended; a stream that breaks is taken up again."""
        revision, failures = 0, 0
        while True:
            request = augment_pb2.WatchJobRequest(job_id=job, after_revision=revision)
            try:
                with self._errors():
                    for answer in self._stub.WatchJob(
                        request, timeout=STREAM_SECONDS, metadata=self._metadata
                    ):
                        revision, failures = answer.job.revision, 0
                        yield answer.job
                        if ended(answer.job):
                            return
                    return
            except GoodnoiseError as error:
                failures += error.code is not Code.DEADLINE
                if error.code not in (Code.DEADLINE, Code.UNAVAILABLE) or failures >= _TRIES:
                    raise

    def results(self, job: str) -> Iterator[augment_pb2.AugmentFile]:
        """The files of a job."""
        token, more = "", True
        while more:
            with self._errors():
                request = augment_pb2.ListResultsRequest(job_id=job, page_token=token)
                page = self._stub.ListResults(request, timeout=CALL_SECONDS, metadata=self._metadata)
            yield from page.files
            token = page.next_page_token
            more = bool(token)

    def fetch(self, job: str, out: Path) -> Iterator[augment_pb2.AugmentFile]:
        """Write a job's files below a folder, and name each once it is there whole and checked.

        What is there already is not fetched again; a file that broke off goes on where it ended.

        Raises:
            GoodnoiseError: CORRUPT for a file that is not what the server said, also at a second try.
        """
        for file in list(self.results(job)):
            path = out / limits.file_name(file.name)
            if not (path.is_file() and path.stat().st_size == file.size and _digest(path) == file.sha256):
                self._fetch_file(job, file, path)
            yield file

    def _fetch_file(self, job: str, file: augment_pb2.AugmentFile, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        for _ in range(_TRIES):
            try:
                self._append(job, file, part)
            except GoodnoiseError as error:
                if error.code not in (Code.UNAVAILABLE, Code.DEADLINE):
                    raise
                failed = error
                continue
            if _digest(part) == file.sha256:
                part.replace(path)
                return
            part.unlink()
            failed = GoodnoiseError(
                Code.CORRUPT, f"{file.name} is not what the server said; fetch it again, or report it"
            )
        raise failed

    def _append(self, job: str, file: augment_pb2.AugmentFile, part: Path) -> None:
        with part.open("ab") as target, self._errors():
            if target.tell() > file.size:
                target.truncate(0)
            offset = target.tell()
            request = augment_pb2.FetchResultsRequest(job_id=job, file=file.number, offset=offset, files=1)
            for answer in self._stub.FetchResults(request, timeout=STREAM_SECONDS, metadata=self._metadata):
                target.write(answer.part)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            raise error_from_call(error, peer=self._address) from None


def ended(job: augment_pb2.AugmentJob) -> bool:
    """Whether a job neither waits nor runs."""
    return job.state not in _OPEN


def labelled_images(folder: Path, *, group: str | None = None) -> list[Labelled]:
    """Images of a folder of class folders, in the order of their names.

    Args:
        folder: with a folder a class, and metadata.csv where there are groups.
        group: column of metadata.csv with the bias attribute.

    Raises:
        GoodnoiseError: NOT_FOUND for no such folder, INVALID_INPUT for one without images in classes.
    """
    if not folder.is_dir():
        raise GoodnoiseError(Code.NOT_FOUND, f"there is no folder {folder}; give a folder of class folders")
    groups = {} if group is None else _groups(folder / "metadata.csv", group)
    found = []
    for path in sorted(folder.glob("*/**/*")):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            name = path.relative_to(folder).as_posix()
            found.append(Labelled(path, name.split("/")[0], groups.get(name, ""), name))
    if not found:
        kinds = ", ".join(SUFFIXES)
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{folder} holds no class folders with images ({kinds}); check the path"
        )
    return found


def _groups(path: Path, column: str) -> Mapping[str, str]:
    if not path.is_file():
        raise GoodnoiseError(
            Code.NOT_FOUND, f"there is no {path}, which says the {column!r} of each image; write it"
        )
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or column not in rows[0] or "file_name" not in rows[0]:
        raise GoodnoiseError(Code.INVALID_INPUT, f"{path} has no columns file_name and {column}; add them")
    return {row["file_name"]: row[column] for row in rows}


def _channel(address: str, ca: Path | None) -> grpc.Channel:
    options = client_options(loopback=is_loopback(address))
    if ca is None and is_loopback(address):
        return grpc.insecure_channel(f"dns:///{address}", options=options)
    try:
        roots = ca.read_bytes() if ca else None
    except OSError as error:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"cannot read {ca}: {os.strerror(error.errno or 0)}"
        ) from error
    return grpc.secure_channel(f"dns:///{address}", grpc.ssl_channel_credentials(roots), options=options)


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
