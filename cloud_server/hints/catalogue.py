"""The catalogue at wire level `pull`: which hints of the published bundles a device lacks."""

from __future__ import annotations

from dataclasses import dataclass

from cloud_server.bundles.store import PublishedBundles
from shared.bundle import Manifest, created_at
from shared.errors import Code, GoodnoiseError
from shared.wire.limits import bundle_version

__all__ = ["Catalogue", "CatalogueEntry", "newer_hints", "newest_version"]


@dataclass(frozen=True)
class CatalogueEntry:
    """One hint: its name, size in bytes, hex sha256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Catalogue:
    """The newest published version, and the hints that the bundle asked about lacks."""

    version: str
    entries: tuple[CatalogueEntry, ...]


def newer_hints(bundles: PublishedBundles, version: str) -> Catalogue:
    """Hints of the current bundles that are not in the bundle of this version.

    Args:
        bundles: what is published.
        version: the device's bundle, empty for none; of one that is held no longer, all hints count as newer.

    Raises:
        GoodnoiseError: INVALID_INPUT for a malformed version, PRECONDITION when nothing is published.
    """
    bundle_version(version)
    current = [bundles.manifest(profile) for profile in bundles.profiles()]
    if not current:
        raise GoodnoiseError(Code.PRECONDITION, "no bundle is published here; its operator must publish one")
    known = {
        entry for manifest in bundles.held() if manifest.version == version for entry in _entries(manifest)
    }
    offered = dict.fromkeys(entry for manifest in current for entry in _entries(manifest))
    newest = max(current, key=created_at)
    return Catalogue(newest.version, tuple(entry for entry in offered if entry not in known))


def newest_version(bundles: PublishedBundles) -> str:
    """The newest published version, or empty where nothing is published."""
    current = [bundles.manifest(profile) for profile in bundles.profiles()]
    return max(current, key=created_at).version if current else ""


def _entries(manifest: Manifest) -> tuple[CatalogueEntry, ...]:
    objects = {hint.name: manifest.object_of(hint.object_name) for hint in manifest.hints}
    return tuple(CatalogueEntry(name, item.size, item.sha256) for name, item in objects.items())
