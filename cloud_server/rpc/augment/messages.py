"""Jobs and files as messages."""

from __future__ import annotations

import math

from google.protobuf import timestamp_pb2

from cloud_server.augment.jobs.records import ResultFile, State, StoredJob
from cloud_server.augment.progress import Progress, Stage
from shared.wire.goodnoise.v1 import augment_pb2

__all__ = ["STATES", "file_message", "job_message"]

STATES = {
    State.QUEUED: augment_pb2.AUGMENT_STATE_QUEUED,
    State.RUNNING: augment_pb2.AUGMENT_STATE_RUNNING,
    State.DONE: augment_pb2.AUGMENT_STATE_DONE,
    State.FAILED: augment_pb2.AUGMENT_STATE_FAILED,
    State.CANCELLED: augment_pb2.AUGMENT_STATE_CANCELLED,
    State.EXPIRED: augment_pb2.AUGMENT_STATE_EXPIRED,
}
_STAGES = {
    Stage.SURROGATE: augment_pb2.AUGMENT_STAGE_SURROGATE,
    Stage.UNIVERSAL: augment_pb2.AUGMENT_STAGE_UNIVERSAL,
    Stage.SAMPLES: augment_pb2.AUGMENT_STAGE_SAMPLES,
}


def job_message(job: StoredJob, *, waiting_before: int = 0) -> augment_pb2.AugmentJob:
    """A job as its owner sees it."""
    return augment_pb2.AugmentJob(
        job_id=job.id,
        key=job.key,
        state=STATES[job.state],
        revision=job.revision,
        recipe=job.recipe,
        dataset=job.dataset,
        images=job.images,
        progress=None if job.progress is None else _progress(job.progress),
        failure=augment_pb2.AugmentFailure(code=job.code, message=job.message) if job.code else None,
        crashes=job.crashes,
        waiting_before=waiting_before,
        create_time=_stamp(job.created),
        start_time=_stamp(job.started),
        end_time=_stamp(job.ended),
        expire_time=_stamp(job.expires),
        result_files=job.files,
        result_bytes=job.size,
    )


def file_message(file: ResultFile) -> augment_pb2.AugmentFile:
    """A file of the results."""
    digest = bytes.fromhex(file.sha256)
    return augment_pb2.AugmentFile(number=file.number, name=file.name, size=file.size, sha256=digest)


def _progress(progress: Progress) -> augment_pb2.AugmentProgress:
    return augment_pb2.AugmentProgress(
        stage=_STAGES[progress.stage],
        done=progress.done,
        total=progress.total,
        made=progress.made,
        accepted=progress.accepted,
    )


def _stamp(seconds: float | None) -> timestamp_pb2.Timestamp | None:
    if seconds is None:
        return None
    return timestamp_pb2.Timestamp(seconds=math.floor(seconds), nanos=int(seconds % 1 * 1e9))
