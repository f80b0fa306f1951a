"""An operator's side of signed metadata: keys in files, thresholds, publishing, rotating."""

import json
import stat

import pytest
from typer.testing import CliRunner

from cloud_server.bundles.signing.keys import PASSPHRASE_VARIABLE, load_keys
from cloud_server.bundles.signing.plans import KeyChange, KeyPlan, make_keys
from cloud_server.bundles.signing.repository import Repository
from cloud_server.bundles.store import PublishedBundles
from cloud_server.cli import app
from shared.bundle import sha256_hex
from shared.errors import Code, GoodnoiseError


@pytest.fixture
def keys(tmp_path):
    make_keys(tmp_path / "keys")
    return tmp_path / "keys"


@pytest.fixture
def bundles(tmp_path, make_bundle):
    bundles = PublishedBundles(tmp_path / "bundles")
    bundles.publish(*make_bundle())
    return bundles


@pytest.fixture
def repository(bundles, keys):
    repository = Repository(bundles.root)
    repository.begin((keys / "root.json").read_bytes)
    return repository


def refused(code, match, call, *arguments):
    with pytest.raises(GoodnoiseError, match=match) as caught:
        call(*arguments)
    assert caught.value.code is code


# ---- keys


def test_keys_are_their_owners_alone_and_roles_lie_apart(keys):
    found = {str(path.relative_to(keys)): path for path in keys.rglob("*.pem")}
    assert set(found) == {
        "root/root-1.pem",
        "targets/targets-1.pem",
        "online/snapshot-1.pem",
        "online/timestamp-1.pem",
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in found.values()} == {0o600}
    assert {stat.S_IMODE(path.parent.stat().st_mode) for path in found.values()} == {0o700}
    assert b"PRIVATE" not in (keys / "root.json").read_bytes()


def test_a_key_that_others_may_read_is_refused(keys):
    (keys / "online" / "timestamp-1.pem").chmod(0o644)
    refused(Code.PERMISSION, r"timestamp-1\.pem.*chmod 600", load_keys, keys)


def test_a_passphrase_guards_the_files(tmp_path):
    make_keys(tmp_path, passphrase=b"open sesame")
    assert all(b"ENCRYPTED" in path.read_bytes() for path in tmp_path.rglob("*.pem"))
    assert len(load_keys(tmp_path, passphrase=b"open sesame").signers) == 4
    refused(Code.PRECONDITION, PASSPHRASE_VARIABLE, load_keys, tmp_path)
    with pytest.raises(GoodnoiseError, match="does not open it"):
        load_keys(tmp_path, passphrase=b"open barley")


@pytest.mark.parametrize(
    "content", [b"", b"nothing", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"]
)
def test_what_is_no_key_is_named(keys, content):
    (keys / "online" / "timestamp-1.pem").write_bytes(content)
    refused(Code.INVALID_INPUT, r"timestamp-1\.pem: this is no key", load_keys, keys)


def test_a_folder_with_keys_is_not_written_over(keys):
    before = (keys / "root.json").read_bytes()
    refused(Code.PRECONDITION, "holds keys already", make_keys, keys)
    assert (keys / "root.json").read_bytes() == before


def test_a_folder_without_keys_names_the_command(tmp_path):
    refused(Code.NOT_FOUND, "bundle keys", load_keys, tmp_path)


@pytest.mark.parametrize("plan", [(0, 0), (1, 2), (2, 0), (17, 1)])
def test_a_threshold_that_nobody_can_reach_is_refused(plan):
    with pytest.raises(GoodnoiseError, match="root keys cannot be asked for"):
        KeyPlan(root=plan)


# ---- sign, publish


def test_signing_shows_devices_nothing_before_it_is_published(repository, keys, bundles):
    ring = load_keys(keys)
    (done,) = repository.sign(ring)
    assert (done.role, done.version, done.complete, done.names) == ("targets", 1, True, ("full: bundle 1",))
    with pytest.raises(GoodnoiseError, match="bundle publish"):
        bundles.metadata_bytes("timestamp.json", "full")
    assert repository.publish(ring) == {"root": 1, "targets": 1, "snapshot": 1, "timestamp": 1}
    assert json.loads(bundles.metadata_bytes("timestamp.json", "full"))["signed"]["version"] == 1


def test_each_role_needs_its_own_keys(repository, keys):
    online, targets = load_keys(keys / "online"), load_keys(keys / "targets")
    refused(Code.PERMISSION, "targets keys with --keys", repository.sign, online)
    repository.sign(targets)
    refused(Code.PERMISSION, "online keys", repository.publish, targets)
    repository.publish(online)


def test_nothing_staged_is_nothing_to_publish(repository, keys):
    refused(Code.PRECONDITION, "nothing is staged", repository.publish, load_keys(keys))
    refused(Code.PRECONDITION, "bundle sign", repository.refresh, load_keys(keys))
    repository.sign(load_keys(keys))
    repository.publish(load_keys(keys))
    refused(Code.PRECONDITION, "bundle refresh", repository.publish, load_keys(keys))


def test_without_a_root_or_a_bundle_the_way_out_is_named(tmp_path, bundles, keys):
    refused(Code.PRECONDITION, "has no root yet", Repository(bundles.root).sign, load_keys(keys))
    empty = Repository(tmp_path / "empty")
    empty.begin((keys / "root.json").read_bytes)
    refused(Code.NOT_FOUND, "bundle build", empty.sign, load_keys(keys))


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"signed": {}, "signatures": []}'])
def test_what_is_no_root_begins_nothing(bundles, content):
    refused(Code.INVALID_INPUT, "no root", Repository(bundles.root).begin, lambda: content)


