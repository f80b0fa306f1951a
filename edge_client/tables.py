"""Results as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

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


def results_table(results: Sequence[Result]) -> Table:
    """A row for each photo, face and recogniser."""
    table = _empty("Protection")
    for result in results:
        name = shown(result.source.name)
        if result.report is None:
            message = shown(result.error.message) if result.error else ""
            table.add_row(name, "-", "-", "-", "-", "-", "-", f"[yellow]{message}[/]", "-", "-", "-")
            continue
        seconds = "done before" if result.resumed else f"{sum(result.report['seconds'].values()):.1f}"
        _add_faces(table, name, result.report["faces"], seconds)
        small = result.report["faces_too_small"]
        if small:
            table.add_row("", "-", "", "", "", "", "", f"{small} too small, left alone", "", "", "")
    return table


def faces_table(faces: Sequence[dict[str, Any]]) -> Table:
    """The faces of one photo."""
    table = _empty("Check")
    _add_faces(table, "", faces, "")
    return table


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


def _empty(title: str) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in _COLUMNS:
        numeric = column in ("before", "after", "threshold", "levels", "PSNR", "seconds")
        table.add_column(column, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    return table


def _add_faces(table: Table, photo: str, faces: Sequence[dict[str, Any]], seconds: str) -> None:
    for number, face in enumerate(faces, 1):
        for place, row in enumerate(face["recognisers"]):
            first = place == 0
            verdict = "[green]no match[/]" if row["protected"] else "[red]still matches[/]"
            table.add_row(
                photo if first and number == 1 else "",
                str(number) if first else "",
                shown(row["recogniser"]),
                "checker (selected on)" if row["role"] == "checker" else row["role"],
                _number(row["similarity_before"]),
                _number(row["similarity_after"]),
                _number(row["threshold"]),
                verdict,
                f"{face['levels']:g}" if first else "",
                _psnr(face["psnr_db"]) if first else "",
                seconds if first and number == 1 else "",
            )


def shown(text: str) -> str:
    """Text from outside, such as a file's name, as it may stand in a table: nothing in it is a command."""
    return escape("".join(letter if letter.isprintable() else "?" for letter in text))


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"


def _psnr(value: float | None) -> str:
    return "same" if value is None else f"{value:.1f} dB"
