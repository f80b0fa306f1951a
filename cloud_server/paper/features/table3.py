"""Table 3: four classes cut to a tenth, and what adversarial samples give back; with controls beside."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cloud_server.augment.evaluate.arms import ARMS
from cloud_server.augment.evaluate.protocols import Protocol
from cloud_server.augment.evaluate.runner import Plan, Results, run_plan
from cloud_server.augment.evaluate.statistics import paired_difference
from cloud_server.paper.features.common import Report, write_results
from cloud_server.paper.features.settings import PAPER
from shared.files import write_atomically

__all__ = ["TABLE3_ARMS", "make_table3"]

# f_imb, f_aug, and what an engineer would try first.
TABLE3_ARMS = ("nothing", "paper", "duplicates", "balanced", "unperturbed", "noise")


def make_table3(
    data: Path,
    out: Path,
    *,
    protocol: Protocol,
    name: str,
    seeds: int = 3,
    workers: int = 1,
    note: str,
    report: Report,
) -> str:
    """Train the arms, and write table3.json, .md and .png.

    Args:
        data: folder of train.tar and test.tar.
        out: folder of the results; a run goes on there.
        protocol: data and training.
        name: of the protocol, for the reader.
        seeds: trainings of each arm.
        workers: processes of one thread each.
        note: on the data, printed with the figures.
        report: called as work goes on.

    Returns:
        The Markdown.
    """
    arms = tuple(ARMS[name] for name in TABLE3_ARMS)
    plan = Plan(data, out, protocol, arms, tuple(range(seeds)), workers=workers)
    results = run_plan(plan, on_progress=lambda done, total: report("trainings", done, total))
    by_class = {arm: _by_class(results, arm) for arm in TABLE3_ARMS}
    text = _markdown(results, by_class, name=name, note=note)
    figures = {
        "protocol": name,
        "note": note,
        "images": [protocol.frequent, protocol.rare],
        "network": protocol.network,
        "updates": protocol.training.updates,
        "precision": protocol.training.precision,
        "seeds": seeds,
        "accuracy_by_class": by_class,
        "paper": {name: list(pair) for name, pair in PAPER.table3.items()},
    }
    write_results(out, "table3", figures, text)
    from cloud_server.paper.features.pictures import draw_table3

    rare = [results.classes[k] for k in results.rare]
    write_atomically(out / "table3.png", draw_table3(by_class, rare))
    return text


def _by_class(results: Results, arm: str) -> dict[str, float]:
    right = results.predicted[arm] == results.labels
    return {name: float(right[:, results.labels == k].mean()) for k, name in enumerate(results.classes)}


def _markdown(results: Results, by_class: dict[str, dict[str, float]], *, name: str, note: str) -> str:
    rare = [results.classes[k] for k in results.rare]
    protocol = results.plan.protocol
    lines = [
        "# Table 3: four classes cut to a tenth",
        "",
        (
            f"Protocol {name}: {protocol.frequent} images of each frequent class, "
            f"{protocol.rare} of each rare one, {protocol.network}, {protocol.training.updates} updates "
            f"({protocol.training.precision}) for every arm, {len(results.plan.seeds)} seeds. {note}"
        ),
        "",
        "| arm | " + " | ".join(rare) + " | rare | frequent | rare, less 'nothing' (95 %) |",
        "| --- |" + " --- |" * (len(rare) + 3),
    ]
    lines += [_line(results, by_class, arm, rare) for arm in TABLE3_ARMS]
    if set(rare) == set(PAPER.table3):
        lines += [_published(0, "f_imb of the paper", rare), _published(1, "f_aug of the paper", rare)]
    lines += ["", _plainly(results), ""]
    return "\n".join(lines)


def _line(results: Results, by_class: dict[str, dict[str, float]], arm: str, rare: list[str]) -> str:
    found = by_class[arm]
    frequent = float(np.mean([value for name, value in found.items() if name not in rare]))
    cells = [f"{found[name]:.1%}" for name in rare]
    mean = float(np.mean([found[name] for name in rare]))
    gain = "-" if arm == "nothing" else _gain(results, arm, "nothing")
    return f"| {arm}: {ARMS[arm].about} | {' | '.join(cells)} | {mean:.1%} | {frequent:.1%} | {gain} |"


def _gain(results: Results, arm: str, other: str) -> str:
    """The difference on rare classes in points, with its interval."""
    rare = np.isin(results.labels, results.rare)
    ours, theirs = ((results.predicted[name] == results.labels)[:, rare] for name in (arm, other))
    interval = paired_difference(ours, theirs, results.labels[rare])
    return f"{100 * interval.value:+.1f} ({100 * interval.low:+.1f} to {100 * interval.high:+.1f})"


def _published(place: int, name: str, rare: list[str]) -> str:
    values = [PAPER.table3[label][place] for label in rare]
    return f"| {name} | {' | '.join(f'{v:.1%}' for v in values)} | {np.mean(values):.1%} | - | - |"


def _plainly(results: Results) -> str:
    """What the paper does not ask: whether a simpler way would have given more."""
    rare = np.isin(results.labels, results.rare)
    gained = {a: float((results.predicted[a] == results.labels)[:, rare].mean()) for a in TABLE3_ARMS}
    best = max((arm for arm in TABLE3_ARMS if arm != "paper"), key=gained.__getitem__)
    word = "beats" if gained["paper"] > gained[best] else "does not beat"
    return (
        f"The paper's augmentation {word} the best control on the rare classes ({best}, {gained[best]:.1%}): "
        f"{gained['paper']:.1%}, a difference of {_gain(results, 'paper', best)} points."
    )
