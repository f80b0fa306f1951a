"""How many keys each role has: made at first, and changed later."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Root

from cloud_server.bundles.signing.keys import ROLES, RoleName, new_keys
from cloud_server.bundles.signing.roles import Lifetimes, first_root
from shared.errors import Code, GoodnoiseError
from shared.files import storage_errors, write_atomically

__all__ = ["KeyChange", "KeyPlan", "change_keys", "make_keys"]


@dataclass(frozen=True, kw_only=True)
class KeyPlan:
    """How many keys each role gets, and how many of them must sign."""

    root: tuple[int, int] = (1, 1)
    targets: tuple[int, int] = (1, 1)
    snapshot: tuple[int, int] = (1, 1)
    timestamp: tuple[int, int] = (1, 1)

    def of(self, role: RoleName) -> tuple[int, int]:
        """Number and threshold of a role."""
        found: tuple[int, int] = getattr(self, role)
        return found

    def __post_init__(self) -> None:
        for role, (count, threshold) in self.__dict__.items():
            if not 1 <= threshold <= count <= 16:
                raise GoodnoiseError(
                    Code.INVALID_INPUT,
                    f"{threshold} of {count} {role} keys cannot be asked for: "
                    "give 1 to 16 keys, and a threshold from 1 to their number",
                )


@dataclass(frozen=True, kw_only=True)
class KeyChange:
    """New keys for a role.

    Args:
        role: whose keys to replace.
        folder: where the new ones go, and the old ones are.
        count: how many; as many as before when None.
        threshold: how many must sign; as before when None.
        passphrase: of the key files.
    """

    role: RoleName
    folder: Path
    count: int | None = None
    threshold: int | None = None
    passphrase: bytes | None = None


def make_keys(
    folder: Path,
    plan: KeyPlan | None = None,
    *,
    passphrase: bytes | None = None,
    lifetimes: Lifetimes | None = None,
) -> bytes:
    """Make the keys of every role and the first root, `folder`/root.json; returns the root.

    Raises:
        GoodnoiseError: PRECONDITION when the folder holds keys already.
    """
    if (folder / "root.json").exists() or (folder.is_dir() and any(folder.rglob("*.pem"))):
        raise GoodnoiseError(
            Code.PRECONDITION,
            f"{folder} holds keys already; choose another folder, or change keys with "
            "'goodnoise-cloud bundle rotate'",
        )
    chosen = plan or KeyPlan()
    keys = {role: new_keys(folder, role, chosen.of(role)[0], passphrase=passphrase) for role in ROLES}
    thresholds = {role: chosen.of(role)[1] for role in ROLES}
    content = first_root(keys, thresholds, (lifetimes or Lifetimes()).end("root")).to_bytes()
    with storage_errors(folder, setting="--keys"):
        write_atomically(folder / "root.json", content)
    return content


def change_keys(change: KeyChange, root: Root) -> tuple[list[CryptoSigner], int]:
    """Make the new keys; returns them and how many of them must sign; errors as of `KeyPlan`."""
    now = root.roles[change.role]
    plan = KeyPlan(**{change.role: (change.count or len(now.keyids), change.threshold or now.threshold)})
    count, threshold = plan.of(change.role)
    return new_keys(change.folder, change.role, count, passphrase=change.passphrase), threshold
