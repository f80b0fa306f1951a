"""What an operator does to signed metadata: sign, publish, refresh, rotate. Nothing here talks to a network.

`sign` and `rotate` only stage; devices see a change when `publish` has proven every signature and object and
replaces the timestamp, in one step, as the last file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from cloud_server.bundles.signing.files import MetadataFiles
from cloud_server.bundles.signing.keys import KeyRing, RoleName, retire_keys
from cloud_server.bundles.signing.plans import KeyChange, change_keys
from cloud_server.bundles.signing.roles import (
    Lifetimes,
    Signatures,
    add_signatures,
    make_snapshot,
    make_targets,
    make_timestamp,
    next_root,
    root_signatures,
    signatures_of,
)
from cloud_server.bundles.store import PublishedBundles
from shared.bundle import sha256_hex
from shared.errors import Code, GoodnoiseError
from shared.files import storage_errors

__all__ = ["Repository", "Signing"]

S = TypeVar("S", Root, Targets, Snapshot, Timestamp)
_SIGN = "run 'goodnoise-cloud bundle sign'"


@dataclass(frozen=True)
class Signing:
    """What is staged, and who signed it: the role, its version, the signatures, what it names."""

    role: str
    version: int
    signatures: tuple[Signatures, ...]
    names: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether it can be published."""
        return all(part.complete for part in self.signatures)


