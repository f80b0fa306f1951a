"""Attacks on an update, tried over a real socket: each is refused, and what was installed goes on working."""

import copy
import json
from datetime import timedelta

import grpc
import pytest

from cloud_server.bundles.signing.keys import KeyRing, load_keys
from cloud_server.bundles.signing.plans import KeyPlan, make_keys
from cloud_server.bundles.signing.roles import Lifetimes
from edge_client.store import BundleStore
from edge_client.update import update
from shared.bundle import manifest_to_json, sha256_hex
from shared.errors import Code, GoodnoiseError
from shared.wire.goodnoise.v1 import bundle_pb2, bundle_pb2_grpc, hint_pb2, hint_pb2_grpc

PAST = timedelta(seconds=-5)


class Hints(hint_pb2_grpc.HintServiceServicer):
    async def Catalogue(self, request, context):  # noqa: N802
        return hint_pb2.CatalogueResponse(bundle_version="9")


class Attacker(bundle_pb2_grpc.BundleServiceServicer):
    """A cloud in an attacker's hands: it answers with any files and objects, and counts what is asked."""

    def __init__(self):
        self.files = {}
        self.objects = {}
        self.asked = []

    async def GetMetadata(self, request, context):  # noqa: N802
        self.asked.append(request.name)
        if request.name not in self.files:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such file")
        return bundle_pb2.GetMetadataResponse(content=self.files[request.name])

    async def FetchObject(self, request, context):  # noqa: N802
        self.asked.append("object")
        body = self.objects[request.sha256.hex()]
        yield bundle_pb2.FetchObjectResponse(part=body, total_size=len(body))


class Device:
    """A device with an honest bundle, whose cloud falls into an attacker's hands."""

    def __init__(self, store, cloud, address):
        self.store, self.cloud, self.address = store, cloud, address

    def update(self, **options):
        return update(self.address, self.store, **options)

    def refuses(self, reason, code):
        before = self.store.current().manifest
        self.cloud.asked.clear()
        with pytest.raises(GoodnoiseError) as caught:
            self.update()
        assert (caught.value.details.get("reason"), caught.value.code) == (reason, code)
        assert "nothing was installed" in caught.value.message
        assert "object" not in self.cloud.asked
        assert self.store.current().manifest == before
        assert self.store.current().read("surrogate") == b"surrogate"


@pytest.fixture
def bundle(make_bundle):
    """Makes a manifest of a version, as bytes; its objects are the same in all."""

    def make(version):
        return manifest_to_json(make_bundle(str(version), f"2026-01-{version:02}T00:00:00Z")[0])

    return make


@pytest.fixture
def device(start_rogue, trust, tmp_path, bundle):
    """Installed is version 5 of everything."""
    cloud = Attacker()
    cloud.objects = {sha256_hex(body): body for body in (b"detector", b"surrogate")}
    device = Device(trust.trusting(BundleStore(tmp_path / "device")), cloud, start_rogue(cloud, Hints()))
    cloud.files = trust.files({"full": bundle(5)}, version=5)
    assert device.update().version == "5"
    return device


def test_the_same_device_takes_honest_news(device, trust, bundle):
    device.cloud.files = trust.files({"full": bundle(6)}, version=6)
    assert device.update().version == "6"


# ---- rollback


def test_an_older_repository_is_refused(device, trust, bundle):
    device.cloud.files = trust.files({"full": bundle(4)}, version=4)
    device.refuses("rollback", Code.PRECONDITION)


def test_allowing_an_older_bundle_waives_no_signed_version(device, trust, bundle):
    device.cloud.files = trust.files({"full": bundle(4)}, version=4)
    with pytest.raises(GoodnoiseError) as caught:
        device.update(allow_rollback=True)
    assert caught.value.details["reason"] == "rollback"


def test_an_old_snapshot_under_a_new_timestamp_is_refused(device, trust, bundle):
    """Signed with the timestamp's key alone, which is the one that lies online."""
    old, new = trust.files({"full": bundle(4)}, version=4), trust.files({"full": bundle(6)}, version=6)
    timestamp = json.loads(new["timestamp.json"])["signed"]
    timestamp["meta"] = json.loads(old["timestamp.json"])["signed"]["meta"]
    device.cloud.files = {**old, "timestamp.json": resigned(timestamp, trust)}
    device.refuses("rollback", Code.PRECONDITION)


def test_old_targets_under_a_new_snapshot_are_refused(device, trust, bundle):
    old, new = trust.files({"full": bundle(4)}, version=4), trust.files({"full": bundle(6)}, version=6)
    snapshot = json.loads(new["6.snapshot.json"])["signed"]
    snapshot["meta"] = json.loads(old["4.snapshot.json"])["signed"]["meta"]
    content = resigned(snapshot, trust)
    timestamp = json.loads(new["timestamp.json"])["signed"]
    timestamp["meta"]["snapshot.json"] |= {"length": len(content), "hashes": {"sha256": sha256_hex(content)}}
    device.cloud.files = {**old, "6.snapshot.json": content, "timestamp.json": resigned(timestamp, trust)}
    device.refuses("rollback", Code.PRECONDITION)


