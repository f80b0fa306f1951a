"""Results as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Group, JustifyMethod, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from edge_client.batch import Result
from shared.bundle import Manifest

__all__ = ["bundle_table", "faces_table", "results_table", "shown"]

_COLUMNS = (
    "photo",
    "face",
    "recogniser",
    "role",
    "before",
    "after",
    "threshold",
    "verdict",
    "levels",
    "PSNR",
    "seconds",
)
# What is shown where the window is narrower than all columns need; the JSON report has the rest.
_WIDE = 110
_FEW = ("photo", "face", "recogniser", "after", "threshold", "verdict", "PSNR")
_NUMBERS = ("before", "after", "threshold", "levels", "PSNR", "seconds")

Row = dict[str, str]


def results_table(results: Sequence[Result], *, width: int = _WIDE) -> RenderableType:
    """A row for each photo, face and recogniser, and a line below for each photo that failed.

    Args:
        results: of a run.
        width: of the window, in letters.
    """
    rows: list[Row] = []
    failed: list[Text] = []
    for result in results:
        name = shown(result.source.name)
        if result.report is None:
            rows.append({"photo": name, "face": "-", "verdict": "[yellow]failed[/]"})
            message = result.error.message if result.error else ""
            failed.append(Text(_printable(f"{result.source}: {message}"), style="yellow"))
            continue
        seconds = "done before" if result.resumed else f"{sum(result.report['seconds'].values()):.1f}"
        rows += _rows_of(result.report["faces"], photo=name, seconds=seconds)
        small = result.report["faces_too_small"]
        if small:
            rows.append({"face": "-", "recogniser": f"{small} too small"})
    return Group(_table("Protection", rows, width), *failed)


def faces_table(faces: Sequence[dict[str, Any]], *, width: int = _WIDE) -> RenderableType:
    """The faces of one photo."""
    return _table("Check", _rows_of(faces), width)


def bundle_table(manifest: Manifest) -> Table:
    """The networks of a bundle."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"Bundle {manifest.version} ({manifest.profile}, {manifest.size / 1e6:.1f} MB)",
    )
    for column in ("network", "role", "threshold", "margin", "weights from", "licence", "may be passed on"):
        table.add_column(column)
    for member in manifest.members:
        card = member.card
        threshold = "-" if card.threshold is None else f"{card.threshold.value:.3f}"
        origin = f"{card.origin.package} {card.origin.version}".strip()
        table.add_row(
            shown(card.name),
            member.role,
            threshold,
            f"{member.margin:.3f}",
            shown(origin),
            shown(card.licence.name),
            card.licence.redistribution,
        )
    return table


def _table(title: str, rows: Sequence[Row], width: int) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    columns = _COLUMNS if width >= _WIDE else _FEW
    for column in columns:
        justify: JustifyMethod = "right" if column in _NUMBERS else "left"
        table.add_column(column, justify=justify, overflow="fold", no_wrap=column != "photo")
    for row in rows:
        table.add_row(*(row.get(column, "") for column in columns))
    return table


def _rows_of(faces: Sequence[dict[str, Any]], *, photo: str = "", seconds: str = "") -> list[Row]:
    rows: list[Row] = []
    for number, face in enumerate(faces, 1):
        of_face = [_row_of(verdict) for verdict in face["recognisers"]]
        of_face[0] |= {
            "face": str(number),
            "levels": f"{face['levels']:g}",
            "PSNR": "same" if face["psnr_db"] is None else f"{face['psnr_db']:.1f} dB",
        }
        rows += of_face
    if rows:
        rows[0] |= {"photo": photo, "seconds": seconds}
    return rows


def _row_of(verdict: dict[str, Any]) -> Row:
    role = verdict["role"]
    return {
        "recogniser": shown(verdict["recogniser"]),
        "role": "checker (selected on)" if role == "checker" else shown(role),
        "before": _number(verdict["similarity_before"]),
        "after": _number(verdict["similarity_after"]),
        "threshold": _number(verdict["threshold"]),
        "verdict": "[green]no match[/]" if verdict["protected"] else "[red]still matches[/]",
    }


def shown(text: str) -> str:
    """Text from outside, such as a file's name, as it may stand in a table: nothing in it is a command."""
    return escape(_printable(text))


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"