def test_a_root_that_its_keys_did_not_sign_begins_nothing(bundles, keys):
    raw = json.loads((keys / "root.json").read_bytes())
    raw["signed"]["version"] = 7
    refused(Code.INVALID_INPUT, "no root", Repository(bundles.root).begin, lambda: json.dumps(raw).encode())


def test_two_holders_sign_one_after_the_other(tmp_path, bundles):
    keys, other = tmp_path / "keys", tmp_path / "other"
    root = make_keys(keys, KeyPlan(targets=(2, 2)))
    other.mkdir()
    (keys / "targets" / "targets-2.pem").rename(other / "mine.pem")
    repository = Repository(bundles.root)
    repository.begin(lambda: root)
    (first,) = repository.sign(load_keys(keys))
    assert (first.complete, first.signatures[0].have) == (False, 1)
    refused(Code.PRECONDITION, "1 of 2 signatures by the targets keys", repository.publish, load_keys(keys))
    (again,) = repository.sign(load_keys(keys))
    assert again.signatures[0].have == 1  # one holder counts once
    (second,) = repository.sign(load_keys(other))
    assert (second.version, second.complete) == (1, True)
    assert repository.publish(load_keys(keys))["targets"] == 1


def test_another_build_takes_back_the_signatures_before_it(repository, keys, bundles, make_bundle):
    repository.sign(load_keys(keys))
    bundles.publish(*make_bundle("2", "2026-02-02T00:00:00Z", new=b"new"))
    repository.publish(load_keys(keys))  # what was signed is what is published
    assert [manifest.version for manifest in bundles.signed()] == ["1"]
    repository.sign(load_keys(keys))
    repository.publish(load_keys(keys))
    assert {manifest.version for manifest in bundles.signed()} == {"1", "2"}


def test_signed_objects_stay_whatever_is_built(repository, keys, bundles, make_bundle):
    bundles.publish(*make_bundle("2", "2026-01-03T00:00:00Z", own=b"signed"))
    repository.sign(load_keys(keys))
    repository.publish(load_keys(keys))
    for version in "3456":
        bundles.publish(*make_bundle(version, f"2026-02-0{version}T00:00:00Z", own=version.encode()))
    assert bundles.object_path(sha256_hex(b"signed")).read_bytes() == b"signed"


@pytest.mark.parametrize("step", ["sign", "publish"])
def test_damaged_objects_are_neither_signed_nor_published(repository, keys, bundles, step):
    if step == "publish":
        repository.sign(load_keys(keys))
    bundles.object_path(sha256_hex(b"surrogate")).write_bytes(b"rotten")
    refused(Code.CORRUPT, "'surrogate'.*damaged", getattr(repository, step), load_keys(keys))