def test_what_was_seen_is_remembered_though_its_bundle_did_not_come(device, trust, bundle):
    newer = trust.files({"full": bundle(7)}, version=7)
    device.cloud.files = {name: body for name, body in newer.items() if "manifest" not in name}
    with pytest.raises(GoodnoiseError, match="no such file"):
        device.update()
    device.cloud.files = trust.files({"full": bundle(6)}, version=6)
    device.refuses("rollback", Code.PRECONDITION)


# ---- freeze


@pytest.mark.parametrize("role", ["targets", "snapshot", "timestamp"])
def test_expired_metadata_is_refused_and_the_clock_is_named(device, trust, bundle, role):
    device.cloud.files = trust.files({"full": bundle(6)}, version=6, lifetimes=Lifetimes(**{role: PAST}))
    device.refuses("expired", Code.PRECONDITION)
    with pytest.raises(GoodnoiseError, match=r"clock wrong.*UTC here"):
        device.update()


def test_an_expired_root_is_refused(start_rogue, tmp_path, trust, bundle):
    root = make_keys(tmp_path / "keys", lifetimes=Lifetimes(root=PAST))
    cloud = Attacker()
    cloud.files = trust.files({"full": bundle(6)}, ring=load_keys(tmp_path / "keys"), root=root)
    with pytest.raises(GoodnoiseError, match=r"root\.json is expired"):
        update(start_rogue(cloud, Hints()), BundleStore(tmp_path / "device"), root=root)


def test_a_cloud_that_is_held_back_is_noticed_when_its_timestamp_ends(device, trust, bundle):
    """The device has the newest there was; the same timestamp again is fine until it expires."""
    assert not device.update().changed
    device.cloud.files = trust.files({"full": bundle(5)}, version=5, lifetimes=Lifetimes(timestamp=PAST))
    fresh = Device(
        trust.trusting(BundleStore(device.store.root.with_name("fresh"))), device.cloud, device.address
    )
    with pytest.raises(GoodnoiseError) as caught:
        fresh.update()
    assert caught.value.details["reason"] == "expired"


# ---- mix and match, alteration


def test_a_snapshot_with_the_targets_of_another_is_refused(device, trust, bundle):
    """Both were signed for version 6, by the right keys; they never belonged together."""
    one = trust.files({"full": bundle(6)}, version=6)
    other = trust.files({"full": bundle(7)}, version=6)
    device.cloud.files = {**one, "6.targets.json": other["6.targets.json"]}
    device.refuses("mixed", Code.CORRUPT)


def test_a_timestamp_with_the_snapshot_of_another_is_refused(device, trust, bundle):
    one = trust.files({"full": bundle(6)}, version=6)
    other = trust.files({"full": bundle(8)}, version=6)
    device.cloud.files = {**one, "6.snapshot.json": other["6.snapshot.json"]}
    device.refuses("mixed", Code.CORRUPT)


def test_an_altered_manifest_is_refused(device, trust, bundle):
    files = trust.files({"full": bundle(6)}, version=6)
    name = next(name for name in files if name.endswith("manifest.json"))
    device.cloud.files = {**files, name: files[name].replace(b"surrogate", b"s0rrogate")}
    device.refuses("mixed", Code.CORRUPT)


@pytest.mark.parametrize("name", ["timestamp.json", "6.snapshot.json", "6.targets.json"])
def test_an_altered_byte_of_metadata_is_refused(device, trust, bundle, name):
    files = trust.files({"full": bundle(6)}, version=6)
    altered = files[name].replace(b'"version":6', b'"version":9')
    assert altered != files[name]
    device.cloud.files = {**files, name: altered}
    with pytest.raises(GoodnoiseError) as caught:
        device.update()
    assert caught.value.details["reason"] in ("unsigned", "mixed")
    assert device.store.current().manifest.version == "5"


@pytest.mark.parametrize("name", ["2.root.json", "timestamp.json", "6.snapshot.json", "6.targets.json"])
@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"signed": {"_type": "timestamp"}}'])
def test_garbage_at_any_step_is_refused(device, trust, bundle, name, content):
    device.cloud.files = {**trust.files({"full": bundle(6)}, version=6), name: content}
    with pytest.raises(GoodnoiseError) as caught:
        device.update()
    assert caught.value.code is Code.CORRUPT
    assert device.store.current().manifest.version == "5"


def test_an_object_that_is_not_the_signed_one_is_refused(device, trust, make_bundle):
    manifest, _ = make_bundle("6", "2026-01-06T00:00:00Z", surrogate=b"SURROGATE")
    device.cloud.files = trust.files({"full": manifest_to_json(manifest)}, version=6)
    device.cloud.objects[sha256_hex(b"SURROGATE")] = b"hostile!!"
    with pytest.raises(GoodnoiseError, match="came with sha256") as caught:
        device.update()
    assert caught.value.code is Code.CORRUPT
    assert device.store.current().read("surrogate") == b"surrogate"


