"""A device's trust over time: the first root, rotated keys, expiry, going back, a full disk."""

import errno
import json
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cloud_server.bundles.signing.keys import load_keys
from cloud_server.bundles.signing.plans import KeyChange, KeyPlan, make_keys
from cloud_server.bundles.signing.repository import Repository
from cloud_server.bundles.signing.roles import Lifetimes
from cloud_server.bundles.store import PublishedBundles
from edge_client.cli import app
from edge_client.store import BundleStore
from edge_client.trust import fingerprint, metadata_expires, trust_lines
from edge_client.update import update
from shared.bundle import sha256_hex
from shared.errors import Code, GoodnoiseError


class Operator:
    """An operator with keys of their own, and a running cloud."""

    def __init__(self, folder, cloud, make_bundle, plan=None):
        self.keys, self.cloud, self.make_bundle, self.made = folder, cloud, make_bundle, 0
        self.root = make_keys(folder, plan)
        self.repository = Repository(cloud.bundles.root)
        self.repository.begin(lambda: self.root)

    @property
    def ring(self):
        return load_keys(self.keys)

    def build(self):
        self.made += 1
        created = f"2026-01-{self.made:02}T00:00:00Z"
        manifest, objects = self.make_bundle(str(self.made), created, own=str(self.made).encode())
        PublishedBundles(self.cloud.bundles.root).publish(manifest, objects)

    def release(self):
        self.build()
        self.repository.sign(self.ring)
        self.repository.publish(self.ring)

    def rotate(self, role, **change):
        made, _ = self.repository.rotate(KeyChange(role=role, folder=self.keys, **change), self.ring)
        assert made.complete
        if role == "targets":
            self.repository.sign(self.ring)
        self.repository.publish(self.ring)


@pytest.fixture
def operator(start_cloud, make_bundle, tmp_path):
    operator = Operator(tmp_path / "keys", start_cloud(), make_bundle)
    operator.release()
    return operator


@pytest.fixture
def store(tmp_path):
    return BundleStore(tmp_path / "device")


# ---- where trust begins


def test_without_a_root_nothing_is_trusted_and_the_way_out_is_named(operator, store):
    with pytest.raises(GoodnoiseError, match=r"--root FILE.*--trust-first-root") as caught:
        update(operator.cloud.address, store)
    assert caught.value.details["reason"] == "no_root"
    assert store.usable() is None


def test_a_root_is_given_once_and_remembered(operator, store):
    assert update(operator.cloud.address, store, root=operator.root).version == "1"
    assert fingerprint(store) == sha256_hex(operator.root)
    operator.release()
    assert update(operator.cloud.address, store).version == "2"


def test_the_first_root_of_a_cloud_can_be_believed_once(operator, store):
    assert update(operator.cloud.address, store, trust_first_root=True).version == "1"
    assert fingerprint(store) == sha256_hex(operator.root)


def test_believing_the_first_root_replaces_none_that_is_remembered(operator, store, trust):
    trust.trusting(store)
    with pytest.raises(GoodnoiseError, match="not signed by enough"):
        update(operator.cloud.address, store, trust_first_root=True)
    assert fingerprint(store) == sha256_hex(trust.root)


def test_a_wrong_root_leaves_the_one_that_was_right(operator, store, trust):
    update(operator.cloud.address, store, root=operator.root)
    with pytest.raises(GoodnoiseError, match="not signed by enough"):
        update(operator.cloud.address, store, root=trust.root)
    assert fingerprint(store) == sha256_hex(operator.root)
    assert not update(operator.cloud.address, store).changed
    assert {path.name for path in store.root.iterdir() if "trust" in path.name} == {"trust"}


def test_what_is_no_root_is_said(operator, store):
    for content in (b"", b"{}", b'{"signed": {"_type": "timestamp"}, "signatures": []}'):
        with pytest.raises(GoodnoiseError, match=r"no root\.json.*--root FILE") as caught:
            update(operator.cloud.address, store, root=content)
        assert caught.value.code is Code.INVALID_INPUT


