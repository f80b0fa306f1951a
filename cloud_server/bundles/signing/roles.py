"""TUF metadata as values: making it, signing it, telling whether enough keys signed. No files here."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from cloud_server.bundles.signing.keys import ROLES, KeyRing, RoleName

__all__ = [
    "Lifetimes",
    "Signatures",
    "add_signatures",
    "first_root",
    "make_snapshot",
    "make_targets",
    "make_timestamp",
    "next_root",
    "root_signatures",
    "signatures_of",
]

S = TypeVar("S", Root, Targets, Snapshot, Timestamp)


@dataclass(frozen=True, kw_only=True)
class Lifetimes:
    """How long metadata is good for after it is signed; a device installs nothing new from expired ones."""

    root: timedelta = timedelta(days=365)
    targets: timedelta = timedelta(days=180)
    snapshot: timedelta = timedelta(days=30)
    timestamp: timedelta = timedelta(days=7)

    def end(self, role: RoleName) -> datetime:
        """When metadata of this role expires that is signed now."""
        lasts: timedelta = getattr(self, role)
        return datetime.now(UTC) + lasts


@dataclass(frozen=True)
class Signatures:
    """How many keys of a role signed, of those that must; `role` is for people to read."""

    role: str
    have: int
    need: int

    @property
    def complete(self) -> bool:
        """Whether the threshold is reached."""
        return self.have >= self.need


def first_root(
    keys: Mapping[RoleName, list[CryptoSigner]], thresholds: Mapping[RoleName, int], expires: datetime
) -> Metadata[Root]:
    """Version 1 of the root, signed by every root key.

    Raises:
        ValueError: a threshold below 1 or above the number of keys.
    """
    root = Root(version=1, expires=expires, consistent_snapshot=True)
    for role in ROLES:
        _set_keys(root, role, keys[role], thresholds[role])
    made = Metadata(root)
    for signer in keys["root"]:
        made.sign(signer, append=True)
    return made


def next_root(
    before: Root,
    changes: Mapping[RoleName, tuple[list[CryptoSigner], int]],
    *,
    version: int,
    expires: datetime,
) -> Metadata[Root]:
    """A root with other keys for some roles, unsigned. The old keys of these roles are trusted no longer."""
    root = copy.deepcopy(before)
    root.version = version
    root.expires = expires
    for role, (signers, threshold) in changes.items():
        for keyid in list(root.roles[role].keyids):
            root.revoke_key(keyid, role)
        _set_keys(root, role, signers, threshold)
    return Metadata(root)


def make_targets(files: Mapping[str, bytes], *, version: int, expires: datetime) -> Metadata[Targets]:
    """Targets that name files by path, with length and sha256; unsigned."""
    found = {path: TargetFile.from_data(path, body, ["sha256"]) for path, body in sorted(files.items())}
    return Metadata(Targets(version=version, expires=expires, targets=found))


def make_snapshot(
    targets: bytes, targets_version: int, *, version: int, expires: datetime
) -> Metadata[Snapshot]:
    """A snapshot that binds one version of the targets, with its length and sha256; unsigned."""
    meta = {"targets.json": MetaFile.from_data(targets_version, targets, ["sha256"])}
    return Metadata(Snapshot(version=version, expires=expires, meta=meta))


def make_timestamp(
    snapshot: bytes, snapshot_version: int, *, version: int, expires: datetime
) -> Metadata[Timestamp]:
    """A timestamp that binds one version of the snapshot, with its length and sha256; unsigned."""
    meta = MetaFile.from_data(snapshot_version, snapshot, ["sha256"])
    return Metadata(Timestamp(version=version, expires=expires, snapshot_meta=meta))


def add_signatures(made: Metadata[S], role: RoleName, *roots: Root, ring: KeyRing) -> int:
    """Sign with every key at hand that one of the roots gives this role; returns how many those were."""
    keyids = dict.fromkeys(keyid for root in roots for keyid in root.roles[role].keyids)
    signers = ring.among(keyids)
    for signer in signers:
        made.sign(signer, append=True)
    return len(signers)


def signatures_of(made: Metadata[S], role: RoleName, root: Root) -> Signatures:
    """Valid signatures of the role's keys."""
    found = root.get_verification_result(role, made.signed_bytes, made.signatures)
    return Signatures(f"{role} keys", len(found.signed), found.threshold)


def root_signatures(made: Metadata[Root], before: Root) -> tuple[Signatures, Signatures]:
    """Valid signatures by the root keys before, and by its own: a new root needs enough of both."""
    found = made.signed.get_root_verification_result(before, made.signed_bytes, made.signatures)
    return (
        Signatures("root keys so far", len(found.first.signed), found.first.threshold),
        Signatures("new root keys", len(found.second.signed), found.second.threshold),
    )


def _set_keys(root: Root, role: RoleName, signers: list[CryptoSigner], threshold: int) -> None:
    if not 1 <= threshold <= len(signers):
        raise ValueError(f"threshold of {role} is {threshold}, expected 1 to {len(signers)}")
    for signer in signers:
        root.add_key(signer.public_key, role)
    root.roles[role].threshold = threshold