# ---- keys


def test_another_operators_keys_are_refused(device, trust, bundle, tmp_path):
    root = make_keys(tmp_path / "keys")
    device.cloud.files = trust.files(
        {"full": bundle(6)}, version=6, ring=load_keys(tmp_path / "keys"), root=root
    )
    device.refuses("unsigned", Code.CORRUPT)


def test_a_new_root_that_the_old_keys_did_not_sign_is_refused(device, trust, bundle, tmp_path):
    root = make_keys(tmp_path / "keys")
    ring = load_keys(tmp_path / "keys")
    forged = json.loads(root)["signed"] | {"version": 2}
    device.cloud.files = {
        **trust.files({"full": bundle(6)}, version=6, ring=ring, root=root),
        "2.root.json": signed_by(forged, ring),
    }
    device.refuses("unsigned", Code.CORRUPT)


@pytest.mark.parametrize("role", ["targets", "snapshot", "timestamp"])
def test_a_role_may_not_sign_for_another(device, trust, bundle, role):
    """A stolen timestamp key signs no targets, and so on."""
    others = ("targets", "snapshot", "timestamp")
    keyid = json.loads(trust.root)["signed"]["roles"][others[others.index(role) - 1]]["keyids"][0]
    ring = KeyRing({keyid: trust.ring.signers[keyid]})
    files = trust.files({"full": bundle(6)}, version=6)
    name = "timestamp.json" if role == "timestamp" else f"6.{role}.json"
    raw = json.loads(files[name])["signed"]
    files[name] = signed_by(raw, ring)
    device.cloud.files = files
    with pytest.raises(GoodnoiseError) as caught:
        device.update()
    assert caught.value.details["reason"] in ("unsigned", "mixed")


def test_too_few_signatures_are_refused(start_rogue, tmp_path, trust, bundle):
    root = make_keys(tmp_path / "keys", KeyPlan(targets=(3, 2)))
    ring = load_keys(tmp_path / "keys")
    targets = json.loads(root)["signed"]["roles"]["targets"]["keyids"]
    cloud = Attacker()
    cloud.objects = {sha256_hex(body): body for body in (b"detector", b"surrogate")}
    store, address = BundleStore(tmp_path / "device"), start_rogue(cloud, Hints())
    for kept, allowed in ((1, False), (2, True)):
        signers = {k: s for k, s in ring.signers.items() if k not in targets or k in targets[:kept]}
        cloud.files = trust.files({"full": bundle(6)}, ring=KeyRing(signers), root=root)
        if allowed:
            assert update(address, store, root=root).version == "6"
            continue
        with pytest.raises(GoodnoiseError) as caught:
            update(address, store, root=root)
        assert caught.value.details["reason"] == "unsigned"
        assert store.usable() is None


# ---- endless data


@pytest.mark.parametrize("name", ["2.root.json", "timestamp.json", "6.snapshot.json", "6.targets.json"])
def test_metadata_longer_than_it_may_be_is_refused(device, trust, bundle, name):
    files = trust.files({"full": bundle(6)}, version=6)
    device.cloud.files = {**files, name: files.get(name, b"{}") + b" " * 300_000}
    device.refuses("too_long", Code.CORRUPT)


def test_a_manifest_longer_than_signed_is_refused(device, trust, bundle):
    files = trust.files({"full": bundle(6)}, version=6)
    name = next(name for name in files if name.endswith("manifest.json"))
    device.cloud.files = {**files, name: files[name] + b" " * 300_000}
    device.refuses("mixed", Code.CORRUPT)


def test_roots_without_end_are_not_followed_for_ever(device, trust, bundle):
    """Each is validly signed by the one before; a device follows 64 in one update."""
    files = trust.files({"full": bundle(6)}, version=6)
    raw = json.loads(trust.root)["signed"]
    for version in range(2, 72):
        files[f"{version}.root.json"] = signed_by(raw | {"version": version}, trust.ring)
    device.cloud.files = files
    device.cloud.asked.clear()
    assert device.update().version == "6"
    assert sum(name.endswith("root.json") for name in device.cloud.asked) == 64


def test_a_role_of_another_kind_in_a_files_place_is_refused(device, trust, bundle):
    files = trust.files({"full": bundle(6)}, version=6)
    device.cloud.files = {**files, "timestamp.json": files["6.snapshot.json"]}
    device.refuses("malformed", Code.CORRUPT)


def resigned(raw, trust):
    return signed_by(raw, trust.ring)


def signed_by(raw, ring):
    """The metadata, signed by every key of the ring, as an attacker with these keys would."""
    from tuf.api.metadata import Metadata

    made = Metadata.from_dict({"signed": copy.deepcopy(raw), "signatures": []})
    for signer in ring.signers.values():
        made.sign(signer, append=True)
    return made.to_bytes()
