"""BundleService over a real socket: good, bad, late, too large, too often, cancelled, concurrent."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from cloud_server.bundles.store import PublishedBundles
from shared.bundle import manifest_from_json
from shared.wire.goodnoise.v1 import bundle_pb2, bundle_pb2_grpc
from shared.wire.limits import PART_BYTES

BIG = bytes(range(256)) * 4096 + b"tail"  # five parts


@pytest.fixture
def published(start_cloud, make_bundle):
    cloud = start_cloud()
    manifest, objects = make_bundle(big=BIG, empty=b"")
    cloud.bundles.publish(manifest, objects)
    return cloud


@pytest.fixture
def stub(published):
    with grpc.insecure_channel(published.address) as channel:
        yield bundle_pb2_grpc.BundleServiceStub(channel)


def digest(content):
    return hashlib.sha256(content).digest()


def fetch(stub, content, offset=0, **options):
    request = bundle_pb2.FetchObjectRequest(sha256=digest(content), offset=offset)
    return list(stub.FetchObject(request, timeout=60, **options))


def details(error, kind):
    status = rpc_status.from_call(error)
    found = kind()
    assert any(item.Unpack(found) for item in status.details if item.Is(kind.DESCRIPTOR)), status
    return found


def metadata(stub, name):
    request = bundle_pb2.GetMetadataRequest(name=name, profile="full")
    return stub.GetMetadata(request, timeout=60).content


def signed(stub, name):
    return json.loads(metadata(stub, name))["signed"]


def test_the_chain_of_signed_metadata_leads_to_the_manifest(stub, published, trust):
    assert metadata(stub, "1.root.json") == trust.root
    snapshot = signed(stub, "timestamp.json")["meta"]["snapshot.json"]["version"]
    targets = signed(stub, f"{snapshot}.snapshot.json")["meta"]["targets.json"]["version"]
    sha256 = signed(stub, f"{targets}.targets.json")["targets"]["full/manifest.json"]["hashes"]["sha256"]
    manifest = metadata(stub, f"{sha256}.manifest.json")
    assert hashlib.sha256(manifest).hexdigest() == sha256
    assert manifest_from_json(manifest) == published.bundles.manifest("full")


def test_an_object_comes_in_small_parts_with_its_size_first(stub):
    parts = fetch(stub, BIG)
    assert b"".join(p.part for p in parts) == BIG
    assert [p.total_size for p in parts] == [len(BIG), 0, 0, 0, 0]
    assert max(len(p.part) for p in parts) == PART_BYTES


@pytest.mark.parametrize("offset", [1, PART_BYTES, len(BIG) - 1, len(BIG)])
def test_an_object_goes_on_at_an_offset(stub, offset):
    parts = fetch(stub, BIG, offset)
    assert b"".join(p.part for p in parts) == BIG[offset:]
    assert parts[0].total_size == len(BIG)


def test_an_empty_object_is_one_empty_part(stub):
    assert [p.part for p in fetch(stub, b"")] == [b""]


def test_a_newer_bundle_is_seen_without_a_restart_and_the_one_before_stays(stub, published, make_bundle):
    for version in ("2", "3"):
        manifest, objects = make_bundle(version, f"2026-02-0{version}T00:00:00Z", extra=version.encode())
        published.bundles.publish(manifest, objects)
    assert signed(stub, "timestamp.json")["version"] == 3
    assert signed(stub, "3.targets.json")["version"] == 3
    assert fetch(stub, b"2")[0].part == b"2"
    with pytest.raises(grpc.RpcError) as caught:
        fetch(stub, BIG)  # of version 1, which is two behind
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("name", "profile", "code", "field"),
    [
        ("../timestamp.json", "full", grpc.StatusCode.INVALID_ARGUMENT, "name"),
        ("Timestamp.json", "full", grpc.StatusCode.INVALID_ARGUMENT, "name"),
        ("", "full", grpc.StatusCode.INVALID_ARGUMENT, "name"),
        ("m" * 81, "full", grpc.StatusCode.INVALID_ARGUMENT, "name"),
        ("manifest.json", "full", grpc.StatusCode.INVALID_ARGUMENT, "name"),
        ("current", "full", grpc.StatusCode.INVALID_ARGUMENT, "name"),
        ("0.root.json", "full", grpc.StatusCode.INVALID_ARGUMENT, "name"),
        ("timestamp.json", "../full", grpc.StatusCode.INVALID_ARGUMENT, "profile"),
        ("timestamp.json", "", grpc.StatusCode.INVALID_ARGUMENT, "profile"),
        ("timestamp.json", "p" * 10_000, grpc.StatusCode.INVALID_ARGUMENT, "profile"),
    ],
)
def test_bad_metadata_requests_name_the_field(stub, name, profile, code, field):
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetMetadata(bundle_pb2.GetMetadataRequest(name=name, profile=profile), timeout=60)
    assert caught.value.code() is code
    assert details(caught.value, error_details_pb2.BadRequest).field_violations[0].field == field
    assert details(caught.value, error_details_pb2.ErrorInfo).domain == "goodnoise"


@pytest.mark.parametrize(
    ("name", "profile"),
    [("2.root.json", "full"), ("9.targets.json", "full"), (f"{0:064}.manifest.json", "phone")],
)
def test_what_is_not_published_is_not_found(stub, name, profile):
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetMetadata(bundle_pb2.GetMetadataRequest(name=name, profile=profile), timeout=60)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_file_that_no_manifest_names_is_not_given_out(stub, published):
    secret = b"lies beside the published objects"
    (published.bundles.root / "objects" / hashlib.sha256(secret).hexdigest()).write_bytes(secret)
    with pytest.raises(grpc.RpcError) as caught:
        fetch(stub, secret)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("sha256", [b"", b"short", b"x" * 33])
def test_what_is_no_sha256_is_refused(stub, sha256):
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.FetchObject(bundle_pb2.FetchObjectRequest(sha256=sha256), timeout=60))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("offset", [len(BIG) + 1, 2**64 - 1])
def test_an_offset_behind_the_end_is_out_of_range(stub, offset):
    with pytest.raises(grpc.RpcError) as caught:
        fetch(stub, BIG, offset)
    assert caught.value.code() is grpc.StatusCode.OUT_OF_RANGE
    assert details(caught.value, error_details_pb2.ErrorInfo).reason == "OUT_OF_RANGE"


def test_a_message_above_the_limit_is_refused_before_it_is_read(stub):
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetMetadata(bundle_pb2.GetMetadataRequest(name="m" * (5 << 20), profile="full"), timeout=60)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_call_that_is_late_ends_with_its_deadline(stub):
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetMetadata(bundle_pb2.GetMetadataRequest(name="timestamp.json", profile="full"), timeout=0.0)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_calls_that_come_too_often_are_told_when_to_come_again(start_cloud, make_bundle):
    cloud = start_cloud(rate_per_minute=6)  # a burst of one
    cloud.bundles.publish(*make_bundle())
    request = bundle_pb2.GetMetadataRequest(name="timestamp.json", profile="full")
    with grpc.insecure_channel(cloud.address) as channel:
        stub = bundle_pb2_grpc.BundleServiceStub(channel)
        stub.GetMetadata(request, timeout=60)
        with pytest.raises(grpc.RpcError) as caught:
            stub.GetMetadata(request, timeout=60)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert 0 < details(caught.value, error_details_pb2.RetryInfo).retry_delay.seconds <= 10


def test_more_calls_than_allowed_at_a_time_are_refused(start_cloud, make_bundle):
    cloud = start_cloud(max_concurrent=1)
    content = bytes(16 << 20)
    cloud.bundles.publish(*make_bundle(big=content))
    with grpc.insecure_channel(cloud.address) as channel:
        stub = bundle_pb2_grpc.BundleServiceStub(channel)
        held = stub.FetchObject(bundle_pb2.FetchObjectRequest(sha256=digest(content)), timeout=30)
        next(held)  # the stream is open, and larger than what the windows hold
        with pytest.raises(grpc.RpcError) as caught:
            stub.GetMetadata(bundle_pb2.GetMetadataRequest(name="timestamp.json", profile="full"), timeout=60)
        held.cancel()
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_cancelled_download_leaves_the_server_at_rest(start_cloud, make_bundle):
    cloud = start_cloud()
    content = bytes(16 << 20)
    cloud.bundles.publish(*make_bundle(big=content))
    with grpc.insecure_channel(cloud.address) as channel:
        stub = bundle_pb2_grpc.BundleServiceStub(channel)
        call = stub.FetchObject(bundle_pb2.FetchObjectRequest(sha256=digest(content)), timeout=30)
        next(call)
        call.cancel()
        with pytest.raises(grpc.RpcError) as caught:
            list(call)
        assert caught.value.code() is grpc.StatusCode.CANCELLED
        stub.GetMetadata(bundle_pb2.GetMetadataRequest(name="timestamp.json", profile="full"), timeout=60)
    cloud.stop()  # ends at once with no grace: nothing hangs
    in_flight = cloud.server.metrics.registry.get_sample_value("goodnoise_rpc_in_flight")
    labels = {"method": "BundleService/FetchObject", "code": "CANCELLED"}
    assert in_flight == 0
    assert cloud.server.metrics.registry.get_sample_value("goodnoise_rpc_total", labels) == 1


def test_many_downloads_at_once_are_all_right(stub):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: b"".join(p.part for p in fetch(stub, BIG)), range(24)))
    assert set(found) == {BIG}


def test_a_damaged_object_on_the_server_is_data_loss(stub, published):
    (published.bundles.root / "objects" / digest(BIG).hex()).unlink()
    with pytest.raises(grpc.RpcError) as caught:
        fetch(stub, BIG)
    assert caught.value.code() is grpc.StatusCode.DATA_LOSS


def test_what_was_built_but_not_signed_is_not_given_out(start_cloud, make_bundle):
    cloud = start_cloud()
    PublishedBundles(cloud.bundles.root).publish(*make_bundle())
    with grpc.insecure_channel(cloud.address) as channel, pytest.raises(grpc.RpcError) as caught:
        metadata(bundle_pb2_grpc.BundleServiceStub(channel), "timestamp.json")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert "bundle publish" in caught.value.details()
