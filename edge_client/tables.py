"""Results as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table

from edge_client.batch import Result
from shared.bundle import Manifest

__all__ = ["bundle_table", "faces_table", "results_table"]

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
        if result.report is None:
            message = result.error.message if result.error else ""
            table.add_row(
                result.source.name, "-", "-", "-", "-", "-", "-", f"[yellow]{message}[/]", "-", "-", "-"
            )
            continue
        seconds = "done before" if result.resumed else f"{sum(result.report['seconds'].values()):.1f}"
        _add_faces(table, result.source.name, result.report["faces"], seconds)
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
            card.name,
            member.role,
            threshold,
            f"{member.margin:.3f}",
            origin,
            card.licence.name,
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
                row["recogniser"],
                "checker (selected on)" if row["role"] == "checker" else row["role"],
                f"{row['similarity_before']:.2f}",
                f"{row['similarity_after']:.2f}",
                f"{row['threshold']:.2f}",
                verdict,
                f"{face['levels']:g}" if first else "",
                f"{face['psnr_db']:.1f} dB" if first else "",
                seconds if first and number == 1 else "",
            )
