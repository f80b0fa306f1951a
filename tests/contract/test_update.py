"""The device's update against real servers: good, interrupted, and hostile ones."""

import signal
import threading
from dataclasses import replace

import grpc
import pytest

from edge_client.channel import Cloud, Endpoint, ObjectPayload
from edge_client.store import BundleStore
from edge_client.update import update
from shared.bundle import MAX_MANIFEST_BYTES, manifest_to_json, sha256_hex
from shared.errors import Code, GoodnoiseError
from shared.wire.goodnoise.v1 import bundle_pb2, bundle_pb2_grpc, hint_pb2, hint_pb2_grpc

BIG = b"".join(i.to_bytes(4, "big") for i in range(4 << 20))  # 16 MiB, more than any window holds


@pytest.fixture
def store(tmp_path, trust):
    return trust.trusting(BundleStore(tmp_path / "device"))


def partial_bytes(store):
    return sum(path.stat().st_size for path in (store.root / "partial").iterdir())


# ---- good


def test_a_first_update_installs_everything(start_cloud, make_bundle, store):
    cloud = start_cloud()
    manifest, objects = make_bundle(big=BIG[: 1 << 20], empty=b"", hints={"universal": b"hint"})
    cloud.bundles.publish(manifest, objects)
    seen = []
    result = update(cloud.address, store, on_progress=lambda done, total: seen.append((done, total)))
    assert (result.version, result.changed, result.fetched_bytes, result.reused_bytes) == (
        "1",
        True,
        manifest.size,
        0,
    )
    assert result.new_hints == ("universal",)
    assert store.current().manifest == manifest
    assert {name: store.current().read(name) for name in objects} == objects
    assert seen[0] == (0, manifest.size)
    assert seen[-1] == (manifest.size, manifest.size)
    assert seen == sorted(seen)


def test_a_second_update_fetches_nothing(start_cloud, make_bundle, store):
    cloud = start_cloud()
    manifest, objects = make_bundle()
    cloud.bundles.publish(manifest, objects)
    update(cloud.address, store)
    result = update(cloud.address, store)
    assert (result.changed, result.fetched_bytes, result.reused_bytes) == (False, 0, manifest.size)


def test_a_newer_bundle_moves_only_what_changed(start_cloud, make_bundle, store):
    cloud = start_cloud()
    cloud.bundles.publish(*make_bundle("1", kept=b"kept" * 1000, old=b"old"))
    update(cloud.address, store)
    cloud.bundles.publish(*make_bundle("2", "2026-02-02T00:00:00Z", kept=b"kept" * 1000, new=b"new!"))
    result = update(cloud.address, store)
    assert (result.version, result.changed, result.fetched_bytes) == ("2", True, len(b"new!"))
    previous = store.previous()
    assert previous is not None
    assert previous.read("old") == b"old"


def test_a_damaged_object_is_fetched_again(start_cloud, make_bundle, store):
    cloud = start_cloud()
    manifest, objects = make_bundle(checker=b"checker" * 100)
    cloud.bundles.publish(manifest, objects)
    update(cloud.address, store)
    (store.root / "objects" / manifest.object_of("checker").sha256).write_bytes(b"rotten!" * 100)
    with pytest.raises(GoodnoiseError, match="run 'goodnoise update'"):
        store.current().read("checker")
    assert update(cloud.address, store).fetched_bytes == 700
    assert store.current().read("checker") == objects["checker"]


def test_updates_at_once_leave_one_whole_bundle(start_cloud, make_bundle, store):
    cloud = start_cloud()
    manifest, objects = make_bundle(big=BIG[: 2 << 20])
    cloud.bundles.publish(manifest, objects)
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(update(cloud.address, store))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result.fetched_bytes for result in results) == [0, 0, 0, manifest.size]
    assert store.current().read("big") == objects["big"]


# ---- interrupted


def test_a_line_that_breaks_is_gone_on_with_at_once(start_cloud, make_bundle, store, record):
    cloud = start_cloud()
    cloud.bundles.publish(*make_bundle(big=BIG))
    proxy = record(cloud.address, cut_after=6 << 20)
    result = update(proxy.address, store)
    fetches = [call for call in proxy.calls() if call.method.endswith("FetchObject")]
    offsets = [bundle_pb2.FetchObjectRequest.FromString(call.messages[0]).offset for call in fetches]
    assert result.reused_bytes == 0  # it all came in this one update, nothing twice
    assert len(proxy.connections) > 1
    assert sum(offset > 0 for offset in offsets) >= 2


