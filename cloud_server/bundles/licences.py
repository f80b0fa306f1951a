"""Licences of a bundle's weights: refusing what may not be passed on, and the notice that travels along."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from importlib.resources import files

from shared.cards import Card
from shared.errors import Code, GoodnoiseError

__all__ = ["accepted_among", "notice", "refuse_unaccepted"]

# Texts that come with the project; a licence that asks for no text (CC0) needs none.
_TEXTS = {"Apache-2.0": "apache-2.0.txt", "MIT": "mit.txt"}


def refuse_unaccepted(cards: Sequence[Card], accepted: Collection[str], *, command: str) -> None:
    """Stop unless every card's weights may be passed on or were accepted by name.

    Args:
        cards: networks that shall go into a bundle.
        accepted: names that the operator accepted.
        command: what the operator typed; the message completes it.

    Raises:
        GoodnoiseError: PERMISSION naming each network, the evidence and the command that accepts them.
    """
    missing = [card for card in cards if not card.redistributable and card.name not in accepted]
    if not missing:
        return
    listed = "\n".join(
        f"  {card.name}: redistribution {card.licence.redistribution!r}. {card.licence.evidence}"
        for card in missing
    )
    names = [*accepted, *(card.name for card in missing)]
    options = " ".join(f"--accept-licence {name}" for name in dict.fromkeys(names))
    raise GoodnoiseError(
        Code.PERMISSION,
        f"it is not shown that these weights may be passed on:\n{listed}\n"
        f"If you may pass them on, or the bundle stays on your own machines, accept them by name:\n"
        f"  {command} {options}",
        {"missing": " ".join(card.name for card in missing)},
    )


def accepted_among(cards: Sequence[Card]) -> tuple[str, ...]:
    """Names of the cards that are in a bundle only because an operator accepted their licence."""
    return tuple(sorted(card.name for card in cards if not card.redistributable))


def notice(cards: Sequence[Card]) -> str:
    """Origin, version, licence and evidence of each network, what was changed, and the licences' texts."""
    entries = "\n".join(_entry(card) for card in cards)
    used = {word for card in cards for word in re.findall(r"[A-Za-z0-9.-]+", card.licence.name)}
    texts = "\n\n".join(f"{'=' * 78}\n{name}\n\n{_text(name)}" for name in sorted(used & set(_TEXTS)))
    return (
        "Networks in this bundle, where they come from and under which licence.\n\n"
        "Changed by Goodnoise: weights and graph were converted to ONNX, preprocessing and batch norm are\n"
        "part of the graph, weights may be stored with fewer bits, and surrogates also return a gradient.\n"
        f"The weights were not trained further.\n\n{entries}\n{texts}"
    )


def _entry(card: Card) -> str:
    origin, licence = card.origin, card.licence
    lines = [
        f"{card.name}: {card.title}",
        f"  origin: {origin.registry} package {origin.package} {origin.version}",
    ]
    for name, digest in zip(origin.files, origin.file_sha256, strict=True):
        lines.append(f"  file: {name}, sha256 {digest}")
    lines += [
        f"  licence: {licence.name}",
        f"  stated in: {licence.stated_in}",
        f"  may be passed on: {licence.redistribution}",
        f"  evidence: {licence.evidence}",
    ]
    return "\n".join(lines) + "\n"


def _text(name: str) -> str:
    return (files("cloud_server.bundles") / "licences" / _TEXTS[name]).read_text(encoding="utf-8")
