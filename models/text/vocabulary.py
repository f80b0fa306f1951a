"""What readers of the zoo have in common: their characters, how images are made to fit, how paths read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import onnx

from shared.attack.transforms import matrices
from shared.attack.transforms.matrices import Matrix
from shared.cards import TextInput
from shared.errors import Code, GoodnoiseError

__all__ = ["OTHER", "Classes", "characters_in", "fitting", "greedy"]

# How a character outside the alphabet is written in a reading.
OTHER = "?"


def characters_in(content: bytes, *, source: str) -> tuple[str, ...]:
    """What each class of a stored reader stands for, "" for the blank.

    Raises:
        GoodnoiseError: CORRUPT when the file does not say.
    """
    model = onnx.load_from_string(content)
    entries = {item.key: item.value for item in model.metadata_props}
    if "characters" not in entries:
        raise GoodnoiseError(
            Code.CORRUPT, f"{source} says nothing of its characters; run 'goodnoise-models fetch' again"
        )
    return tuple(json.loads(entries["characters"]))


def fitting(height: int, width: int, text: TextInput) -> tuple[Matrix, Matrix]:
    """Matrices that make images of this size fit a reader: rows H' H and columns W' W, bilinear."""
    wide = text.width or max(1, -(-text.height * width // height))
    return (
        matrices.bilinear(text.height, height, antialias=text.antialias),
        matrices.bilinear(wide, width, antialias=text.antialias),
    )


@dataclass(frozen=True)
class Classes:
    """From a reader's own classes to those of an alphabet: 0 blank, 1 + i character i, the last any other.

    Upper and lower case of a letter are one class.

    Args:
        characters: of the reader's classes, "" for the blank.
        alphabet: characters that count, upper case.

    Raises:
        ValueError: when the alphabet has characters that the reader does not know.
    """

    characters: tuple[str, ...]
    alphabet: str

    def __post_init__(self) -> None:
        unknown = sorted(set(self.alphabet) - {character.upper() for character in self.characters})
        if unknown:
            raise ValueError(f"alphabet: the reader does not know {''.join(unknown)!r}, expected a subset")

    @property
    def count(self) -> int:
        """Classes of the alphabet, blank and other included."""
        return len(self.alphabet) + 2

    @cached_property
    def targets(self) -> npt.NDArray[np.int64]:
        """The class of the alphabet of each of the reader's classes."""
        wanted = {"": 0} | {character: 1 + place for place, character in enumerate(self.alphabet)}
        found = [wanted.get(character.upper(), self.count - 1) for character in self.characters]
        return np.array(found, np.int64)

    def text(self, path: Sequence[int]) -> str:
        """The text of a path of the alphabet's classes, `OTHER` where a character is not of the alphabet."""
        names = ("", *self.alphabet, OTHER)
        return "".join(names[place] for place in path)


def greedy(best: npt.NDArray[np.int64], *, blank: int) -> list[list[int]]:
    """CTC's greedy reading: repeats merged, blanks dropped.

    Args:
        best: the likeliest class of each column, N T.
        blank: the class that says nothing.
    """
    fresh = np.concatenate([np.ones((len(best), 1), np.bool_), best[:, 1:] != best[:, :-1]], axis=1)
    return [row[keep].tolist() for row, keep in zip(best, fresh & (best != blank), strict=True)]
