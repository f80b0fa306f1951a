"""A job: what a recipe file says, checked before anything is read or made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from cloud_server.augment.recipe import Recipe
from cloud_server.augment.recipes import RECIPES
from cloud_server.augment.weights import BALANCES, Balance
from cloud_server.augment.yamlfile import Fields, read_fields
from shared.errors import Code, GoodnoiseError

__all__ = ["ENCODINGS", "FORMATS", "SHARD", "Job", "Resize", "Train", "parse_job", "read_job"]

# Draws of one shard, and the most images that the surrogate gets at once.
SHARD = 64
# True is the surrogate's size, or the first image's; or height and width.
Resize: TypeAlias = bool | tuple[int, int]
_KEYS = (
    "recipe",
    "changes",
    "sampling_strategy",
    "seed",
    "surrogate",
    "second",
    "split",
    "label",
    "group",
    "resize",
    "encoding",
    "format",
    "shard",
)
ENCODINGS = ("png", "jpeg-95", "webp-lossless")
FORMATS = ("auto", "folder", "parquet", "webdataset", "npz")


@dataclass(frozen=True)
class Train:
    """A surrogate that is trained on the dataset before anything is made.

    Args:
        network: a name of `models.vision.networks`.
        updates: steps of the optimiser.
        batch: images a step.
        rate: the highest learning rate.
        augment: 'flip-crop', or 'none' for pictures that must not be mirrored.
        balance: 'sampling', 'deferred' or 'none', see `weights.Balance`; with 'none' hardly any attack
            reaches a rare class.
    """

    network: str = "small"
    updates: int = 2000
    batch: int = 128
    rate: float = 0.2
    augment: Literal["none", "flip-crop"] = "flip-crop"
    balance: Balance = "sampling"


@dataclass(frozen=True)
class Job:
    """All that decides a run's bytes, beside the dataset.

    Args:
        recipe: the row, with what the file changed.
        strategy: `sampling_strategy`: a word, a share, or counts afterwards by class.
        seed: of everything random.
        surrogate: how it is trained, or the file it is in; not used by recipes that attack nothing, so that a
            control differs from its recipe in one word.
        second: file of the network whose evidence for the parent's class is held down (M2m); None is the
            surrogate.
        split: which part of the dataset; None is the training part where it says so.
        label: column of the labels, for formats with columns.
        group: column of the bias attribute.
        resize: bring parents to one size first; see `Resize`.
        encoding: of what is made; samples are judged after it.
        format: of the output; 'auto' is the input's.
        shard: draws that are made and written at once: what an interruption can cost.
    """

    recipe: Recipe
    strategy: str | float | Mapping[str, int] = "auto"
    seed: int = 0
    surrogate: Train | Path = Train()
    second: Path | None = None
    split: str | None = None
    label: str = "label"
    group: str | None = None
    resize: Resize = False
    encoding: str = "png"
    format: str = "auto"
    shard: int = SHARD

    @property
    def batch(self) -> int:
        """Images that the surrogate gets at once."""
        return min(self.shard, SHARD)

    @property
    def digest(self) -> str:
        """SHA-256 of all settings, hexadecimal; files of networks by what is in them is the runner's part."""
        trained = asdict(self.surrogate) if isinstance(self.surrogate, Train) else "file"
        strategy = dict(self.strategy) if isinstance(self.strategy, Mapping) else self.strategy
        said = {
            "recipe": self.recipe.digest,
            "strategy": strategy,
            "seed": self.seed,
            "surrogate": trained,
            "second": self.second is not None,
            "split": self.split,
            "label": self.label,
            "group": self.group,
            "resize": self.resize,
            "encoding": self.encoding,
            "format": self.format,
            "shard": self.shard,
        }
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def read_job(path: Path) -> Job:
    """The job of a recipe file; paths in it are relative to its folder.

    Raises:
        GoodnoiseError: NOT_FOUND, or INVALID_INPUT naming line, key and value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise GoodnoiseError(Code.INVALID_INPUT, f"{path} is no text; give a recipe file (YAML)") from error
    except OSError as error:
        raise GoodnoiseError(
            Code.NOT_FOUND, f"cannot read the recipe file {path}: {error.strerror or error}"
        ) from error
    return parse_job(text, where=path.name, folder=path.parent)


def parse_job(text: str, *, where: str = "recipe", folder: Path | None = None) -> Job:
    """The job of a recipe file's text.

    Args:
        text: YAML.
        where: what errors call it.
        folder: what paths of networks are relative to; None refuses paths, for a text from a peer.

    Raises:
        GoodnoiseError: INVALID_INPUT naming line, key and value.
    """
    fields = read_fields(text, where=where)
    fields.only(_KEYS)
    return Job(
        recipe=_recipe(fields),
        strategy=_strategy(fields),
        seed=fields.whole("seed", 0, 0, 2**63 - 1),
        surrogate=_surrogate(fields, folder),
        second=_file(fields, "second", folder),
        split=fields.text("split", None),
        label=fields.word("label", "label"),
        group=fields.text("group", None),
        resize=_resize(fields),
        encoding=fields.word("encoding", "png", ENCODINGS),
        format=fields.word("format", "auto", FORMATS),
        shard=fields.whole("shard", SHARD, 1, 4096),
    )


def _recipe(fields: Fields) -> Recipe:
    if "recipe" not in fields.values:
        fields.refuse("recipe", f"name one of {', '.join(RECIPES)}")
    row = RECIPES[fields.word("recipe", "", tuple(RECIPES))]
    changes = fields.fields("changes")
    if changes is None:
        return row
    given = {str(key): value for key, value in changes.values.items()}
    made: Recipe = fields.tried("changes", lambda: row.with_(**given))
    return made


def _strategy(fields: Fields) -> str | float | Mapping[str, int]:
    value = fields.values.get("sampling_strategy", "auto")
    if isinstance(value, Mapping):
        inner = Fields(fields.where, value, fields.lines, "sampling_strategy.")
        for key in value:
            if isinstance(key, bool) or not isinstance(key, str | int):
                fields.refuse(
                    "sampling_strategy", f"a class is named by a text, got {key!r}; write it in quotes"
                )
        return {str(key): inner.whole(key, 0, 0, 2**31) for key in value}
    if isinstance(value, str):
        return fields.word("sampling_strategy", "auto", _WORDS)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value <= 1.0:
        fields.refuse(
            "sampling_strategy",
            f"must be one of {', '.join(_WORDS)}, a share of the largest class above 0 and up to 1, or "
            f"counts afterwards by class, got {value!r}",
        )
    return float(value)


_WORDS = ("auto", "minority", "not minority", "not majority", "all")


def _surrogate(fields: Fields, folder: Path | None) -> Train | Path:
    inner = fields.fields("surrogate")
    if inner is None:
        return Train()
    inner.only(("train", "path"))
    if len(inner.values) > 1:
        fields.refuse("surrogate", "give train or path, not both")
    path = _file(inner, "path", folder)
    return _train(inner.fields("train")) if path is None else path


def _train(fields: Fields | None) -> Train:
    if fields is None:
        return Train()
    plain = Train()
    fields.only(tuple(asdict(plain)))
    augment = fields.word("augment", plain.augment, ("none", "flip-crop"))
    balance = fields.word("balance", plain.balance, BALANCES)
    return Train(
        network=fields.word("network", plain.network),
        updates=fields.whole("updates", plain.updates, 1, 10**7),
        batch=fields.whole("batch", plain.batch, 2, 65536),
        rate=fields.number("rate", plain.rate, 1e-6, 10.0),
        augment="none" if augment == "none" else "flip-crop",
        balance=next(b for b in BALANCES if b == balance),
    )


def _file(fields: Fields, key: str, folder: Path | None) -> Path | None:
    text = fields.text(key, None)
    if text is None:
        return None
    if folder is None:
        fields.refuse(key, "files cannot be named here; let a surrogate be trained")
    return folder / text


def _resize(fields: Fields) -> Resize:
    value: Any = fields.values.get("resize", False)
    if isinstance(value, bool):
        return value
    sides = value if isinstance(value, list) else []
    if len(sides) == 2 and all(type(n) is int and 1 <= n <= 16384 for n in sides):
        return (sides[0], sides[1])
    return fields.refuse("resize", f"must be true, false, or [height, width], got {value!r}")
