"""The tables in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cloud_server.paper.bench import Settings
from cloud_server.paper.cloaks import CONTROL
from cloud_server.paper.published import PAPER_TABLE1, PAPER_TABLE2, WHY_DIFFERENT
from cloud_server.paper.table2 import CONDITIONS

__all__ = ["markdown"]

_AT = {"far": "FAR 1e-3 (the cards' thresholds)", "best": "best accuracy (pairs that are not reported on)"}
_ANCHORS = {
    "own": "anchor: the photo itself",
    "pair": "enrolled anchor (the paper's setting; an upper bound, since it needs the enrolled photo)",
}
_Table = Mapping[str, Any]


def markdown(settings: Settings, summary: _Table) -> str:
    """The whole report of a run."""
    body = _attack_tables(settings, summary) if settings.table == "table1" else _makeup_tables(summary)
    head = [f"# Table {settings.table[-1]} of the paper, made again", "", *_facts(settings, summary), ""]
    why = ["## Why figures differ from the paper's", "", WHY_DIFFERENT[settings.table]]
    return "\n".join([*head, *body, *why])


def _facts(settings: Settings, summary: _Table) -> list[str]:
    sets = ", ".join(
        f"{name} ({entry['pairs']} positive pairs"
        + (f", {entry['missing']} left out without a face)" if entry["missing"] else ")")
        for name, entry in summary.items()
    )
    budget = f"budget {settings.levels:g} levels (Linf), seed {settings.seed}"
    return [f"ASR = (N_without - N_with) / N_total in %, with 95 % intervals; {budget}; sets: {sets}."]


def _attack_tables(settings: Settings, summary: _Table) -> list[str]:
    lines: list[str] = []
    for anchor in settings.anchors:
        for at, words in _AT.items():
            rows = [
                [
                    name,
                    net,
                    _share(entry["rows"][""][CONTROL][at], "clean_tar"),
                    _cell(entry["rows"][""][CONTROL][at]),
                ]
                + [_cell(entry["rows"][anchor][attack][at]) for attack in settings.attacks]
                for name, net, entry in _each(summary, at)
            ]
            if rows:
                head = ["set", "recogniser", "clean TAR", CONTROL, *settings.attacks]
                lines += [f"## {_ANCHORS[anchor]}; {words}", "", *_grid(head, rows), ""]
    rows = [
        [name, net, *(_looks(entry["rows"][settings.anchors[0]][attack]) for attack in settings.attacks)]
        for name, net, entry in _each(summary, "far")
    ]
    lines += ["## Looks of the attacked crops: PSNR in dB / SSIM", ""]
    lines += [*_grid(["set", "recogniser", *settings.attacks], rows), ""]
    paper = [[name, net, *(f"{v:.1f}" for v in values)] for (name, net), values in PAPER_TABLE1.items()]
    head = ["set", "recogniser", "FGSM", "I-FGSM", "MI-FGSM", "DI2-FGSM", "M-DI2-FGSM"]
    return [*lines, "## The paper's own figures", "", *_grid(head, paper), ""]


def _makeup_tables(summary: _Table) -> list[str]:
    lines: list[str] = []
    for at, words in _AT.items():
        rows = [
            [name, net, _share(entry["rows"]["makeup"][at], "clean_tar")]
            + [_cell(entry["rows"][condition][at]) for condition in CONDITIONS]
            for name, net, entry in _each(summary, at)
        ]
        if rows:
            lines += [f"## White box; {words}", ""]
            lines += [*_grid(["set", "recogniser", "clean TAR", *CONDITIONS], rows), ""]
    lines += _transfer(summary)
    rows = [
        [name, net, *(_looks(row) for row in (*entry["rows"].values(), entry["attack on top of makeup"]))]
        for name, net, entry in _each(summary, "far")
    ]
    head = ["set", "recogniser", *CONDITIONS, "attack against made-up"]
    lines += ["## Looks of the crops against the photo's: PSNR in dB / SSIM", "", *_grid(head, rows), ""]
    paper = [[name, "ArcFace", *(f"{v:.1f}" for v in values)] for name, values in PAPER_TABLE2.items()]
    lines += ["## The paper's own figures", ""]
    return [*lines, *_grid(["set", "recogniser", *CONDITIONS[1:]], paper), ""]


def _transfer(summary: _Table) -> list[str]:
    lines: list[str] = []
    for name, entry in summary.items():
        nets = list(entry["recognisers"])
        rows = [
            [attacker, *(_carried(entry["recognisers"][judge], attacker) for judge in nets)]
            for attacker in nets
        ]
        if len(nets) > 1:
            lines += [f"## {name}: transfer, adversarial / makeup_adversarial; {_AT['far']}", ""]
            lines += [*_grid(["attacked \\ judge", *nets], rows), ""]
    return lines


def _carried(judge: _Table, attacker: str) -> str:
    if attacker not in judge["transfer from"]:
        return "(white box)"
    shares = judge["transfer from"][attacker]
    return " / ".join(
        f"{100 * shares[kind]['far']['value']:.1f}" for kind in ("adversarial", "makeup_adversarial")
    )


def _each(summary: _Table, at: str) -> list[tuple[str, str, _Table]]:
    """Set, recogniser and entry, of those for which this threshold is known."""
    found = [
        (name, net, entry) for name, part in summary.items() for net, entry in part["recognisers"].items()
    ]
    return [row for row in found if row[2]["thresholds"][at] is not None]


def _cell(asr: _Table) -> str:
    low, high = (round(100 * asr[end]) for end in ("low", "high"))
    return f"{100 * asr['value']:.1f} [{low}, {high}]"


def _share(asr: _Table, key: str) -> str:
    return f"{100 * asr[key]:.1f}"


def _looks(row: _Table) -> str:
    return f"{row['psnr']:.1f} / {row['ssim']:.3f}"


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)]
