import dataclasses
import threading

import pytest

from cloud_server.bundles.store import PublishedBundles
from shared.bundle import MANIFEST_NAME, manifest_from_json
from shared.errors import Code, GoodnoiseError


@pytest.fixture
def bundles(tmp_path):
    return PublishedBundles(tmp_path / "published")


def refused(bundles, manifest, objects, code):
    with pytest.raises(GoodnoiseError) as caught:
        bundles.publish(manifest, objects)
    assert caught.value.code is code
    return caught.value.message


def test_nothing_is_published_at_first(bundles):
    assert bundles.profiles() == ()
    assert bundles.held() == ()
    with pytest.raises(GoodnoiseError, match="no bundle of profile 'full'"):
        bundles.manifest("full")


def test_the_layout_is_as_documented(bundles, make_bundle):
    manifest, objects = make_bundle("1.0")
    bundles.publish(manifest, objects)
    assert (bundles.root / "full" / "current").read_text() == "1.0\n"
    assert manifest_from_json((bundles.root / "full" / "1.0" / MANIFEST_NAME).read_bytes()) == manifest
    assert {path.name for path in (bundles.root / "objects").iterdir()} == {
        o.sha256 for o in manifest.objects
    }


def test_objects_may_be_files(bundles, make_bundle, tmp_path):
    manifest, objects = make_bundle()
    (tmp_path / "network").write_bytes(objects["surrogate"])
    bundles.publish(manifest, {**objects, "surrogate": tmp_path / "network"})
    assert bundles.object_path(manifest.object_of("surrogate").sha256).read_bytes() == b"surrogate"


def test_two_bundles_are_held_and_older_ones_removed(bundles, make_bundle):
    for version in "123":
        bundles.publish(*make_bundle(version, f"2026-01-0{version}T00:00:00Z", own=version.encode()))
    assert [m.version for m in bundles.held()] == ["3", "2"]
    assert sorted(path.name for path in (bundles.root / "full").iterdir() if path.is_dir()) == ["2", "3"]
    assert len(list((bundles.root / "objects").iterdir())) == 4


def test_what_is_here_need_not_be_given_again(bundles, make_bundle):
    bundles.publish(*make_bundle("1"))
    manifest, _ = make_bundle("2", "2026-02-02T00:00:00Z", new=b"new")
    bundles.publish(manifest, {"new": b"new"})
    assert bundles.manifest("full").version == "2"


def test_profiles_share_objects_and_keep_their_own_pointers(bundles, make_bundle):
    bundles.publish(*make_bundle("1"))
    bundles.publish(*make_bundle("1", profile="phone", small=b"small"))
    assert bundles.profiles() == ("full", "phone")
    assert len(list((bundles.root / "objects").iterdir())) == 3


def test_another_instance_sees_a_new_bundle(bundles, make_bundle):
    bundles.publish(*make_bundle("1"))
    serving = PublishedBundles(bundles.root)
    assert serving.manifest("full").version == "1"
    bundles.publish(*make_bundle("2", "2026-02-02T00:00:00Z"))
    assert serving.manifest("full").version == "2"


def test_a_wrong_object_leaves_what_was_published(bundles, make_bundle):
    bundles.publish(*make_bundle("1"))
    manifest, objects = make_bundle("2", "2026-02-02T00:00:00Z", new=b"new")
    assert "'new' has sha256" in refused(bundles, manifest, {**objects, "new": b"old"}, Code.CORRUPT)
    assert bundles.manifest("full").version == "1"


def test_a_missing_object_is_named(bundles, make_bundle):
    manifest, _ = make_bundle()
    assert "'detector' was not given" in refused(bundles, manifest, {}, Code.NOT_FOUND)


def test_an_object_that_is_not_in_the_manifest_is_a_mistake(bundles, make_bundle):
    manifest, objects = make_bundle()
    with pytest.raises(ValueError, match="'stranger' is not in the manifest"):
        bundles.publish(manifest, {**objects, "stranger": b""})


def test_an_older_bundle_is_refused(bundles, make_bundle):
    bundles.publish(*make_bundle("2", "2026-02-02T00:00:00Z"))
    assert "made before 2" in refused(bundles, *make_bundle("1"), Code.PRECONDITION)


def test_a_version_stands_for_one_content(bundles, make_bundle):
    bundles.publish(*make_bundle("1"))
    assert "other content" in refused(bundles, *make_bundle("1", new=b"new"), Code.PRECONDITION)
    bundles.publish(*make_bundle("1"))  # the same again changes nothing
    assert [m.version for m in bundles.held()] == ["1"]


