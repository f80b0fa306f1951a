"""The texts of the widget and of the pages, in the languages of `strings.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import TypeAlias

__all__ = ["DEFAULT", "Texts", "language_for", "load_texts"]

Texts: TypeAlias = Mapping[str, Mapping[str, str]]
DEFAULT = "en"


def load_texts() -> Texts:
    """Texts by language and name."""
    found: Texts = json.loads(files(__package__).joinpath("static/strings.json").read_text("utf-8"))
    return found


def language_for(asked: str, accepted: str, texts: Texts) -> str:
    """The language to write in.

    Args:
        asked: by name, such as `de` or `pt-BR`; empty when nobody asked.
        accepted: the header `Accept-Language`.
        texts: which languages there are.
    """
    for tag in (asked, *_by_preference(accepted)):
        base = tag.strip().lower().replace("_", "-").partition("-")[0]
        if base in texts:
            return base
    return DEFAULT


def _by_preference(accepted: str) -> list[str]:
    weighted = []
    for entry in accepted[:500].split(","):
        tag, _, parameter = entry.partition(";")
        weighted.append((_weight(parameter), tag))
    return [tag for weight, tag in sorted(weighted, key=lambda pair: -pair[0]) if weight > 0]


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    try:
        return float(value) if name == "q" else 1.0
    except ValueError:
        return 0.0
