"""Protecting real photos with the real networks of a bundle."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_client.album import album_of
from edge_client.check import embed
from edge_client.cloak import CloakSettings
from edge_client.devicenets import DeviceNets, load_nets
from edge_client.ladder import AUTO, Rung, parse_budget
from edge_client.photos import Photo, read_photo
from edge_client.protect import Outcome, ProtectOptions, check_pair, protect
from edge_client.report import outcome_to_dict, report_picture
from edge_client.store import BundleStore
from shared.errors import Code, GoodnoiseError
from shared.metrics import psnr

QUICK = CloakSettings(steps=12, more_steps=6, step_size=0.3)


@pytest.fixture(scope="module")
def astronaut(photos: Path) -> Photo:
    return read_photo(photos / "astronaut.png")


@pytest.fixture(scope="module")
def outcome(astronaut: Photo, nets: DeviceNets) -> Outcome:
    return protect(astronaut, nets, ProtectOptions((Rung(8.0, 36.0),), settings=QUICK))


def quick(budget: str) -> ProtectOptions:
    return ProtectOptions(parse_budget(budget), settings=QUICK)


def saved_as(photo: Photo, kind: str, **options: object) -> Photo:
    buffer = io.BytesIO()
    Image.fromarray(photo.pixels).save(buffer, kind, **options)
    return read_photo(buffer.getvalue(), name=f"astronaut.{kind.lower()}")


@pytest.mark.zoo
def test_similarity_falls_for_every_recogniser(outcome: Outcome, nets: DeviceNets) -> None:
    (face,) = outcome.faces
    assert {v.recogniser for v in face.verdicts} == {r.name for r in nets.asked}
    for verdict in face.verdicts:
        assert verdict.before == pytest.approx(1.0, abs=1e-3)
        assert verdict.after < (0.6 if verdict.role == "surrogate" else 0.8)


@pytest.mark.zoo
def test_the_saved_file_keeps_the_budget_and_changes_the_face_only(outcome: Outcome) -> None:
    (face,) = outcome.faces
    left, top, width, height = face.box
    change = outcome.saved.astype(int) - outcome.original
    rows, columns = np.nonzero(np.abs(change).max(axis=2))
    assert np.abs(change).max() <= 8
    assert face.psnr_db >= 36.0
    assert rows.min() > top - height // 3
    assert rows.max() < top + height + height // 3
    assert columns.min() > left - width // 2
    assert columns.max() < left + width + width // 2


@pytest.mark.zoo
def test_the_same_seed_gives_the_same_file_and_another_seed_another(
    astronaut: Photo, nets: DeviceNets
) -> None:
    rungs = (Rung(8.0, 40.0),)
    settings = CloakSettings(steps=3)
    files = [
        protect(astronaut, nets, ProtectOptions(rungs, seed=s, settings=settings)).data for s in (1, 1, 2)
    ]
    assert files[0] == files[1]
    assert files[0] != files[2]


@pytest.mark.zoo
def test_the_networks_threads_do_not_change_the_file(
    astronaut: Photo, nets: DeviceNets, device_home: Path
) -> None:
    options = ProtectOptions((Rung(8.0, 40.0),), settings=CloakSettings(steps=3))
    bundle = BundleStore(device_home).current()
    files = {protect(astronaut, load_nets(bundle, threads=t), options).data for t in (1, 3)}
    assert len(files) == 1


@pytest.mark.zoo
def test_the_ladder_stops_at_the_first_budget_that_passes(astronaut: Photo, nets: DeviceNets) -> None:
    easy = replace(nets, surrogates=(replace(nets.surrogates[0], margin=0.0),), checkers=())
    rungs = (Rung(8.0, 60.0), *AUTO, Rung(8.0, 34.0))
    (face,) = protect(astronaut, easy, ProtectOptions(rungs, settings=CloakSettings())).faces
    assert face.passed
    assert face.budget in [str(rung) for rung in AUTO]


@pytest.mark.zoo
def test_what_cannot_be_hidden_is_reported_as_matching(astronaut: Photo, nets: DeviceNets) -> None:
    outcome = protect(astronaut, nets, ProtectOptions((Rung(8.0, 60.0),), settings=CloakSettings(steps=1)))
    assert not outcome.protected
    assert not outcome_to_dict(outcome, bundle="1")["protected"]


@pytest.mark.zoo
def test_a_grey_photo_stays_grey(astronaut: Photo, nets: DeviceNets) -> None:
    grey = Image.fromarray(astronaut.pixels).convert("L")
    buffer = io.BytesIO()
    grey.save(buffer, "PNG")
    outcome = protect(read_photo(buffer.getvalue(), name="grey.png"), nets, quick("38dB"))
    assert Image.open(io.BytesIO(outcome.data)).mode == "L"
    assert (outcome.saved != outcome.original).any()


@pytest.mark.zoo
@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {"quality": 90}), ("WEBP", {"lossless": True}), ("TIFF", {})]
)
def test_the_format_stays(astronaut: Photo, nets: DeviceNets, kind: str, options: dict[str, object]) -> None:
    outcome = protect(saved_as(astronaut, kind, **options), nets, quick("40dB"))
    assert Image.open(io.BytesIO(outcome.data)).format == kind


@pytest.mark.zoo
def test_every_face_of_a_photo_is_protected(astronaut: Photo, nets: DeviceNets) -> None:
    two = np.concatenate([astronaut.pixels, astronaut.pixels[:, ::-1]], axis=1)
    buffer = io.BytesIO()
    Image.fromarray(two).save(buffer, "PNG")
    outcome = protect(read_photo(buffer.getvalue(), name="two.png"), nets, quick("36dB"))
    assert len(outcome.faces) == 2
    for face in outcome.faces:
        assert max(v.after for v in face.verdicts) < 0.85


@pytest.mark.zoo
def test_a_large_photo_is_protected_in_its_own_pixels(astronaut: Photo, nets: DeviceNets) -> None:
    large = Image.fromarray(astronaut.pixels).resize((2048, 2048), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    large.save(buffer, "PNG", compress_level=1)
    outcome = protect(read_photo(buffer.getvalue(), name="large.png"), nets, quick("36dB"))
    assert outcome.saved.shape == (2048, 2048, 3)
    assert np.abs(outcome.saved.astype(int) - outcome.original).max() <= 8
    assert outcome.faces[0].verdicts[0].after < 0.6


@pytest.mark.zoo
def test_an_album_moves_its_owner_and_nobody_else(astronaut: Photo, nets: DeviceNets) -> None:
    face = nets.detector.find(astronaut.pixels)[0]
    own = album_of([embed(astronaut.pixels, face, nets.recognisers)])
    stranger = album_of([{name: -value for name, value in own.anchors.items()}])
    assert protect(astronaut, nets, quick("40dB"), album=own).faces[0].anchor == "album"
    assert protect(astronaut, nets, quick("40dB"), album=stranger).faces[0].anchor == "own photo"


@pytest.mark.zoo
def test_no_face_is_said(nets: DeviceNets, noise_photo: np.ndarray) -> None:
    buffer = io.BytesIO()
    Image.fromarray(noise_photo).save(buffer, "PNG")
    with pytest.raises(GoodnoiseError, match="no face") as caught:
        protect(read_photo(buffer.getvalue(), name="noise.png"), nets, quick("auto"))
    assert caught.value.code is Code.NO_FACE


@pytest.mark.zoo
def test_progress_is_told_and_can_stop_the_work(astronaut: Photo, nets: DeviceNets) -> None:
    told: list[tuple[str, int, int]] = []

    def stop_at_three(stage: str, done: int, total: int) -> None:
        told.append((stage, done, total))
        if stage.startswith("attack") and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        protect(astronaut, nets, quick("36dB"), progress=stop_at_three)
    assert told[0][0] == "find"
    assert told[-1][1:] == (3, QUICK.steps)


@pytest.mark.zoo
def test_check_tells_a_cloak_from_none(astronaut: Photo, outcome: Outcome, nets: DeviceNets) -> None:
    same = check_pair(astronaut, astronaut, nets)
    protected = check_pair(astronaut, read_photo(outcome.data, name="protected.png"), nets)
    assert all(v.matches for v in same[0].verdicts)
    assert all(p.after < s.after - 0.2 for p, s in zip(protected[0].verdicts, same[0].verdicts, strict=True))


@pytest.mark.zoo
def test_a_face_that_is_hidden_is_compared_where_it_was(astronaut: Photo, nets: DeviceNets) -> None:
    """Its neighbour, which is still seen, is not taken for it, and keeps its own verdict."""
    two = np.concatenate([astronaut.pixels, astronaut.pixels[:, ::-1]], axis=1)
    left = nets.detector.find(astronaut.pixels)[0]
    x, y, width, height = (round(v) for v in left.box)
    hidden = two.copy()
    hidden[y - 40 : y + height + 40, x - 40 : x + width + 40] = 90
    faces = check_pair(
        read_photo(_png(two), name="two.png"), read_photo(_png(hidden), name="hidden.png"), nets
    )
    by_side = sorted(faces, key=lambda face: face.box[0])
    assert by_side[0].protected
    assert all(v.after > 0.9 for v in by_side[1].verdicts)


@pytest.mark.zoo
def test_a_face_cut_by_the_edge_is_protected_and_its_box_is_cut(astronaut: Photo, nets: DeviceNets) -> None:
    left, _, width, _ = nets.detector.find(astronaut.pixels)[0].box
    cut = np.ascontiguousarray(astronaut.pixels[:, round(left + width / 3) :])
    (face,) = protect(read_photo(_png(cut), name="cut.png"), nets, quick("38dB")).faces
    assert face.box[0] == 0
    assert face.box[2] < width
    assert min(v.before - v.after for v in face.verdicts) > 0.1


@pytest.mark.zoo
def test_faces_too_small_are_left_alone_by_protect_and_by_check(astronaut: Photo, nets: DeviceNets) -> None:
    small = np.asarray(Image.fromarray(astronaut.pixels).resize((96, 96), Image.Resampling.LANCZOS))
    both = astronaut.pixels.copy()
    both[400:496, 8:104] = small
    photo = read_photo(_png(both), name="both.png")
    outcome = protect(photo, nets, quick("45dB"))
    assert (len(outcome.faces), outcome.skipped) == (1, 1)
    assert len(check_pair(photo, photo, nets)) == 1
    lone = read_photo(_png(small), name="small.png")
    with pytest.raises(GoodnoiseError, match="too small to recognise") as caught:
        check_pair(lone, lone, nets)
    assert caught.value.code is Code.NO_FACE


@pytest.mark.zoo
def test_the_report_measures_the_saved_file(outcome: Outcome) -> None:
    (face,) = outcome.faces
    left, top, width, height = face.box
    rows, columns = slice(top, top + height), slice(left, left + width)
    before, after = outcome.original[rows, columns], outcome.saved[rows, columns]
    assert face.psnr_db == psnr(before, after)
    assert face.levels == np.abs(outcome.saved.astype(int) - outcome.original).max()
    assert 0.9 < face.ms_ssim < 1.0
    assert 0.05 < face.edge_change < 0.5


def test_no_budget_at_all_is_a_callers_mistake() -> None:
    with pytest.raises(ValueError, match="one budget or more"):
        ProtectOptions(())


@pytest.mark.zoo
def test_check_refuses_photos_of_two_sizes(astronaut: Photo, nets: DeviceNets) -> None:
    small = read_photo(_png(astronaut.pixels[:256]), name="small.png")
    with pytest.raises(GoodnoiseError, match="512 x 512 pixels and the protected photo 512 x 256"):
        check_pair(astronaut, small, nets)


@pytest.mark.zoo
def test_the_report_picture_shows_each_face(outcome: Outcome) -> None:
    picture = np.asarray(report_picture(outcome))
    assert picture.shape[1] > 3 * 300
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 1000


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
