"""Bundles on the device: objects by sha256, unfinished downloads, and the pointer to what is installed.

    root/
      current            JSON: the installed manifest, the one before, the newest `created` of each profile
      manifests/SHA256   manifests by their own hash
      objects/SHA256     objects, shared by the manifests
      trust/             signed metadata that was proven (module `trust`)
      partial/SHA256     the beginning of an object whose download was cut off
      lock               held by an update

`current` is replaced in one step after every object is in place, so a bundle is installed whole or not at
all. Readers take no lock: the bundle before the current one stays, with its objects.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import filelock
import platformdirs

from edge_client.partial import Partial
from shared.bundle import BundleObject, Manifest, created_at, manifest_from_json, sha256_hex
from shared.errors import Code, GoodnoiseError
from shared.files import sha256_of_file, storage_errors, write_atomically

__all__ = ["HOME_VARIABLE", "BundleStore", "InstalledBundle", "default_root"]

HOME_VARIABLE = "GOODNOISE_HOME"
_SHA = re.compile(r"[0-9a-f]{64}")
_LOCK_SECONDS = 120.0
_MEND = "run 'goodnoise update' to fetch it again"


def default_root() -> Path:
    """The device's folder: `GOODNOISE_HOME`, else the user's data folder."""
    named = os.environ.get(HOME_VARIABLE)
    return Path(named) if named else Path(platformdirs.user_data_dir("goodnoise", appauthor=False)) / "device"


@dataclass(frozen=True)
class InstalledBundle:
    """A bundle on the device.

    Args:
        manifest: what it holds.
        objects: the folder that holds its objects by sha256.
        sha256: of the manifest's file, hex; signed metadata names it.
    """

    manifest: Manifest
    objects: Path
    sha256: str = ""

    @property
    def age(self) -> timedelta:
        """Time since the bundle was made; never negative, also where the device's clock is behind."""
        return max(datetime.now(UTC) - created_at(self.manifest), timedelta(0))

    def read(self, name: str) -> bytes:
        """The object of this name, proven against its sha256 each time it is read.

        Raises:
            GoodnoiseError: NOT_FOUND for a name that the manifest lacks, CORRUPT when its file is missing or
                damaged.
        """
        item = self.manifest.object_of(name)
        try:
            content = (self.objects / item.sha256).read_bytes()
        except FileNotFoundError as error:
            raise GoodnoiseError(
                Code.CORRUPT, f"object {name!r} of the bundle is missing; {_MEND}"
            ) from error
        if len(content) != item.size or sha256_hex(content) != item.sha256:
            raise GoodnoiseError(Code.CORRUPT, f"object {name!r} of the bundle is damaged; {_MEND}")
        return content


@dataclass(frozen=True)
class _State:
    """What `current` holds: hashes of manifests, and the newest `created` installed of each profile."""

    current: str | None = None
    previous: str | None = None
    newest: dict[str, str] = field(default_factory=dict)


def _state_from(raw: Any) -> _State:  # noqa: ANN401 - what a file holds
    """Raises ValueError, KeyError or TypeError for anything that `install` does not write."""
    for digest in (raw["current"], raw["previous"]):
        if digest is not None and not _SHA.fullmatch(digest):
            raise ValueError(digest)
    newest = {
        profile: datetime.fromisoformat(created).isoformat() for profile, created in raw["newest"].items()
    }
    return _State(raw["current"], raw["previous"], newest)