def test_a_server_killed_in_the_middle_costs_only_what_was_missing(
    spawn_cloud, start_cloud, make_bundle, store
):
    manifest, objects = make_bundle(big=BIG)
    first = spawn_cloud()
    later = start_cloud()  # shares the folder of published bundles
    later.bundles.publish(manifest, objects)

    def kill_at_a_megabyte(done, total):
        if done > 1 << 20 and first.process.poll() is None:
            first.end(signal.SIGKILL)

    with pytest.raises(GoodnoiseError) as caught:
        update(first.address, store, on_progress=kill_at_a_megabyte)
    assert caught.value.code is Code.UNAVAILABLE
    assert first.address in caught.value.message
    assert store.usable() is None  # nothing is half installed
    kept = partial_bytes(store)
    assert kept >= 1 << 20

    result = update(later.address, store)
    assert result.fetched_bytes < len(BIG)
    assert result.reused_bytes >= kept
    assert store.current().read("big") == BIG


def test_a_stop_by_the_caller_keeps_what_came(start_cloud, make_bundle, store):
    cloud = start_cloud()
    cloud.bundles.publish(*make_bundle(big=BIG))

    def stop(done, total):
        if done > 2 << 20:
            raise GoodnoiseError(Code.CANCELLED, "stopped by the user")

    with pytest.raises(GoodnoiseError, match="stopped by the user"):
        update(cloud.address, store, on_progress=stop)
    kept = partial_bytes(store)
    assert kept >= 2 << 20
    assert update(cloud.address, store).reused_bytes >= kept


def test_a_beginning_that_is_rotten_is_thrown_away(start_cloud, make_bundle, store):
    cloud = start_cloud()
    manifest, objects = make_bundle(checker=b"c" * 1000)
    cloud.bundles.publish(manifest, objects)
    with store.locked():
        (store.root / "partial" / manifest.object_of("checker").sha256).write_bytes(b"rot" * 100)
    update(cloud.address, store)
    assert store.current().read("checker") == objects["checker"]


def test_a_beginning_longer_than_the_object_is_thrown_away(start_cloud, make_bundle, store):
    cloud = start_cloud()
    manifest, objects = make_bundle(checker=b"c" * 1000)
    cloud.bundles.publish(manifest, objects)
    with store.locked():
        (store.root / "partial" / manifest.object_of("checker").sha256).write_bytes(b"c" * 5000)
    assert update(cloud.address, store).fetched_bytes == manifest.size
    assert store.current().read("checker") == objects["checker"]


# ---- unreachable


def test_a_cloud_that_is_not_there_is_named(store):
    with pytest.raises(GoodnoiseError, match=r"cannot reach 127\.0\.0\.1:1 .*check the address") as caught:
        update("127.0.0.1:1", store)
    assert caught.value.code is Code.UNAVAILABLE


@pytest.mark.parametrize(
    "cloud",
    ["", "cloud", "https://cloud:443", "cloud:0", "cloud:99999", "unix:/tmp/x", "xds:///a:1", "a b:1"],
)
def test_what_is_no_address_is_refused(cloud, store):
    with pytest.raises(GoodnoiseError, match="HOST:PORT") as caught:
        update(cloud, store)
    assert caught.value.code is Code.INVALID_INPUT


def test_a_server_without_the_services_is_named(start_rogue, store):
    with pytest.raises(GoodnoiseError, match="does not offer this service"):
        update(start_rogue(), store)


def test_nothing_published_says_so(start_cloud, store):
    with pytest.raises(GoodnoiseError, match="no bundle is published") as caught:
        update(start_cloud().address, store)
    assert caught.value.code is Code.PRECONDITION


def test_a_cloud_that_knows_no_such_profile_says_so(start_cloud, make_bundle, store):
    cloud = start_cloud()
    cloud.bundles.publish(*make_bundle())
    with pytest.raises(GoodnoiseError, match="'phone'") as caught:
        update(cloud.address, store, profile="phone")
    assert caught.value.code is Code.NOT_FOUND


# ---- hostile


class Hints(hint_pb2_grpc.HintServiceServicer):
    async def Catalogue(self, request, context):  # noqa: N802
        return hint_pb2.CatalogueResponse(bundle_version="9")


