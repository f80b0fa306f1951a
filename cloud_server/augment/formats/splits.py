"""Which part of a dataset something belongs to, by the names that people give."""

from __future__ import annotations

import re
from pathlib import Path

from cloud_server.augment.types import Source
from shared.errors import Code, GoodnoiseError

__all__ = ["HELD_OUT", "refuse_held_out", "split_called", "split_in", "split_of", "wanted_split"]

_NAMES = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev", "develop", "development"),
    "test": ("test", "testing", "eval", "evaluation", "holdout", "heldout"),
}
_BY_NAME = {name: split for split, names in _NAMES.items() for name in names}
HELD_OUT = frozenset({"validation", "test"})
# As in test_set, val2017, training-data.
_ADDED = re.compile(r"[-_. ]?(set|split|data|images|(19|20)\d\d)$")
_FILLING = frozenset({"", "set", "split", "data", "images"})
_SUFFIXES = re.compile(r"(\.(parquet|tar|gz|npz|npy))+$")


def split_called(name: str) -> str:
    """The split that a folder of this name holds; empty for any other name."""
    return _BY_NAME.get(_ADDED.sub("", _joined(name)), "")


def split_in(file: str) -> str:
    """The split that a data file's name begins with or ends in, as `test-00000-of-00002.parquet`."""
    stem = _SUFFIXES.sub("", _joined(file))
    words = re.split(r"[^a-z]+", re.sub(r"\d+-of-\d+", "", stem))
    words = [word for word in words if word not in _FILLING]
    found = [split for word in (words[:1] + words[-1:]) if (split := split_called(word))]
    return found[0] if found else ""


def split_of(path: Path) -> str:
    """The split that a folder holds, by its own name, however the path to it is written."""
    return split_called(path.absolute().name) or split_called(path.resolve().name)


def wanted_split(said: str | None, named: str) -> str:
    """What a part is: as its user says, unless its own name says that it is held out.

    Args:
        said: by the user; None for nothing.
        named: what its folder or file name says; empty for nothing.
    """
    if named in HELD_OUT or not said:
        return named
    return split_called(said) or said


def _joined(name: str) -> str:
    return re.sub(r"(hold|held)[-_. ]out", r"\1out", name.lower())


def refuse_held_out(source: Source) -> None:
    """Nothing may be made from, or written beside, what a model is judged by.

    Raises:
        GoodnoiseError: PRECONDITION for a validation or test split.
    """
    if source.split in HELD_OUT or split_called(source.split) in HELD_OUT:
        raise GoodnoiseError(
            Code.PRECONDITION,
            f"a {source.split} split: what is made from it would leak into what models are judged by; "
            "give the training split, or rename what is not held out",
        )
