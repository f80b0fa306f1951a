"""The work's values and the wire's messages, one into the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from edge_client.agent.tasks import Checked, Protected
from edge_client.agent.worker import Step
from edge_client.check import Verdict
from edge_client.ladder import parse_budget
from edge_client.photos import MetadataPolicy
from edge_client.protect import FaceReport, ProtectOptions
from shared.bundle import Profile
from shared.errors import Code, GoodnoiseError
from shared.wire.goodnoise.v1 import edge_pb2
from shared.wire.limits import PART_BYTES, profile_name

__all__ = ["options_of", "parts_of", "profile_of", "progress_of", "report_of", "response_of"]


def options_of(message: edge_pb2.ProtectOptions) -> ProtectOptions:
    """The options that a caller sent.

    Raises:
        GoodnoiseError: INVALID_INPUT, `field` in the details.
    """
    if message.keep_private_metadata and message.strip_metadata:
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            "keep_private_metadata and strip_metadata contradict each other; set one",
            {"field": "options.strip_metadata"},
        )
    keep = message.keep_private_metadata
    policy = MetadataPolicy(keep_location=keep, keep_serials=keep, strip_all=message.strip_metadata)
    try:
        rungs = parse_budget(message.budget)
    except GoodnoiseError as error:
        raise GoodnoiseError(error.code, error.message, {"field": "options.budget"}) from error
    return ProtectOptions(rungs, seed=message.seed, policy=policy)


def profile_of(message: edge_pb2.UpdateRequest) -> Profile:
    """The profile that a caller asked for.

    Raises:
        GoodnoiseError: INVALID_INPUT, `field` in the details.
    """
    return cast("Profile", profile_name(message.profile or "full"))


def progress_of(step: Step) -> edge_pb2.Progress:
    """One step."""
    return edge_pb2.Progress(stage=step.stage, done=step.done, total=step.total)


def parts_of(content: bytes) -> Iterator[bytes]:
    """A file in parts that fit the wire."""
    return (content[start : start + PART_BYTES] for start in range(0, len(content), PART_BYTES))


def report_of(protected: Protected) -> edge_pb2.ProtectReport:
    """What comes after the protected photo."""
    outcome = protected.outcome
    return edge_pb2.ProtectReport(
        faces=[_face(face) for face in outcome.faces],
        protected=outcome.protected,
        seconds=sum(outcome.seconds.values()),
        bundle_version=protected.bundle,
        format=outcome.format,
        faces_too_small=outcome.skipped,
    )


def response_of(checked: Checked) -> edge_pb2.CheckResponse:
    """The answer to a check."""
    return edge_pb2.CheckResponse(
        faces=[_face(face) for face in checked.faces],
        protected=all(face.protected for face in checked.faces),
        bundle_version=checked.bundle,
    )


def _face(face: FaceReport) -> edge_pb2.FaceResult:
    return edge_pb2.FaceResult(
        box=face.box,
        recognisers=[_verdict(verdict) for verdict in face.verdicts],
        levels=face.levels,
        psnr_db=face.psnr_db,
        ssim=face.ssim,
        ms_ssim=face.ms_ssim,
        edge_change=face.edge_change,
        protected=face.protected,
        within_margin=face.passed,
        budget=face.budget,
        anchor=face.anchor,
    )


def _verdict(verdict: Verdict) -> edge_pb2.RecogniserResult:
    return edge_pb2.RecogniserResult(
        recogniser=verdict.recogniser,
        role=verdict.role,
        similarity_before=verdict.before,
        similarity_after=verdict.after,
        threshold=verdict.threshold,
        target=verdict.target,
        protected=not verdict.matches,
    )