def test_a_bundle_too_large_for_its_profile_is_refused(bundles, make_bundle):
    manifest, objects = make_bundle(profile="phone")
    large = tuple(dataclasses.replace(item, size=8_000_000) for item in manifest.objects)
    said = refused(bundles, dataclasses.replace(manifest, objects=large), objects, Code.PRECONDITION)
    assert "16000000 bytes, its profile allows 15000000" in said


def test_a_manifest_that_devices_would_refuse_is_not_published(bundles, make_bundle):
    manifest, objects = make_bundle()
    lame = dataclasses.replace(manifest, members=manifest.members[:1])
    assert "at least one surrogate" in refused(bundles, lame, objects, Code.CORRUPT)


@pytest.mark.parametrize("pointer", ["../../etc", "", "a/b", "x" * 40])
def test_a_pointer_to_elsewhere_is_not_followed(bundles, make_bundle, pointer):
    bundles.publish(*make_bundle())
    (bundles.root / "full" / "current").write_text(pointer)
    with pytest.raises(GoodnoiseError):
        bundles.manifest("full")


def test_a_damaged_manifest_is_said_without_its_path(bundles, make_bundle):
    bundles.publish(*make_bundle())
    (bundles.root / "full" / "1" / MANIFEST_NAME).unlink()
    for read in (bundles.manifest, bundles.manifest_bytes):
        with pytest.raises(GoodnoiseError, match="damaged") as caught:
            read("full")
        assert str(bundles.root) not in caught.value.message


def test_a_damaged_object_is_replaced_when_it_is_published_again(bundles, make_bundle):
    manifest, objects = make_bundle()
    bundles.publish(manifest, objects)
    path = bundles.object_path(manifest.object_of("detector").sha256)
    path.write_bytes(b"rotten")
    bundles.publish(manifest, objects)
    assert path.read_bytes() == b"detector"


def test_publishers_at_once_take_turns(bundles, make_bundle):
    made = [make_bundle(str(n), "2026-01-01T00:00:00Z", own=bytes([n]) * 1000) for n in range(6)]
    threads = [threading.Thread(target=PublishedBundles(bundles.root).publish, args=item) for item in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = bundles.held()
    assert len(held) == 2
    assert all(bundles.object_path(item.sha256).exists() for manifest in held for item in manifest.objects)


def _meanwhile(serving, monkeypatch, happens):
    """Let something happen once, between finding a manifest and reading it."""
    read, left = serving._parse, [happens]

    def parse(path):
        if left:
            left.pop()()
        return read(path)

    monkeypatch.setattr(serving, "_parse", parse)


def test_manifests_forgotten_while_they_are_listed_are_no_damage(bundles, make_bundle, monkeypatch):
    bundles.publish(*make_bundle("1"))
    bundles.keep_manifest("full")
    serving = PublishedBundles(bundles.root)
    assert [manifest.version for manifest in serving.signed()] == ["1"]
    _meanwhile(serving, monkeypatch, lambda: bundles.forget_manifests(keep=set()))
    assert serving.signed() == ()


def test_an_object_removed_since_it_was_named_is_not_found(bundles, make_bundle, monkeypatch):
    manifest, objects = make_bundle("1")
    bundles.publish(manifest, objects)
    serving = PublishedBundles(bundles.root)
    named, left = serving._names, [True]

    def names(sha256):
        answer = named(sha256)
        if left:
            left.clear()
            for n in "23":
                bundles.publish(*make_bundle(n, f"2026-03-0{n}T00:00:00Z", detector=n.encode()))
        return answer

    monkeypatch.setattr(serving, "_names", names)
    with pytest.raises(GoodnoiseError, match="no published bundle has object") as caught:
        serving.object_path(manifest.object_of("detector").sha256)
    assert caught.value.code is Code.NOT_FOUND


def test_a_manifest_that_is_there_and_cannot_be_read_is_damage(bundles, make_bundle):
    bundles.publish(*make_bundle("1"))
    bundles.keep_manifest("full")
    (path,) = (bundles.root / "targets").glob("*/*")
    path.unlink()
    path.mkdir()
    with pytest.raises(GoodnoiseError, match="damaged"):
        bundles.signed()


def test_what_is_published_while_others_read_is_no_damage(bundles, make_bundle, monkeypatch):
    made = [make_bundle(n, f"2026-01-0{n}T00:00:00Z", own=n.encode()) for n in "1234"]
    for item in made[:2]:
        bundles.publish(*item)
    serving = PublishedBundles(bundles.root)

    def publish():
        for item in made[2:]:
            bundles.publish(*item)

    _meanwhile(serving, monkeypatch, publish)
    # The pointer that was read first named the second, which is gone.
    assert [manifest.version for manifest in serving.held()] == ["4", "3"]
