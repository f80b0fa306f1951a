"""Protecting one photo: find the faces, climb the ladder, save, decode, check."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from edge_client.advice import Advice, Asks, HintReport
from edge_client.album import Album
from edge_client.check import SMALLEST_FACE, Anchors, Verdict, embed, judge
from edge_client.cloak import Cloak, CloakSettings, make_cloak
from edge_client.compose import Piece, compose
from edge_client.devicenets import DeviceNets
from edge_client.ladder import Rung
from edge_client.photos import MetadataPolicy, Photo, encode_photo, read_photo
from edge_client.region import Region, face_region, visible_box
from shared.errors import Code, GoodnoiseError
from shared.faces.detect import Face
from shared.metrics import edge_change, masked_ms_ssim, psnr, ssim

__all__ = ["FaceReport", "Outcome", "Progress", "ProtectOptions", "check_pair", "protect"]

Pixels = npt.NDArray[np.uint8]
# Called with what is being done, how much of it is done, and of how much. May raise to stop the work.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ProtectOptions:
    """How to protect.

    Args:
        rungs: budgets to try, smallest first (`ladder.parse_budget`).
        seed: of all randomness. On one machine the same seed, photo, album, bundle and settings give the same
            file, with any number of threads for the networks. Where NumPy's linear algebra is given another
            number of threads (OMP_NUM_THREADS), or on another processor, last bits differ and some pixels by
            a level.
        policy: what of the metadata to remove.
        settings: the attack's.
    """

    rungs: tuple[Rung, ...]
    seed: int = 0
    policy: MetadataPolicy = field(default_factory=MetadataPolicy)
    settings: CloakSettings = field(default_factory=CloakSettings)

    def __post_init__(self) -> None:
        if not self.rungs:
            raise ValueError("rungs: expected one budget or more, got none")


@dataclass(frozen=True)
class FaceReport:
    """One face: where it is, what the recognisers say, and what the change in the saved file costs.

    Args:
        box: left, top, width, height in the upright photo, cut to it.
        verdicts: of every recogniser.
        budget: the last that was tried; empty after a check.
        anchor: what the face was compared with, 'album' or 'own photo'.
        levels: the largest change in levels of 8 bits, over all that the cloak may reach.
        psnr_db: over the box; infinite where nothing changed.
        ssim: over the box.
        ms_ssim: `metrics.masked_ms_ssim` over the box, on the canvas (`region`): the face as it looks some
            200 pixels wide.
        edge_change: `metrics.edge_change` around eyes and mouth, on the canvas.
    """

    box: tuple[int, int, int, int]
    verdicts: tuple[Verdict, ...]
    budget: str
    anchor: str
    levels: float
    psnr_db: float
    ssim: float
    ms_ssim: float
    edge_change: float

    @property
    def protected(self) -> bool:
        """Whether every recogniser of the device is behind its threshold."""
        return not any(verdict.matches for verdict in self.verdicts)

    @property
    def passed(self) -> bool:
        """Whether every recogniser is behind its target, margin included."""
        return all(verdict.passed for verdict in self.verdicts)


@dataclass(frozen=True)
class Outcome:
    """A protected photo: the file's bytes, its decoded pixels, a report for each face, seconds by stage.

    `hint` says what became of asking a cloud; None where none was asked.
    """

    data: bytes
    format: str
    original: Pixels
    saved: Pixels
    faces: tuple[FaceReport, ...]
    skipped: int
    seconds: dict[str, float]
    gradient_calls: int
    hint: HintReport | None = None

    @property
    def protected(self) -> bool:
        """Whether every face is."""
        return all(face.protected for face in self.faces)


@dataclass
class _Clock:
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


@dataclass
class _Work:
    """One face on its way: where it is, what it is compared with, and its cloak so far."""

    face: Face
    region: Region
    anchors: Anchors
    anchor: str
    advice: Advice | None = None
    cloak: Cloak | None = None
    rung: Rung | None = None
    verdicts: tuple[Verdict, ...] = ()

    def wants(self, rung: Rung) -> bool:
        """Whether the face needs this budget."""
        if rung.rescue and self.verdicts:
            return any(verdict.matches for verdict in self.verdicts)
        return not (self.verdicts and all(verdict.passed for verdict in self.verdicts))


def protect(
    photo: Photo,
    nets: DeviceNets,
    options: ProtectOptions,
    *,
    album: Album | None = None,
    hints: Asks | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Protect every face of a photo.

    Args:
        photo: as read; it is not modified.
        nets: the networks and hints of the installed bundle.
        options: budget, seed, metadata.
        album: the owner's other photos; faces that are not the owner's get their own photo as anchor.
        hints: asks a cloud about one face, the owner's or else the largest; None asks nobody.
        progress: told of each step; may raise to stop.

    Raises:
        GoodnoiseError: NO_FACE when the detector finds none, or only such as are too small to recognise.
    """
    clock = _Clock()
    tell = progress or (lambda _stage, _done, _total: None)
    with clock.stage("find"):
        tell("find", 0, 1)
        found = nets.detector.find(photo.pixels)
        faces = _large_enough(found)
    if not faces:
        raise GoodnoiseError(Code.NO_FACE, f"{_no_face(len(found))}; nothing was changed")
    with clock.stage("anchor"):
        works = [_start(photo, face, nets, album) for face in faces]
    report = None
    if hints is not None:
        with clock.stage("hint"):
            tell("hint", 0, 1)
            report = _ask(hints, photo, works)
    calls = 0
    data, saved = b"", photo.pixels
    for number, rung in enumerate(options.rungs):
        open_works = [work for work in works if work.wants(rung)]
        if not open_works:
            break
        with clock.stage("attack"):
            for index, work in enumerate(open_works):
                said = f"attack at {rung}, face {index + 1} of {len(open_works)}"
                work.rung = rung
                work.cloak = make_cloak(
                    photo.pixels,
                    work.region,
                    work.anchors,
                    nets,
                    rung,
                    options.settings,
                    seed=options.seed,
                    grey=photo.grey,
                    previous=work.cloak,
                    advice=work.advice,
                    on_step=partial(tell, said),
                )
                calls += work.cloak.gradient_calls
        with clock.stage("save"):
            tell("save", number, len(options.rungs))
            data = encode_photo(photo, _composed(photo, works), policy=options.policy)
            saved = read_photo(data, name="the protected photo").pixels
        with clock.stage("check"):
            tell("check", number, len(options.rungs))
            for work in works:
                work.verdicts = judge(photo.pixels, saved, work.face, work.anchors, nets.asked, nets.detector)
    with clock.stage("measure"):
        reports = tuple(_report(photo.pixels, saved, work) for work in works)
    return Outcome(
        data,
        photo.format,
        photo.pixels,
        saved,
        reports,
        len(found) - len(faces),
        clock.seconds,
        calls,
        _tried(report, works),
    )