class BundleStore:
    """The device's bundles below one folder.

    Args:
        root: the folder; by default `default_root()`. It is made when something is first written.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or default_root()

    def current(self) -> InstalledBundle:
        """The installed bundle.

        Raises:
            GoodnoiseError: PRECONDITION when none is installed, CORRUPT when it is damaged.
        """
        state = self._state()
        if state.current is None:
            raise GoodnoiseError(
                Code.PRECONDITION,
                f"no bundle is installed in {self.root}; run 'goodnoise update --cloud HOST:PORT' first",
            )
        return self._bundle(state.current)

    def usable(self) -> InstalledBundle | None:
        """The installed bundle, or None when there is none or it is damaged."""
        try:
            return self.current()
        except GoodnoiseError as error:
            if error.code in (Code.PRECONDITION, Code.CORRUPT):
                return None
            raise

    def previous(self) -> InstalledBundle | None:
        """The bundle that was installed before the current one, if any."""
        state = self._state()
        return None if state.previous is None else self._bundle(state.previous)

    @contextlib.contextmanager
    def locked(self, *, wait_seconds: float = _LOCK_SECONDS) -> Iterator[None]:
        """Hold the store for an update; another update waits for it.

        Raises:
            GoodnoiseError: PRECONDITION when another update still holds it after `wait_seconds`.
        """
        with self._disk():
            for name in ("", "manifests", "objects", "partial"):
                (self.root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = filelock.FileLock(self.root / "lock", timeout=wait_seconds)
        try:
            lock.acquire()
        except filelock.Timeout as error:
            raise GoodnoiseError(
                Code.PRECONDITION, f"another update works in {self.root}; wait for it, then try again"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def missing(self, manifest: Manifest) -> tuple[BundleObject, ...]:
        """Objects of the manifest that are absent or damaged, each hash once; damaged ones are removed."""
        wanted = {item.sha256: item for item in manifest.objects}
        with self._disk():
            return tuple(item for item in wanted.values() if not self._holds(item))

    def partial(self, item: BundleObject) -> Partial:
        """The unfinished download of an object, to go on with."""
        return Partial(self.root / "partial" / item.sha256, self.root / "objects" / item.sha256, item)

    def require_space(self, count: int) -> None:
        """Refuse to begin what the disk cannot hold.

        Args:
            count: bytes that will be written.

        Raises:
            GoodnoiseError: EXHAUSTED.
        """
        with self._disk():
            free = shutil.disk_usage(self.root).free
        if free < count:
            raise GoodnoiseError(
                Code.EXHAUSTED,
                f"the bundle needs {count} bytes in {self.root} and {free} are free; "
                f"free some, or choose another folder with {HOME_VARIABLE}",
                {"resource": "disk"},
            )

    def refuse_rollback(self, manifest: Manifest) -> None:
        """Refuse a bundle that is older than one of its profile that was installed here before.

        Raises:
            GoodnoiseError: PRECONDITION.
        """
        newest = self._state_or_empty().newest.get(manifest.profile)
        if newest is not None and created_at(manifest) < datetime.fromisoformat(newest):
            raise GoodnoiseError(
                Code.PRECONDITION,
                f"the cloud offers bundle {manifest.version} of {manifest.created}, older than the one of "
                f"{newest} that was installed here; if its operator really went back, allow it with "
                "--allow-rollback",
            )

    def install(self, content: bytes, *, allow_rollback: bool = False) -> InstalledBundle:
        """Make a manifest the installed one; every object must be in place. The bundle before it is kept.

        Raises:
            GoodnoiseError: CORRUPT for a bad manifest or a missing object, PRECONDITION for an older bundle.
        """
        manifest = manifest_from_json(content)
        if not allow_rollback:
            self.refuse_rollback(manifest)
        absent = self.missing(manifest)
        if absent:
            raise GoodnoiseError(Code.CORRUPT, f"object {absent[0].name!r} is missing or damaged; {_MEND}")
        state = self._after(manifest, sha256_hex(content))
        with self._disk():
            write_atomically(self.root / "manifests" / sha256_hex(content), content)
            self._write(state)
            self._collect(state)
        return self._bundle(sha256_hex(content))

    def go_back(self) -> InstalledBundle:
        """Make the bundle before the current one the installed one; a second call goes forth again.

        Raises:
            GoodnoiseError: PRECONDITION when there is none, CORRUPT when it is damaged.
        """
        state = self._state()
        if state.previous is None:
            raise GoodnoiseError(
                Code.PRECONDITION, f"no bundle was installed in {self.root} before the current one"
            )
        bundle = self._bundle(state.previous)
        absent = self.missing(bundle.manifest)
        if absent:
            raise GoodnoiseError(Code.CORRUPT, f"object {absent[0].name!r} is missing or damaged; {_MEND}")
        self._write(_State(state.previous, state.current, state.newest))
        return bundle

    def _write(self, state: _State) -> None:
        with self._disk():
            write_atomically(self.root / "current", json.dumps(state.__dict__, sort_keys=True).encode())

    def _after(self, manifest: Manifest, digest: str) -> _State:
        before = self._state_or_empty()
        previous = before.previous if before.current == digest else before.current
        return _State(digest, previous, {**before.newest, manifest.profile: created_at(manifest).isoformat()})

    def _bundle(self, digest: str) -> InstalledBundle:
        try:
            content = (self.root / "manifests" / digest).read_bytes()
        except FileNotFoundError as error:
            raise GoodnoiseError(Code.CORRUPT, f"the manifest in {self.root} is missing; {_MEND}") from error
        if sha256_hex(content) != digest:
            raise GoodnoiseError(Code.CORRUPT, f"the manifest in {self.root} is damaged; {_MEND}")
        return InstalledBundle(manifest_from_json(content), self.root / "objects", digest)

    def _state(self) -> _State:
        path = self.root / "current"
        try:
            state = _state_from(json.loads(path.read_bytes()))
        except FileNotFoundError:
            return _State()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise GoodnoiseError(Code.CORRUPT, f"{path} is damaged; {_MEND}") from error
        return state

    def _state_or_empty(self) -> _State:
        try:
            return self._state()
        except GoodnoiseError:
            return _State()  # what is damaged is replaced by the next update

    def _holds(self, item: BundleObject) -> bool:
        path = self.root / "objects" / item.sha256
        if not path.exists():
            return False
        if path.stat().st_size == item.size and sha256_of_file(path) == item.sha256:
            return True
        path.unlink()
        return False

    def _collect(self, state: _State) -> None:
        """Remove objects, manifests and partial downloads that neither bundle needs."""
        keep = {digest for digest in (state.current, state.previous) if digest}
        for digest in sorted(keep):
            with contextlib.suppress(GoodnoiseError):  # a damaged previous bundle keeps nothing
                keep |= {item.sha256 for item in self._bundle(digest).manifest.objects}
        for path in (p for name in ("manifests", "objects") for p in (self.root / name).iterdir()):
            if path.name not in keep:
                path.unlink()
        for path in (self.root / "partial").iterdir():
            path.unlink()

    def _disk(self) -> contextlib.AbstractContextManager[None]:
        return storage_errors(self.root, setting=HOME_VARIABLE)
