"""The report as Markdown and as a piece of HTML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from cloud_server.captcha.report.sound import sound_part

__all__ = ["html", "markdown"]

Report = Mapping[str, Any]
# A heading, paragraphs, and tables of a head and rows.
Table = tuple[Sequence[str], Sequence[Sequence[str]]]
Part = tuple[str, list[str], Table | None]

_WORDS = {True: "yes", False: "no", None: "not measured"}


def markdown(report: Report) -> str:
    """The report as Markdown."""
    return "\n".join(_markdown(report)).strip() + "\n"


def _markdown(report: Report) -> Iterator[str]:
    for level, (heading, paragraphs, table) in enumerate(_parts(report)):
        yield f"{'#' if level == 0 else '##'} {heading}\n"
        for paragraph in paragraphs:
            yield f"{paragraph}\n"
        if table:
            head, rows = table
            yield _line(head)
            yield _line(["---"] * len(head))
            yield from (_line(row) for row in rows)
            yield ""


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def html(report: Report) -> str:
    """The report as a piece of HTML, without scripts and styles, for a page of one's own."""
    return f"<section>\n{''.join(_html(report))}</section>\n"


def _html(report: Report) -> Iterator[str]:
    for level, (heading, paragraphs, table) in enumerate(_parts(report)):
        tag = "h1" if level == 0 else "h2"
        yield f"<{tag}>{escape(heading)}</{tag}>\n"
        for paragraph in paragraphs:
            yield f"<p>{escape(paragraph)}</p>\n"
        if table:
            head, rows = table
            cells = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
            body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in rows)
            yield f"<table>\n<thead><tr>{cells}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n"


def _cell(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def _parts(report: Report) -> Iterator[Part]:
    images = report["images"]
    changes = report["legibility"]["changes"]
    yield (
        "How well programs read these challenges",
        [
            (
                f"{images['count']} images as the service would issue them on {report['created'][:10]}: "
                f"{images['width']} x {images['height']} pixels, {_or(images['lengths'])} characters of "
                f"{images['alphabet']}, changed by at most {changes['most_levels']:.0f} of 255 levels "
                f"(root mean square {changes['rms_levels']:.1f})."
            ),
            (
                "In brackets: 95 % intervals, of Wilson for whole texts, by bootstrap over images for "
                f"characters. Each figure is the solver's best over {', '.join(images['preprocessings'])}."
            ),
        ],
        None,
    )
    yield "Goals", [], (("goal", "wanted", "found", "holds"), [_goal(row) for row in report["goals"]])
    yield _solvers(report)
    yield _characters(report)
    yield _stretched(report)
    yield _tries(report)
    if report["learning_curve"]:
        yield _curve(report)
    yield _legibility(report)
    if "sound" in report:
        yield sound_part(report)
    yield "What this report does not show", list(report["limits"]), None


def _goal(row: Report) -> Sequence[str]:
    return row["goal"], row["wanted"], row["found"], _WORDS[row["holds"]]


def _solvers(report: Report) -> Part:
    head = ("solver", "seen", "clean", "random noise", "attacked", "relative drop", "verdict")
    rows: list[Sequence[str]] = [
        (
            _name(row),
            _WORDS[row["seen"]],
            *(_share(row[name]["whole"]) for name in ("clean", "noise", "attacked")),
            "-" if row["relative_drop"] is None else f"{100 * row['relative_drop']:.0f} %",
            row["verdict"],
        )
        for row in report["solvers"]
    ]
    rows += [(row["solver"], "-", "-", "-", "-", "-", row["reason"]) for row in report["absent"]]
    text = (
        "Whole texts read without an error, in percent. A solver that reads little without the attack proves "
        "nothing."
    )
    return "Whole texts", [text], (head, rows)


def _characters(report: Report) -> Part:
    head = ("solver", "clean", "random noise", "attacked", "best preprocessing, attacked")
    rows = [
        (
            _name(row),
            *(_share(row[name]["characters"]) for name in ("clean", "noise", "attacked")),
            row["attacked"]["preprocessing"],
        )
        for row in report["solvers"]
    ]
    return "Characters", ["Characters read right after alignment, in percent."], (head, rows)


def _stretched(report: Report) -> Part:
    head = ("solver", "whole texts, attacked", "characters, attacked", "best of them")
    rows = [
        (_name(row), _share(row["stretched"]["whole"]), _share(row["stretched"]["characters"]), best)
        for row in report["solvers"]
        for best in [row["stretched"]["preprocessing"]]
    ]
    text = (
        "Beside the suite, and harder: a blur of one pixel, then dark tones stretched over all levels, which "
        "brings out strokes that are darker than what an attack may draw. Goals and verdicts are of the "
        "suite alone."
    )
    return "With dark tones stretched", [text], (head, rows)


def _tries(report: Report) -> Part:
    tries = report["tries"]
    head = ("solver", *(f"{k['tries']} tries ({k['who']}, {k['limit']})" for k in tries))
    rows = [(_name(row), *(_share(k) for k in row["success_within"])) for row in report["solvers"]]
    text = (
        "At least one right answer within the tries that the service's limits allow, in percent: "
        "1 - (1 - p)^k on fresh images. Limits and proof of work carry the rest; the images alone do not."
    )
    return "Within the limits", [text], (head, rows)


def _curve(report: Report) -> Part:
    head = ("images learnt from", "epochs", "attacked, %", "clean, %", "CPU minutes")
    rows = [
        (
            str(point["images"]),
            str(point["epochs"]),
            _share(point["attacked"]),
            _share(point["clean"]),
            f"{point['seconds'] / 60:.0f}",
        )
        for point in report["learning_curve"]
    ]
    text = (
        "An own network, begun on plain images of the same renderer and trained on the service's images with "
        "their texts, as somebody would who has them typed. It knows alphabet, style and length."
    )
    return "Learning curve of the adaptive solver", [text], (head, rows)


def _legibility(report: Report) -> Part:
    found = report["legibility"]
    issued, made, gate = found["issued"], found["made"], found["gate"]
    contrast, template = issued["stroke_contrast"], issued["template_observer"]
    rows: list[Sequence[str]] = [
        ("stroke contrast", *(f"{contrast[name]:.2f}" for name in _CONDITIONS), f"{contrast['ratio']:.1%}"),
        (
            "template observer, characters",
            *(f"{template[name]:.1%}" for name in _CONDITIONS),
            f"{template['ratio']:.1%}",
        ),
        (
            "SSIM (no goal)",
            "1",
            f"{found['changes']['ssim_noise']:.2f}",
            f"{found['changes']['ssim_attacked']:.2f}",
            "-",
        ),
    ]
    texts = [
        "Proxies: measured by programs, not how well people read.",
        (
            f"The gate issued {gate['issued']['value']:.0%} of the images made, chosen by "
            "these proxies and by what the attacked readers no longer read. Of "
            f"all that were made, stroke contrast keeps {made['stroke_contrast']['ratio']:.1%} and the "
            f"template observer {made['template_observer']['ratio']:.1%}."
        ),
    ]
    return "Legibility", texts, (("proxy", *_CONDITIONS, "attacked of clean"), rows)


_CONDITIONS = ("clean", "noise", "attacked")


def _name(row: Report) -> str:
    return f"{row['solver']} {row['version']}".strip()


def _share(share: Report) -> str:
    return f"{100 * share['value']:.1f} ({100 * share['low']:.1f}-{100 * share['high']:.1f})"


def _or(numbers: Sequence[int]) -> str:
    return " or ".join(str(number) for number in numbers)
