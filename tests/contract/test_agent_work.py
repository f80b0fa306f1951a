"""The agent at work over a real socket, with networks of the zoo: protect, check, update, cancel, stop."""

import io
import sys
import threading
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import onnx
import pytest
from PIL import Image

from edge_client.devicenets import load_nets
from edge_client.ladder import parse_budget
from edge_client.photos import read_photo
from edge_client.protect import ProtectOptions, protect
from edge_client.store import BundleStore
from models.gradients import build_gradient_graph
from models.store import load_card
from shared.bundle import BundleObject, Manifest, Member, manifest_to_json, sha256_hex
from shared.cards import Threshold
from shared.errors import Code
from shared.wire.goodnoise.v1 import edge_pb2, edge_pb2_grpc
from shared.wire.limits import PART_BYTES
from shared.wire.status import error_from_call

pytestmark = pytest.mark.zoo
BUDGET = "36dB"
THRESHOLD = Threshold(0.5, 1e-3, 0.9, "a round number for these tests")


@pytest.fixture(scope="session")
def bundle(zoo):
    """A small bundle of real networks: detector, one surrogate, one checker."""
    surrogate = build_gradient_graph(onnx.load(zoo / "mobilefacenet-192.onnx"), name="surrogate")
    content = {
        "detector": (zoo / "yunet.onnx").read_bytes(),
        "surrogate": surrogate.SerializeToString(),
        "checker": (zoo / "mobilefacenet-512.onnx").read_bytes(),
    }
    cards = {
        "detector": load_card("yunet"),
        "surrogate": replace(load_card("mobilefacenet-192"), threshold=THRESHOLD),
        "checker": replace(load_card("mobilefacenet-512"), threshold=THRESHOLD),
    }
    manifest = Manifest(
        version="1",
        profile="full",
        created="2026-01-02T03:04:05Z",
        members=tuple(Member(role, card, role) for role, card in cards.items()),
        hints=(),
        objects=tuple(BundleObject(name, sha256_hex(body), len(body)) for name, body in content.items()),
        accepted_licences=(),
        scores={},
    )
    return manifest, content


@pytest.fixture
def store(tmp_path):
    return BundleStore(tmp_path / "device")


@pytest.fixture
def installed(store, bundle):
    manifest, content = bundle
    with store.locked():
        for item in manifest.objects:
            (store.root / "objects" / item.sha256).write_bytes(content[item.name])
        store.install(manifest_to_json(manifest))
    return store


@pytest.fixture(scope="session")
def portrait(photos):
    """A real photo of one face, small enough for a test, as PNG bytes."""
    with Image.open(photos / "astronaut.png") as image:
        small = image.convert("RGB").crop((100, 0, 340, 240))
    return png(small)


@pytest.fixture
def agent(start_agent, installed):
    return start_agent(threads=1)


@pytest.fixture
def stub(agent):
    with grpc.insecure_channel(agent.address) as channel:
        yield edge_pb2_grpc.EdgeServiceStub(channel)


