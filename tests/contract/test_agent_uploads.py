"""What the agent says to callers that send nonsense, too much, or nothing. No bundle is installed."""

import io
import queue

import grpc
import pytest
from PIL import Image

from edge_client.agent.uploads import UploadLimits
from shared.errors import Code
from shared.wire.goodnoise.v1 import edge_pb2, edge_pb2_grpc
from shared.wire.limits import PART_BYTES
from shared.wire.status import error_from_call

SMALL = UploadLimits(photo_bytes=1000, album_photos=2, album_bytes=1500, all_bytes=1 << 20, idle_seconds=60.0)
END = edge_pb2.AlbumPhotoEnd()


def ask(**field):
    return edge_pb2.ProtectRequest(**field)


def options(**values):
    return ask(options=edge_pb2.ProtectOptions(**values))


def check(**field):
    return edge_pb2.CheckRequest(**field)


def png():
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    return file.getvalue()


def finish(answer):
    """Read a stream to its end; a single answer is whole already."""
    return list(answer) if isinstance(answer, grpc.Call) else answer


@pytest.fixture
def call(start_agent):
    """`call(method, requests, **settings)`: the error that the call ends with."""

    def run(method, requests, **settings):
        agent = start_agent(**{"limits": SMALL, **settings})
        with grpc.insecure_channel(agent.address) as channel, pytest.raises(grpc.RpcError) as caught:
            finish(getattr(edge_pb2_grpc.EdgeServiceStub(channel), method)(requests, timeout=30))
        return caught.value.code(), error_from_call(caught.value, peer="agent")

    return run


