"""YAML that is read strictly: safe values only, no key twice, and the line of each for the error."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

from shared.errors import Code, GoodnoiseError

__all__ = ["Fields", "read_fields"]

_LARGEST = 64 * 1024
_DEEPEST = 6


@dataclass(frozen=True)
class Fields:
    """The keys of a mapping, each checked as it is taken.

    Args:
        where: the file's name, for errors.
        values: what the file says.
        lines: where it says so, from 1, by the key's whole path.
        path: of this mapping, with a dot at its end; empty for the outermost.
    """

    where: str
    values: Mapping[str, Any]
    lines: Mapping[str, int]
    path: str = ""

    def only(self, known: Collection[str]) -> None:
        """Refuse keys that nothing reads.

        Raises:
            GoodnoiseError: INVALID_INPUT naming the first.
        """
        for key in self.values:
            if key not in known:
                self.refuse(key, f"there is no such key; known are {', '.join(known)}")

    def refuse(self, key: str, why: str) -> NoReturn:
        """Raise INVALID_INPUT that names file, line and key."""
        path = f"{self.path}{key}"
        line = f" line {self.lines[path]}" if path in self.lines else ""
        raise GoodnoiseError(Code.INVALID_INPUT, f"{self.where}{line}: {path}: {why}")

    def text(self, key: str, default: str | None, choices: Collection[str] = ()) -> str | None:
        """A word, one of the choices where there are some."""
        value = self.values.get(key, default)
        if value is None and default is None:
            return None
        if not isinstance(value, str) or not value:
            self.refuse(key, f"must be a text, got {value!r}")
        if choices and value not in choices:
            self.refuse(key, f"must be one of {', '.join(choices)}, got {value!r}")
        return value

    def word(self, key: str, default: str, choices: Collection[str] = ()) -> str:
        """As `text`, where there is always one."""
        return self.text(key, default, choices) or default

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        """A whole number in a range, both ends included."""
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.refuse(key, f"must be a whole number of {low} to {high}, got {value!r}")
        return value

    def number(self, key: str, default: float, low: float, high: float) -> float:
        """A number in a range, both ends included."""
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            self.refuse(key, f"must be a number of {low:g} to {high:g}, got {value!r}")
        return float(value)

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false, nothing that YAML takes for a text or a number."""
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            self.refuse(key, f"must be true or false, got {value!r}")
        return value

    def fields(self, key: str) -> Fields | None:
        """The mapping under a key; None where there is none."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            self.refuse(key, f"must be keys and values, got {value!r}")
        return Fields(self.where, value, self.lines, f"{self.path}{key}.")

    def tried(self, key: str, make: Callable[[], Any]) -> Any:  # noqa: ANN401 - what it makes
        """What a function makes of it; its ValueError becomes this key's refusal."""
        try:
            return make()
        except ValueError as error:
            self.refuse(key, str(error))


def read_fields(text: str, *, where: str) -> Fields:
    """The outermost mapping of a YAML text.

    Args:
        text: at most 64 KiB.
        where: what errors call it.

    Raises:
        GoodnoiseError: INVALID_INPUT naming file and line, for what is no YAML, holds a key twice, an
            anchor, or anything but plain values.
    """
    if len(text) > _LARGEST:
        raise GoodnoiseError(Code.INVALID_INPUT, f"{where}: {len(text)} characters; {_LARGEST} are enough")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        lines: dict[str, int] = {}
        if root is not None:
            _walk(root, "", lines, set(), where)
        values = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise GoodnoiseError(Code.INVALID_INPUT, f"{where}: no YAML: {_said(error)}") from error
    if not isinstance(values, dict):
        raise GoodnoiseError(Code.INVALID_INPUT, f"{where}: expected keys and values, such as 'recipe: m2m'")
    return Fields(where, values, lines)


def _walk(node: yaml.Node, path: str, lines: dict[str, int], seen: set[int], where: str) -> None:
    line = node.start_mark.line + 1
    if id(node) in seen:
        raise GoodnoiseError(Code.INVALID_INPUT, f"{where} line {line}: no anchors; write it out")
    seen.add(id(node))
    if len(seen) > _LARGEST or path.count(".") > _DEEPEST:
        raise GoodnoiseError(Code.INVALID_INPUT, f"{where} line {line}: nothing is nested so deep")
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if f"{path}{name}" in lines:
                first = f"it is in line {lines[path + name]} already; keep one"
                raise GoodnoiseError(Code.INVALID_INPUT, f"{where} line {line}: {path}{name}: {first}")
            lines[f"{path}{name}"] = line
            _walk(value, f"{path}{name}.", lines, seen, where)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _walk(value, f"{path}-.", lines, seen, where)


def _said(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f"line {mark.line + 1}: {problem}" if mark is not None else str(problem)
