"""The report of a run: what was made, what was not accepted, and pictures. A page, Markdown and a sheet."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from cloud_server.augment.records import BINS, Example, Summary, read_record, read_summary
from cloud_server.augment.sheet import amplification, caption, png_of, sheet, triple
from cloud_server.augment.types import Kind
from shared.files import storage_errors, write_atomically

__all__ = ["Pages", "pages_of", "report", "write_pages"]

_KINDS: Mapping[Kind, str] = {
    Kind.ADVERSARIAL: "adversarial",
    Kind.UNACCEPTED: "not accepted, kept",
    Kind.DUPLICATE: "duplicate",
    Kind.UNPERTURBED: "unperturbed, relabelled",
    Kind.NOISE: "random noise",
}
# How many of each kind are shown: what was attacked first.
_SHOWN = {
    Kind.ADVERSARIAL: 12,
    Kind.UNACCEPTED: 6,
    Kind.DUPLICATE: 4,
    Kind.UNPERTURBED: 12,
    Kind.NOISE: 12,
}
_COLOURS: Mapping[str, str] = {
    "before": "#8a8f98",
    Kind.ADVERSARIAL: "#2563a8",
    Kind.UNACCEPTED: "#b8442c",
    Kind.DUPLICATE: "#c79a2b",
    Kind.UNPERTURBED: "#5b8c5a",
    Kind.NOISE: "#7a5ea8",
}
Table = tuple[Sequence[str], Sequence[Sequence[str]]]


class Pages(NamedTuple):
    """The report's three files."""

    html: str
    markdown: str
    sheet: bytes


def report(work: Path) -> Pages:
    """The report of the run whose work folder this is.

    Raises:
        GoodnoiseError: NOT_FOUND when it has not ended.
    """
    summary = read_summary(work / "summary.json")
    return pages_of(summary, _examples(work))


def _examples(work: Path) -> list[Example]:
    """Some of each kind, evenly spaced over those that were kept."""
    found: dict[Kind, list[tuple[Path, int]]] = {kind: [] for kind in _KINDS}
    paths = sorted(work.glob("shard-*.json"))
    for path in paths:
        record = read_record(path)
        for place, example in enumerate(record.examples if record else ()):
            found[Kind(example.provenance["kind"])].append((path, place))
    chosen = [where for kind, most in _SHOWN.items() for where in _spaced(found[kind], most)]
    return [record.examples[place] for path, place in chosen if (record := read_record(path))]