def png(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def pixels(content):
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"), np.int16)


def parts(content):
    return [content[start : start + PART_BYTES] for start in range(0, len(content), PART_BYTES)]


def to_protect(photo, *, album=(), **options):
    yield edge_pb2.ProtectRequest(options=edge_pb2.ProtectOptions(**{"budget": BUDGET, **options}))
    yield from (edge_pb2.ProtectRequest(photo_part=part) for part in parts(photo))
    for other in album:
        yield from (edge_pb2.ProtectRequest(album_part=part) for part in parts(other))
        yield edge_pb2.ProtectRequest(album_photo_end=edge_pb2.AlbumPhotoEnd())


def to_check(original, protected, *, album=()):
    yield from (edge_pb2.CheckRequest(original_part=part) for part in parts(original))
    yield from (edge_pb2.CheckRequest(protected_part=part) for part in parts(protected))
    for other in album:
        yield from (edge_pb2.CheckRequest(album_part=part) for part in parts(other))
        yield edge_pb2.CheckRequest(album_photo_end=edge_pb2.AlbumPhotoEnd())


def saved(answers):
    return b"".join(answer.photo_part for answer in answers)


def stages(answers):
    return [a.progress.stage for a in answers if a.WhichOneof("kind") == "progress"]


def until(answers, stage):
    """Read answers up to the first progress of a stage."""
    for answer in answers:
        if answer.progress.stage.startswith(stage):
            return answer.progress
    raise AssertionError(f"no progress of stage {stage!r} came")


class Blocked:
    """The agent's worker, held by a job of the test's own until `let_go`."""

    def __init__(self, agent, loop):
        self._gate, begun = threading.Event(), threading.Event()

        def hold(_tell):
            begun.set()
            self._gate.wait(60)

        async def start():
            agent.photos.start(hold)

        loop.run(start())
        begun.wait(60)

    def let_go(self):
        self._gate.set()


# ---- protect


def test_a_photo_comes_back_protected_as_the_library_would_do_it(stub, installed, portrait):
    answers = list(stub.Protect(to_protect(portrait, seed=3), timeout=200))
    kinds = [answer.WhichOneof("kind") for answer in answers]
    assert kinds == sorted(kinds, key=["progress", "photo_part", "report"].index)
    assert kinds.count("report") == 1

    report = answers[-1].report
    (face,) = report.faces
    assert report.bundle_version == "1"
    assert report.format.lower() == "png"
    assert report.seconds > 0
    assert {r.role for r in face.recognisers} == {"surrogate", "checker"}
    surrogate = next(r for r in face.recognisers if r.role == "surrogate")
    assert surrogate.protected
    assert surrogate.similarity_before == pytest.approx(1.0, abs=1e-3)
    assert surrogate.similarity_after < surrogate.threshold
    assert face.protected == all(r.protected for r in face.recognisers)
    assert report.protected == face.protected
    assert (face.anchor, 0 < face.levels <= 8, 30 < face.psnr_db < 50) == ("own photo", True, True)
    assert (0.5 < face.ms_ssim < 1, 0 < face.edge_change < 1) == (True, True)

    options = ProtectOptions(parse_budget(BUDGET), seed=3)
    outcome = protect(read_photo(portrait), load_nets(installed.current(), threads=1), options)
    assert saved(answers) == outcome.data
    changed = np.abs(pixels(saved(answers)) - pixels(portrait))
    assert changed.max() == face.levels


def test_progress_tells_what_is_done(stub, portrait):
    told = stages(list(stub.Protect(to_protect(portrait), timeout=200)))
    assert any(stage.startswith("attack") for stage in told)
    order = [next(i for i, s in enumerate(told) if s.startswith(name)) for name in ("attack", "check")]
    assert order == sorted(order)


def test_large_photos_travel_in_parts_both_ways(stub, portrait):
    noise = np.random.default_rng(7).integers(0, 256, (700, 700, 3), np.uint8)
    noise[200:440, 200:440] = pixels(portrait)
    answers = list(stub.Protect(to_protect(png(Image.fromarray(noise))), timeout=200))
    sizes = [len(answer.photo_part) for answer in answers if answer.photo_part]
    assert len(sizes) > 1
    assert max(sizes) <= PART_BYTES
    assert pixels(saved(answers)).shape == noise.shape


def test_with_an_album_the_owner_is_the_anchor(stub, portrait):
    mirrored = png(Image.fromarray(pixels(portrait)[:, ::-1].astype(np.uint8)))
    answers = list(stub.Protect(to_protect(portrait, album=[portrait, mirrored]), timeout=200))
    assert answers[-1].report.faces[0].anchor == "album"


def test_a_photo_without_a_face_is_not_found(stub, noise_photo):
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.Protect(to_protect(png(Image.fromarray(noise_photo))), timeout=60))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert error_from_call(caught.value, peer="agent").code is Code.NO_FACE


def test_an_album_without_a_face_is_not_found(stub, portrait, noise_photo):
    album = [png(Image.fromarray(noise_photo))]
    with pytest.raises(grpc.RpcError, match="album") as caught:
        list(stub.Protect(to_protect(portrait, album=album), timeout=60))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_damaged_bundle_is_named(stub, installed, bundle, portrait):
    damaged = installed.root / "objects" / bundle[0].object_of("checker").sha256
    damaged.write_bytes(b"damaged")
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.Protect(to_protect(portrait), timeout=60))
    assert caught.value.code() is grpc.StatusCode.DATA_LOSS
    assert "goodnoise update" in caught.value.details()


class _Opened:
    """Paths opened for writing while it is on; an audit hook cannot be taken away, only switched off."""

    def __init__(self):
        self.on, self.paths = False, []
        sys.addaudithook(self._see)

    def _see(self, event, details):
        if self.on and event == "open" and details[2] & 0b11 and not str(details[0]).startswith("/dev/"):
            self.paths.append(details[0])


def test_nothing_of_a_photo_is_written_to_a_disk_or_a_log(stub, portrait, caplog, capfd, tmp_path):
    stub.Check(to_check(portrait, portrait), timeout=60)  # loads the networks, which talk
    capfd.readouterr()
    opened = _Opened()
    (tmp_path / "probe").write_text("")
    opened.on = True
    (tmp_path / "probe").write_text("seen")
    list(stub.Protect(to_protect(portrait), timeout=200))
    opened.on = False
    assert [Path(path).name for path in opened.paths] == ["probe"]
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


# ---- check


def test_check_tells_a_protected_photo_from_the_same_one(stub, portrait):
    answers = list(stub.Protect(to_protect(portrait), timeout=200))
    report = answers[-1].report
    response = stub.Check(to_check(portrait, saved(answers)), timeout=60)
    assert response.bundle_version == "1"
    assert response.protected == report.protected
    for now, then in zip(response.faces[0].recognisers, report.faces[0].recognisers, strict=True):
        assert now.similarity_after == pytest.approx(then.similarity_after, abs=1e-5)
    assert not stub.Check(to_check(portrait, portrait), timeout=60).protected


