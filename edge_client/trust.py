"""What a device trusts: signed metadata after TUF, checked by python-tuf, fetched over the gRPC channel.

    root/trust/root_history/N.root.json, root.json    the root that was given, and those that followed it
    root/trust/timestamp.json, snapshot.json, targets.json    the newest that was proven, against rollback

python-tuf's client brings its own HTTP fetcher; it is never made here, and this module opens no connection.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_client.channel import Cloud, MetadataPayload
from edge_client.refusals import refusal
from edge_client.store import BundleStore, InstalledBundle
from shared.bundle import MANIFEST_NAME, Profile, sha256_hex
from shared.errors import Code, GoodnoiseError
from shared.files import storage_errors

if TYPE_CHECKING:  # python-tuf costs 0.2 s to load, so only an update does
    from tuf.ngclient import FetcherInterface, Updater

__all__ = ["fingerprint", "metadata_expires", "trust_lines", "trusted_manifest"]

_ROLES = ("root", "timestamp", "snapshot", "targets")
_BASE = "goodnoise:/"
_OLD = "trust.old"
_MAX_ROOT_BYTES = 64 << 10
_MAX_TIMESTAMP_BYTES = 16 << 10
_MAX_OTHER_BYTES = 256 << 10


@dataclass(frozen=True)
class _Place:
    """The folder of trusted metadata, and the cloud that new metadata comes from."""

    folder: Path
    session: Cloud
    profile: Profile


def trusted_manifest(
    session: Cloud,
    store: BundleStore,
    *,
    profile: Profile,
    root: bytes | None = None,
    trust_first_root: bool = False,
) -> bytes:
    """The current manifest of a profile, proven by the chain root, timestamp, snapshot, targets.

    The store must be locked. What was proven is remembered, also when a later step is refused.

    Args:
        session: a cloud; it is not trusted.
        store: where trust is remembered.
        profile: whose manifest.
        root: content of the root.json where trust begins; None for the one that is remembered. A root that is
            not in the remembered chain replaces it, once all is proven.
        trust_first_root: where none is given or remembered, believe the root that this cloud sends.

    Raises:
        GoodnoiseError: PRECONDITION without a root, and for expired or older metadata; CORRUPT for what is
            not signed by enough trusted keys, mixed, altered or too long; NOT_FOUND when the cloud signs no
            such profile; and what the channel raises. `reason` in the details tells them apart.
    """
    folder = store.root / "trust"
    _mend(folder)
    remembered = (folder / "root.json").exists()
    if trust_first_root and root is None and not remembered:
        root = session.metadata(MetadataPayload(name="1.root.json", profile=profile))
    if root is None and not remembered:
        raise GoodnoiseError(
            Code.PRECONDITION,
            "this device trusts no cloud yet: give the root.json of the cloud's operator with --root FILE, "
            "or believe this cloud's own with --trust-first-root",
            {"reason": "no_root"},
        )
    with storage_errors(store.root, setting="GOODNOISE_HOME"):
        if root is None or _in_chain(folder, root):
            return _fetch(_Place(folder, session, profile), store, root)
        with _replacing(folder) as scratch:
            return _fetch(_Place(scratch, session, profile), store, root)


def trust_lines(store: BundleStore, bundle: InstalledBundle) -> list[str]:
    """What is trusted, for people: the root's fingerprint, and until when metadata of this bundle is good.

    An installed bundle works whatever these say; only new metadata that has expired is refused.
    """
    root, named, ends = fingerprint(store), _named(store, bundle.manifest.profile), metadata_expires(store)
    if root is None:
        return ["trusts no cloud yet: 'goodnoise update --root FILE' begins"]
    lines = [f"trusts root {root}"]
    if named != bundle.sha256:
        return [*lines, "this bundle is not the one that the newest signed metadata names"]
    if ends is None:
        return [*lines, "signed metadata is damaged; the next update mends it"]
    expired = ends < datetime.now(UTC)
    state = f"expired on {ends:%Y-%m-%d}; the bundle goes on working" if expired else f"until {ends:%Y-%m-%d}"
    return [*lines, f"signed: {state}"]


def metadata_expires(store: BundleStore) -> datetime | None:
    """When the first of the trusted metadata expires or expired; None where there is none. Needs no tuf."""
    ends = []
    for role in _ROLES:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            ends.append(datetime.fromisoformat(_signed(store, role)["expires"]).astimezone(UTC))
    return min(ends) if len(ends) == len(_ROLES) else None


def fingerprint(store: BundleStore) -> str | None:
    """Hex sha256 of the root in force, to compare with the operator's; None where there is none."""
    try:
        return sha256_hex((store.root / "trust" / "root.json").read_bytes())
    except OSError:
        return None


