"""HintService at the levels `cluster`, `sketch` and `sign`, over a real socket."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import grpc
import numpy as np
import pytest
from prometheus_client import generate_latest

from shared.levels.bits import pack_bits
from shared.levels.cluster import CLUSTERS
from shared.wire.goodnoise.v1 import hint_pb2, hint_pb2_grpc

SHAPE = (3, 112, 112)


def image(content):
    return np.frombuffer(content, np.int8).reshape(SHAPE)


@pytest.fixture
def stub_of():
    channels = []

    def open_stub(cloud):
        channels.append(grpc.insecure_channel(cloud.address))
        return hint_pb2_grpc.HintServiceStub(channels[-1])

    yield open_stub
    for channel in channels:
        channel.close()


def refused(call, *arguments, **options):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **{"timeout": 20, **options})
    assert len(caught.value.details()) < 300
    return caught.value.code()


# ---- cluster


def test_every_kind_of_face_has_an_answer_and_the_poses_differ(start_cloud, stub_of):
    stub = stub_of(start_cloud())
    found = [stub.Cluster(hint_pb2.ClusterRequest(cluster=n), timeout=60) for n in range(CLUSTERS)]
    images = [image(answer.perturbation) for answer in found]
    assert all(0 < np.abs(levels.astype(int)).max() <= 127 for levels in images)
    assert not np.array_equal(images[0], images[15])
    assert {answer.bundle_version for answer in found} == {""}


def test_a_folder_of_trained_hints_answers_and_the_published_version_is_named(
    start_cloud, stub_of, make_bundle, tmp_path
):
    folder = tmp_path / "clusters"
    folder.mkdir()
    trained = np.full(SHAPE, 5, np.int8)
    np.save(folder / "cluster-07.npy", trained)
    cloud = start_cloud(cluster_hints=folder)
    cloud.bundles.publish(*make_bundle("9"))
    stub = stub_of(cloud)
    answer = stub.Cluster(hint_pb2.ClusterRequest(cluster=7), timeout=60)
    np.testing.assert_array_equal(image(answer.perturbation), trained)
    assert answer.bundle_version == "9"
    other = stub.Cluster(hint_pb2.ClusterRequest(cluster=6), timeout=60)
    assert not np.array_equal(image(other.perturbation), trained)


@pytest.mark.parametrize("number", [CLUSTERS, 255, 2**32 - 1])
def test_a_kind_that_does_not_exist_is_refused(start_cloud, stub_of, number):
    stub = stub_of(start_cloud())
    assert refused(stub.Cluster, hint_pb2.ClusterRequest(cluster=number)) is grpc.StatusCode.INVALID_ARGUMENT


# ---- sketch and sign: what needs no ensemble


@pytest.mark.parametrize("size", [0, 1, 3, 4704, 1_000_000])
def test_a_sketch_of_another_size_is_refused(start_cloud, stub_of, size):
    stub = stub_of(start_cloud())
    assert refused(stub.Sketch, hint_pb2.SketchRequest(bits=bytes(size))) is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("size", [0, 2, 4703, 4705, 3 * 112 * 112])
def test_a_map_of_another_size_is_refused(start_cloud, stub_of, size):
    stub = stub_of(start_cloud())
    assert refused(stub.Sign, hint_pb2.SignRequest(signs=bytes(size))) is grpc.StatusCode.INVALID_ARGUMENT


def test_more_than_a_message_may_hold_is_refused(start_cloud, stub_of):
    stub = stub_of(start_cloud())
    found = refused(stub.Sign, hint_pb2.SignRequest(signs=bytes(5 << 20)))
    assert found is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_without_an_ensemble_the_levels_say_what_they_need(start_cloud, stub_of):
    stub = stub_of(start_cloud())
    for call, request in (
        (stub.Sketch, hint_pb2.SketchRequest(bits=bytes(2))),
        (stub.Sign, hint_pb2.SignRequest(signs=bytes(4704))),
    ):
        assert refused(call, request) is grpc.StatusCode.FAILED_PRECONDITION


def test_a_late_call_ends_with_its_deadline(start_cloud, stub_of):
    stub = stub_of(start_cloud())
    for call, request in (
        (stub.Cluster, hint_pb2.ClusterRequest()),
        (stub.Sketch, hint_pb2.SketchRequest(bits=bytes(2))),
        (stub.Sign, hint_pb2.SignRequest(signs=bytes(4704))),
    ):
        assert refused(call, request, timeout=0.0) is grpc.StatusCode.DEADLINE_EXCEEDED


def test_one_address_is_limited(start_cloud, stub_of):
    stub = stub_of(start_cloud(rate_per_minute=6))
    request = hint_pb2.ClusterRequest(cluster=1)
    stub.Cluster(request, timeout=60)
    assert refused(stub.Cluster, request, timeout=60) is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_server_without_an_ensemble_loads_no_network_library(tmp_path):
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from cloud_server.rpc.server import start_server\n"
        "from cloud_server.settings import Settings\n"
        "async def life():\n"
        f"    server = await start_server(Settings(bundles=Path({str(tmp_path)!r}), listen='127.0.0.1:0'))\n"
        "    await server.stop(drain_seconds=0, grace_seconds=0)\n"
        "asyncio.run(life())\n"
        "print([name for name in ('torch', 'onnx', 'onnxruntime') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- sketch and sign: with a real ensemble


@pytest.fixture(scope="module")
def faces_file(photos, tmp_path_factory):
    """Twelve crops of the demo's photos, which stand in for public faces."""
    path = tmp_path_factory.mktemp("public") / "faces.npz"
    base = cv2.imread(str(photos / "astronaut.png"))[:, :, ::-1]
    crops = []
    for number in range(12):
        x, y = 100 + 8 * number, 20 + 4 * number
        part = cv2.resize(base[y : y + 224, x : x + 224], (112, 112), interpolation=cv2.INTER_AREA)
        crops.append(part.transpose(2, 0, 1))
    np.savez(path, faces=np.stack(crops).astype(np.uint8))
    return path


