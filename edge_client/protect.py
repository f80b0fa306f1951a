"""Protecting one photo: find the faces, climb the ladder, save, decode, check."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from edge_client.album import Album
from edge_client.check import Anchors, Verdict, embed, judge
from edge_client.cloak import Cloak, CloakSettings, make_cloak
from edge_client.devicenets import DeviceNets
from edge_client.ladder import Rung
from edge_client.metrics import psnr, ssim
from edge_client.photos import MetadataPolicy, Photo, encode_photo, read_photo
from edge_client.region import Region, face_region
from shared.errors import Code, GoodnoiseError
from shared.faces.detect import Face

__all__ = ["FaceReport", "Outcome", "Progress", "ProtectOptions", "check_pair", "protect"]

Pixels = npt.NDArray[np.uint8]
# Called with what is being done, how much of it is done, and of how much. May raise to stop the work.
Progress = Callable[[str, int, int], None]

# A face whose box is narrower than this, in pixels, is left alone: recognisers see noise in it.
SMALLEST_FACE = 20


@dataclass(frozen=True)
class ProtectOptions:
    """How to protect.

    Args:
        rungs: budgets to try, smallest first (`ladder.parse_budget`).
        seed: the same seed, photo and bundle give the same file.
        policy: what of the metadata to remove.
        settings: the attack's.
    """

    rungs: tuple[Rung, ...]
    seed: int = 0
    policy: MetadataPolicy = field(default_factory=MetadataPolicy)
    settings: CloakSettings = field(default_factory=CloakSettings)


@dataclass(frozen=True)
class FaceReport:
    """One face: box in the upright photo (left, top, width, height), verdicts, and what the change costs.

    `levels` is the largest change in levels, `psnr_db` and `ssim` are over the face's box in the saved file;
    `anchor` is 'album' or 'own photo'.
    """

    box: tuple[int, int, int, int]
    verdicts: tuple[Verdict, ...]
    budget: str
    anchor: str
    levels: float
    psnr_db: float
    ssim: float

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
    """A protected photo: the file's bytes, its decoded pixels, a report for each face, seconds by stage."""

    data: bytes
    format: str
    original: Pixels
    saved: Pixels
    faces: tuple[FaceReport, ...]
    skipped: int
    seconds: dict[str, float]
    gradient_calls: int

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
    progress: Progress | None = None,
) -> Outcome:
    """Protect every face of a photo.

    Args:
        photo: as read; it is not modified.
        nets: the networks and hints of the installed bundle.
        options: budget, seed, metadata.
        album: the owner's other photos; faces that are not the owner's get their own photo as anchor.
        progress: told of each step; may raise to stop.

    Raises:
        GoodnoiseError: NO_FACE when the detector finds none, or only such as are too small to recognise.
    """
    clock = _Clock()
    tell = progress or (lambda _stage, _done, _total: None)
    with clock.stage("find"):
        tell("find", 0, 1)
        found = nets.detector.find(photo.pixels)
        faces = [face for face in found if face.box[2] >= SMALLEST_FACE]
    if not faces:
        raise GoodnoiseError(Code.NO_FACE, _no_face(len(found)))
    with clock.stage("anchor"):
        works = [_start(photo, face, nets, album) for face in faces]
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
                    on_step=partial(tell, said),
                )
                calls += work.cloak.gradient_calls
        with clock.stage("save"):
            tell("save", number, len(options.rungs))
            data = encode_photo(photo, _compose(photo, works), policy=options.policy)
            saved = read_photo(data, name="the protected photo").pixels
        with clock.stage("check"):
            tell("check", number, len(options.rungs))
            for work in works:
                work.verdicts = judge(
                    photo.pixels, saved, work.face, work.anchors, nets.recognisers, nets.detector
                )
    with clock.stage("measure"):
        reports = tuple(_report(photo.pixels, saved, work) for work in works)
    return Outcome(
        data, photo.format, photo.pixels, saved, reports, len(found) - len(faces), clock.seconds, calls
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
        GoodnoiseError: INVALID_INPUT when the sizes differ, NO_FACE when the original shows none.
    """
    if original.pixels.shape != protected.pixels.shape:
        sizes = [f"{p.pixels.shape[1]} x {p.pixels.shape[0]}" for p in (original, protected)]
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"the original has {sizes[0]} pixels and the protected photo {sizes[1]}; "
            "give two files of one size",
        )
    found = nets.detector.find(original.pixels)
    if not found:
        raise GoodnoiseError(Code.NO_FACE, "no face was found in the original")
    works = [_start(original, face, nets, album) for face in found]
    for work in works:
        work.verdicts = judge(
            original.pixels, protected.pixels, work.face, work.anchors, nets.recognisers, nets.detector
        )
    return tuple(_report(original.pixels, protected.pixels, work) for work in works)


def _no_face(too_small: int) -> str:
    if too_small:
        return (
            f"only faces under {SMALLEST_FACE} pixels were found, too small to recognise; nothing was changed"
        )
    return "no face was found; nothing was changed"


def _start(photo: Photo, face: Face, nets: DeviceNets, album: Album | None) -> _Work:
    region = face_region(photo.pixels.shape, face)
    own = embed(photo.pixels, face, nets.recognisers)
    if album is not None and album.shows(own, nets.recognisers):
        return _Work(face, region, album.anchors, "album")
    return _Work(face, region, own, "own photo")


def _compose(photo: Photo, works: Sequence[_Work]) -> Pixels:
    """The photo with all cloaks, rounded to 8 bits; where two faces overlap the larger cap holds."""
    total = np.zeros(photo.pixels.shape, np.float32)
    cap = 0.0
    for work in works:
        if work.cloak is None or work.rung is None:
            continue
        x0, y0, x1, y1 = work.region.window
        total[y0:y1, x0:x1] += work.region.lift(work.cloak.delta, work.rung.levels / 255.0)
        cap = max(cap, work.rung.levels)
    if photo.grey:
        total[:] = total.mean(axis=2, keepdims=True)
    # Whole levels towards zero beyond the cap: rounding must not add a level to the budget.
    levels = np.clip(np.rint(total), -np.floor(cap), np.floor(cap))
    return np.asarray(np.clip(photo.pixels + levels, 0, 255), np.uint8)


def _report(before: Pixels, after: Pixels, work: _Work) -> FaceReport:
    left, top, width, height = (round(v) for v in work.face.box)
    rows = slice(max(top, 0), max(top + height, 1))
    columns = slice(max(left, 0), max(left + width, 1))
    a, b = before[rows, columns], after[rows, columns]
    return FaceReport(
        box=(left, top, width, height),
        verdicts=work.verdicts,
        budget="" if work.rung is None else str(work.rung),
        anchor=work.anchor,
        levels=float(np.abs(a.astype(np.int16) - b).max()),
        psnr_db=psnr(a, b),
        ssim=ssim(a, b),
    )
