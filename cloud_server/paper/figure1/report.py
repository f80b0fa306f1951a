"""Figure 1 in Markdown: the curves as tables, what the controls say, and the paper's words beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cloud_server.paper.figure1.settings import Protocol
from cloud_server.paper.figure1.summary import accuracy_at

__all__ = ["markdown"]

_Json = Mapping[str, Any]
# As in the paper: the OCR with LSTM columns, noise in its training images.
_PAPERS = "lstm-noise"

_LIMITS = """\
- The paper prints no numbers for its figure, and the figure's curves cannot be read from its text: only its
  words can be compared.
- Fonts, size, and the amount of noise in the set are not in the paper. Here: the fonts of the CAPTCHAs,
  capitals of 15 to 19 pixels on 32 x 32, noise of deviation {noise:g}.
- The paper's model learnt from letters 'added by random noise' and is then tested with more noise of that
  kind, so that a part of its robustness to Gaussian noise is trained in. The rows 'clean', 'noise' and
  'heavy' are the same network without that noise, with it, and with up to {heavy:g} (an upper bound: it
  has seen every level).
- Levels of the two distortions are not equally large. {additions} FGSM steps of {step:g} change a pixel by up
  to {linf:g}; {additions} additions of variance {variance:g} have a deviation of {deviation:.2f} before
  clipping. So curves over RMSE are beside those over levels, and random signs of FGSM's step length are
  the control.
- Whether the paper takes the gradient anew at each one-time step is not said. 'fgsm' does; 'fgsm-once'
  keeps the direction of the gradient at the original image. Both are untargeted.
- Nor is it said where noise is clipped. 'gaussian' clips each one-time distortion, as FGSM's are; then
  pixels forget the letter. 'gaussian-sum' clips once, which leaves more of it.
- Adam's rate is 1e-5 in the paper, for a number of updates that it does not say; here {rate:g}, falling as
  half a cosine, {updates} updates of {batch}.
- Proxies are no people: the observer knows font and place of each letter and adds up every pixel, which
  suits white noise best; strokes that an attack adds or takes away mislead it as shapes do. Their side of
  the figure needs a study (its kit: `--participants`, then `paper figure1-study`).
