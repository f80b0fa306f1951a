"""What solvers read, as lines of JSON, so that an interrupted report goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from cloud_server.captcha.report.preprocess import PREPROCESSINGS, STRETCHINGS
from cloud_server.captcha.report.sample import Condition, Sample
from cloud_server.captcha.report.solvers import Solver

__all__ = ["Cell", "Readings"]

# Solver with its version, condition, preprocessing.
Cell = tuple[str, str, str]


class Readings:
    """Readings of one sample by cell.

    Args:
        path: the file; lines about other samples and a last line that was cut off are passed over.
        sample: the images.
        told: called after each cell that was read now, with a solver's name.
    """

    def __init__(self, path: Path, sample: Sample, *, told: Callable[[str], None]) -> None:
        self._path, self._sample, self._told = path, sample, told
        self._key = sample.key
        self._found: dict[Cell, list[str]] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            self._take(line)

    def _take(self, line: str) -> None:
        try:
            entry = json.loads(line)
            if entry["sample"] == self._key and len(entry["readings"]) == len(self._sample.issued):
                self._found[_cell(*entry["cell"])] = [str(text) for text in entry["readings"]]
        except (ValueError, KeyError, TypeError):
            return

    def of(self, solver: Solver, condition: Condition, preprocessing: str) -> Sequence[str]:
        """What a solver reads; asked now where no line tells it.

        Args:
            solver: whom.
            condition: of the images.
            preprocessing: of `PREPROCESSINGS` or `STRETCHINGS`.

        Raises:
            GoodnoiseError: as the solver says it.
        """
        cell = _cell(f"{solver.name} {solver.version}", condition, preprocessing)
        if cell not in self._found:
            prepare = {**PREPROCESSINGS, **STRETCHINGS}[preprocessing]
            readings = solver.read([prepare(image) for image in self._sample.images(condition)])
            self._keep(cell, readings)
            self._told(solver.name)
        return self._found[cell]

    def _keep(self, cell: Cell, readings: list[str]) -> None:
        line = json.dumps({"sample": self._key, "cell": cell, "readings": readings})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            # A line that was cut off ends here; an empty line is passed over.
            file.write(f"\n{line}\n")
        self._found[cell] = readings


def _cell(solver: str, condition: str, preprocessing: str) -> Cell:
    return str(solver), str(condition), str(preprocessing)