@pytest.fixture
def ensemble_cloud(start_cloud, zoo, faces_file):
    return start_cloud(
        public_faces=faces_file, models=zoo, ensemble=("mobilefacenet-192", "mobilefacenet-512")
    )


def sketch(stub, seed):
    bits = np.random.default_rng(seed).random(16) < 0.5
    return image(stub.Sketch(hint_pb2.SketchRequest(bits=pack_bits(bits)), timeout=60).direction)


def sign(stub, seed):
    signs = np.random.default_rng(seed).random(SHAPE) < 0.5
    return image(stub.Sign(hint_pb2.SignRequest(signs=pack_bits(signs)), timeout=60).direction)


def cosine(a, b):
    a, b = a.astype(float).ravel(), b.astype(float).ravel()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


@pytest.mark.zoo
@pytest.mark.parametrize("ask", [sketch, sign])
def test_two_requests_give_two_directions_and_one_gives_one(ensemble_cloud, stub_of, ask):
    stub = stub_of(ensemble_cloud)
    first, second = ask(stub, 1), ask(stub, 2)
    assert np.abs(first.astype(int)).max() == 127
    assert cosine(first, second) < 0.999
    np.testing.assert_array_equal(first, ask(stub, 1))


@pytest.mark.zoo
@pytest.mark.parametrize("ask", [sketch, sign])
def test_another_member_gives_another_answer(start_cloud, stub_of, ensemble_cloud, zoo, faces_file, ask):
    changed = start_cloud(public_faces=faces_file, models=zoo, ensemble=("mobilefacenet-192", "sface"))
    assert cosine(ask(stub_of(ensemble_cloud), 1), ask(stub_of(changed), 1)) < 0.95


