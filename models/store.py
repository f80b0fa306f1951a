"""The per-user folder of converted networks, and the cards that go with them.

NAME.onnx, NAME.json         a network of the zoo and the stamp that says what it was made from
own/NAME.onnx, own/NAME.toml a recogniser that the operator added
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import platformdirs

from shared.cards import Card, card_from_dict, card_to_dict
from shared.errors import Code, GoodnoiseError
from shared.files import storage_errors, write_atomically

__all__ = ["Store", "all_cards", "default_store", "load_card", "parse_card", "zoo_cards"]

# What decides how a network is converted; thresholds and texts may change without converting again.
_CONVERSION_KEYS = ("name", "kind", "size", "mean", "scale", "embedding", "metric", "origin", "text")


def default_store() -> Path:
    """The folder that `GOODNOISE_MODELS` names, or the user's data folder."""
    chosen = os.environ.get("GOODNOISE_MODELS")
    return Path(chosen) if chosen else Path(platformdirs.user_data_dir("goodnoise")) / "models"


def parse_card(content: str, *, source: str) -> Card:
    """A card from TOML text.

    Raises:
        GoodnoiseError: INVALID_INPUT naming the source and what is wrong.
    """
    try:
        raw = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise GoodnoiseError(Code.INVALID_INPUT, f"{source} is no valid TOML: {error}") from error
    return card_from_dict(raw, source=source)


def zoo_cards() -> dict[str, Card]:
    """The cards that come with the project, by name, detector last."""
    folder = files("models") / "cards"
    entries = sorted(
        (item for item in folder.iterdir() if item.name.endswith(".toml")), key=lambda item: item.name
    )
    cards = [parse_card(item.read_text(encoding="utf-8"), source=item.name) for item in entries]
    return {card.name: card for card in sorted(cards, key=lambda card: (card.kind == "detector", card.name))}


def all_cards(store: Path | None = None) -> dict[str, Card]:
    """The project's cards and the operator's own, by name."""
    own = (store or default_store()) / "own"
    paths = sorted(own.glob("*.toml")) if own.is_dir() else []
    added = [parse_card(path.read_text(encoding="utf-8"), source=str(path)) for path in paths]
    return {**zoo_cards(), **{card.name: card for card in added}}


def load_card(name: str, store: Path | None = None) -> Card:
    """One card.

    Raises:
        GoodnoiseError: NOT_FOUND naming those that exist.
    """
    cards = all_cards(store)
    if name not in cards:
        raise GoodnoiseError(Code.NOT_FOUND, f"there is no network {name!r}; known are {', '.join(cards)}")
    return cards[name]


@dataclass(frozen=True)
class Store:
    """Access to a folder of converted networks."""

    folder: Path

    def path(self, card: Card) -> Path:
        """Where the card's ONNX file lies or will lie."""
        base = self.folder if card.name in zoo_cards() else self.folder / "own"
        return base / f"{card.name}.onnx"

    def read(self, card: Card) -> bytes:
        """The card's ONNX file.

        Raises:
            GoodnoiseError: PRECONDITION when it was not fetched yet.
        """
        path = self.path(card)
        if not path.is_file():
            raise GoodnoiseError(
                Code.PRECONDITION,
                f"network {card.name!r} is not in {self.folder}; run 'goodnoise-models fetch'",
            )
        return path.read_bytes()

    def is_current(self, card: Card, converter: int) -> bool:
        """Whether the stored file was made from this card by this converter and is whole."""
        path = self.path(card)
        try:
            stamp = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            content = path.read_bytes()
        except (OSError, ValueError):
            return False
        return bool(stamp == _stamp(card, converter, content))

    def put(self, card: Card, converter: int, content: bytes) -> None:
        """Store a converted network; the stamp comes last, so an interrupted write is done again."""
        path = self.path(card)
        _write(path, content)
        stamp = json.dumps(_stamp(card, converter, content), indent=1, sort_keys=True) + "\n"
        _write(path.with_suffix(".json"), stamp.encode())

    def put_own(self, card: Card, card_text: str, content: bytes) -> Path:
        """Store an operator's recogniser; the card comes last and makes it known."""
        path = self.folder / "own" / f"{card.name}.onnx"
        _write(path, content)
        _write(path.with_suffix(".toml"), card_text.encode())
        return path


def _write(path: Path, content: bytes) -> None:
    with storage_errors(path.parent, setting="GOODNOISE_MODELS"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)


def _stamp(card: Card, converter: int, content: bytes) -> dict[str, str | int]:
    values = card_to_dict(card)
    made_from = json.dumps({key: values[key] for key in _CONVERSION_KEYS if key in values}, sort_keys=True)
    return {
        "card": hashlib.sha256(made_from.encode()).hexdigest(),
        "converter": converter,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
