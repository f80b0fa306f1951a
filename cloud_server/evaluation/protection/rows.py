"""Rows of the table: which attack, with which networks, at which budget. Also from a TOML file.

[[row]]
name = "mobilefacenet-512 + my-student"
surrogates = ["mobilefacenet-512", "my-student"]
budget = "8"                     # as `goodnoise protect --budget`
hints = false                    # the bundle's universal perturbations
grey = ["sface"]                 # who taught the student: no judge of this row

[[quality]]                      # see `quality.hint_quality`
alone = "mobilefacenet-512"
hint = "mobilefacenet-512 + my-student"
ensemble = "mobilefacenet-512 + sface"
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from cloud_server.hints.files import prebuilt_hints
from shared.attack.table import ATTACKS
from shared.bundle import Profile, sha256_hex
from shared.errors import Code, GoodnoiseError
from shared.levels.labels import LEVELS, Level

__all__ = ["ATTACK_ROWS", "CURVE", "LEVEL_ROWS", "ROWS", "Quality", "Row", "read_rows", "role_of"]

Kind = Literal["device", "noise", "universal", "crop"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row.

    Args:
        name: as the table shows it.
        kind: 'device' runs the device's own program; 'noise' (random signs), 'universal' (the bundle's
            perturbation alone) and 'crop' (an attack of the core's table on the aligned crop) are rows to
            compare with.
        surrogates: networks that are attacked.
        checkers: networks that decide when to stop.
        budget: as `goodnoise protect --budget`; for other kinds levels of 8 bits.
        album: whether the device has four other photos of the owner, neither of the pair.
        level: wire level; the last three talk to a cloud that is started for the row.
        hints: whether the bundle holds the project's universal perturbations.
        grey: networks that shaped the attack from afar, such as a student's teacher.
        profile: of the bundle.
        attack: of `shared.attack.table`, for kind 'crop'.
    """

    name: str
    kind: Kind = "device"
    surrogates: tuple[str, ...] = ()
    checkers: tuple[str, ...] = ()
    budget: str = "8"
    album: bool = False
    level: Level = "off"
    hints: bool = True
    grey: tuple[str, ...] = ()
    profile: Profile = "full"
    attack: str = ""

    @property
    def key(self) -> str:
        """Name and settings as a folder's name; rows that differ in anything but order have other keys."""
        settings = json.dumps(asdict(self), sort_keys=True)
        plain = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")
        return f"{plain[:60]}-{sha256_hex(settings.encode())[:8]}"

    @property
    def stops(self) -> bool:
        """Whether the device's recognisers decide which budget is enough."""
        return self.kind == "device" and self.budget in ("auto", "strong")


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Names of the three rows of a hint's quality."""

    alone: str
    hint: str
    ensemble: str


_ALL = ("mobilefacenet-512", "mobilefacenet-192", "sface")
_TWO = _ALL[:2]

ROWS: tuple[Row, ...] = (
    Row(name="random sign noise, 8 levels", kind="noise", hints=False),
    Row(name="universal perturbation only, 8 levels", kind="universal"),
    Row(name="one surrogate, 8 levels", surrogates=_ALL[:1]),
    Row(name="two surrogates, 8 levels", surrogates=_TWO),
    Row(name="two surrogates, 8 levels, album", surrogates=_TWO, album=True),
    Row(name="three surrogates, 8 levels", surrogates=_ALL),
    Row(name="three surrogates, 8 levels, album", surrogates=_ALL, album=True),
    Row(name="two surrogates, 36 dB", surrogates=_TWO, budget="36dB"),
    Row(name="two surrogates, 36 dB, album", surrogates=_TWO, budget="36dB", album=True),
    Row(name="three surrogates, 36 dB", surrogates=_ALL, budget="36dB"),
    Row(name="three surrogates, 36 dB, album", surrogates=_ALL, budget="36dB", album=True),
    Row(name="auto", surrogates=_ALL, budget="auto"),
    Row(name="auto, album", surrogates=_ALL, budget="auto", album=True),
)
# Protection against looks: sign steps by levels, L2 steps by PSNR.
CURVE: tuple[Row, ...] = tuple(
    Row(name=f"three surrogates, {budget}", surrogates=_ALL, budget=budget)
    for budget in ("2", "4", "6", "12", "40dB", "38dB", "34dB")
)
LEVEL_ROWS: tuple[Row, ...] = tuple(
    Row(name=f"two surrogates, 8 levels, wire level {level}", surrogates=_TWO, level=level, grey=("sface",))
    for level in LEVELS
)
ATTACK_ROWS: tuple[Row, ...] = tuple(
    Row(name=f"{name} on the crop, 8 levels", kind="crop", surrogates=_ALL[:1], attack=name, hints=False)
    for name in ("fgsm", "i-fgsm", "mi-fgsm", "di2-fgsm", "m-di2-fgsm")
)


