"""Real servers on loopback for rows whose wire level asks a cloud."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from cloud_server.evaluation.protection.device import Installed
from cloud_server.evaluation.protection.rows import Row
from shared.errors import Code, GoodnoiseError
from shared.levels.labels import ASKING

__all__ = ["FACES", "Clouds"]

FACES = "faces.npz"
_START_SECONDS = 300.0


class Clouds:
    """Servers, one for each bundle and ensemble, started on first use; used as a context manager.

    Each is `goodnoise-cloud serve` with the row's `grey` recognisers as its ensemble at the levels that have
    one. Its other settings come from the environment, such as GOODNOISE_CLOUD_CLUSTER_HINTS.

    Args:
        folder: where logs go, and `faces.npz`, the public faces that ensembles are asked on.
        models: the zoo; None is the user's.
    """

    def __init__(self, folder: Path, *, models: Path | None = None) -> None:
        self._folder = folder
        self._models = models
        self._running: dict[str, tuple[subprocess.Popen[bytes], str]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process, _ in self._running.values():
            process.terminate()
        for process, _ in self._running.values():
            process.wait()

    def address(self, row: Row, installed: Installed) -> str:
        """HOST:PORT of the row's server; empty where the row's level asks none.

        Raises:
            GoodnoiseError: INTERNAL when it does not start.
        """
        if row.level not in ASKING:
            return ""
        ensemble = () if row.level == "cluster" else row.grey
        name = "-".join([installed.published.name, *ensemble])
        with self._lock:
            if name not in self._running:
                self._running[name] = self._serve(name, installed.published, ensemble)
            return self._running[name][1]

    def _serve(
        self, name: str, bundles: Path, ensemble: tuple[str, ...]
    ) -> tuple[subprocess.Popen[bytes], str]:
        self._folder.mkdir(parents=True, exist_ok=True)
        port_file = (self._folder / f"{name}.port").resolve()
        port_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "cloud_server.cli", "serve", "--bundles", str(bundles)]
        command += ["--listen", "127.0.0.1:0", "--port-file", str(port_file), "--rate-per-minute", "0"]
        command += [word for member in ensemble for word in ("--ensemble", member)]
        command += ["--public-faces", str(self._folder / FACES)] if ensemble else []
        command += ["--models", str(self._models)] if self._models else []
        with (self._folder / f"{name}.log").open("wb") as log:
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)  # noqa: S603 - our own
        return process, f"127.0.0.1:{_port(process, port_file, self._folder / f'{name}.log')}"


def _port(process: subprocess.Popen[bytes], port_file: Path, log: Path) -> int:
    pause = threading.Event()
    for _ in range(round(_START_SECONDS / 0.1)):
        if port_file.exists():
            return int(port_file.read_text())
        if process.poll() is not None:
            break
        pause.wait(0.1)
    process.kill()
    process.wait()
    said = log.read_text(errors="replace").strip().rpartition("\n")[2]
    raise GoodnoiseError(Code.INTERNAL, f"the row's cloud did not start: {said} ({log})")
