"""Results of pairs as lines of JSON, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shared.files import storage_errors

__all__ = ["Journal"]


class Journal:
    """Results by key, in a file that is only ever added to.

    Args:
        path: the file; a line that was cut off is passed over.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Any] = {}
        self._whole = True
        with storage_errors(path.parent, setting="--out"):
            path.parent.mkdir(parents=True, exist_ok=True)
            content = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        self._whole = not content or content.endswith("\n")
        for line in content.splitlines():
            self._take(line)

    def _take(self, line: str) -> None:
        try:
            entry = json.loads(line)
            self._known[str(entry["key"])] = entry["result"]
        except (ValueError, KeyError, TypeError):
            return

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 - JSON
        return self._known[key]

    def add(self, key: str, result: object) -> None:
        """Keep a result, on the disk first."""
        line = json.dumps({"key": key, "result": result}, allow_nan=False) + "\n"
        with (
            storage_errors(self._path.parent, setting="--out"),
            self._path.open("a", encoding="utf-8") as file,
        ):
            # After a line that was cut off, begin a new one.
            file.write(line if self._whole else "\n" + line)
        self._whole = True
        self._known[key] = json.loads(line)["result"]