def role_of(recogniser: str, row: Row) -> str:
    """'white', 'checker', 'grey' or 'judge'; '(selected on)' of who decides when the device stops."""
    if recogniser in row.checkers:
        return "checker (selected on)" if row.stops else "checker"
    if recogniser in row.surrogates:
        return "white (selected on)" if row.stops else "white"
    shaped = {*row.grey, *(_hint_ensemble() if row.hints else ())}
    return "grey" if recogniser in shaped else "judge"


def _hint_ensemble() -> set[str]:
    """Who the project's own hints were trained on."""
    sidecars = (json.loads(p.with_suffix(".json").read_text(encoding="utf-8")) for p in prebuilt_hints())
    return {name for sidecar in sidecars for name in sidecar["ensemble"]}


def read_rows(path: Path) -> tuple[tuple[Row, ...], tuple[Quality, ...]]:
    """Rows and qualities of a TOML file, see the module.

    Raises:
        GoodnoiseError: NOT_FOUND or INVALID_INPUT naming the file, the row and what is wrong.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise GoodnoiseError(Code.NOT_FOUND, f"{path} cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise GoodnoiseError(Code.INVALID_INPUT, f"{path} is no valid TOML: {error}") from error
    rows = tuple(_row(entry, str(path)) for entry in raw.get("row", []))
    names = [row.name for row in rows]
    if not rows or len(set(names)) != len(names):
        raise GoodnoiseError(Code.INVALID_INPUT, f"{path}: expected [[row]] tables, each with its own name")
    return rows, tuple(_quality(entry, names, str(path)) for entry in raw.get("quality", []))


def _row(entry: Mapping[str, Any], source: str) -> Row:
    strange = sorted(set(entry) - {field.name for field in fields(Row)})
    if strange or not isinstance(entry.get("name"), str):
        raise _bad(source, entry, f"unknown key {strange[0]!r}" if strange else "it has no name")
    usual = Row(name=entry["name"])
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    for key, value in given.items():
        expected = type(getattr(usual, key))
        if type(value) is not expected:
            raise _bad(source, entry, f"{key} is {value!r}, expected {expected.__name__}")
    row = Row(**dict[str, Any](given))
    _check(row, source, entry)
    return row


def _check(row: Row, source: str, entry: Mapping[str, Any]) -> None:
    for value, allowed, key in ((row.kind, get_args(Kind), "kind"), (row.level, LEVELS, "level")):
        if value not in allowed:
            raise _bad(source, entry, f"{key} is {value!r}, expected one of {', '.join(allowed)}")
    if row.kind in ("device", "crop") and not row.surrogates:
        raise _bad(source, entry, "it names no surrogates")
    if row.kind == "crop" and row.attack not in ATTACKS:
        raise _bad(source, entry, f"attack is {row.attack!r}, expected one of {', '.join(ATTACKS)}")


def _quality(entry: Mapping[str, Any], names: list[str], source: str) -> Quality:
    wanted = [str(entry.get(key)) for key in ("alone", "hint", "ensemble")]
    for name in wanted:
        if name not in names:
            raise GoodnoiseError(Code.INVALID_INPUT, f"{source}: [[quality]] names row {name!r}, not in it")
    return Quality(alone=wanted[0], hint=wanted[1], ensemble=wanted[2])


def _bad(source: str, entry: Mapping[str, Any], reason: str) -> GoodnoiseError:
    return GoodnoiseError(Code.INVALID_INPUT, f"{source}: row {entry.get('name', '?')!r}: {reason}")
