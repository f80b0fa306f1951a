"""Published bundles on disk. A running server sees a new one at once: each answer begins at the pointer file.

    root/
      PROFILE/current                 one line: the version that is published
      PROFILE/previous                one line: the version before it, whose downloads may still run
      PROFILE/VERSION/manifest.json
      objects/SHA256                  objects of all profiles and versions
      metadata/, targets/PROFILE/     what devices see: signed metadata, and the manifests that it names

`current` is what was built last; devices get it when it is signed and published (package `signing`). Only
objects that a current, previous or signed manifest names are given out; what lies beside them is not.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from pathlib import Path

import filelock

from shared.bundle import (
    MANIFEST_NAME,
    PROFILE_BYTES,
    BundleObject,
    Manifest,
    created_at,
    manifest_from_json,
    manifest_to_json,
    sha256_hex,
)
from shared.errors import Code, GoodnoiseError
from shared.files import atomic_file, sha256_of_file, storage_errors, write_atomically
from shared.wire.limits import bundle_version, profile_name, published_name

__all__ = ["PublishedBundles"]

Stamp = tuple[int, int]


class PublishedBundles:
    """The bundles below one folder.

    Args:
        root: the folder; it is made by the first `publish`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._parsed: dict[Path, tuple[Stamp, Manifest]] = {}

    def publish(self, manifest: Manifest, objects: Mapping[str, bytes | Path]) -> None:
        """Make a manifest the current one of its profile. The one before stays; older ones are removed.

        Nothing is visible to devices before every object is in place and proven.

        Args:
            manifest: what to publish; `created` decides which of two bundles is newer.
            objects: content by the manifest's object names; what an earlier bundle brought may be left out.

        Raises:
            GoodnoiseError: CORRUPT when an object is not as the manifest says, NOT_FOUND when one is absent,
                PRECONDITION when the bundle is too large for its profile, or older than the current one,
                or when another bundle has its version.
        """
        with storage_errors(self.root, setting="--bundles"):
            folder = self.root / manifest.profile / manifest.version
            folder.parent.mkdir(parents=True, exist_ok=True)
            (self.root / "objects").mkdir(exist_ok=True)
            with self.locked():
                self._refuse(manifest, objects)
                for item in manifest.objects:
                    self._keep(item, objects.get(item.name))
                folder.mkdir(exist_ok=True)
                write_atomically(folder / MANIFEST_NAME, manifest_to_json(manifest))
                self._point(folder)
                self._prune()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for a change; who reads it takes no lock."""
        self.root.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(self.root / ".lock"):
            yield

    def profiles(self) -> tuple[str, ...]:
        """Profiles of which something is published, in alphabetical order."""
        return tuple(name for name in sorted(PROFILE_BYTES) if (self.root / name / "current").exists())

    def manifest(self, profile: str) -> Manifest:
        """The current manifest of a profile.

        Raises:
            GoodnoiseError: INVALID_INPUT for an unknown profile, NOT_FOUND when nothing is published, CORRUPT
                when what is published cannot be read.
        """
        return self._parse(self._current(profile))

    def manifest_bytes(self, profile: str) -> bytes:
        """The current manifest of a profile, as published; errors as of `manifest`."""
        try:
            return self._current(profile).read_bytes()
        except OSError as error:
            raise _damaged(profile) from error

    def held(self) -> tuple[Manifest, ...]:
        """Every manifest whose objects are given out: the current and the previous one of each profile."""
        found = (self._held(profile, name) for profile in self.profiles() for name in ("current", "previous"))
        return tuple(manifest for manifest in found if manifest is not None)

    def signed(self) -> tuple[Manifest, ...]:
        """Manifests that signed metadata names, now or one version ago."""
        found = []
        for path in sorted((self.root / "targets").glob(f"*/*.{MANIFEST_NAME}")):
            try:
                found.append(self._parse(path))
            except GoodnoiseError:
                # What a publication took away since it was listed is not named any more.
                if path.exists():
                    raise
        return tuple(found)

    def metadata_bytes(self, name: str, profile: str) -> bytes:
        """A file of the signed metadata, or a manifest that it names, as devices get it.

        Args:
            name: as `limits.published_name` allows, such as `timestamp.json` or `SHA256.manifest.json`.
            profile: whose manifest; the metadata is the same for all.

        Raises:
            GoodnoiseError: INVALID_INPUT for another name or profile, NOT_FOUND when there is no such file.
        """
        folder = Path("targets", profile_name(profile)) if name.endswith(MANIFEST_NAME) else Path("metadata")
        try:
            return (self.root / folder / published_name(name)).read_bytes()
        except FileNotFoundError as error:
            unsigned = not (self.root / "metadata" / "timestamp.json").exists()
            why = "nothing is signed here yet; its operator must run 'goodnoise-cloud bundle publish'"
            raise GoodnoiseError(
                Code.NOT_FOUND, why if unsigned else f"there is no {name} here; fetch timestamp.json first"
            ) from error

    def keep_manifest(self, profile: str) -> bytes:
        """Put the current manifest of a profile where devices find it by sha256; returns it.

        Until `forget_manifests` its objects stay, whatever is built.
        """
        content = self.manifest_bytes(profile)
        place = self._target(profile, sha256_hex(content))
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, content)
        return content

    def prove(self, profile: str, sha256: str) -> None:
        """Prove a manifest that `keep_manifest` kept, and each of its objects.

        Raises:
            GoodnoiseError: CORRUPT naming what is missing or damaged.
        """
        path = self._target(profile, sha256)
        if not path.is_file() or sha256_of_file(path) != sha256:
            raise _damaged(profile)
        for item in self._parse(path).objects:
            found = self.root / "objects" / item.sha256
            if not found.is_file() or sha256_of_file(found) != item.sha256:
                raise GoodnoiseError(
                    Code.CORRUPT,
                    f"object {item.name!r} in {self.root} is missing or damaged; build the bundle again",
                )

    def forget_manifests(self, *, keep: Set[str]) -> None:
        """Remove manifests that `keep_manifest` kept, except those of these sha256, and their objects."""
        for path in (self.root / "targets").glob(f"*/*.{MANIFEST_NAME}"):
            if path.name.partition(".")[0] not in keep:
                path.unlink()
                self._parsed.pop(path, None)
        self._prune()

    def object_path(self, sha256: str) -> Path:
        """The file of a published object.

        Args:
            sha256: hex.

        Raises:
            GoodnoiseError: NOT_FOUND when no current, previous or signed manifest names it, CORRUPT when its
                file is gone.
        """
        path = self.root / "objects" / sha256
        if self._names(sha256):
            if path.exists():
                return path
            # Readers take no lock: a publication may have removed it since it was named.
            if self._names(sha256):
                raise GoodnoiseError(
                    Code.CORRUPT, f"object {sha256} is missing; its operator must publish again"
                )
        raise GoodnoiseError(
            Code.NOT_FOUND, f"no published bundle has object {sha256}; fetch its metadata first"
        )

    def _names(self, sha256: str) -> bool:
        """Whether a manifest whose objects are given out has this one."""
        given = (*self.signed(), *self.held())
        return any(item.sha256 == sha256 for manifest in given for item in manifest.objects)

    def _target(self, profile: str, sha256: str) -> Path:
        return self.root / "targets" / profile_name(profile) / f"{sha256}.{MANIFEST_NAME}"

    def _current(self, profile: str) -> Path:
        path = self._pointed(profile_name(profile), "current")
        if path is None:
            raise GoodnoiseError(
                Code.NOT_FOUND,
                f"no bundle of profile {profile!r} is published here; its operator must publish one",
            )
        return path

    def _held(self, profile: str, pointer: str) -> Manifest | None:
        path = self._pointed(profile, pointer)
        if path is None:
            return None
        try:
            return self._parse(path)
        except GoodnoiseError:
            # Readers take no lock: a publication may have moved the pointer on and removed what it named.
            now = self._pointed(profile, pointer)
            if now is None or now == path:
                raise
            return self._parse(now)

    def _pointed(self, profile: str, pointer: str) -> Path | None:
        """The manifest that a pointer file names."""
        try:
            version = (self.root / profile / pointer).read_text().strip()
        except FileNotFoundError:
            return None
        return self.root / profile / bundle_version(version) / MANIFEST_NAME

    def _parse(self, path: Path) -> Manifest:
        try:
            found = path.stat()
            stamp = (found.st_mtime_ns, found.st_ino)
            known = self._parsed.get(path)
            if known is not None and known[0] == stamp:
                return known[1]
            manifest = manifest_from_json(path.read_bytes())
        except OSError as error:
            raise _damaged(path.parent.parent.name) from error
        self._parsed[path] = (stamp, manifest)
        return manifest

    def _refuse(self, manifest: Manifest, objects: Mapping[str, bytes | Path]) -> None:
        manifest_from_json(manifest_to_json(manifest))  # what devices would refuse is not published
        strange = set(objects) - {item.name for item in manifest.objects}
        if strange:
            raise ValueError(f"object {min(strange)!r} is not in the manifest")
        allowed = PROFILE_BYTES[manifest.profile]
        if manifest.size > allowed:
            raise _refused(
                manifest, f"has {manifest.size} bytes, its profile allows {allowed}; leave objects out"
            )
        if not (self.root / manifest.profile / "current").exists():
            return
        current = self.manifest(manifest.profile)
        if created_at(manifest) < created_at(current):
            raise _refused(
                manifest,
                f"was made before {current.version}, which devices already have; build it again to go back",
            )
        path = self.root / manifest.profile / manifest.version / MANIFEST_NAME
        if path.exists() and path.read_bytes() != manifest_to_json(manifest):
            raise _refused(manifest, "exists with other content; give the new one a version of its own")

    def _keep(self, item: BundleObject, content: bytes | Path | None) -> None:
        """Put an object into its place, if it is not there already."""
        target = self.root / "objects" / item.sha256
        if target.exists() and sha256_of_file(target) == item.sha256:
            return
        if content is None:
            raise GoodnoiseError(Code.NOT_FOUND, f"object {item.name!r} was not given and is not here yet")
        found = sha256_of_file(content) if isinstance(content, Path) else sha256_hex(content)
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        if (found, size) != (item.sha256, item.size):
            raise GoodnoiseError(
                Code.CORRUPT,
                f"object {item.name!r} has sha256 {found} and {size} bytes, the manifest says {item.sha256} "
                f"and {item.size}; build the bundle again",
            )
        with atomic_file(target) as out:
            if isinstance(content, Path):
                with content.open("rb") as source:
                    shutil.copyfileobj(source, out)
            else:
                out.write(content)

    def _point(self, folder: Path) -> None:
        """Make the pointers name the new version; until the last step nothing has changed."""
        current = folder.parent / "current"
        if current.exists() and current.read_text().strip() != folder.name:
            write_atomically(folder.parent / "previous", current.read_bytes())
        write_atomically(current, f"{folder.name}\n".encode())

    def _prune(self) -> None:
        """Remove versions and objects that no pointer reaches."""
        held = (*self.signed(), *self.held())
        named = {item.sha256 for manifest in held for item in manifest.objects}
        for path in (self.root / "objects").iterdir():
            if path.name not in named:
                path.unlink()
        for profile in self.profiles():
            reached = {self._pointed(profile, name) for name in ("current", "previous")}
            for folder in (path for path in (self.root / profile).iterdir() if path.is_dir()):
                if folder / MANIFEST_NAME not in reached:
                    shutil.rmtree(folder)
                    self._parsed.pop(folder / MANIFEST_NAME, None)


def _refused(manifest: Manifest, reason: str) -> GoodnoiseError:
    return GoodnoiseError(
        Code.PRECONDITION, f"bundle {manifest.version} of profile {manifest.profile!r} {reason}"
    )


def _damaged(profile: str) -> GoodnoiseError:
    return GoodnoiseError(
        Code.CORRUPT,
        f"the published bundle of profile {profile!r} is damaged; its operator must publish it again",
    )
