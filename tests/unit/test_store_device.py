import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_client.store import BundleStore, default_root
from shared.bundle import manifest_to_json
from shared.errors import Code, GoodnoiseError


@pytest.fixture
def store(tmp_path):
    return BundleStore(tmp_path / "device")


def put(store, manifest, objects):
    """What an update does, without a network."""
    with store.locked():
        for item in store.missing(manifest):
            with store.partial(item) as partial:
                partial.append(objects[item.name])
            partial.finish()
        return store.install(manifest_to_json(manifest))


def test_the_folder_is_a_setting(monkeypatch, tmp_path):
    monkeypatch.setenv("GOODNOISE_HOME", str(tmp_path / "here"))
    assert BundleStore().root == tmp_path / "here"
    monkeypatch.delenv("GOODNOISE_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_root() == tmp_path / "goodnoise" / "device"


def test_reading_makes_no_folder_and_says_what_to_do(store):
    with pytest.raises(GoodnoiseError, match="goodnoise update --cloud") as caught:
        store.current()
    assert caught.value.code is Code.PRECONDITION
    assert store.usable() is None
    assert store.previous() is None
    assert not store.root.exists()


def test_the_folder_is_the_owners_alone(store, make_bundle):
    put(store, *make_bundle())
    assert stat.S_IMODE(store.root.stat().st_mode) == 0o700


def test_what_is_installed_is_read_back(store, make_bundle):
    manifest, objects = make_bundle(empty=b"")
    put(store, manifest, objects)
    assert store.current().manifest == manifest
    assert all(store.current().read(name) == content for name, content in objects.items())
    with pytest.raises(GoodnoiseError, match="holds no object 'other'"):
        store.current().read("other")


def test_age_counts_from_the_making_and_is_never_negative(store, make_bundle):
    made = datetime.now(UTC) - timedelta(days=40)
    put(store, *make_bundle(created=made.isoformat()))
    assert store.current().age.days == 40
    put(store, *make_bundle("2", (datetime.now(UTC) + timedelta(days=1)).isoformat()))
    assert store.current().age == timedelta(0)


def test_the_bundle_before_stays_and_older_ones_are_removed(store, make_bundle):
    for version in "123":
        put(store, *make_bundle(version, f"2026-01-0{version}T00:00:00Z", own=version.encode(), same=b"same"))
    assert store.current().read("own") == b"3"
    assert store.previous().read("own") == b"2"
    assert len(list((store.root / "objects").iterdir())) == 5  # detector, surrogate, same, two of their own
    assert len(list((store.root / "manifests").iterdir())) == 2


def test_installing_the_same_bundle_again_keeps_the_one_before(store, make_bundle):
    put(store, *make_bundle("1"))
    second = make_bundle("2", "2026-02-02T00:00:00Z")
    put(store, *second)
    put(store, *second)
    assert (store.current().manifest.version, store.previous().manifest.version) == ("2", "1")


def test_a_bundle_with_a_missing_object_is_not_installed(store, make_bundle):
    put(store, *make_bundle("1"))
    manifest, _ = make_bundle("2", "2026-02-02T00:00:00Z", extra=b"extra")
    with store.locked(), pytest.raises(GoodnoiseError, match="'extra' is missing"):
        store.install(manifest_to_json(manifest))
    assert store.current().manifest.version == "1"


def test_an_older_bundle_is_refused_also_after_one_of_another_profile(store, make_bundle):
    put(store, *make_bundle("2", "2026-02-02T00:00:00Z"))
    put(store, *make_bundle("1", "2026-01-01T00:00:00Z", profile="phone"))
    older, objects = make_bundle("1.9", "2026-02-01T00:00:00Z")
    with pytest.raises(GoodnoiseError, match="older than") as caught:
        put(store, older, objects)
    assert caught.value.code is Code.PRECONDITION
    with store.locked():
        assert store.install(manifest_to_json(older), allow_rollback=True).manifest == older


def test_time_zones_are_compared_as_times(store, make_bundle):
    put(store, *make_bundle("1", "2026-02-02T12:00:00+00:00"))
    put(store, *make_bundle("2", "2026-02-02T08:00:00-05:00"))  # an hour later
    with pytest.raises(GoodnoiseError, match="older than"):
        put(store, *make_bundle("3", "2026-02-02T12:30:00"))  # no zone: UTC


def test_a_time_that_is_none_is_refused(store, make_bundle):
    with pytest.raises(GoodnoiseError, match="created is 'yesterday'"):
        put(store, *make_bundle(created="yesterday"))


@pytest.mark.parametrize("damage", [b"rotten", b"", b"detectorX"])
def test_a_damaged_object_is_not_read_and_counts_as_missing(store, make_bundle, damage):
    manifest, objects = make_bundle()
    put(store, manifest, objects)
    item = manifest.object_of("detector")
    (store.root / "objects" / item.sha256).write_bytes(damage)
    with pytest.raises(GoodnoiseError, match="damaged; run 'goodnoise update'") as caught:
        store.current().read("detector")
    assert caught.value.code is Code.CORRUPT
    assert store.missing(manifest) == (item,)


def test_a_lost_object_is_named(store, make_bundle):
    manifest, objects = make_bundle()
    put(store, manifest, objects)
    (store.root / "objects" / manifest.object_of("detector").sha256).unlink()
    with pytest.raises(GoodnoiseError, match="'detector' of the bundle is missing"):
        store.current().read("detector")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"current": 1, "previous": null, "newest": {}}', b'{"current": "../x"}'],
)
def test_a_damaged_pointer_is_mended_by_the_next_update(store, make_bundle, content):
    put(store, *make_bundle())
    (store.root / "current").write_bytes(content)
    with pytest.raises(GoodnoiseError) as caught:
        store.current()
    assert caught.value.code is Code.CORRUPT
    assert store.usable() is None
    put(store, *make_bundle())
    assert store.current().manifest.version == "1"