def test_old_metadata_is_removed_and_every_root_stays(repository, keys, bundles):
    ring = load_keys(keys)
    for _ in range(4):
        repository.rotate(None, ring)
        repository.sign(ring)
        repository.publish(ring)
    names = {path.name for path in (bundles.root / "metadata").iterdir()}
    assert names == {
        "timestamp.json",
        *(f"{version}.root.json" for version in range(1, 6)),
        *(f"{version}.{role}.json" for version in (3, 4) for role in ("snapshot", "targets")),
    }


# ---- rotate


def test_a_root_waits_for_the_signatures_that_are_missing(tmp_path, bundles):
    keys, other = tmp_path / "keys", tmp_path / "other"
    root = make_keys(keys, KeyPlan(root=(3, 2)))
    other.mkdir()
    for number in (2, 3):
        (keys / "root" / f"root-{number}.pem").rename(other / f"{number}.pem")
    repository = Repository(bundles.root)
    repository.begin(lambda: root)
    repository.sign(load_keys(keys))
    repository.publish(load_keys(keys))
    staged, _ = repository.rotate(KeyChange(role="timestamp", folder=keys), load_keys(keys))
    assert not staged.complete
    refused(Code.PRECONDITION, "1 of 2 signatures by the root", repository.publish, load_keys(keys))
    (signed,) = repository.sign(load_keys(other))
    assert signed.complete
    assert repository.publish(load_keys(keys))["root"] == 2


def test_files_of_rotated_keys_are_set_aside(repository, keys):
    repository.sign(load_keys(keys))
    repository.publish(load_keys(keys))
    _, retired = repository.rotate(KeyChange(role="targets", folder=keys), load_keys(keys))
    assert retired == 1
    assert sorted(path.name for path in (keys / "targets").iterdir()) == [
        "targets-1.pem.retired",
        "targets-2.pem",
    ]
    refused(Code.PRECONDITION, "bundle sign", repository.publish, load_keys(keys))  # by the new key


def test_several_roles_can_change_in_one_root(repository, keys):
    for role in ("targets", "timestamp"):
        made, _ = repository.rotate(KeyChange(role=role, folder=keys), load_keys(keys))
        assert made.version == 2
    repository.sign(load_keys(keys))
    assert repository.publish(load_keys(keys))["root"] == 2


# ---- the commands


@pytest.fixture
def cloud(bundles, keys, monkeypatch):
    monkeypatch.setenv("GOODNOISE_CLOUD_BUNDLES", str(bundles.root))
    monkeypatch.setenv("GOODNOISE_CLOUD_KEYS", str(keys))
    return lambda *words: CliRunner().invoke(app, ["bundle", *words])


def test_the_commands_say_what_they_did_and_what_comes_next(cloud, bundles):
    assert "not signed yet" in cloud("show").stdout
    signed = cloud("sign")
    assert (signed.exit_code, "ready for 'bundle publish'" in signed.stdout) == (0, True), signed.output
    published = cloud("publish", "--timestamp-days", "3")
    assert "published: root 1, targets 1, snapshot 1, timestamp 1" in published.stdout
    assert "devices take it until: root 20" in cloud("show").stdout
    assert "renewed: root 1, targets 1, snapshot 1, timestamp 2" in cloud("refresh").stdout
    rotated = cloud("rotate", "--role", "root", "--count", "2", "--threshold", "2")
    assert "0 of 2" not in rotated.stdout
    assert "2 of 2 by new root keys" in rotated.stdout
    assert "root 2, targets 1" in cloud("publish").stdout
    assert (bundles.root / "metadata" / "2.root.json").exists()


def test_the_command_makes_keys_and_prints_the_fingerprint(tmp_path):
    words = ["bundle", "keys", "--out", str(tmp_path / "k"), "--root-keys", "3", "--root-threshold", "2"]
    made = CliRunner().invoke(app, words)
    assert made.exit_code == 0
    root = (tmp_path / "k" / "root.json").read_bytes()
    assert sha256_hex(root) in made.stdout
    assert json.loads(root)["signed"]["roles"]["root"]["threshold"] == 2
    again = CliRunner().invoke(app, words)
    assert (again.exit_code, "holds keys already" in again.stderr) == (2, True)


def test_a_first_root_that_is_not_there_is_asked_for(cloud, keys):
    (keys / "root.json").unlink()
    done = cloud("sign")
    assert (done.exit_code, "--root" in done.stderr) == (2, True)
