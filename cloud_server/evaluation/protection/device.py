"""The device's own program, run as its user would: a bundle in a home of its own, photos in, photos out.

The evaluation imports nothing of the device. What the program is given are a task's photo and album, so the
enrolled photo of a pair cannot reach it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloud_server.bundles.build import Order, build_bundle
from cloud_server.evaluation.protection.pairs import Task, read_pixels
from cloud_server.evaluation.protection.pictures import save_png
from cloud_server.evaluation.protection.rows import Row
from cloud_server.hints.files import prebuilt_hints
from models.store import Store, default_store, load_card
from shared.bundle import Manifest, sha256_hex
from shared.errors import Code, GoodnoiseError

__all__ = ["Device", "Installed", "Processes", "Protected"]

# Of `goodnoise protect`: protected, still matches, a photo without a face.
_ANSWERED = (0, 1, 3)
_DEVICE = (sys.executable, "-m", "edge_client.cli")


@dataclass
class Processes:
    """Processes that run now, so that an interruption ends them."""

    stopped: threading.Event = field(default_factory=threading.Event)
    _running: set[subprocess.Popen[str]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, command: Sequence[str], environment: dict[str, str]) -> tuple[int, str, str]:
        """Run to its end: exit code, standard output, standard error.

        Raises:
            GoodnoiseError: CANCELLED when `stop` was called.
        """
        with self._lock:
            if self.stopped.is_set():
                raise GoodnoiseError(Code.CANCELLED, "interrupted")
            process = subprocess.Popen(  # noqa: S603 - this program's own command
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            self._running.add(process)
        try:
            out, err = process.communicate()
        finally:
            with self._lock:
                self._running.discard(process)
        if self.stopped.is_set():
            raise GoodnoiseError(Code.CANCELLED, "interrupted")
        return process.returncode, out, err

    def stop(self) -> None:
        """End what runs, as Ctrl-C does, and start nothing more."""
        self.stopped.set()
        with self._lock:
            for process in self._running:
                process.send_signal(signal.SIGINT)


@dataclass(frozen=True)
class Installed:
    """A device's home with a row's bundle, and the folder that a cloud can serve it from."""

    home: Path
    published: Path
    manifest: Manifest


@dataclass(frozen=True)
class Protected:
    """What became of a task: the saved photo and the device's report, or why there is none."""

    photo: Path | None
    report: dict[str, Any]
    error: str = ""


