"""A job together with the paths that it reads and writes: what another process needs to take part in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cloud_server.augment.formats import Sink, codec, open_sink, open_source, refuse_held_out
from cloud_server.augment.job import Job
from cloud_server.augment.types import Source
from shared.errors import Code, GoodnoiseError

__all__ = ["Opening"]


@dataclass(frozen=True)
class Opening:
    """Where a job's images come from and where its samples go.

    Args:
        job: the settings.
        dataset: file or folder that is read.
        out: file or folder that is written.
        only_new: leave the originals out of the output.
        format: of the dataset; 'auto' looks at it.
        licence: of the output, as its description says it; empty for the dataset's own.
    """

    job: Job
    dataset: Path
    out: Path
    only_new: bool = False
    format: str = "auto"
    licence: str = ""

    def source(self) -> Source:
        """The dataset.

        Raises:
            GoodnoiseError: NOT_FOUND, INVALID_INPUT or CORRUPT naming the file; PRECONDITION for a split that
                is held out.
        """
        job = self.job
        source = open_source(
            self.dataset, split=job.split, format=self.format, label=job.label, group=job.group
        )
        refuse_held_out(source)
        return source

    def sink(self, source: Source) -> Sink:
        """The output.

        Raises:
            GoodnoiseError: PRECONDITION for a folder inside the dataset, or with other things in it.
        """
        if self.out.resolve().is_relative_to(self.dataset.resolve()):
            raise GoodnoiseError(
                Code.PRECONDITION,
                f"{self.out} lies in the dataset {self.dataset}, whose images are never changed and where it "
                "would be read again; choose another --out",
            )
        return open_sink(
            self.out,
            self.job.format,
            source=source,
            codec=codec(self.job.encoding),
            copy_originals=not self.only_new,
            dataset=self.dataset.absolute().name,
            licence=self.licence,
            job_digest=self.job.digest,
        )