def test_an_operator_who_lost_all_keys_can_begin_anew_with_a_new_root(operator, store, trust, make_bundle):
    update(operator.cloud.address, store, root=operator.root)
    for name in ("metadata", "targets", "staged"):
        for path in sorted((operator.cloud.bundles.root / name).rglob("*.json")):
            path.unlink()
    operator.cloud.bundles.publish(*make_bundle("5", "2026-05-05T00:00:00Z"))  # signed with the tests' keys
    with pytest.raises(GoodnoiseError, match="--root"):
        update(operator.cloud.address, store)
    assert update(operator.cloud.address, store, root=trust.root).version == "5"
    assert update(operator.cloud.address, store).version == "5"
    assert fingerprint(store) == sha256_hex(trust.root)


def test_a_damaged_memory_is_mended_by_the_root_given_again(operator, store):
    update(operator.cloud.address, store, root=operator.root)
    (store.root / "trust" / "root.json").write_bytes(b"rotten")
    with pytest.raises(GoodnoiseError, match=r"damaged.*--root FILE") as caught:
        update(operator.cloud.address, store)
    assert caught.value.code is Code.CORRUPT
    assert update(operator.cloud.address, store, root=operator.root).version == "1"


def test_trust_survives_a_replacement_that_was_cut_off(operator, store):
    update(operator.cloud.address, store, root=operator.root)
    (store.root / "trust").rename(store.root / "trust.old")  # the power went out here
    assert not update(operator.cloud.address, store).changed
    assert fingerprint(store) == sha256_hex(operator.root)


@pytest.mark.parametrize("name", ["timestamp.json", "snapshot.json", "targets.json"])
def test_damaged_metadata_is_fetched_again(operator, store, name):
    update(operator.cloud.address, store, root=operator.root)
    (store.root / "trust" / name).write_bytes(b"rotten")
    assert not update(operator.cloud.address, store).changed
    assert metadata_expires(store) is not None


# ---- keys change


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
def test_devices_follow_a_rotated_key_and_the_old_one_signs_nothing_more(operator, store, role):
    update(operator.cloud.address, store, root=operator.root)
    old = operator.ring
    operator.rotate(role)
    operator.release()
    assert update(operator.cloud.address, store).version == "2"
    assert fingerprint(store) == sha256_hex(
        (operator.cloud.bundles.root / "metadata/2.root.json").read_bytes()
    )
    operator.build()
    with pytest.raises(GoodnoiseError, match=r"0 of 1 signatures by the root|may sign|are at hand"):
        use_old_keys(operator.repository, role, old)


def use_old_keys(repository, role, ring):
    if role == "root":
        repository.rotate(None, ring)
    else:
        repository.sign(ring)
    repository.publish(ring)


def test_a_stolen_timestamp_key_is_worth_nothing_after_it_was_rotated_away(operator, store):
    """The attacker serves the true new root and a timestamp of the old key."""
    update(operator.cloud.address, store, root=operator.root)
    metadata = operator.cloud.bundles.root / "metadata"
    stolen = {path.name: path.read_bytes() for path in metadata.iterdir()}
    operator.rotate("timestamp")
    update(operator.cloud.address, store)
    (metadata / "timestamp.json").write_bytes(stolen["timestamp.json"])
    with pytest.raises(GoodnoiseError) as caught:
        update(operator.cloud.address, store)
    assert caught.value.details["reason"] == "unsigned"


def test_a_device_that_was_away_follows_every_root_in_between(operator, store):
    update(operator.cloud.address, store, root=operator.root)
    for role in ("root", "targets", "timestamp", "root", "snapshot"):
        operator.rotate(role)
    operator.release()
    assert update(operator.cloud.address, store).version == "2"
    new = BundleStore(store.root.with_name("new"))
    assert update(operator.cloud.address, new, root=operator.root).version == "2"
    assert fingerprint(new) == fingerprint(store)


