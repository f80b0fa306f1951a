"""Installing a bundle from a folder on this device, without a cloud: from a stick, or to measure it.

The folder is one that `goodnoise-cloud bundle build --out` made. Who names it vouches for it: objects are
proven against the manifest's sha256, the manifest itself against nothing.
"""

from __future__ import annotations

from pathlib import Path

from edge_client.store import BundleStore, InstalledBundle
from shared.bundle import MANIFEST_NAME, BundleObject, Profile, manifest_from_json
from shared.errors import Code, GoodnoiseError

__all__ = ["install_folder"]


def install_folder(folder: Path, store: BundleStore, *, profile: Profile) -> InstalledBundle:
    """Make a folder's current bundle of a profile the installed one, older than the one before or not.

    Args:
        folder: of published bundles.
        store: where it is installed.
        profile: which of the folder's bundles.

    Raises:
        GoodnoiseError: NOT_FOUND when the folder holds no such bundle, CORRUPT when it is damaged.
    """
    content = _manifest(folder, profile)
    with store.locked():
        for item in store.missing(manifest_from_json(content)):
            _copy(folder, item, store)
        return store.install(content, allow_rollback=True)


def _manifest(folder: Path, profile: str) -> bytes:
    try:
        version = (folder / profile / "current").read_text(encoding="utf-8").strip()
        return (folder / profile / version / MANIFEST_NAME).read_bytes()
    except OSError as error:
        raise GoodnoiseError(
            Code.NOT_FOUND,
            f"{folder} holds no bundle of profile {profile!r}; name a folder made by "
            "'goodnoise-cloud bundle build --out'",
        ) from error


def _copy(folder: Path, item: BundleObject, store: BundleStore) -> None:
    try:
        content = (folder / "objects" / item.sha256).read_bytes()
    except OSError as error:
        raise GoodnoiseError(Code.CORRUPT, f"object {item.name!r} is missing in {folder}") from error
    partial = store.partial(item)
    with partial:
        partial.append(content)
    partial.finish()