def _named(store: BundleStore, profile: Profile) -> str | None:
    """The sha256 of the manifest that the trusted targets name."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(_signed(store, "targets")["targets"][f"{profile}/{MANIFEST_NAME}"]["hashes"]["sha256"])
    return None


def _signed(store: BundleStore, role: str) -> Any:  # noqa: ANN401 - what a file holds
    return json.loads((store.root / "trust" / f"{role}.json").read_bytes())["signed"]


def _in_chain(folder: Path, root: bytes) -> bool:
    return any(path.read_bytes() == root for path in (folder / "root_history").glob("*.root.json"))


def _mend(folder: Path) -> None:
    """Undo a replacement that was cut off between its two steps."""
    old = folder.with_name(_OLD)
    if old.exists() and not folder.exists():
        old.rename(folder)


@contextlib.contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """A copy of the folder that takes its place when the block ends well."""
    scratch, old = folder.with_name("trust.new"), folder.with_name(_OLD)
    for path in (scratch, old):
        shutil.rmtree(path, ignore_errors=True)
    if folder.exists():
        shutil.copytree(folder, scratch, symlinks=True)
    scratch.mkdir(mode=0o700, exist_ok=True)
    try:
        yield scratch
        if folder.exists():
            folder.rename(old)
        scratch.rename(folder)
    finally:
        for path in (scratch, old):
            shutil.rmtree(path, ignore_errors=True)


def _fetch(place: _Place, store: BundleStore, root: bytes | None) -> bytes:
    """Follow the chain as far as it goes, and fetch the manifest that it names."""
    from tuf.api.exceptions import DownloadError, RepositoryError

    updater = _updater(place, root)
    try:
        found = updater.get_targetinfo(f"{place.profile}/{MANIFEST_NAME}")
        if found is None:
            raise GoodnoiseError(
                Code.NOT_FOUND,
                f"this cloud signs no bundle of profile {place.profile!r}; ask for another with --profile",
            )
        content = _manifest(place, store, found.hashes.get("sha256", ""))
        found.verify_length_and_hashes(content)
    except (RepositoryError, DownloadError) as error:
        raise refusal(error) from error
    return content


def _updater(place: _Place, root: bytes | None) -> Updater:
    from tuf.api.exceptions import RepositoryError
    from tuf.ngclient import Updater, UpdaterConfig

    config = UpdaterConfig(
        max_root_rotations=64,
        root_max_length=_MAX_ROOT_BYTES,
        timestamp_max_length=_MAX_TIMESTAMP_BYTES,
        snapshot_max_length=_MAX_OTHER_BYTES,
        targets_max_length=_MAX_OTHER_BYTES,
    )
    fetcher = _fetcher(place.session, place.profile)
    try:
        return Updater(str(place.folder), _BASE, fetcher=fetcher, config=config, bootstrap=root)
    except RepositoryError as error:
        what = "the root that this device remembers is damaged" if root is None else "this is no root.json"
        code = Code.CORRUPT if root is None else Code.INVALID_INPUT
        way_out = "give the root.json of the cloud's operator with --root FILE"
        raise GoodnoiseError(code, f"{what} ({error}); {way_out}", {"reason": "no_root"}) from error


def _manifest(place: _Place, store: BundleStore, sha256: str) -> bytes:
    """The manifest of this hash; it is proven by the caller."""
    here = store.root / "manifests" / sha256
    if sha256 and here.is_file() and sha256_hex(content := here.read_bytes()) == sha256:
        return content
    return place.session.metadata(MetadataPayload(name=f"{sha256}.{MANIFEST_NAME}", profile=place.profile))


def _fetcher(session: Cloud, profile: Profile) -> FetcherInterface:
    from tuf.api.exceptions import DownloadHTTPError
    from tuf.ngclient import FetcherInterface

    class ChannelFetcher(FetcherInterface):
        """Metadata by name over the gRPC channel, in place of tuf's own HTTP."""

        def _fetch(self, url: str) -> Iterator[bytes]:
            name = url.removeprefix(_BASE)
            try:
                return iter([session.metadata(MetadataPayload(name=name, profile=profile))])
            except GoodnoiseError as error:
                if error.code is Code.NOT_FOUND:
                    raise DownloadHTTPError(error.message, 404) from error
                raise

    return ChannelFetcher()
