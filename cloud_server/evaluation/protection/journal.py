"""Results of pairs as lines of JSON, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["Journal"]

Result = dict[str, Any]


class Journal:
    """Results by row and pair.

    Args:
        path: the file; a last line that was cut off is passed over.
        recognisers: who must be in a result for it to count as done.
    """

    def __init__(self, path: Path, recognisers: Sequence[str]) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._wanted = set(recognisers)
        self._results: dict[tuple[str, str], Result] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            try:
                entry = json.loads(line)
                self._keep(str(entry["row"]), str(entry["pair"]), dict(entry["result"]))
            except (ValueError, KeyError, TypeError):
                continue

    def _keep(self, row: str, pair: str, result: Result) -> None:
        if "missing" in result or self._wanted <= set(result["before"]):
            self._results[row, pair] = result

    def has(self, row: str, pair: str) -> bool:
        """Whether the pair was measured under the row."""
        return (row, pair) in self._results

    def add(self, row: str, pair: str, result: Result) -> None:
        """Keep a result, on the disk first."""
        line = json.dumps({"row": row, "pair": pair, "result": result}, allow_nan=False) + "\n"
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                # After a line that was cut off, begin a new one.
                file.write(line if self._ends_whole() else "\n" + line)
            self._keep(row, pair, result)

    def of(self, row: str, pairs: Sequence[str]) -> dict[str, Result]:
        """Results of a row by pair, of those pairs that were measured."""
        return {pair: self._results[row, pair] for pair in pairs if (row, pair) in self._results}

    def _ends_whole(self) -> bool:
        with self._path.open("rb") as file:
            size = file.seek(0, 2)
            if size == 0:
                return True
            file.seek(size - 1)
            return file.read(1) == b"\n"
