"""HintService over a real socket, at wire level `pull`."""

import hashlib

import grpc
import pytest

from shared.wire.goodnoise.v1 import hint_pb2, hint_pb2_grpc


@pytest.fixture
def cloud(start_cloud):
    return start_cloud()


@pytest.fixture
def stub(cloud):
    with grpc.insecure_channel(cloud.address) as channel:
        yield hint_pb2_grpc.HintServiceStub(channel)


def catalogue(stub, version=""):
    return stub.Catalogue(hint_pb2.CatalogueRequest(bundle_version=version), timeout=60)


def test_a_device_without_a_bundle_is_told_every_hint(stub, cloud, make_bundle):
    cloud.bundles.publish(*make_bundle("7", hints={"universal-a": b"aaa", "universal-b": b"bb"}))
    answer = catalogue(stub)
    assert answer.bundle_version == "7"
    assert [(h.name, h.size, h.sha256) for h in answer.hints] == [
        ("universal-a", 3, hashlib.sha256(b"aaa").digest()),
        ("universal-b", 2, hashlib.sha256(b"bb").digest()),
    ]


def test_a_device_is_told_only_what_its_bundle_lacks(stub, cloud, make_bundle):
    cloud.bundles.publish(*make_bundle("1", hints={"old": b"old", "changed": b"before"}))
    cloud.bundles.publish(
        *make_bundle("2", "2026-02-02T00:00:00Z", hints={"old": b"old", "changed": b"after", "new": b"new"})
    )
    assert [h.name for h in catalogue(stub, "1").hints] == ["changed", "new"]
    assert [h.name for h in catalogue(stub, "2").hints] == []
    assert [h.name for h in catalogue(stub, "0.9").hints] == ["old", "changed", "new"]


def test_a_hint_of_two_profiles_is_listed_once(stub, cloud, make_bundle):
    cloud.bundles.publish(*make_bundle("1", hints={"both": b"both"}))
    cloud.bundles.publish(*make_bundle("2", "2026-02-02T00:00:00Z", profile="phone", hints={"both": b"both"}))
    answer = catalogue(stub)
    assert (answer.bundle_version, [h.name for h in answer.hints]) == ("2", ["both"])


def test_nothing_published_is_a_precondition(stub):
    with pytest.raises(grpc.RpcError) as caught:
        catalogue(stub)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize("version", ["v" * 33, "UPPER", "../1", "a b", "x" * 100_000])
def test_what_is_no_version_is_refused(stub, version):
    with pytest.raises(grpc.RpcError) as caught:
        catalogue(stub, version)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert len(caught.value.details()) < 300


def test_a_call_that_is_late_ends_with_its_deadline(stub):
    with pytest.raises(grpc.RpcError) as caught:
        stub.Catalogue(hint_pb2.CatalogueRequest(), timeout=0.0)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_fault_of_the_program_reaches_the_peer_without_its_text(stub, cloud, make_bundle, caplog):
    cloud.bundles.publish(*make_bundle())
    pointer = cloud.bundles.root / "full" / "current"
    pointer.unlink()
    pointer.mkdir()  # reading it is an error that nothing expects
    with pytest.raises(grpc.RpcError) as caught:
        catalogue(stub)
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert str(cloud.bundles.root) not in caught.value.details()
    assert any(record.getMessage() == "fault" for record in caplog.records)
