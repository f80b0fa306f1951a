"""What a run found, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cloud_server.evaluation.protection.conditions import CONDITIONS

__all__ = ["markdown"]


def markdown(found: Mapping[str, Any]) -> str:
    """The report: main table, ASR and cost, clean TAR, hint quality, purifiers and adapted recognisers."""
    rows = found["rows"]
    parts = [_head(found), _protection(rows), "## Cost and looks", _cost(rows)]
    parts += ["## ASR (equation 1), %", _asr(rows), "## Recognisers", _recognisers(rows)]
    if found.get("quality"):
        parts += ["## Hint quality", _quality(found["quality"])]
    if found.get("defences"):
        parts += ["## Purifiers and adapted recognisers", _DEFENCES, _defences(found["defences"])]
    return "\n\n".join(parts) + "\n"


_DEFENCES = (
    "Each is applied to the published photo, by condition, before the recogniser. Clean TAR: the same done "
    "to the unprotected photo. 'adapted' was trained on cloaks of other people, made with the row's own "
    "bundle; its threshold and that of 'unadapted' are at FAR 1e-3 over training people that were held out."
)


def _head(found: Mapping[str, Any]) -> str:
    use = "" if found["reporting"] else " These sets are for tuning: **no figures to report**."
    return (
        f"# Protection\n\n{found['data']}.{use} Of the pairs that matched before, the share (%) that no "
        f"longer match, in {' / '.join(CONDITIONS)}, and the 95 % interval (Wilson) of the last. The "
        "enrolled photo is given to nothing. white: attacked on the device; grey: shaped the attack from "
        "afar; judge: decided nothing; (selected on): decided when to stop."
    )


def _table(head: Sequence[str], lines: Iterator[Sequence[str]]) -> str:
    written = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in written)


def _names(rows: Mapping[str, Any]) -> list[str]:
    return list(next(iter(rows.values()))["recognisers"])


def _protection(rows: Mapping[str, Any]) -> str:
    names = _names(rows)

    def lines() -> Iterator[list[str]]:
        for title, entry in rows.items():
            cells = [f"{_shares(entry['recognisers'][n])} {entry['recognisers'][n]['role']}" for n in names]
            yield [title, str(entry["pairs"]), *cells, _figure(entry["psnr"], 1), _figure(entry["ssim"], 3)]

    return _table(["attack", "pairs", *names, "PSNR", "SSIM"], lines())


def _shares(entry: Mapping[str, Any]) -> str:
    conditions = entry["conditions"]
    low, high = conditions[list(CONDITIONS)[-1]]["interval"]
    shares = " / ".join(f"{100 * conditions[c]['protection']:.0f}" for c in CONDITIONS)
    return f"{shares} ({100 * low:.0f}-{100 * high:.0f})"


def _cost(rows: Mapping[str, Any]) -> str:
    def lines() -> Iterator[list[str]]:
        for title, entry in rows.items():
            down = f"{entry['bytes_down'] / 1e6:.1f} MB, {entry['profile']}" if entry["bytes_down"] else "0"
            yield [
                title,
                str(entry["levels"]),
                _figure(entry["calls"], 0),
                _figure(entry["seconds"], 1),
                down,
                _figure(entry["bytes_up"], 0),
                _figure(entry["device_says_protected"], 2),
                ", ".join(f"{count} {status}" for status, count in entry["hints"].items()) or "-",
            ]

    head = ["attack", "levels, at most", "gradient calls", "seconds", "bytes down", "bytes up a photo"]
    return _table([*head, "device says protected", "cloud's answers"], lines())


def _asr(rows: Mapping[str, Any]) -> str:
    names = _names(rows)

    def lines() -> Iterator[list[str]]:
        for title, entry in rows.items():
            by = [entry["recognisers"][name]["conditions"] for name in names]
            yield [title, *(" / ".join(f"{100 * c[k]['asr']:.0f}" for k in CONDITIONS) for c in by)]

    return _table(["attack", *names], lines())


def _recognisers(rows: Mapping[str, Any]) -> str:
    entry = next(iter(rows.values()))["recognisers"]

    def lines() -> Iterator[list[str]]:
        for name, figures in entry.items():
            low, high = figures["clean_interval"]
            tar = f"{100 * figures['clean_tar']:.0f} % ({100 * low:.0f}-{100 * high:.0f})"
            yield [name, f"{figures['threshold']:.4f}", tar]

    return _table(
        ["recogniser", "threshold (FAR 1e-3; distances negative)", "clean TAR of the first row"], lines()
    )


def _quality(entries: Sequence[Mapping[str, Any]]) -> str:
    def lines() -> Iterator[list[str]]:
        for entry in entries:
            interval = entry["interval"]
            shown = "-" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}"
            shares = " / ".join(_figure(entry[key], 2) for key in ("alone", "hint", "ensemble"))
            names = [entry["rows"][key] for key in ("alone", "hint", "ensemble")]
            yield [
                " / ".join(names),
                entry["judge"],
                entry["condition"],
                str(entry["pairs"]),
                shares,
                _figure(entry["quality"], 2),
                shown,
            ]

    head = ["alone / hint / ensemble", "judge", "condition", "pairs", "protection", "quality", "95 %"]
    return _table(head, lines())


def _defences(entries: Sequence[Mapping[str, Any]]) -> str:
    def lines() -> Iterator[list[str]]:
        for entry in entries:
            for name, figures in entry["recognisers"].items():
                tar = f"{100 * figures['clean_tar']:.0f}"
                yield [entry["row"], entry["defence"], name, str(entry["pairs"]), tar, _shares(figures)]

    return _table(["attack", "defence", "recogniser", "pairs", "clean TAR", "protection"], lines())


def _figure(value: float | None, places: int) -> str:
    return "-" if value is None else f"{value:.{places}f}"
