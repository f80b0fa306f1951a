"""Which part of a dataset something belongs to, by the names that people give."""

from __future__ import annotations

import re

from cloud_server.augment.types import Source
from shared.errors import Code, GoodnoiseError

__all__ = ["HELD_OUT", "refuse_held_out", "split_called", "split_in"]

_NAMES = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev", "develop", "development"),
    "test": ("test", "testing", "eval", "evaluation", "holdout", "held-out", "heldout", "hold-out"),
}
_BY_NAME = {name: split for split, names in _NAMES.items() for name in names}
HELD_OUT = frozenset({"validation", "test"})


def split_called(name: str) -> str:
    """The split that a folder of this name holds; empty for any other name."""
    return _BY_NAME.get(name.lower().replace("_", "-"), "")


def split_in(file: str) -> str:
    """The split that a data file's name begins with or ends in, as `test-00000-of-00002.parquet`."""
    words = [word for word in re.split(r"[^a-z]+", file.lower().split(".")[0]) if word]
    found = [_BY_NAME[word] for word in (words[:1] + words[-1:]) if word in _BY_NAME]
    return found[0] if found else ""


def refuse_held_out(source: Source) -> None:
    """Nothing may be made from, or written beside, what a model is judged by.

    Raises:
        GoodnoiseError: PRECONDITION for a validation or test split.
    """
    if source.split in HELD_OUT or split_called(source.split) in HELD_OUT:
        raise GoodnoiseError(
            Code.PRECONDITION,
            f"a {source.split} split: what is made from it would leak into what models are judged by; "
            "give the training split",
        )