def test_check_compares_with_an_album(stub, portrait):
    response = stub.Check(to_check(portrait, portrait, album=[portrait]), timeout=60)
    assert response.faces[0].anchor == "album"
    assert not response.protected


def test_photos_of_two_sizes_are_no_pair(stub, portrait):
    with pytest.raises(grpc.RpcError) as caught:
        stub.Check(to_check(portrait, png(Image.new("RGB", (64, 64)))), timeout=60)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


# ---- cancelled, late, two at once, stopped


def test_cancelling_stops_the_work_within_a_step(agent, stub, portrait):
    call = stub.Protect(to_protect(portrait), timeout=200)
    until(call, "attack")
    (job,) = agent.photos.jobs
    call.cancel()
    assert job.ended.wait(60)
    assert job.told.stage.startswith("attack")
    assert job.told.done < job.told.total
    assert list(stub.Protect(to_protect(portrait), timeout=200))[-1].report.faces


def test_a_client_that_vanishes_stops_the_work(agent, portrait):
    channel = grpc.insecure_channel(agent.address)
    call = edge_pb2_grpc.EdgeServiceStub(channel).Protect(to_protect(portrait), timeout=200)
    until(call, "attack")
    (job,) = agent.photos.jobs
    channel.close()
    assert job.ended.wait(60)
    assert job.told.done < job.told.total


def test_a_call_that_waits_past_its_deadline_is_never_begun(agent, stub, server_loop, portrait):
    blocked = Blocked(agent, server_loop)
    call = stub.Protect(to_protect(portrait), timeout=1)
    until(call, "wait")
    _, job = agent.photos.jobs
    with pytest.raises(grpc.RpcError) as caught:
        list(call)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert job.ended.wait(60)  # the agent's own clock may run out a moment after the caller's
    blocked.let_go()
    assert job.told is None


def test_two_at_once_take_turns(agent, stub, server_loop, portrait):
    blocked = Blocked(agent, server_loop)
    first = stub.Protect(to_protect(portrait, seed=1), timeout=200)
    assert until(first, "wait").total == 1
    second = stub.Protect(to_protect(portrait, seed=2), timeout=200)
    assert until(second, "wait").total == 2
    blocked.let_go()
    results = [saved(list(call)) for call in (first, second)]
    assert results[0] != results[1]
    alone = [saved(list(stub.Protect(to_protect(portrait, seed=seed), timeout=200))) for seed in (1, 2)]
    assert results == alone


def test_a_check_is_answered_while_nothing_is_protected_and_waits_otherwise(
    agent, stub, server_loop, portrait
):
    blocked = Blocked(agent, server_loop)
    check = stub.Check.future(to_check(portrait, portrait), timeout=60)
    assert not check.done()
    blocked.let_go()
    assert check.result().faces


def test_stopping_the_agent_ends_the_work_and_says_so(agent, stub, server_loop, start_agent, portrait):
    call = stub.Protect(to_protect(portrait), timeout=200)
    until(call, "attack")
    (job,) = agent.photos.jobs
    start_agent.stop()
    with pytest.raises(grpc.RpcError) as caught:
        list(call)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "stopping" in caught.value.details()
    assert job.ended.is_set()
    assert job.told.done < job.told.total
    assert not Path(agent.address.removeprefix("unix:")).exists()


# ---- update


def test_after_an_update_the_new_bundle_is_used(start_agent, start_cloud, store, bundle, portrait):
    cloud = start_cloud()
    manifest, content = bundle
    agent = start_agent(threads=1)
    with grpc.insecure_channel(agent.address) as channel:
        stub = edge_pb2_grpc.EdgeServiceStub(channel)
        for version, created in (("7", "2026-01-02T03:04:05Z"), ("8", "2026-02-02T03:04:05Z")):
            cloud.bundles.publish(replace(manifest, version=version, created=created), content)
            answers = list(stub.Update(edge_pb2.UpdateRequest(cloud=cloud.address), timeout=60))
            assert answers[-1].bundle_version == version
            assert answers[0].progress.stage == "connect"
            response = stub.Check(to_check(portrait, portrait), timeout=60)
            assert response.bundle_version == version
    assert store.current().manifest.version == "8"


def test_an_update_goes_on_while_photos_wait(agent, stub, server_loop, start_cloud, bundle):
    cloud = start_cloud()
    cloud.bundles.publish(replace(bundle[0], version="9"), bundle[1])
    blocked = Blocked(agent, server_loop)
    answers = list(stub.Update(edge_pb2.UpdateRequest(cloud=cloud.address), timeout=60))
    blocked.let_go()
    assert answers[-1].bundle_version == "9"
