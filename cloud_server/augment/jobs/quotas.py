"""How much owners may send, keep and have made."""

from __future__ import annotations

from dataclasses import dataclass

from shared.errors import Code, GoodnoiseError
from shared.wire.status import QUOTA, RETRY_AFTER

__all__ = ["Quotas", "over"]


@dataclass(frozen=True, kw_only=True)
class Quotas:
    """Limits of the service; sizes in bytes, times in seconds.

    Args:
        images: of one upload.
        image_bytes: of one image as it is sent.
        pixels: of one image, height times width.
        upload_bytes: of one upload.
        uploads: of one owner at a time.
        open_jobs: of one owner that wait or run.
        jobs: of one owner, ended ones too.
        disk: of all jobs and uploads together.
        samples: that one job may make.
        updates: of a surrogate's training.
        side: height or width that a recipe may resize to.
        job_seconds: that a job may run, from its worker's start.
        crashes: of a job's worker, until the job is given up.
        keep_seconds: from a job's end until its files go.
        remember_seconds: after that, until it is forgotten, key and all.
        idle_seconds: between two images of an upload.
    """

    images: int = 50_000
    image_bytes: int = 3 << 20
    pixels: int = 16 << 20
    upload_bytes: int = 2 << 30
    uploads: int = 2
    open_jobs: int = 4
    jobs: int = 100
    disk: int = 50 << 30
    samples: int = 200_000
    updates: int = 20_000
    side: int = 1024
    job_seconds: float = 6 * 3600.0
    crashes: int = 3
    keep_seconds: float = 7 * 86400.0
    remember_seconds: float = 7 * 86400.0
    idle_seconds: float = 60.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"{name} is {value}, expected more than 0")


def over(quota: str, message: str, *, retry: float | None = None) -> GoodnoiseError:
    """The error of a quota that is used up.

    Args:
        quota: its name.
        message: for people.
        retry: seconds after which another try may be worth it.
    """
    details = {QUOTA: quota}
    if retry is not None:
        details[RETRY_AFTER] = f"{retry:.3f}"
    return GoodnoiseError(Code.EXHAUSTED, message, details)
