"""EdgeService: reads what callers send, hands the work to a worker's thread, and streams what comes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, TypeVar

import grpc.aio

from edge_client.agent.messages import options_of, parts_of, profile_of, progress_of, report_of, response_of
from edge_client.agent.room import Lease, Room
from edge_client.agent.tasks import Tasks
from edge_client.agent.uploads import UploadLimits, read_check, read_protect
from edge_client.agent.worker import Job, Step, Work, Worker
from shared.wire.goodnoise.v1 import edge_pb2, edge_pb2_grpc

__all__ = ["EdgeService"]

T = TypeVar("T")
Context = grpc.aio.ServicerContext[Any, Any]


class EdgeService(edge_pb2_grpc.EdgeServiceServicer):
    """The servicer.

    Args:
        tasks: the work.
        photos: does protect and check, one at a time.
        updates: does updates, so that photos need not wait for a network.
        limits: how much callers may send.
    """

    def __init__(self, tasks: Tasks, *, photos: Worker, updates: Worker, limits: UploadLimits) -> None:
        self._tasks = tasks
        self._photos = photos
        self._updates = updates
        self._limits = limits
        self.room = Room(limits.all_bytes)

    async def Protect(  # noqa: N802 - the proto's name
        self, requests: AsyncIterator[edge_pb2.ProtectRequest], context: Context
    ) -> AsyncIterator[edge_pb2.ProtectResponse]:
        """Protect a photo; see edge.proto."""
        upload = await read_protect(requests, self._limits, self._lease(context))
        options = options_of(upload.options)
        ahead = len(self._photos.jobs)
        job = _start(self._photos, partial(self._tasks.protect, upload, options), context)
        del upload
        if ahead:
            yield edge_pb2.ProtectResponse(progress=progress_of(Step("wait", 0, ahead)))
        async for step in job.steps():
            yield edge_pb2.ProtectResponse(progress=progress_of(step))
        protected = job.result()
        for part in parts_of(protected.outcome.data):
            yield edge_pb2.ProtectResponse(photo_part=part)
        yield edge_pb2.ProtectResponse(report=report_of(protected))

    async def Check(  # noqa: N802 - the proto's name
        self, requests: AsyncIterator[edge_pb2.CheckRequest], context: Context
    ) -> edge_pb2.CheckResponse:
        """Check a pair of photos; see edge.proto."""
        upload = await read_check(requests, self._limits, self._lease(context))
        job = _start(self._photos, partial(self._tasks.check, upload), context)
        del upload
        async for _ in job.steps():
            pass
        return response_of(job.result())

    async def Update(  # noqa: N802 - the proto's name
        self, request: edge_pb2.UpdateRequest, context: Context
    ) -> AsyncIterator[edge_pb2.UpdateResponse]:
        """Fetch a cloud's bundle; see edge.proto."""
        work = partial(self._tasks.update, request.cloud, profile_of(request))
        job = _start(self._updates, work, context)
        async for step in job.steps():
            yield edge_pb2.UpdateResponse(progress=progress_of(step))
        yield edge_pb2.UpdateResponse(bundle_version=job.result())

    def _lease(self, context: Context) -> Lease:
        """The call's share of the agent's memory; given back when the call ends, however it ends."""
        lease = self.room.lease()
        _at_end(context, lease.release)
        return lease


def _start(worker: Worker, work: Work[T], context: Context) -> Job[T]:
    """A job that stops when its call ends: cancelled, too late, or with its connection."""
    job = worker.start(work)
    _at_end(context, job.stop)
    return job


def _at_end(context: Context, call: Callable[[], None]) -> None:
    # The stubs want a class of their own where gRPC takes any callable.
    context.add_done_callback(lambda _: call())  # type: ignore[arg-type]