- Accuracy is of single letters. A reader that answers none or two letters is wrong."""


def markdown(protocol: Protocol, summary: _Json) -> str:
    """The whole report of a run."""
    units = summary["units"]
    parts = [
        ["# Figure 1 of the paper, made again", "", *_facts(protocol, units)],
        ["## Each recogniser under its own gradients (the paper's (c))", "", *_own(protocol, units)],
        [
            "## Gaussian noise, clipped after each addition (the paper's (d))",
            "",
            *_unit_table(units["gaussian"]),
        ],
        [
            "## The same noise, clipped once, where it is read",
            "",
            *_unit_table(units["gaussian-sum"]),
        ],
        ["## Control: random signs of FGSM's step length", "", *_unit_table(units["signs"])],
        ["## Public readers and proxies on adversarial images, by source", "", *_foreign(protocol, units)],
        ["## Transfer: last level of 'fgsm', source by reader", "", *_transfer(protocol, units)],
        ["## At equal RMSE", "", *_equal_rmse(protocol, units)],
        ["## Beside the paper's words", "", *_compared(protocol, summary)],
        ["## What these figures do not say", "", *_limits(protocol)],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _facts(protocol: Protocol, units: _Json) -> list[str]:
    mine = {net.name for net in protocol.nets}
    public = ", ".join(name for name in units["gaussian"]["read"] if name not in mine) or "none installed"
    asked = units["gaussian"]["read"][_PAPERS][0]["asked"]
    read = min(protocol.read, protocol.test)
    sizes = f"{protocol.train} training and {protocol.test} test images each (the paper: 1,000 and 200)"
    return [
        "Letters read in %, with 95 % intervals (Wilson).",
        f"26 letters, {sizes}; {asked} are read, by public readers {read} a letter.",
        f"{protocol.levels} levels of {protocol.additions} distortions; seed {protocol.seed}.",
        "Networks: body (LSTM over columns with CTC; CNN) and noise in the training images.",
        f"Public readers: {public}.",
    ]


def _own(protocol: Protocol, units: _Json) -> list[str]:
    rows = []
    for distortion in ("fgsm", "fgsm-once"):
        for net in protocol.nets:
            unit = units[f"{distortion} of {net.name}"]
            rows.append([f"{net.name}, {distortion}", *map(_cell, unit["read"][net.name])])
            rows.append(["RMSE", *(f"{value:.3f}" for value in unit["rmse"])])
    return _grid(["", *range(protocol.levels + 1)], rows)


def _unit_table(unit: _Json) -> list[str]:
    rows = [[name, *map(_cell, shares)] for name, shares in unit["read"].items()]
    rows += _proxies(unit)
    rows.append(["RMSE", *(f"{value:.3f}" for value in unit["rmse"])])
    return _grid(["", *range(len(unit["rmse"]))], rows)


def _foreign(protocol: Protocol, units: _Json) -> list[str]:
    mine = {net.name for net in protocol.nets}
    rows = []
    for net in protocol.nets:
        unit = units[f"fgsm of {net.name}"]
        shown = [[name, *map(_cell, shares)] for name, shares in unit["read"].items() if name not in mine]
        rows += [[f"{net.name} -> {row[0]}", *row[1:]] for row in [*shown, *_proxies(unit)]]
    return _grid(["", *range(protocol.levels + 1)], rows)


def _proxies(unit: _Json) -> list[list[str]]:
    return [
        ["observer (proxy)", *map(_cell, unit["observer"])],
        ["stroke contrast (proxy), % of level 0", *(f"{100 * value:.0f}" for value in unit["contrast"])],
    ]


def _transfer(protocol: Protocol, units: _Json) -> list[str]:
    readers = list(units["gaussian"]["read"])
    named = {net.name: units[f"fgsm of {net.name}"]["read"] for net in protocol.nets}
    named |= {"signs (control)": units["signs"]["read"], "gaussian": units["gaussian"]["read"]}
    rows = [
        [source, *(_cell(read[name][-1]) if name in read else "-" for name in readers)]
        for source, read in named.items()
    ]
    return _grid(["source", *readers], rows)


def _equal_rmse(protocol: Protocol, units: _Json) -> list[str]:
    head = ["recogniser", "RMSE", "own fgsm", "own fgsm-once", "gaussian", "gaussian-sum", "random signs"]
    rows = []
    for net in protocol.nets:
        named = [
            units[name]
            for name in (
                f"fgsm of {net.name}",
                f"fgsm-once of {net.name}",
                "gaussian",
                "gaussian-sum",
                "signs",
            )
        ]
        for rmse in (0.05, 0.1, 0.2, 0.3):
            found = [accuracy_at(unit, unit["read"][net.name], rmse) for unit in named]
            rows.append([net.name, f"{rmse:g}", *("-" if at is None else f"{100 * at:.0f}" for at in found)])
    return ["By straight lines between levels; '-' where no level is that large.", "", *_grid(head, rows)]


def _compared(protocol: Protocol, summary: _Json) -> list[str]:
    gains = [
        [f"{body}-{kind}", *(f"{100 * values[name]:.0f}" for name in ("gaussian", "gaussian-sum", "fgsm"))]
        for body, kinds in summary["gains"].items()
        for kind, values in kinds.items()
    ]
    return [
        *_grid(["the paper says", f"here, % at level 0 -> {protocol.levels}"], _claims(summary["units"])),
        "",
        "What noise in the training images does, mean accuracy over levels 1 and up, %:",
        "",
        *_grid(["recogniser", "Gaussian noise", "clipped once", "own FGSM"], gains),
    ]


def _claims(units: _Json) -> list[list[str]]:
    """What the paper says of its figure, and what was measured of it."""
    adversarial, noise = units[f"fgsm of {_PAPERS}"], units["gaussian"]
    others = "; ".join(f"{name}: {_ends(noise['read'][name])}" for name in ("lstm-clean", "lstm-heavy"))
    sizes = f"FGSM {adversarial['rmse'][-1]:.3f}, Gaussian {noise['rmse'][-1]:.3f}"
    found = {
        "OCR is highly vulnerable to FGSM as the level rises": (
            f"{_PAPERS}: {_ends(adversarial['read'][_PAPERS])}"
        ),
        "OCR is relatively stable under Gaussian noise": (
            f"{_PAPERS}: {_ends(noise['read'][_PAPERS])}, clipped once "
            f"{_ends(units['gaussian-sum']['read'][_PAPERS])}; {others}"
        ),
        "people are very robust to FGSM": f"not measured; {_proxy_ends(adversarial)}",
        "people's accuracy falls sharply under Gaussian noise": f"not measured; {_proxy_ends(noise)}",
        "levels of both kinds are counted alike": f"RMSE at the last level: {sizes}",
    }
    return [list(pair) for pair in found.items()]


def _proxy_ends(unit: _Json) -> str:
    contrast = f"{100 * unit['contrast'][-1]:.0f} %"
    return f"proxies: observer {_ends(unit['observer'])}, stroke contrast 100 % -> {contrast}"


def _limits(protocol: Protocol) -> list[str]:
    values = protocol.to_dict()
    linf = protocol.additions * protocol.step
    deviation = (protocol.additions * protocol.variance) ** 0.5
    return _LIMITS.format(linf=linf, deviation=deviation, **values).split("\n")


def _ends(shares: Sequence[_Json]) -> str:
    return f"{_cell(shares[0])} -> {_cell(shares[-1])}"


def _cell(share: _Json) -> str:
    return f"{100 * share['value']:.0f} ({100 * share['low']:.0f}-{100 * share['high']:.0f})"


def _grid(head: Sequence[object], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(map(str, line)) + " |" for line in lines]
