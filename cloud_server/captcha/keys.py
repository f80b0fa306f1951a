"""The server's key, and what is made with it: seals, names and signatures.

Every use has its own key, derived from the server's, and every message is built from parts with their lengths
in front, so that no two lists of parts give the same message.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import stat
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from cloud_server.captcha.state.records import Sealed
from shared.errors import Code, GoodnoiseError
from shared.files import storage_errors

__all__ = ["Keys", "load_key", "make_private", "parts", "same_digits"]

KEY_BYTES = 32
_SALT_BYTES = 16


class Keys:
    """Keys for each use, from the server's one.

    Args:
        key: the server's, of `load_key`.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._derived: dict[str, bytes] = {}

    def mac(self, use: str, *fields: bytes) -> bytes:
        """HMAC-SHA256 of fields, 32 bytes, good for one use alone.

        Args:
            use: names what it is for; one of the program's own few words.
            fields: what it is over.
        """
        derived = self._derived.get(use)
        if derived is None:
            derived = hmac.digest(self._key, b"goodnoise captcha " + use.encode(), "sha256")
            self._derived[use] = derived
        return hmac.digest(derived, parts(fields), "sha256")

    def seal(self, answer: str) -> Sealed:
        """An answer that can be compared and not read; all 10^8 could be tried if no key went in."""
        salt = secrets.token_bytes(_SALT_BYTES)
        return Sealed(salt, self._seal(salt, answer), len(_plain(answer)))

    def opens(self, sealed: Sealed, answer: str) -> bool:
        """Whether an answer is the sealed one; case and spaces do not matter. Takes constant time."""
        return hmac.compare_digest(self._seal(sealed.salt, answer), sealed.seal)

    def name(self, *fields: str) -> str:
        """A name for something that shall not be kept, such as an address."""
        return self.mac("name", *(field.encode() for field in fields))[:16].hex()

    def digits(self, challenge: str, count: int) -> str:
        """The digits of an audio challenge: they follow from its id, and so are kept nowhere."""
        number = int.from_bytes(self.mac("digits", challenge.encode()), "big")
        return f"{number % 10**count:0{count}d}"

    def _seal(self, salt: bytes, answer: str) -> bytes:
        return self.mac("answer", salt, _plain(answer).encode("utf-8", "replace"))


def parts(fields: Iterable[bytes]) -> bytes:
    """Fields in a row, each after its length in four bytes: other fields never give the same bytes."""
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def same_digits(expected: str, answer: str) -> bool:
    """Whether digits were heard right. Takes constant time."""
    return hmac.compare_digest(expected.encode(), _plain(answer).encode("utf-8", "replace"))


def load_key(path: Path) -> bytes:
    """The server's key from a file, which is made when there is none.

    Replicas need the same file. Who replaces it makes all challenges, tokens and pooled images of before
    worthless.

    Args:
        path: a file that only its owner can read.

    Raises:
        GoodnoiseError: PERMISSION when others can read it, CORRUPT when it holds no key; PERMISSION,
            EXHAUSTED or PRECONDITION when it cannot be read or written.
    """
    with storage_errors(path, setting="--key-file"):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            make_private(path, secrets.token_hex(KEY_BYTES))
        mode, text = path.stat().st_mode, path.read_bytes()
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        message = f"key file {path} can be read by others; run: chmod 600 {path}, or make a new one"
        raise GoodnoiseError(Code.PERMISSION, message)
    try:
        key = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise GoodnoiseError(
            Code.CORRUPT, f"key file {path} holds no key of {KEY_BYTES} bytes in hex; remove it for a new one"
        )
    return key


def make_private(path: Path, text: str) -> None:
    """A new file that its owner alone can read at any moment; nothing where another process was first.

    Raises:
        OSError: as the system says it.
    """
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
        # Linked into place, so that of two processes that begin at once both read the same one.
        with contextlib.suppress(FileExistsError):
            os.link(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def _plain(answer: str) -> str:
    """An answer as it is compared: upper case, without spaces and dashes, wide letters as plain ones."""
    plain = unicodedata.normalize("NFKC", answer).upper()
    return "".join(each for each in plain if not each.isspace() and each != "-")