class Repository:
    """The signed metadata of a folder of bundles.

    Args:
        folder: as of `PublishedBundles`.
        lifetimes: how long what is signed here is good for.
    """

    def __init__(self, folder: Path, lifetimes: Lifetimes | None = None) -> None:
        self.bundles = PublishedBundles(folder)
        self.files = MetadataFiles(folder)
        self.lifetimes = lifetimes or Lifetimes()

    def begin(self, root: Callable[[], bytes]) -> None:
        """Publish the first root, unless a root is there already.

        Args:
            root: gives the content of `root.json`; called only where it is needed.

        Raises:
            GoodnoiseError: INVALID_INPUT when it is no root, or not signed by its own keys.
        """
        with self._locked():
            if self.files.root() is not None:
                return
            try:
                made = Metadata[Root].from_bytes(root())
                made.signed.verify_delegate(Root.type, made.signed_bytes, made.signatures)
            except (DeserializationError, RepositoryError, AttributeError) as error:
                raise GoodnoiseError(
                    Code.INVALID_INPUT,
                    f"this is no root that its own keys signed ({error}); give the root.json that "
                    "'goodnoise-cloud bundle keys' wrote",
                ) from error
            self.files.publish(made)

    def expiries(self) -> dict[str, datetime]:
        """When what is published expires, by role."""
        found = (self.files.root(), self.files.targets(), self.files.snapshot(), self.files.timestamp())
        return {made.signed.type: made.signed.expires for made in found if made is not None}

    def sign(self, ring: KeyRing) -> tuple[Signing, ...]:
        """Stage what was built last, and sign it and a staged root with every key at hand that may.

        Another holder of keys does the same with theirs where a threshold is above 1.

        Raises:
            GoodnoiseError: NOT_FOUND when nothing was built, CORRUPT for damaged objects, PERMISSION when no
                key at hand may sign anything.
        """
        with self._locked():
            before = self._root()
            staged = self._next_root(before)
            root = staged or before
            done: list[Signing] = []
            if staged is not None and add_signatures(staged, "root", before.signed, root.signed, ring=ring):
                self.files.stage(staged)
                done.append(Signing("root", staged.signed.version, root_signatures(staged, before.signed)))
            if ring.among(root.signed.roles["targets"].keyids):
                done.append(self._sign_targets(root.signed, ring))
        if not done:
            raise GoodnoiseError(
                Code.PERMISSION,
                "no key given may sign bundles (or a root that waits for signatures); give the folder with "
                "the targets keys with --keys",
            )
        return tuple(done)

    def publish(self, ring: KeyRing) -> dict[str, int]:
        """Show devices what is staged: prove it, sign snapshot and timestamp, swap. Returns versions by role.

        Raises:
            GoodnoiseError: PRECONDITION when nothing is staged or signatures are missing, PERMISSION when the
                keys of snapshot and timestamp are not at hand, CORRUPT for damaged objects.
        """
        with self._locked():
            before = self._root()
            staged_root, staged_targets = self._next_root(before), self.files.staged_targets()
            if staged_root is None and staged_targets is None:
                raise GoodnoiseError(
                    Code.PRECONDITION,
                    f"nothing is staged in {self.bundles.root}; {_SIGN} first. "
                    "'goodnoise-cloud bundle refresh' renews what is published",
                )
            if staged_root is not None:
                _require(*root_signatures(staged_root, before.signed))
            done = self._release(staged_root, before, staged_targets or self.files.targets(), ring)
            self.files.unstage()
            return done

    def refresh(self, ring: KeyRing) -> dict[str, int]:
        """Renew the timestamp, and the snapshot where it would not outlive it; errors as of `publish`."""
        with self._locked():
            return self._release(None, self._root(), self.files.targets(), ring)

    def rotate(self, change: KeyChange | None, ring: KeyRing) -> tuple[Signing, int]:
        """Stage a root in which a role has new keys, sign it as far as possible.

        Files of keys that are trusted no longer are renamed; old root keys stay until the root is published,
        because it needs their signatures.

        Args:
            change: whose keys to replace, and where new ones go; None renews the root's expiry alone.
            ring: keys at hand.

        Returns:
            What was staged, and how many key files were renamed.
        """
        with self._locked():
            before = self._root()
            base = (self._next_root(before) or before).signed
            keyids = list(base.roles[change.role].keyids) if change else []
            changes = {change.role: change_keys(change, base)} if change else {}
            expires = self.lifetimes.end("root")
            root = next_root(base, changes, version=before.signed.version + 1, expires=expires)
            fresh = {signer.public_key.keyid: signer for made, _ in changes.values() for signer in made}
            known = KeyRing({**ring.signers, **fresh})
            add_signatures(root, "root", before.signed, root.signed, ring=known)
            self.files.stage(root)
            gone = []
            if change is not None and change.role != "root":
                gone = retire_keys(change.folder, keyids, passphrase=change.passphrase)
        return Signing("root", root.signed.version, root_signatures(root, before.signed)), len(gone)

    def _sign_targets(self, root: Root, ring: KeyRing) -> Signing:
        content = {
            f"{name}/manifest.json": self.bundles.keep_manifest(name) for name in self.bundles.profiles()
        }
        if not content:
            raise GoodnoiseError(
                Code.NOT_FOUND,
                f"nothing was built in {self.bundles.root}; run 'goodnoise-cloud bundle build' first",
            )
        for path, manifest in content.items():
            self.bundles.prove(path.partition("/")[0], sha256_hex(manifest))
        published = self.files.targets()
        version = published.signed.version + 1 if published else 1
        made = make_targets(content, version=version, expires=self.lifetimes.end("targets"))
        staged = self.files.staged_targets()
        if staged is not None and _alike(staged.signed, made.signed):
            made = staged  # another holder of keys began: add to it
        add_signatures(made, "targets", root, ring=ring)
        self.files.stage(made)
        names = tuple(
            f"{name}: bundle {self.bundles.manifest(name).version}" for name in self.bundles.profiles()
        )
        return Signing("targets", version, (signatures_of(made, "targets", root),), names)

    def _release(
        self,
        new: Metadata[Root] | None,
        before: Metadata[Root],
        targets: Metadata[Targets] | None,
        ring: KeyRing,
    ) -> dict[str, int]:
        root = (new or before).signed
        if targets is None:
            raise GoodnoiseError(Code.PRECONDITION, f"no bundle is signed in {self.bundles.root}; {_SIGN}")
        _require(signatures_of(targets, "targets", root), also=_SIGN)
        for path, target in targets.signed.targets.items():
            self.bundles.prove(path.partition("/")[0], target.hashes["sha256"])
        snapshot = self._snapshot(targets, root, ring)
        timestamp = self._timestamp(snapshot, root, ring)
        still = _hashes(self.files.targets(), self.files.staged_targets(), targets)
        # Nothing names these before the timestamp does; a new root comes first, as devices ask for it first.
        self.files.publish(targets)
        self.files.publish(snapshot)
        if new is not None:
            self.files.publish(new)
        self.files.publish(timestamp)
        self.files.prune()
        self.bundles.forget_manifests(keep=still)
        return {
            "root": root.version,
            "targets": targets.signed.version,
            "snapshot": snapshot.signed.version,
            "timestamp": timestamp.signed.version,
        }

    def _timestamp(self, snapshot: Metadata[Snapshot], root: Root, ring: KeyRing) -> Metadata[Timestamp]:
        found = self.files.timestamp()
        made = make_timestamp(
            snapshot.to_bytes(),
            snapshot.signed.version,
            version=found.signed.version + 1 if found else 1,
            expires=self.lifetimes.end("timestamp"),
        )
        return _signed(made, "timestamp", root, ring)

    def _snapshot(self, targets: Metadata[Targets], root: Root, ring: KeyRing) -> Metadata[Snapshot]:
        """The published snapshot where it still serves, else a new one."""
        found = self.files.snapshot()
        made = make_snapshot(
            targets.to_bytes(),
            targets.signed.version,
            version=found.signed.version + 1 if found else 1,
            expires=self.lifetimes.end("snapshot"),
        )
        if (
            found is not None
            and found.signed.meta == made.signed.meta
            and found.signed.expires >= self.lifetimes.end("timestamp")
            and signatures_of(found, "snapshot", root).complete
        ):
            return found
        return _signed(made, "snapshot", root, ring)

    def _root(self) -> Metadata[Root]:
        root = self.files.root()
        if root is None:
            raise GoodnoiseError(
                Code.PRECONDITION,
                f"{self.bundles.root} has no root yet; {_SIGN} with the root.json of your keys",
            )
        return root

    def _next_root(self, before: Metadata[Root]) -> Metadata[Root] | None:
        """The staged root; one that a broken-off `publish` brought out already counts as published."""
        staged = self.files.staged_root()
        return staged if staged is not None and staged.signed.version == before.signed.version + 1 else None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with storage_errors(self.bundles.root, setting="--bundles"), self.bundles.locked():
            yield


def _signed(made: Metadata[S], role: RoleName, root: Root, ring: KeyRing) -> Metadata[S]:
    add_signatures(made, role, root, ring=ring)
    found = signatures_of(made, role, root)
    if not found.complete:
        raise GoodnoiseError(
            Code.PERMISSION,
            f"{found.have} of {found.need} {found.role} are at hand; give the folder with the online keys "
            "with --keys",
        )
    return made


def _alike(one: Targets, other: Targets) -> bool:
    return (one.version, one.targets) == (other.version, other.targets)


def _hashes(*found: Metadata[Targets] | None) -> set[str]:
    return {target.hashes["sha256"] for made in found if made for target in made.signed.targets.values()}


def _require(*signatures: Signatures, also: str = "let another holder of keys run 'bundle sign'") -> None:
    for part in signatures:
        if not part.complete:
            raise GoodnoiseError(
                Code.PRECONDITION,
                f"{part.have} of {part.need} signatures by the {part.role} are there; {also}, then publish",
            )
