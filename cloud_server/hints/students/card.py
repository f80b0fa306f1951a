"""The card of a trained student, as TOML for `goodnoise-models add`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.bundle import sha256_hex
from shared.cards import Card, Threshold

__all__ = ["Made", "card_text"]


@dataclass(frozen=True)
class Made:
    """A student that was trained: what it is, what it came from, and what was measured."""

    name: str
    teacher: Card
    body: Card
    content: bytes
    threshold: Threshold
    figures: Mapping[str, Any]
    parameters: int


def card_text(made: Made, *, file: str) -> str:
    """The card, TOML. What its licence allows is what both its parents' allow."""
    parents = (made.body, made.teacher)
    allowed = "yes" if all(card.licence.redistribution == "yes" for card in parents) else "unknown"
    held = made.figures["held_out"]
    mine, before = held["student"], held["body"]
    named = " and ".join(f"{card.name} ({card.licence.name})" for card in parents)
    lines = {
        "name": made.name,
        "title": f"Student of {made.teacher.title}",
        "kind": "recogniser",
        "architecture": f"{made.body.architecture}, fine-tuned to the input gradients of {made.teacher.name}",
        "parameters": made.parameters,
        "frame": "arcface112",
        "size": 112,
        "mean": 0,
        "scale": 1 / 255,
        "embedding": made.teacher.embedding,
        "metric": "cosine",
        "teacher": made.teacher.name,
        "notes": f"On {held['people']} people held out: cosine of input gradients to {made.teacher.name} "
        f"{mine['gradient_cosine']:.3f} ({made.body.name}: {before['gradient_cosine']:.3f}); similarity "
        f"that an attack on it leaves there {mine['transfer']:.2f} ({made.body.name}: "
        f"{before['transfer']:.2f}). Trained on {made.figures['trained_on']}.",
    }
    threshold = {
        "value": round(made.threshold.value, 6),
        "far": made.threshold.far,
        "tar": round(made.threshold.tar, 4),
        "data": made.threshold.data,
    }
    origin = {
        "registry": "file",
        "package": "trained by goodnoise-cloud hints student",
        "version": "1",
        "sha256": "",
        "files": [file],
        "file_sha256": [sha256_hex(made.content)],
    }
    licence = {
        "name": f"derived from {named}",
        "stated_in": "the cards of both networks",
        "redistribution": allowed,
        "evidence": f"Weights of {made.body.name}, trained further on answers of {made.teacher.name}: it may "
        "be passed on where both may.",
    }
    tables = (("threshold", threshold), ("origin", origin), ("licence", licence))
    return _table(lines) + "".join(f"\n[{name}]\n{_table(values)}" for name, values in tables)


def _table(values: Mapping[str, Any]) -> str:
    # JSON's texts, numbers and lists are TOML's too.
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items())
