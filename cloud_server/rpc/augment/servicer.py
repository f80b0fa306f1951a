"""AugmentService: checks fields, asks the desk, and puts the answer into messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio

from cloud_server.augment.jobs.desk import JobDesk
from cloud_server.augment.jobs.records import ResultFile, StoredJob
from cloud_server.rpc.augment.callers import Owners
from cloud_server.rpc.augment.incoming import Incoming, order_of
from cloud_server.rpc.augment.messages import file_message, job_message
from shared.errors import Code, GoodnoiseError
from shared.wire import augment as limits
from shared.wire.goodnoise.v1 import augment_pb2, augment_pb2_grpc
from shared.wire.limits import PART_BYTES, offset_within

__all__ = ["AugmentServicer"]

Context = grpc.aio.ServicerContext[Any, Any]
_PAGE = 256


class AugmentServicer(augment_pb2_grpc.AugmentServiceServicer):
    """Answers owners of jobs.

    Args:
        desk: the service.
        owners: finds who asks.
    """

    def __init__(self, desk: JobDesk, owners: Owners) -> None:
        self._desk = desk
        self._owners = owners

    async def SubmitJob(  # noqa: N802 - the name in the proto
        self, requests: AsyncIterator[augment_pb2.SubmitJobRequest], context: Context
    ) -> augment_pb2.SubmitJobResponse:
        """A new job, or the one of an earlier call."""
        owner = await self._owners.of(context)
        incoming = Incoming(requests, self._desk.quotas.idle_seconds)
        order = order_of(await incoming.order())
        known = await self._desk.known(owner.id, order)
        if known is not None:
            return augment_pb2.SubmitJobResponse(job=await self._message(known), repeated_call=True)
        async with self._desk.intake(owner.id, order) as intake:
            async for image in incoming.images():
                await intake.add(image)
            job, repeated = await intake.finish()
        return augment_pb2.SubmitJobResponse(job=await self._message(job), repeated_call=repeated)

    async def GetJob(  # noqa: N802 - the name in the proto
        self, request: augment_pb2.GetJobRequest, context: Context
    ) -> augment_pb2.GetJobResponse:
        """How a job is."""
        owner = await self._owners.of(context)
        found = await self._desk.get(owner.id, _job_id(request.job_id))
        return augment_pb2.GetJobResponse(job=await self._message(found))

    async def ListJobs(  # noqa: N802 - the name in the proto
        self, request: augment_pb2.ListJobsRequest, context: Context
    ) -> augment_pb2.ListJobsResponse:
        """One page of the caller's jobs."""
        owner = await self._owners.of(context)
        after = limits.text("page_token", request.page_token, limits.JOB_ID_BYTES, ascii_only=True)
        size = limits.page_size(request.page_size, limits.JOBS_DEFAULT, limits.JOBS_MOST)
        found, token = await self._desk.page(owner.id, after, size)
        jobs = [await self._message(job) for job in found]
        return augment_pb2.ListJobsResponse(jobs=jobs, next_page_token=token)

    async def WatchJob(  # noqa: N802 - the name in the proto
        self, request: augment_pb2.WatchJobRequest, context: Context
    ) -> AsyncIterator[augment_pb2.WatchJobResponse]:
        """A job, again after each change."""
        owner = await self._owners.of(context)
        async for job in self._desk.watch(owner.id, _job_id(request.job_id), request.after_revision):
            yield augment_pb2.WatchJobResponse(job=await self._message(job))

    async def CancelJob(  # noqa: N802 - the name in the proto
        self, request: augment_pb2.CancelJobRequest, context: Context
    ) -> augment_pb2.CancelJobResponse:
        """End a job."""
        owner = await self._owners.of(context)
        found = await self._desk.cancel(owner.id, _job_id(request.job_id))
        return augment_pb2.CancelJobResponse(job=await self._message(found))

    async def DeleteJob(  # noqa: N802 - the name in the proto
        self, request: augment_pb2.DeleteJobRequest, context: Context
    ) -> augment_pb2.DeleteJobResponse:
        """Forget a job."""
        owner = await self._owners.of(context)
        await self._desk.delete(owner.id, _job_id(request.job_id))
        return augment_pb2.DeleteJobResponse()

    async def ListResults(  # noqa: N802 - the name in the proto
        self, request: augment_pb2.ListResultsRequest, context: Context
    ) -> augment_pb2.ListResultsResponse:
        """One page of a job's files."""
        owner = await self._owners.of(context)
        job = _job_id(request.job_id)
        first = limits.token_number("page_token", request.page_token)
        size = limits.page_size(request.page_size, limits.RESULTS_DEFAULT, limits.RESULTS_MOST)
        found = await self._desk.results(owner.id, job, first, size + 1)
        token = str(found[size].number) if len(found) > size else ""
        files = [file_message(file) for file in found[:size]]
        return augment_pb2.ListResultsResponse(files=files, next_page_token=token)

    async def FetchResults(  # noqa: N802 - the name in the proto
        self, request: augment_pb2.FetchResultsRequest, context: Context
    ) -> AsyncIterator[augment_pb2.FetchResultsResponse]:
        """Files of a job from a place on; each part is read when the one before has gone out."""
        owner = await self._owners.of(context)
        job, number, offset = _job_id(request.job_id), request.file, request.offset
        last = number + request.files if request.files else None
        first = True
        while last is None or number < last:
            most = _PAGE if last is None else min(_PAGE, last - number)
            page = await self._desk.results(owner.id, job, number, most)
            if first and (not page or page[0].number != number):
                raise GoodnoiseError(
                    Code.OUT_OF_RANGE,
                    f"file is {number}, but the job has no such file; list its results",
                    {"field": "file"},
                )
            for file in page:
                async for part in self._parts(job, file, offset):
                    yield part
                offset, first = 0, False
            if len(page) < most:
                return
            number = page[-1].number + 1

    async def _parts(
        self, job: str, file: ResultFile, offset: int
    ) -> AsyncIterator[augment_pb2.FetchResultsResponse]:
        path = self._desk.result_path(job, file)
        at = offset_within(offset, file.size)
        while at < file.size or at == offset:
            part = await asyncio.to_thread(_read, path, at, min(PART_BYTES, file.size - at))
            if not part and at < file.size:
                raise _damaged(file)
            yield augment_pb2.FetchResultsResponse(file=file.number, offset=at, part=part)
            if not part:
                return
            at += len(part)

    async def _message(self, job: StoredJob) -> augment_pb2.AugmentJob:
        return job_message(job, waiting_before=await self._desk.waiting_before(job))


def _job_id(value: str) -> str:
    return limits.text("job_id", value, limits.JOB_ID_BYTES, needed=True, ascii_only=True)


def _read(path: Path, offset: int, size: int) -> bytes:
    """One part. The file is opened anew each time, so that a cancelled call leaves nothing open."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except FileNotFoundError as error:
        raise GoodnoiseError(
            Code.PRECONDITION, "the job's files are gone: it was deleted, or has expired; hand it in again"
        ) from error


def _damaged(file: ResultFile) -> GoodnoiseError:
    return GoodnoiseError(
        Code.CORRUPT, f"file {file.number} is cut off on the server; delete the job and hand it in again"
    )