@pytest.mark.zoo
def test_too_little_time_is_refused_before_the_work_and_later_calls_go_on(ensemble_cloud, stub_of):
    stub = stub_of(ensemble_cloud)
    request = hint_pb2.SketchRequest(bits=bytes(2))
    assert refused(stub.Sketch, request, timeout=0.05) is grpc.StatusCode.DEADLINE_EXCEEDED
    sketch(stub, 3)


@pytest.mark.zoo
def test_a_cancelled_call_frees_its_place(start_cloud, stub_of, zoo, faces_file):
    cloud = start_cloud(public_faces=faces_file, models=zoo, ensemble=("mobilefacenet-192",), waiting=0)
    stub = stub_of(cloud)
    call = stub.Sign.future(hint_pb2.SignRequest(signs=bytes(4704)), timeout=60)
    call.cancel()
    assert call.cancelled()
    sketch(stub, 1)


@pytest.mark.zoo
def test_what_is_too_much_is_refused_and_the_rest_is_answered(start_cloud, stub_of, zoo, faces_file):
    cloud = start_cloud(public_faces=faces_file, models=zoo, ensemble=("mobilefacenet-512",), waiting=1)
    stub = stub_of(cloud)
    codes = []
    gate = threading.Barrier(8)

    def call(seed):
        gate.wait()
        try:
            sketch(stub, seed)
            codes.append(grpc.StatusCode.OK)
        except grpc.RpcError as error:
            codes.append(error.code())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(8)))
    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    sketch(stub, 9)


@pytest.mark.zoo
def test_the_loop_answers_other_calls_while_the_ensemble_works(ensemble_cloud, stub_of):
    stub = stub_of(ensemble_cloud)
    slow = [stub.Sketch.future(hint_pb2.SketchRequest(bits=bytes([n, 0])), timeout=30) for n in range(6)]
    stub.Cluster(hint_pb2.ClusterRequest(cluster=3), timeout=60)
    assert not all(call.done() for call in slow)
    assert all(call.result().direction for call in slow)


@pytest.mark.zoo
def test_logs_and_metrics_hold_nothing_of_a_request(start_cloud, stub_of, zoo, faces_file, caplog):
    caplog.set_level("INFO", logger="goodnoise.cloud")
    cloud = start_cloud(public_faces=faces_file, models=zoo, ensemble=("mobilefacenet-192",), metrics_port=0)
    stub = stub_of(cloud)
    sketch(stub, 1)
    sign(stub, 1)
    stub.Cluster(hint_pb2.ClusterRequest(cluster=11), timeout=60)
    calls = [record for record in caplog.records if record.getMessage() == "call"]
    assert [record.fields["method"] for record in calls] == [
        "HintService/Sketch",
        "HintService/Sign",
        "HintService/Cluster",
    ]
    # The answers' sizes are the same for all requests of a method.
    assert all(set(record.fields) == {"method", "code", "ms", "bytes"} for record in calls)
    logged = json.dumps([record.fields for record in calls])
    counted = generate_latest(cloud.server.metrics.registry).decode()
    assert 'goodnoise_rpc_total{code="OK",method="HintService/Sketch"} 1.0' in counted
    assert set(re.findall(r'[{,](\w+)="', counted)) == {"code", "method", "le"}
    assert "127.0.0.1" not in logged + counted


def test_faces_that_cannot_be_used_end_the_start_with_their_name(zoo, start_cloud, tmp_path):
    wrong = tmp_path / "faces.npz"
    np.savez(wrong, faces=np.zeros((2, 112, 112, 3), np.uint8))
    with pytest.raises(Exception, match=r"faces\.npz holds uint8"):
        start_cloud(public_faces=wrong, models=zoo, ensemble=("mobilefacenet-192",))
    wrong.write_bytes(b"no archive")
    with pytest.raises(Exception, match=r"faces\.npz is no \.npz file"):
        start_cloud(public_faces=wrong, models=zoo, ensemble=("mobilefacenet-192",))
