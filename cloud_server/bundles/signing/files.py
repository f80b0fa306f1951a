"""Where signed metadata lies, below a folder of bundles.

    metadata/timestamp.json, N.snapshot.json, N.targets.json, N.root.json     what devices see
    targets/PROFILE/SHA256.manifest.json    manifests that the targets name
    staged/root.json, staged/targets.json   made, perhaps not signed by enough keys yet, not published

These names are TUF's own (consistent snapshots), so any file server could give them out.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from shared.errors import Code, GoodnoiseError
from shared.files import write_atomically

__all__ = ["MetadataFiles"]

S = TypeVar("S", Root, Targets, Snapshot, Timestamp)


class MetadataFiles:
    """Reads and writes the files; what the server gives out is read by `PublishedBundles`.

    Args:
        root: folder of bundles.
    """

    def __init__(self, root: Path) -> None:
        self.published = root / "metadata"
        self.staged = root / "staged"

    def root(self) -> Metadata[Root] | None:
        """The newest published root."""
        versions = [int(path.name.split(".")[0]) for path in self.published.glob("*.root.json")]
        return self._read(self.published / f"{max(versions)}.root.json", Root) if versions else None

    def timestamp(self) -> Metadata[Timestamp] | None:
        """The published timestamp."""
        return self._read(self.published / "timestamp.json", Timestamp)

    def snapshot(self) -> Metadata[Snapshot] | None:
        """The snapshot that the published timestamp names."""
        timestamp = self.timestamp()
        if timestamp is None:
            return None
        version = timestamp.signed.snapshot_meta.version
        return self._read(self.published / f"{version}.snapshot.json", Snapshot)

    def targets(self) -> Metadata[Targets] | None:
        """The targets that the published snapshot names."""
        snapshot = self.snapshot()
        if snapshot is None:
            return None
        version = snapshot.signed.meta["targets.json"].version
        return self._read(self.published / f"{version}.targets.json", Targets)

    def staged_root(self) -> Metadata[Root] | None:
        """The root that waits for `publish`."""
        return self._read(self.staged / "root.json", Root)

    def staged_targets(self) -> Metadata[Targets] | None:
        """The targets that wait for `publish`."""
        return self._read(self.staged / "targets.json", Targets)

    def stage(self, made: Metadata[S]) -> None:
        """Keep metadata for `publish`."""
        self.staged.mkdir(parents=True, exist_ok=True)
        write_atomically(self.staged / f"{made.signed.type}.json", made.to_bytes())

    def publish(self, made: Metadata[S]) -> None:
        """Put one file where devices find it."""
        self.published.mkdir(parents=True, exist_ok=True)
        version = "" if made.signed.type == Timestamp.type else f"{made.signed.version}."
        write_atomically(self.published / f"{version}{made.signed.type}.json", made.to_bytes())

    def unstage(self) -> None:
        """Forget what was staged."""
        for path in self.staged.glob("*.json"):
            path.unlink()

    def prune(self, *, keep: int = 2) -> None:
        """Remove old snapshots and targets; every root stays, for devices that were away for long."""
        for role in (Snapshot.type, Targets.type):
            paths = sorted(
                self.published.glob(f"*.{role}.json"), key=lambda path: int(path.name.split(".")[0])
            )
            for path in paths[:-keep]:
                path.unlink()

    @staticmethod
    def _read(path: Path, kind: type[S]) -> Metadata[S] | None:
        try:
            found: Metadata[S] = Metadata.from_bytes(path.read_bytes())
        except FileNotFoundError:
            return None
        except DeserializationError as error:
            raise _damaged(path) from error
        if found.signed.type != kind.type:
            raise _damaged(path)
        return found


def _damaged(path: Path) -> GoodnoiseError:
    return GoodnoiseError(Code.CORRUPT, f"{path} is damaged; put it back from a copy of the folder")