class Device:
    """Devices below one folder, one home for each bundle.

    Args:
        folder: where bundles, homes, inputs and results go.
        models: the zoo; None is the user's.
        seed: of all devices.
        processes: keeps what runs.
    """

    def __init__(
        self, folder: Path, processes: Processes, *, models: Path | None = None, seed: int = 0
    ) -> None:
        self._folder = folder
        self._processes = processes
        self._models = models
        self._seed = seed
        self._installed: dict[str, Installed] = {}
        self._keys: dict[Row, str] = {}
        self._lock = threading.Lock()

    def key(self, row: Row) -> str:
        """The row's key with what its networks and hints are: a network trained again begins anew.

        Raises:
            GoodnoiseError: NOT_FOUND or PRECONDITION for a network that the zoo lacks.
        """
        with self._lock:
            if row not in self._keys:
                store = Store(self._models or default_store())
                cards = [load_card(name, store.folder) for name in (*row.surrogates, *row.checkers)]
                content = [store.read(card) for card in cards]
                content += [path.read_bytes() for path in prebuilt_hints()] if row.hints else []
                self._keys[row] = f"{row.key}-{sha256_hex(''.join(map(sha256_hex, content)).encode())[:8]}"
            return self._keys[row]

    def installed(self, row: Row) -> Installed:
        """The home of a row's bundle; built and installed the first time.

        Raises:
            GoodnoiseError: as of `build_bundle`, INTERNAL when the device refuses it.
        """
        content = self.key(row).rpartition("-")[2]
        chosen = json.dumps([row.profile, row.surrogates, row.checkers, row.hints, content])
        key = f"{row.profile}-{sha256_hex(chosen.encode())[:8]}"
        with self._lock:
            if key not in self._installed:
                self._installed[key] = self._install(row, key)
            return self._installed[key]

    def _install(self, row: Row, key: str) -> Installed:
        published, home = self._folder / "bundles" / key, self._folder / "homes" / key
        order = Order(
            profile=row.profile,
            # Nothing is passed on here: the bundle stays in this folder.
            accepted_licences=(*row.surrogates, *row.checkers),
            surrogates=row.surrogates,
            checkers=row.checkers,
            hints=None if row.hints else (),
            models=self._models,
        )
        manifest = build_bundle(order, published).manifest
        command = [*_DEVICE, "bundle", "install", str(published), "--profile", row.profile]
        code, _, err = self._processes.run(command, _environment(home))
        if code:
            raise GoodnoiseError(
                Code.INTERNAL, f"the device refused the bundle of row {row.name!r}: {err[-400:]}"
            )
        return Installed(home, published, manifest)

    def protect(
        self, row: Row, chunk: str, tasks: Sequence[Task], *, cloud: str = ""
    ) -> dict[str, Protected]:
        """Protect the photos of some tasks; what an earlier run did is not done again.

        Args:
            row: of kind 'device'.
            chunk: a folder's name; the same for the same tasks, so that a second run finds the results.
            tasks: with an album each has a call of its own.
            cloud: HOST:PORT for wire levels that ask one.

        Returns:
            By the task's name.

        Raises:
            GoodnoiseError: INTERNAL when the device's program fails, CANCELLED after `Processes.stop`.
        """
        found: dict[str, Protected] = {}
        for group in [[task] for task in tasks] if row.album else [list(tasks)]:
            place = self._folder / "photos" / self.key(row) / (group[0].name if row.album else chunk)
            found |= self._call(row, group, place, cloud)
        return found

    def _call(self, row: Row, tasks: Sequence[Task], place: Path, cloud: str) -> dict[str, Protected]:
        inputs = [self.input(task) for task in tasks]
        command = [*_DEVICE, "protect", *map(str, inputs), "-o", str(place), "--json", "--overwrite"]
        command += ["--budget", row.budget, "--threads", "1", "--level", row.level, "--profile", row.profile]
        command += ["--album", str(self._album(tasks[0]))] if row.album else []
        # What asks a cloud draws its own seed, as the product does.
        command += ["--cloud", cloud] if cloud else ["--seed", str(self._seed)]
        home = self.installed(row).home
        home = self._own_home(home, f"{self.key(row)}-{place.name}") if cloud else home
        code, out, err = self._processes.run(command, _environment(home))
        if code not in _ANSWERED:
            said = f"the device failed at row {row.name!r} ({code}): {err[-800:]}"
            raise GoodnoiseError(Code.INTERNAL, said)
        answers = json.loads(out)["photos"]
        return {task.name: _protected(answer) for task, answer in zip(tasks, answers, strict=True)}

    def _own_home(self, home: Path, name: str) -> Path:
        """A device that has asked nothing yet: one may ask about few photos a day, and owners differ."""
        place = self._folder / "homes" / "asking" / name
        shutil.rmtree(place, ignore_errors=True)
        return Path(shutil.copytree(home, place, copy_function=_linked))

    def input(self, task: Task) -> Path:
        """The task's photo as PNG, so that what the device saves loses nothing."""
        place = self._folder / "inputs" / f"{task.name}.png"
        if not place.exists():
            save_png(place, read_pixels(task.target))
        return place

    def _album(self, task: Task) -> Path:
        place = self._folder / "albums" / task.name
        place.mkdir(parents=True, exist_ok=True)
        for path in task.album:
            if not (place / path.name).exists():
                shutil.copyfile(path, place / path.name)
        return place


def _protected(answer: dict[str, Any]) -> Protected:
    error = answer.get("error")
    if error is None:
        return Protected(Path(answer["output"]), answer)
    if error["code"] != Code.NO_FACE:
        raise GoodnoiseError(Code.INTERNAL, f"the device failed at {answer['source']}: {error['message']}")
    return Protected(None, answer, error["message"])


def _linked(source: str, target: str) -> None:
    """Objects of bundles are large and never change; the rest is the new home's own."""
    if Path(source).parent.name == "objects":
        os.link(source, target)
    else:
        shutil.copyfile(source, target)


def _environment(home: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GOODNOISE_C")}
    return {**kept, "GOODNOISE_HOME": str(home), "OMP_NUM_THREADS": "1"}