class Rogue(bundle_pb2_grpc.BundleServiceServicer):
    """Answers with what a test gives it: metadata by name, or one for all; parts of every object."""

    def __init__(self, metadata, parts, size=None):
        self.metadata = metadata
        self.parts = parts
        self.size = size
        self.fetched = 0

    async def GetMetadata(self, request, context):  # noqa: N802
        if isinstance(self.metadata, bytes):
            return bundle_pb2.GetMetadataResponse(content=self.metadata)
        if request.name not in self.metadata:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such file")
        return bundle_pb2.GetMetadataResponse(content=self.metadata[request.name])

    async def FetchObject(self, request, context):  # noqa: N802
        self.fetched += 1
        for number, part in enumerate(self.parts):
            size = self.size if self.size is not None else sum(map(len, self.parts))
            yield bundle_pb2.FetchObjectResponse(part=part, total_size=size if number == 0 else 0)


@pytest.fixture
def installed(start_cloud, make_bundle, store):
    """A device with an honest bundle."""
    cloud = start_cloud()
    manifest, objects = make_bundle("1", "2026-03-03T00:00:00Z")
    cloud.bundles.publish(manifest, objects)
    update(cloud.address, store)
    return manifest


def refused(rogue, start_rogue, store, installed):
    """The error of an update from the rogue; what was installed before still is, whole."""
    with pytest.raises(GoodnoiseError) as caught:
        update(start_rogue(rogue, Hints()), store)
    assert store.current().manifest == installed
    assert store.current().read("surrogate") == b"surrogate"
    return caught.value


@pytest.fixture
def newer(make_bundle):
    return make_bundle("9", "2026-09-09T00:00:00Z", surrogate=b"0123456789")[0]


@pytest.mark.parametrize(
    ("parts", "size", "said"),
    [
        ([b"9876543210"], None, "came with sha256"),
        ([b"01234"], 10, "came with sha256"),
        ([b"0123456789", b"more"], 10, "sent more"),
        ([b"0123456789more"], None, "says object"),
        ([b"0123456789"], 2**40, "says object"),
        ([b"x" * (1 << 20)], 10, "sent more"),
        ([], None, "came with sha256"),
    ],
)
def test_wrong_objects_are_refused(start_rogue, store, installed, newer, trust, parts, size, said):
    files = trust.files({"full": manifest_to_json(newer)}, version=9)
    error = refused(Rogue(files, parts, size), start_rogue, store, installed)
    assert error.code is Code.CORRUPT
    assert said in error.message
    assert partial_bytes(store) < 11


@pytest.mark.parametrize(
    "metadata",
    [b"", b"{", b"[]", b"\xff" * 100, b"[" * 100_000, b" " * (MAX_MANIFEST_BYTES + 1), b" " * (5 << 20)],
    ids=["empty", "cut", "list", "binary", "deep", "too large", "above the message limit"],
)
def test_wrong_metadata_is_refused(start_rogue, store, installed, metadata):
    rogue = Rogue(metadata, [])
    error = refused(rogue, start_rogue, store, installed)
    assert error.code in (Code.CORRUPT, Code.EXHAUSTED)
    assert rogue.fetched == 0


def test_a_bundle_of_another_profile_is_refused(start_rogue, store, installed, make_bundle, trust):
    phone, _ = make_bundle("9", "2026-09-09T00:00:00Z", profile="phone")
    files = trust.files({"full": manifest_to_json(phone)}, version=9)
    error = refused(Rogue(files, []), start_rogue, store, installed)
    assert (error.code, "the cloud sent 'phone'" in error.message) == (Code.CORRUPT, True)


def test_a_bundle_too_large_for_its_profile_is_refused_before_it_is_fetched(
    start_rogue, store, installed, make_bundle, trust
):
    manifest, _ = make_bundle("9", "2026-09-09T00:00:00Z", big=b"x")
    objects = tuple(replace(item, size=20_000_000) for item in manifest.objects)
    large = manifest_to_json(replace(manifest, objects=objects))
    rogue = Rogue(trust.files({"full": large}, version=9), [])
    assert "60000000 bytes" in refused(rogue, start_rogue, store, installed).message
    assert rogue.fetched == 0