BAD = {
    "nothing": ([], "kind"),
    "empty message": ([ask()], "kind"),
    "photo before options": ([ask(photo_part=b"x")], "kind"),
    "album before photo": ([options(), ask(album_part=b"x")], "kind"),
    "options twice": ([options(), options()], "kind"),
    "options after photo": ([options(), ask(photo_part=b"x"), options()], "kind"),
    "photo after album": (
        [options(), ask(photo_part=b"x"), ask(album_part=b"x"), ask(photo_part=b"x")],
        "kind",
    ),
    "no photo": ([options()], "photo_part"),
    "empty photo": ([options(), ask(photo_part=b"")], "photo_part"),
    "large part": ([options(), ask(photo_part=bytes(PART_BYTES + 1))], "photo_part"),
    "end of no album photo": ([options(), ask(photo_part=b"x"), ask(album_photo_end=END)], "kind"),
    "empty album photo": (
        [options(), ask(photo_part=b"x"), ask(album_part=b""), ask(album_photo_end=END)],
        "album_part",
    ),
    "album without end": ([options(), ask(photo_part=b"x"), ask(album_part=b"x")], "album_photo_end"),
    "budget": ([options(budget="much"), ask(photo_part=png())], "options.budget"),
    "budget out of range": ([options(budget="90dB"), ask(photo_part=png())], "options.budget"),
    "keep and strip": (
        [options(keep_private_metadata=True, strip_metadata=True), ask(photo_part=png())],
        "options.strip_metadata",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_to_protect_is_named(call, name):
    requests, field = BAD[name]
    status, error = call("Protect", iter(requests))
    assert status is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details["field"] == field


BAD_CHECKS = {
    "nothing": ([], "original_part"),
    "protected first": ([check(protected_part=b"x")], "kind"),
    "original only": ([check(original_part=b"x")], "protected_part"),
    "original again": (
        [check(original_part=b"x"), check(protected_part=b"x"), check(original_part=b"x")],
        "kind",
    ),
    "album without end": (
        [check(original_part=b"x"), check(protected_part=b"x"), check(album_part=b"x")],
        "album_photo_end",
    ),
}


@pytest.mark.parametrize("name", BAD_CHECKS)
def test_a_bad_request_to_check_is_named(call, name):
    requests, field = BAD_CHECKS[name]
    status, error = call("Check", iter(requests))
    assert status is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details["field"] == field


def test_what_is_no_photo_is_refused(call):
    status, error = call("Protect", iter([options(), ask(photo_part=b"no photo")]))
    assert status is grpc.StatusCode.INVALID_ARGUMENT
    assert error.code is Code.INVALID_INPUT


TOO_MUCH = {
    "photo": [options(), ask(photo_part=bytes(600)), ask(photo_part=bytes(401))],
    "album photos": [
        options(),
        ask(photo_part=b"x"),
        *[ask(album_part=b"x"), ask(album_photo_end=END)] * 2,
        ask(album_part=b"x"),
    ],
    "album together": [
        options(),
        ask(photo_part=b"x"),
        ask(album_part=bytes(800)),
        ask(album_photo_end=END),
        ask(album_part=bytes(701)),
    ],
    "one message": [options(), ask(photo_part=bytes(5 << 20))],
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_too_much_is_refused(call, name):
    status, error = call("Protect", iter(TOO_MUCH[name]))
    assert status is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error.code is Code.EXHAUSTED


def test_calls_together_hold_no_more_than_the_agent_allows(start_agent):
    agent = start_agent(limits=UploadLimits(photo_bytes=1000, all_bytes=1000))
    waiting = queue.SimpleQueue()
    waiting.put(options())
    waiting.put(ask(photo_part=bytes(900)))
    photo = [options(), ask(photo_part=png() + bytes(200))]
    with grpc.insecure_channel(agent.address) as channel:
        stub = edge_pb2_grpc.EdgeServiceStub(channel)
        first = stub.Protect(iter(waiting.get, None), timeout=30)
        while agent.service.room.free == 1000:
            pass  # until the agent has taken the first call's part
        with pytest.raises(grpc.RpcError) as second:
            list(stub.Protect(iter(photo), timeout=30))
        assert second.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        first.cancel()
        waiting.put(None)
        while agent.service.room.free != 1000:
            pass  # until the first call has given it back
        with pytest.raises(grpc.RpcError) as third:
            list(stub.Protect(iter(photo), timeout=30))
        assert third.value.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_caller_who_falls_silent_is_let_go(start_agent):
    agent = start_agent(limits=UploadLimits(idle_seconds=0.05))
    waiting = queue.SimpleQueue()
    waiting.put(options())
    with grpc.insecure_channel(agent.address) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            list(edge_pb2_grpc.EdgeServiceStub(channel).Protect(iter(waiting.get, None), timeout=30))
        waiting.put(None)
    assert error_from_call(caught.value, peer="agent").code is Code.DEADLINE
    assert "nothing was sent" in caught.value.details()


def test_too_many_calls_at_once_are_refused(start_agent):
    agent = start_agent(max_calls=1)
    waiting = queue.SimpleQueue()
    waiting.put(options())
    waiting.put(ask(photo_part=b"x"))
    with grpc.insecure_channel(agent.address) as channel:
        stub = edge_pb2_grpc.EdgeServiceStub(channel)
        first = stub.Protect(iter(waiting.get, None), timeout=30)
        while agent.service.room.free == agent.service.room.size:
            pass  # until the first call is in
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.Protect(iter([options()]), timeout=30))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        first.cancel()
        waiting.put(None)


@pytest.mark.parametrize("method", ["Protect", "Check"])
def test_without_a_bundle_the_way_to_one_is_named(call, method):
    requests = {
        "Protect": [options(), ask(photo_part=png())],
        "Check": [check(original_part=png()), check(protected_part=png())],
    }
    status, error = call(method, iter(requests[method]))
    assert status is grpc.StatusCode.FAILED_PRECONDITION
    assert "goodnoise update" in error.message


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (edge_pb2.UpdateRequest(), grpc.StatusCode.INVALID_ARGUMENT),
        (edge_pb2.UpdateRequest(cloud="no port"), grpc.StatusCode.INVALID_ARGUMENT),
        (edge_pb2.UpdateRequest(cloud="127.0.0.1:1", profile="watch"), grpc.StatusCode.INVALID_ARGUMENT),
        (edge_pb2.UpdateRequest(cloud="127.0.0.1:1"), grpc.StatusCode.UNAVAILABLE),
    ],
)
def test_an_update_that_cannot_be_says_why(call, request_, status):
    assert call("Update", request_)[0] is status