def test_an_app_that_ships_the_first_root_goes_on_where_its_device_is(operator, store):
    update(operator.cloud.address, store, root=operator.root)
    operator.rotate("root")
    update(operator.cloud.address, store)
    (operator.cloud.bundles.root / "metadata" / "2.root.json").unlink()  # a cloud that hides the newer root
    update(operator.cloud.address, store, root=operator.root)
    assert json.loads((store.root / "trust" / "root.json").read_bytes())["signed"]["version"] == 2


def test_thresholds_of_several_holders_work_for_devices(start_cloud, make_bundle, store, tmp_path):
    plan = KeyPlan(root=(3, 2), targets=(2, 2))
    operator = Operator(tmp_path / "keys", start_cloud(), make_bundle, plan)
    operator.release()
    assert update(operator.cloud.address, store, root=operator.root).version == "1"
    operator.rotate("root", count=2, threshold=1)
    operator.release()
    assert update(operator.cloud.address, store).version == "2"


# ---- time passes


def test_an_expired_bundle_goes_on_working_offline_and_its_age_is_shown(operator, store, monkeypatch):
    """What is installed is not held against the clock; only new expired metadata is refused."""
    operator.repository.lifetimes = Lifetimes(timestamp=timedelta(seconds=2))
    operator.repository.refresh(operator.ring)
    update(operator.cloud.address, store, root=operator.root)
    ends = metadata_expires(store)
    assert ends is not None
    past = store.root / "trust" / "timestamp.json"
    raw = json.loads(past.read_bytes())
    raw["signed"]["expires"] = (datetime.now(UTC) - timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    past.write_text(json.dumps(raw))  # three days later
    bundle = store.current()
    assert bundle.read("surrogate") == b"surrogate"
    day = (datetime.now(UTC) - timedelta(days=3)).strftime("%Y-%m-%d")
    assert f"signed: expired on {day}; the bundle goes on working" in trust_lines(store, bundle)
    monkeypatch.setenv("GOODNOISE_HOME", str(store.root))
    shown = CliRunner().invoke(app, ["bundle", "show"])
    assert shown.exit_code == 0
    assert f"expired on {day}" in shown.stdout
    assert "days old" in shown.stdout


def test_a_refresh_of_the_timestamp_alone_lets_devices_go_on(operator, store):
    update(operator.cloud.address, store, root=operator.root)
    operator.repository.lifetimes = Lifetimes(timestamp=timedelta(seconds=-1))
    operator.repository.refresh(operator.ring)
    with pytest.raises(GoodnoiseError, match="has expired"):
        update(operator.cloud.address, store)
    operator.repository.lifetimes = Lifetimes()
    online = load_keys(operator.keys / "online")
    assert operator.repository.refresh(online) == {"root": 1, "targets": 1, "snapshot": 1, "timestamp": 3}
    assert not update(operator.cloud.address, store).changed


# ---- bytes, replicas, disks


def test_an_update_moves_only_what_changed(operator, store, record):
    update(operator.cloud.address, store, root=operator.root)
    operator.release()
    proxy = record(operator.cloud.address)
    result = update(proxy.address, store)
    names = [c.messages[0] for c in proxy.calls() if c.method.endswith("FetchObject")]
    assert (result.fetched_bytes, len(names)) == (1, 1)  # the object of one byte that is new
    proxy = record(operator.cloud.address)
    assert update(proxy.address, store).fetched_bytes == 0
    assert [c.method.rpartition("/")[2] for c in proxy.calls()] == ["Catalogue", "GetMetadata", "GetMetadata"]


def test_replicas_over_one_folder_serve_one_repository(operator, store, start_cloud):
    other = start_cloud()
    update(operator.cloud.address, store, root=operator.root)
    operator.release()
    assert update(other.address, store).version == "2"
    assert not update(operator.cloud.address, store).changed


def test_updates_while_bundles_are_published_are_whole(operator, store):
    update(operator.cloud.address, store, root=operator.root)
    for _ in range(6):
        publisher = threading.Thread(target=operator.release)
        publisher.start()
        update(operator.cloud.address, store)
        publisher.join()
        current = store.current()
        assert current.read("own") == current.manifest.version.encode()


@pytest.mark.skipif(sys.platform != "linux", reason="tells files by /proc")
@pytest.mark.parametrize("part", ["trust", "manifests", "current"])
def test_a_full_disk_is_said_and_nothing_is_half_installed(operator, store, monkeypatch, part):
    update(operator.cloud.address, store, root=operator.root)
    operator.release()
    with monkeypatch.context() as full:
        if part == "trust":
            full.setattr("tempfile.NamedTemporaryFile", _full)
        else:
            full.setattr("os.fsync", _full_when_writing(store.root / part))
        with pytest.raises(GoodnoiseError, match=r"no space left.*GOODNOISE_HOME") as caught:
            update(operator.cloud.address, store)
    assert caught.value.code is Code.EXHAUSTED
    assert store.current().manifest.version == "1"
    assert store.current().read("own") == b"1"
    assert update(operator.cloud.address, store).version == "2"


def _full(*_args, **_options):
    raise OSError(errno.ENOSPC, "No space left on device")


def _full_when_writing(place):
    real = os.fsync

    def fsync(handle):
        written = str(Path(f"/proc/self/fd/{handle}").readlink())
        if written.startswith((f"{place}/", f"{place.parent}/.{place.name}.")):
            _full()
        real(handle)

    return fsync


# ---- the commands


@pytest.fixture
def goodnoise(store, monkeypatch):
    monkeypatch.setenv("GOODNOISE_HOME", str(store.root))
    return lambda *words: CliRunner().invoke(app, list(words))


def test_the_commands_of_a_device(operator, store, goodnoise, tmp_path):
    address = operator.cloud.address
    refused = goodnoise("update", "--cloud", address)
    assert (refused.exit_code, "--root FILE" in refused.stderr) == (4, True)
    (tmp_path / "root.json").write_bytes(operator.root)
    first = goodnoise("update", "--cloud", address, "--root", str(tmp_path / "root.json"))
    assert first.exit_code == 0, first.stderr
    assert sha256_hex(operator.root) in first.stdout
    assert "before it" not in goodnoise("bundle", "show").stdout
    operator.release()
    found = json.loads(goodnoise("update", "--cloud", address, "--json").stdout)
    assert (found["version"], found["root"]) == ("2", sha256_hex(operator.root))
    shown = goodnoise("bundle", "show").stdout
    assert f"trusts root {sha256_hex(operator.root)}" in shown
    assert "signed: until" in shown
    assert "before it: bundle 1" in shown
    assert "bundle 1 installed" in goodnoise("bundle", "previous").stdout
    assert store.current().manifest.version == "1"
    assert "not the one that the newest signed metadata names" in goodnoise("bundle", "show").stdout
    assert json.loads(goodnoise("update", "--cloud", address, "--json").stdout)["fetched_bytes"] == 0
    assert store.current().manifest.version == "2"


def test_going_back_needs_a_bundle_to_go_back_to(operator, store, goodnoise):
    update(operator.cloud.address, store, root=operator.root)
    done = goodnoise("bundle", "previous")
    assert (done.exit_code, "before the current one" in done.stderr) == (4, True)


def test_a_root_file_that_is_not_there_is_named(goodnoise):
    done = goodnoise("update", "--cloud", "127.0.0.1:1", "--root", "nowhere.json")
    assert (done.exit_code, "nowhere.json" in done.stderr) == (2, True)


def test_a_device_that_only_protects_loads_no_tuf():
    code = "import sys, edge_client.cli, edge_client.trust, edge_client.update; print('tuf' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"


def test_an_update_opens_no_http(operator, store):
    """python-tuf brings an HTTP fetcher; a fresh process updates with every other socket forbidden."""
    code = f"""
import socket, sys
import urllib3
def refuse(*a, **k): raise AssertionError("HTTP")
urllib3.PoolManager.request = refuse
socket.create_connection = refuse
from pathlib import Path
from edge_client.store import BundleStore
from edge_client.update import update
root = bytes.fromhex({operator.root.hex()!r})
print(update({operator.cloud.address!r}, BundleStore(Path({str(store.root)!r})), root=root).version)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "1"), done.stderr
