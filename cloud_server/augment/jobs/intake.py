"""One job as it is handed in: images arrive in a folder aside, which becomes the job's when all are there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from cloud_server.augment.job import Job
from cloud_server.augment.jobs.places import JobFolder, Places
from cloud_server.augment.jobs.quotas import Quotas
from cloud_server.augment.jobs.records import Order, StoredJob
from cloud_server.augment.jobs.uploads import SentImage, Upload, write_order
from shared.errors import Code, GoodnoiseError
from shared.files import storage_errors

__all__ = ["Intake"]

Arrived = Callable[[int], Awaitable[None]]
Keep = Callable[[StoredJob], Awaitable[tuple[StoredJob, bool]]]


class Intake:
    """Images of an order, until it is a job.

    Args:
        stored: the job as it will be.
        order: what was asked for.
        job: its recipe.
        dataset: path of its dataset; None where images are sent.
        places: of folders.
        quotas: limits.
    """

    def __init__(
        self,
        stored: StoredJob,
        order: Order,
        job: Job,
        dataset: Path | None,
        *,
        places: Places,
        quotas: Quotas,
    ) -> None:
        self._stored, self._order, self._job, self._dataset = stored, order, job, dataset
        self._places, self._quotas = places, quotas
        self._upload: Upload | None = None

    async def begin(self, *, arrived: Arrived, keep: Keep, clock: Callable[[], float]) -> None:
        """Make the folder.

        Args:
            arrived: told of the bytes after each image; raises when there is no room.
            keep: makes it a job; tells which one it is, and whether that was there before.
            clock: seconds since 1970.
        """
        self._arrived, self._keep, self._clock = arrived, keep, clock
        self._folder: JobFolder = await asyncio.to_thread(self._stage)

    async def add(self, image: SentImage) -> None:
        """Take in an image.

        Raises:
            GoodnoiseError: INVALID_INPUT or EXHAUSTED, naming the image's number.
        """
        if self._upload is None:
            raise GoodnoiseError(
                Code.INVALID_INPUT,
                "an image came, but the order names a dataset; send one of them",
                {"field": "image"},
            )
        if self._upload.count >= self._order.images:
            message = f"more images came than the {self._order.images} of the order; say how many there are"
            raise GoodnoiseError(Code.INVALID_INPUT, message, {"field": "images"})
        await asyncio.to_thread(self._upload.add, image)
        await self._arrived(self._upload.bytes)

    async def finish(self) -> tuple[StoredJob, bool]:
        """Make it a job; whether it was one before.

        Raises:
            GoodnoiseError: INVALID_INPUT for images that are missing; EXHAUSTED for too many jobs;
                PRECONDITION for a key that another order has taken meanwhile.
        """
        held = await asyncio.to_thread(self._complete)
        images = self._order.images
        stored = replace(self._stored, images=images, held=held, created=self._clock())
        # The folder first: a job whose folder is missing could not be made, a folder without a job is swept.
        await asyncio.to_thread(self._places.keep, stored.id)
        try:
            kept, before = await self._keep(stored)
        except BaseException:
            await asyncio.shield(asyncio.to_thread(self._places.drop, stored.id))
            raise
        if before:
            await asyncio.to_thread(self._places.drop, stored.id)
        return kept, before

    async def close(self) -> None:
        """Let go of the files."""
        if self._upload is not None:
            await asyncio.to_thread(self._upload.close)

    def _stage(self) -> JobFolder:
        with storage_errors(Path("the uploads"), setting="--data"):
            folder = self._places.stage(self._stored.id)
            if self._dataset is None:
                self._upload = Upload(folder, self._job, self._quotas)
        return folder

    def _complete(self) -> int:
        if self._upload is not None:
            self._upload.finish(self._order.images)
        final = self._places.of(self._stored.id)
        with storage_errors(Path("the uploads"), setting="--data"):
            write_order(
                self._folder,
                recipe=self._order.recipe,
                dataset=self._dataset or final.images,
                include_originals=self._order.include_originals,
                shown=self._order.dataset or "the images",
                samples=self._quotas.samples,
            )
        return self._upload.bytes if self._upload is not None else 0
