"""Signing keys in files: ed25519, PKCS#8 in PEM, mode 0600, with a passphrase where one is set.

    keys/
      root.json             the first root, for devices; public
      root/root-1.pem       root keys: sign other keys; keep them off the machine that serves
      targets/targets-1.pem sign what a bundle holds; used at each `bundle sign`
      online/snapshot-1.pem, online/timestamp-1.pem   renewed by `bundle publish` and `bundle refresh`

Which role a key has is written in the root metadata alone; folders are for people, so they may be moved.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner

from shared.errors import Code, GoodnoiseError
from shared.files import storage_errors

__all__ = [
    "FOLDERS",
    "PASSPHRASE_VARIABLE",
    "ROLES",
    "KeyRing",
    "RoleName",
    "load_keys",
    "new_keys",
    "passphrase_of",
    "retire_keys",
]

RoleName = Literal["root", "targets", "snapshot", "timestamp"]
ROLES: tuple[RoleName, ...] = get_args(RoleName)
PASSPHRASE_VARIABLE = "GOODNOISE_KEY_PASSPHRASE"  # noqa: S105 - the variable's name
FOLDERS: dict[str, str] = {"root": "root", "targets": "targets", "snapshot": "online", "timestamp": "online"}
_RETIRED = ".retired"


@dataclass(frozen=True)
class KeyRing:
    """Keys that are at hand: signers by key id."""

    signers: Mapping[str, CryptoSigner]

    def among(self, keyids: Iterable[str]) -> list[CryptoSigner]:
        """The signers that have these key ids."""
        return [self.signers[keyid] for keyid in keyids if keyid in self.signers]


def passphrase_of(environment: Mapping[str, str] = os.environ) -> bytes | None:
    """The passphrase of key files, from the environment; None where it is not set or empty."""
    return environment.get(PASSPHRASE_VARIABLE, "").encode() or None


def new_keys(
    folder: Path, role: RoleName, count: int, *, passphrase: bytes | None = None
) -> list[CryptoSigner]:
    """Make keys for a role and write them below `folder`; files that are there stay.

    Raises:
        GoodnoiseError: as of `storage_errors`.
    """
    with storage_errors(folder, setting="--keys"):
        place = folder / FOLDERS[role]
        for path in (folder, place):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return [_new_key(place, role, passphrase) for _ in range(count)]


def load_keys(folder: Path, *, passphrase: bytes | None = None) -> KeyRing:
    """Every key in `folder` and below.

    Raises:
        GoodnoiseError: NOT_FOUND when there is none, PERMISSION for a file that others may read,
            PRECONDITION for a missing or wrong passphrase, INVALID_INPUT for what is no key.
    """
    with storage_errors(folder, setting="--keys"):
        paths = sorted(folder.rglob("*.pem")) if folder.is_dir() else []
        signers = [_load_key(path, passphrase) for path in paths]
    if not signers:
        raise GoodnoiseError(
            Code.NOT_FOUND, f"no key (.pem) lies in {folder}; make some with 'goodnoise-cloud bundle keys'"
        )
    return KeyRing({signer.public_key.keyid: signer for signer in signers})


def retire_keys(folder: Path, keyids: Iterable[str], *, passphrase: bytes | None = None) -> list[Path]:
    """Rename the files of keys that sign no longer, so that nothing loads them; returns their new names."""
    gone = set(keyids)
    renamed = []
    with storage_errors(folder, setting="--keys"):
        for path in sorted(folder.rglob("*.pem")):
            if _load_key(path, passphrase).public_key.keyid in gone:
                renamed.append(path.rename(path.with_name(path.name + _RETIRED)))
    return renamed


def _new_key(place: Path, role: str, passphrase: bytes | None) -> CryptoSigner:
    key = Ed25519PrivateKey.generate()
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    number = 1
    while any(place.glob(f"{role}-{number}.pem*")):
        number += 1
    path = place / f"{role}-{number}.pem"
    # Never readable for others, not even for a moment; never over another key.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    return CryptoSigner(key)


def _load_key(path: Path, passphrase: bytes | None) -> CryptoSigner:
    content = path.read_bytes()
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise GoodnoiseError(
            Code.PERMISSION, f"{path} may be read or written by others; run 'chmod 600 {path}', or rotate it"
        )
    encrypted = b"BEGIN ENCRYPTED PRIVATE KEY" in content
    if encrypted and passphrase is None:
        raise GoodnoiseError(
            Code.PRECONDITION, f"{path} has a passphrase; give it in the variable {PASSPHRASE_VARIABLE}"
        )
    try:
        key = load_pem_private_key(content, passphrase if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        code = Code.PRECONDITION if encrypted else Code.INVALID_INPUT
        why = f"the passphrase in {PASSPHRASE_VARIABLE} does not open it" if encrypted else "this is no key"
        raise GoodnoiseError(code, f"cannot use {path}: {why}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"cannot use {path}: it is no ed25519 key; move it elsewhere"
        )
    return CryptoSigner(key)