def check_pair(
    original: Photo, protected: Photo, nets: DeviceNets, *, album: Album | None = None
) -> tuple[FaceReport, ...]:
    """What the recognisers of the device say of a photo and its protected copy.

    Args:
        original: the photo as it was.
        protected: the copy; the same size, upright.
        nets: who is asked.
        album: compare the owner's face with these, not with the original photo.

    Raises:
        GoodnoiseError: INVALID_INPUT when the sizes differ, NO_FACE when the original shows none, or only
            such as are too small to recognise.
    """
    if original.pixels.shape != protected.pixels.shape:
        sizes = [f"{p.pixels.shape[1]} x {p.pixels.shape[0]}" for p in (original, protected)]
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"the original has {sizes[0]} pixels and the protected photo {sizes[1]}; "
            "give two files of one size",
        )
    found = nets.detector.find(original.pixels)
    faces = _large_enough(found)
    if not faces:
        raise GoodnoiseError(Code.NO_FACE, f"{_no_face(len(found))} in the original; give another photo")
    works = [_start(original, face, nets, album) for face in faces]
    for work in works:
        work.verdicts = judge(
            original.pixels, protected.pixels, work.face, work.anchors, nets.asked, nets.detector
        )
    return tuple(_report(original.pixels, protected.pixels, work) for work in works)


def _large_enough(faces: Sequence[Face]) -> list[Face]:
    return [face for face in faces if face.box[2] >= SMALLEST_FACE]


def _no_face(too_small: int) -> str:
    if too_small:
        return f"only faces under {SMALLEST_FACE} pixels, too small to recognise, were found"
    return "no face was found"


def _start(photo: Photo, face: Face, nets: DeviceNets, album: Album | None) -> _Work:
    region = face_region(photo.pixels.shape, face)
    own = embed(photo.pixels, face, nets.recognisers)
    if album is not None and album.shows(own, nets.asked):
        return _Work(face, region, album.anchors, "album")
    return _Work(face, region, own, "own photo")


def _ask(hints: Asks, photo: Photo, works: Sequence[_Work]) -> HintReport:
    """Ask about one face, so that a photo costs its privacy budget once."""
    asked = next((work for work in works if work.anchor == "album"), works[0])
    answer = hints.ask(photo.pixels, asked.face)
    asked.advice = answer.advice
    return answer.report


def _tried(report: HintReport | None, works: Sequence[_Work]) -> HintReport | None:
    """The report, with what the device made of the answer."""
    if report is None or report.status != "asked":
        return report
    if any(work.cloak is not None and work.cloak.advised for work in works):
        return replace(report, status="taken", note="it lowers this device's own loss; its trace was removed")
    return replace(report, status="dropped", note="it does not lower this device's own loss further")


def _composed(photo: Photo, works: Sequence[_Work]) -> Pixels:
    pieces = [
        Piece(work.region, work.cloak.delta, work.rung.levels)
        for work in works
        if work.cloak is not None and work.rung is not None
    ]
    return compose(photo.pixels, pieces, grey=photo.grey)


def _report(before: Pixels, after: Pixels, work: _Work) -> FaceReport:
    left, top, right, bottom = visible_box(before.shape, work.face)
    a, b = before[top:bottom, left:right], after[top:bottom, left:right]
    region = work.region
    x0, y0, x1, y1 = region.box()
    small_a, small_b = region.pixels(before), region.pixels(after)
    # A landmark beyond the photo's edge counts at the edge.
    landmarks = np.clip(region.landmarks(), 0, np.array(region.size[::-1]) - 1)
    return FaceReport(
        box=(left, top, right - left, bottom - top),
        verdicts=work.verdicts,
        budget="" if work.rung is None else str(work.rung),
        anchor=work.anchor,
        levels=float(cv2.absdiff(region.part(before), region.part(after)).max()),
        psnr_db=psnr(a, b),
        ssim=ssim(a, b),
        ms_ssim=masked_ms_ssim(small_a[y0:y1, x0:x1], small_b[y0:y1, x0:x1]),
        edge_change=edge_change(small_a, small_b, landmarks),
    )
