"""What the agent does for a call, as plain functions for the worker's thread. No gRPC here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edge_client.agent.uploads import CheckUpload, ProtectUpload
from edge_client.agent.worker import Tell
from edge_client.album import Album, album_from
from edge_client.devicenets import DeviceNets, load_nets
from edge_client.photos import Photo, read_photo
from edge_client.protect import FaceReport, Outcome, ProtectOptions, check_pair, protect
from edge_client.store import BundleStore
from edge_client.update import update
from shared.bundle import Manifest, Profile

__all__ = ["Checked", "Protected", "Tasks"]


@dataclass(frozen=True)
class Protected:
    """A protected photo, and the version of the bundle that did it."""

    outcome: Outcome
    bundle: str


@dataclass(frozen=True)
class Checked:
    """Verdicts on a pair of photos, and the version of the bundle that gave them."""

    faces: tuple[FaceReport, ...]
    bundle: str


class Tasks:
    """The work of one agent.

    Args:
        store: where the installed bundle is.
        threads: threads for one call of a network; 0 for as many as there are cores.
        ca: file with the certificates that a cloud's TLS is checked against, PEM; None for those of gRPC.
        root: content of the operator's root.json; None for the one that the device remembers.
    """

    def __init__(
        self, store: BundleStore, *, threads: int = 0, ca: Path | None = None, root: bytes | None = None
    ) -> None:
        self._store = store
        self._threads = threads
        self._ca = ca
        self._root = root
        self._loaded: tuple[Manifest, DeviceNets] | None = None

    def protect(self, upload: ProtectUpload, options: ProtectOptions, tell: Tell) -> Protected:
        """Protect a photo; errors are those of `protect`, `read_photo`, `album_from` and `load_nets`."""
        tell("read", 0, 1)
        photo = read_photo(upload.photo, name="the photo")
        nets = self._nets(tell)
        album = self._album(upload.album, nets, tell)
        return Protected(protect(photo, nets, options, album=album, progress=tell), nets.version)

    def check(self, upload: CheckUpload, tell: Tell) -> Checked:
        """Check a pair of photos; errors as for `protect`."""
        tell("read", 0, 2)
        original = read_photo(upload.original, name="the original")
        tell("read", 1, 2)
        protected = read_photo(upload.protected, name="the protected photo")
        nets = self._nets(tell)
        album = self._album(upload.album, nets, tell)
        tell("check", 0, 1)
        return Checked(check_pair(original, protected, nets, album=album), nets.version)

    def update(self, cloud: str, profile: Profile, tell: Tell) -> str:
        """Install a cloud's current bundle and say its version; errors are those of `update.update`."""
        tell("connect", 0, 1)
        fetched = partial(tell, "fetch")
        done = update(cloud, self._store, profile=profile, ca=self._ca, root=self._root, on_progress=fetched)
        return done.version

    def _nets(self, tell: Tell) -> DeviceNets:
        """The networks of the bundle that is installed now; loaded again only when it is another."""
        bundle = self._store.current()
        if self._loaded is None or self._loaded[0] != bundle.manifest:
            tell("load", 0, 1)
            self._loaded = None  # never two bundles in memory
            self._loaded = bundle.manifest, load_nets(bundle, threads=self._threads)
        return self._loaded[1]

    def _album(self, files: tuple[bytes, ...], nets: DeviceNets, tell: Tell) -> Album | None:
        if not files:
            return None

        def photos() -> Iterator[Photo]:
            for number, content in enumerate(files):
                tell("album", number, len(files))
                yield read_photo(content, name=f"album photo {number + 1}")

        return album_from(photos(), nets.recognisers, nets.detector, name="the album")