def test_a_damaged_manifest_is_mended_by_the_next_update(store, make_bundle):
    put(store, *make_bundle())
    digest = json.loads((store.root / "current").read_bytes())["current"]
    (store.root / "manifests" / digest).write_bytes(b"{}")
    with pytest.raises(GoodnoiseError, match=r"manifest in .* is damaged"):
        store.current()
    put(store, *make_bundle())
    assert store.usable() is not None


def test_one_content_under_two_names_is_one_download(store, make_bundle):
    manifest, objects = make_bundle(twin=b"detector")
    with store.locked():
        assert len(store.missing(manifest)) == 2
    put(store, manifest, objects)
    assert store.current().read("twin") == store.current().read("detector")


def test_a_wrong_download_is_thrown_away(store, make_bundle):
    manifest, _ = make_bundle()
    item = manifest.object_of("detector")
    with store.locked():
        with store.partial(item) as partial:
            partial.append(b"not this")
        with pytest.raises(GoodnoiseError, match="nothing is installed"):
            partial.finish()
    assert store.partial(item).size == 0
    assert store.missing(manifest)[0] == item


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_said_in_words(store, make_bundle):
    manifest, _ = make_bundle()
    item = manifest.object_of("detector")
    with store.locked():
        (store.root / "partial" / item.sha256).symlink_to("/dev/full")  # every write fails as on a full disk
        with (
            pytest.raises(GoodnoiseError, match=r"no space left.*GOODNOISE_HOME") as caught,
            store.partial(item) as partial,
        ):
            partial.append(b"detector")
    assert caught.value.code is Code.EXHAUSTED


def test_too_little_space_is_said_before_anything_is_fetched(store):
    with store.locked(), pytest.raises(GoodnoiseError, match="are free") as caught:
        store.require_space(1 << 60)
    assert caught.value.code is Code.EXHAUSTED


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(GoodnoiseError, match="GOODNOISE_HOME"),
        BundleStore(tmp_path / "file" / "device").locked(),
    ):
        pytest.fail("it was locked")


def test_a_second_update_waits_and_then_says_who_is_in_the_way(store):
    other = BundleStore(store.root)
    with (
        store.locked(),
        pytest.raises(GoodnoiseError, match="another update") as caught,
        other.locked(wait_seconds=0.05),
    ):
        pytest.fail("two updates at once")
    assert caught.value.code is Code.PRECONDITION
    with other.locked(wait_seconds=0.05):
        pass


def test_appending_needs_the_with_block(store, make_bundle):
    with pytest.raises(ValueError, match="with block"):
        store.partial(make_bundle()[0].object_of("detector")).append(b"x")