def _spaced(items: Sequence[tuple[Path, int]], most: int) -> list[tuple[Path, int]]:
    count = min(most, len(items))
    return [items[(2 * i + 1) * len(items) // (2 * count)] for i in range(count)]


def write_pages(pages: Pages, folder: Path) -> Path:
    """Write the files; returns the page's path."""
    with storage_errors(folder, setting="--out"):
        write_atomically(folder / "examples.png", pages.sheet)
        write_atomically(folder / "report.md", pages.markdown.encode())
        write_atomically(folder / "report.html", pages.html.encode())
    return folder / "report.html"


def pages_of(summary: Summary, examples: Sequence[Example]) -> Pages:
    """The report of a summary and some of its samples."""
    title = f"{summary.made} samples by {summary.recipe}, seed {summary.seed}"
    return Pages(
        "".join(_html(summary, examples)),
        "\n".join(_markdown(summary, examples)),
        sheet(examples, title=title),
    )


def _said(summary: Summary) -> list[str]:
    """What a reader has to know, in sentences."""
    before, after = sum(summary.before.values()), sum(summary.after.values())
    made = f"{summary.made} samples were made by the recipe {summary.recipe} with seed {summary.seed}"
    found = [f"{before} images became {after}: {made}, encoded as {summary.encoding}."]
    if summary.surrogate_sha256:
        found.append(
            f"Perturbations keep {summary.budget} (l2 in units of the range, linf in levels of 8 bits), "
            f"against a surrogate of SHA-256 {summary.surrogate_sha256[:16]}."
        )
        found.append(_acceptance(summary))
    dropped = summary.asked - summary.made
    if dropped and summary.fallback != "drop":
        found.append(f"{dropped} samples that were asked for do not exist: none of their parents would do.")
    found.append(
        "Samples are synthetic and derived from other images; each one's parent and kind is in its metadata. "
        "Train on them; never measure on them."
    )
    return found


def _acceptance(summary: Summary) -> str:
    adversarial, kept = summary.of_kind(Kind.ADVERSARIAL), summary.of_kind(Kind.UNACCEPTED)
    repeated = summary.of_kind(Kind.DUPLICATE)
    missed = summary.asked - adversarial
    share = adversarial / summary.asked if summary.asked else 0.0
    text = f"{adversarial} of {summary.asked} ({share:.0%}) reached their target after rounding and encoding"
    if not missed:
        return f"{text}; none fell back."
    outcome = {
        "keep": f"{kept} did not, and are kept all the same, as this recipe does",
        "duplicate": f"{repeated} did not, and an image of the class is repeated instead",
        "drop": f"{missed} did not, and were left out",
    }[summary.fallback]
    return f"{text}; {outcome}."


def _counts(summary: Summary) -> Table:
    kinds = [kind for kind in _KINDS if summary.of_kind(kind)]
    head = ("class", "before", "after", *(_KINDS[kind] for kind in kinds))
    rows = [
        (
            label,
            str(summary.before[label]),
            str(summary.after[label]),
            *(str(summary.kinds[label].get(kind.value, 0)) for kind in kinds),
        )
        for label in summary.before
    ]
    return head, rows


def _cells(summary: Summary) -> Table:
    rows = [(*cell.split("/", 1), str(before), str(after)) for cell, (before, after) in summary.cells.items()]
    return ("class", "group", "before", "after"), rows


def _confidence(summary: Summary) -> Table:
    both = zip(summary.confidence, summary.replaced, strict=True)
    rows = [
        (f"{i / BINS:.2f} to {(i + 1) / BINS:.2f}", str(made), str(replaced))
        for i, (made, replaced) in enumerate(both)
        if made or replaced
    ]
    return ("confidence in the target", "samples", "attempts that duplicates stand in for"), rows


def _parts(summary: Summary) -> Iterator[tuple[str, str, Table]]:
    yield "Classes before and after", _bars(summary), _counts(summary)
    if summary.cells:
        yield "Groups inside the classes", "", _cells(summary)
    if any(summary.confidence) or any(summary.replaced):
        yield "Confidence of the surrogate", _histogram(summary), _confidence(summary)


_LIMITS = (
    "It does not show whether a network that is trained on these samples is a better one: that takes "
    "controls, several seeds and images that were held out. 'goodnoise-cloud augment evaluate' measures it."
)


def _markdown(summary: Summary, examples: Sequence[Example]) -> Iterator[str]:
    yield "# Samples that were made\n"
    yield from (f"{text}\n" for text in _said(summary))
    for heading, _, (head, rows) in _parts(summary):
        yield f"## {heading}\n"
        yield _line(head)
        yield _line(["---"] * len(head))
        yield from (_line(row) for row in rows)
        yield ""
    if examples:
        yield f"## {_examples_heading(examples)}\n"
        yield "![Parents, children and differences](examples.png)\n"
        yield from (f"- {caption(example)}, from {example.provenance['parent']}" for example in examples)
        yield ""
    yield f"## What this report does not show\n\n{_LIMITS}\n"


def _examples_heading(examples: Sequence[Example]) -> str:
    return f"{len(examples)} samples of all kinds, evenly spaced over the run and not chosen by their looks"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _html(summary: Summary, examples: Sequence[Example]) -> Iterator[str]:
    yield _HEAD
    yield "<h1>Samples that were made</h1>\n"
    yield from (f"<p>{escape(text)}</p>\n" for text in _said(summary))
    for heading, drawn, (head, rows) in _parts(summary):
        yield f"<h2>{escape(heading)}</h2>\n{drawn}"
        cells = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
        yield f"<table>\n<thead><tr>{cells}</tr></thead>\n<tbody>\n"
        yield from (f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>\n" for row in rows)
        yield "</tbody>\n</table>\n"
    if examples:
        yield from _figures(examples)
    yield f"<h2>What this report does not show</h2>\n<p>{escape(_LIMITS)}</p>\n</main></body></html>\n"


def _figures(examples: Sequence[Example]) -> Iterator[str]:
    factor = amplification(examples)
    yield f"<h2>{escape(_examples_heading(examples))}</h2>\n"
    yield f"<p>Parent, child, and their difference times {factor}; grey is none.</p>\n<div class=figures>\n"
    for example in examples:
        text = escape(caption(example))
        data = base64.b64encode(png_of(triple(example, factor))).decode()
        parent = escape(str(example.provenance["parent"]))
        yield (
            f'<figure><img alt="{text}" src="data:image/png;base64,{data}">'
            f"<figcaption>{text}<br><small>from {parent}</small></figcaption></figure>\n"
        )
    yield "</div>\n"


def _bars(summary: Summary) -> str:
    """A bar a class: what it had, and what was made for it."""
    most = max([*summary.after.values(), 1])
    kinds = [kind for kind in _KINDS if summary.of_kind(kind)]
    lines = []
    for label, before in summary.before.items():
        shares = [("before", before), *((kind, summary.kinds[label].get(kind.value, 0)) for kind in kinds)]
        parts = "".join(
            f'<i style="width:{100 * count / most:.2f}%;background:{_COLOURS[key]}"></i>'
            for key, count in shares
            if count
        )
        lines.append(f"<div><b>{escape(label)}</b><span>{parts}</span></div>\n")
    keys = [("before", "before"), *((kind, _KINDS[kind]) for kind in kinds)]
    legend = " ".join(f'<i style="background:{_COLOURS[key]}"></i>{escape(text)}' for key, text in keys)
    return f'<div class=bars aria-hidden="true">\n{"".join(lines)}<p>{legend}</p></div>\n'


def _histogram(summary: Summary) -> str:
    """A column a bin: samples, and on top of them attempts that duplicates stand in for."""
    both = list(zip(summary.confidence, summary.replaced, strict=True))
    most = max(1, *(made + replaced for made, replaced in both))
    parts = [(100 * made / most, 100 * replaced / most) for made, replaced in both]
    colour = _COLOURS[Kind.DUPLICATE]
    bars = "".join(
        f'<span><i style="height:{replaced:.1f}%;background:{colour}"></i>'
        f'<i style="height:{made:.1f}%"></i></span>'
        for made, replaced in parts
    )
    axis = "<p class=axis><span>0</span><span>1</span></p>"
    return f'<div class=histogram aria-hidden="true">{bars}</div>{axis}\n'


_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Samples that were made</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #1c1e21; background: #fff; margin: 0 }
main { max-width: 66rem; margin: 0 auto; padding: 1rem }
table { border-collapse: collapse; display: block; overflow-x: auto }
th, td { padding: .2rem .8rem .2rem 0; text-align: right; border-bottom: 1px solid #d8dbe0 }
th:first-child, td:first-child { text-align: left }
.bars div { display: flex; align-items: center; margin: .15rem 0 }
.bars b { flex: 0 0 9rem; font-weight: normal; overflow: hidden; text-overflow: ellipsis }
.bars span { flex: 1; display: flex; height: 1.1rem }
.bars p i { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 .8rem }
.histogram { display: flex; align-items: flex-end; gap: 2px; height: 8rem; max-width: 40rem }
.histogram { border-bottom: 1px solid #1c1e21 }
.histogram span { flex: 1; height: 100%; display: flex; flex-direction: column; justify-content: flex-end }
.histogram i { background: #2563a8 }
.axis { display: flex; justify-content: space-between; max-width: 40rem; margin: 0 0 .5rem }
.figures { display: flex; flex-wrap: wrap; gap: 1rem }
figure { margin: 0; max-width: 100% }
figure img { max-width: 100% }
figcaption { font-size: .85rem; max-width: 22rem; overflow-wrap: anywhere }
</style></head><body><main>
"""
