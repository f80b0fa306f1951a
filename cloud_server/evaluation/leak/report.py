"""The gate's report: Markdown, and a picture of protection against leak."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cloud_server.evaluation.leak.gate import SHUFFLED, verdicts
from shared.errors import Code, GoodnoiseError

__all__ = ["markdown", "picture", "read_protection", "read_report"]

LEVELS = ("pull", "cluster", "sketch", "sign")


def read_report(path: Path) -> dict[str, dict[str, Any]]:
    """Verdicts of a `leak.json`, as a bundle carries them.

    Raises:
        GoodnoiseError: NOT_FOUND for a file that cannot be read, INVALID_INPUT for one that is no report.
    """
    try:
        return verdicts(_json(path))
    except ValueError as error:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{path}: {error}; give the leak.json of 'evaluate leak'"
        ) from error


def read_protection(path: Path) -> dict[str, float]:
    """Protection rate of each level in [0,1], for the picture.

    Raises:
        GoodnoiseError: NOT_FOUND for a file that cannot be read, INVALID_INPUT for another content.
    """
    raw = _json(path)
    wanted = isinstance(raw, dict) and raw and set(raw) <= set(LEVELS)
    if not wanted or not all(isinstance(v, (int, float)) and 0 <= v <= 1 for v in raw.values()):
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f'{path}: expected an object of shares by level, such as {{"pull": 0.62, "sketch": 0.62}}; '
            f"levels are {', '.join(LEVELS)}",
        )
    return {level: float(value) for level, value in raw.items()}


def _json(path: Path) -> Any:  # noqa: ANN401 - JSON holds anything
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise GoodnoiseError(Code.NOT_FOUND, f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise GoodnoiseError(Code.INVALID_INPUT, f"{path} is no JSON: {error}") from error


def markdown(report: Mapping[str, Any]) -> str:
    """Verdicts and the table of all attackers, rank-1 and TAR at FAR 1 % in percent."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    data, options = report["data"], report["options"]
    tried = data["tried_on"]
    yield "# The leak gate\n"
    yield (
        f"Attackers learnt from {data['learnt_from']['faces']} faces of {data['learnt_from']['people']} "
        f"people and were tried on {tried['photos']} photos of {tried['people']} others. In brackets: 95 % "
        f"intervals (bootstrap over people). Chance: rank-1 {100 / tried['people']:.2f} %, TAR 1 %. Linkage "
        f"predicts embeddings of {options['linked']} and is scored by them; inverted faces are scored by "
        f"{' and '.join(options['judges'])}, which are in no training. Calls about one photo go round "
        f"{options['frames']} gradients. Published photos: {tried['cloaked']}, so chance is "
        f"{100 / tried['cloaked']:.2f} % there.\n"
    )
    yield "| level | verdict | why |\n|---|---|---|"
    for level, verdict in report["verdicts"].items():
        yield f"| {level} | **{verdict['verdict']}** | {verdict['reason']} |"
    yield "\n| payload | attacker | given | rank-1, % | TAR at FAR 1 %, % | AUC |\n|---|---|---|---|---|---|"
    for kind, found in report["kinds"].items():
        for cell in found["cells"]:
            yield _row(kind, cell)


def _row(kind: str, cell: Mapping[str, Any]) -> str:
    measured = cell["measured"]
    shares = f"{_share(measured['rank1'])} | {_share(measured['tar'])} | {measured['auc']:.3f}"
    return f"| {kind} | {cell['attacker']} | {cell['given']} | {shares} |"


def _share(share: Mapping[str, float]) -> str:
    return f"{100 * share['value']:.1f} ({100 * share['low']:.1f}-{100 * share['high']:.1f})"


def picture(report: Mapping[str, Any], protection: Mapping[str, float] | None = None) -> bytes:
    """A PNG: one point a level, leak against protection; bars of leak for all payloads where none is given.

    Args:
        report: as of `evaluate_leak`. A payload's leak is the highest TAR at FAR 1 % of all attackers.
        protection: protection rate by level, in [0,1].
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    worst = {name: _worst(found["cells"]) for name, found in report["kinds"].items()}
    if protection:
        for level, share in protection.items():
            value, low, high = worst[level]
            axes.errorbar(
                value,
                100 * share,
                xerr=[[max(0.0, value - low)], [max(0.0, high - value)]],
                fmt="o",
                capsize=3,
            )
            word = f"{level}: {report['verdicts'][level]['verdict']}"
            axes.annotate(word, (value, 100 * share), (6, 6), textcoords="offset points")
        axes.set_ylabel("protection, % of pairs")
    else:
        values = [worst[name] for name in worst]
        ranges = [[max(0.0, v - low) for v, low, _ in values], [max(0.0, high - v) for v, _, high in values]]
        axes.barh(list(worst), [value for value, _, _ in values], xerr=ranges, capsize=3, color="#4878a8")
        axes.invert_yaxis()
    axes.set_xscale("symlog", linthresh=10)
    axes.set_xlim(0, 110)
    axes.set_xticks([0, 1, 3, 5, 10, 30, 100], ["0", "1", "3", "5", "10", "30", "100"])
    axes.axvline(1, color="grey", linestyle="--", linewidth=1)
    axes.axvline(3, color="firebrick", linestyle=":", linewidth=1)
    axes.set_xlabel("leak: TAR at FAR 1 % of the best attacker, % (dashed: chance; dotted: the gate)")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return stream.getvalue()


def _worst(cells: list[dict[str, Any]]) -> tuple[float, float, float]:
    shares = [cell["measured"]["tar"] for cell in cells if cell["attacker"] != SHUFFLED]
    best = max(shares, key=lambda share: float(share["value"]))
    return 100 * best["value"], 100 * best["low"], 100 * best["high"]