def test_a_bundle_made_before_is_refused_unless_allowed(start_rogue, store, installed, make_bundle, trust):
    older, _ = make_bundle("0", "2026-03-02T23:59:59Z")
    rogue = Rogue(trust.files({"full": manifest_to_json(older)}, version=9), [])
    error = refused(rogue, start_rogue, store, installed)
    assert (error.code, "older" in error.message) == (Code.PRECONDITION, True)
    result = update(start_rogue(rogue, Hints()), store, allow_rollback=True)
    assert (result.version, store.current().manifest) == ("0", older)


def test_control_characters_of_a_peer_do_not_reach_the_terminal(start_rogue, store):
    class Shouting(Hints):
        async def Catalogue(self, request, context):  # noqa: N802
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "\x1b[2Jgone" + "!" * 5000)

    with pytest.raises(GoodnoiseError) as caught:
        update(start_rogue(None, Shouting()), store)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 1200


# ---- what leaves the device


def test_a_session_sends_versions_hashes_and_offsets_alone(start_cloud, make_bundle, store, record):
    """Every byte on a plaintext connection is accounted for."""
    cloud = start_cloud()
    first, objects = make_bundle("1", checker=b"c" * 1000)
    cloud.bundles.publish(first, objects)
    update(cloud.address, store)
    second, objects = make_bundle("2", "2026-02-02T00:00:00Z", checker=b"d" * 1000)
    cloud.bundles.publish(second, objects)
    with store.locked():
        (store.root / "partial" / second.object_of("checker").sha256).write_bytes(b"d" * 300)
    proxy = record(cloud.address)
    update(proxy.address, store)

    calls = [call.without("grpc-timeout") for call in proxy.calls()]
    manifest = sha256_hex(manifest_to_json(second))
    names = (
        "2.root.json",
        "timestamp.json",
        "2.snapshot.json",
        "2.targets.json",
        f"{manifest}.manifest.json",
    )
    wanted = [
        ("HintService/Catalogue", hint_pb2.CatalogueRequest(bundle_version="1")),
        *(
            ("BundleService/GetMetadata", bundle_pb2.GetMetadataRequest(name=name, profile="full"))
            for name in names
        ),
        (
            "BundleService/FetchObject",
            bundle_pb2.FetchObjectRequest(
                sha256=bytes.fromhex(second.object_of("checker").sha256), offset=300
            ),
        ),
    ]
    assert [(c.method, c.messages) for c in calls] == [
        (f"/goodnoise.v1.{method}", (message.SerializeToString(),)) for method, message in wanted
    ]
    assert {c.header("user-agent") for c in calls} == {
        f"goodnoise grpc-python/{grpc.__version__} {calls[0].header('user-agent').split(' ', 2)[2]}"
    }
    expected = {":scheme", ":method", ":authority", ":path", "te", "content-type", "user-agent"}
    compression = {"grpc-accept-encoding", "accept-encoding"}
    assert {name for c in calls for name, _ in c.headers} - compression == expected
    # Settings, window updates, pings and resets: fixed forms that carry counters, no content.
    assert {kind for kind, _, _ in proxy.other_frames()} <= {3, 4, 6, 7, 8}
    assert all(len(payload) <= 64 for _, _, payload in proxy.other_frames())


def test_two_sessions_share_no_connection(start_cloud, make_bundle, store, record):
    cloud = start_cloud()
    cloud.bundles.publish(*make_bundle())
    proxy = record(cloud.address)
    update(proxy.address, store)
    update(proxy.address, store)
    assert len(proxy.connections) == 2


def test_an_object_that_is_whole_is_not_asked_for(start_cloud, make_bundle, store, record):
    cloud = start_cloud()
    manifest, objects = make_bundle()
    cloud.bundles.publish(manifest, objects)
    proxy = record(cloud.address)
    update(proxy.address, store)
    update(proxy.address, store)
    methods = [call.method.rpartition("/")[2] for call in proxy.calls()]
    first = ["Catalogue", *["GetMetadata"] * 5, "FetchObject", "FetchObject"]
    again = ["Catalogue", "GetMetadata", "GetMetadata"]  # is there a newer root, a newer timestamp?
    assert methods == first + again


def test_stopping_a_fetch_ends_the_call(start_cloud, make_bundle):
    cloud = start_cloud()
    manifest, objects = make_bundle(big=BIG)
    cloud.bundles.publish(manifest, objects)
    with Cloud(Endpoint(address=cloud.address)) as session:
        parts = session.fetch(ObjectPayload(sha256=manifest.object_of("big").sha256, offset=0, size=len(BIG)))
        assert BIG.startswith(next(parts))
        parts.close()
