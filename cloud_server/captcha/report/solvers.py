"""Solvers: programs that read CAPTCHAs, each behind one interface and held to the service's alphabet.

An attacker knows the alphabet. So programs that score classes choose among its characters alone, a letter's
lower case counts as the letter, and what another program reads beyond the alphabet is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from cloud_server.captcha.challenges.types import DRAWN
from cloud_server.captcha.report.preprocess import Grey
from cloud_server.captcha.report.tesseract import Tesseract
from models.store import Store, default_store, load_card
from models.text.reading import TextReader, open_reader
from shared.errors import Code, GoodnoiseError

__all__ = ["SOLVERS", "Absent", "Columns", "Solver", "open_solvers"]

Scores: TypeAlias = npt.NDArray[np.float32]


class Solver(Protocol):
    """A program that reads images."""

    @property
    def name(self) -> str:
        """As in the report."""

    @property
    def version(self) -> str:
        """Of program or weights."""

    @property
    def seen(self) -> bool:
        """Whether the images were made against it; then its figure says nothing about strange programs."""

    def read(self, images: Sequence[Grey]) -> list[str]:
        """Texts of images uint8 H W, upper case, characters of the alphabet only."""


@dataclass(frozen=True)
class Absent:
    """A solver that is not here, and why, for its row of the report."""

    name: str
    reason: str


@dataclass(frozen=True)
class Columns:
    """A solver that scores characters column by column (CTC), read greedily among the alphabet and blank.

    Args:
        name: as in the report.
        version: of its package.
        seen: whether the images were made against it.
        characters: what each class stands for, "" for the blank.
        score: scores of one image, uint8 H W, as T C; higher is likelier.
    """

    name: str
    version: str
    seen: bool
    characters: tuple[str, ...]
    score: Callable[[Grey], Scores]

    def read(self, images: Sequence[Grey]) -> list[str]:
        """Texts of images uint8 H W."""
        groups = _groups(self.characters)
        return [_greedy(self.score(image), groups) for image in images]


def _groups(characters: Sequence[str]) -> list[list[int]]:
    """Classes of the blank, then of each character that challenges draw from, in both cases."""
    of: dict[str, list[int]] = {wanted: [] for wanted in ("", *DRAWN)}
    for index, character in enumerate(characters):
        if character.upper() in of:
            of[character.upper()].append(index)
    return list(of.values())


def _greedy(scores: Scores, groups: list[list[int]]) -> str:
    absent = np.full(len(scores), -np.inf, np.float32)
    merged = [scores[:, group].max(axis=1) if group else absent for group in groups]
    path = np.stack(merged, axis=1).argmax(axis=1).tolist()
    return "".join(DRAWN[k - 1] for k, before in zip(path, [0, *path], strict=False) if k and k != before)


def _open_zoo(name: str, card: str, *, seen: bool, store: Store) -> Columns:
    reader: TextReader = open_reader(card, store)

    def score(image: Grey) -> Scores:
        scaled = image[None].astype(np.float32) / np.float32(255)
        return np.asarray(reader.log_probs(scaled)[0], np.float32)

    release = load_card(card, store.folder).origin.version
    return Columns(name, release, seen, reader.characters, score)


def _open_ddddocr(name: str, *, beta: bool, seen: bool) -> Columns:
    """The package's files and character list; only the choice among characters is made here, not by it."""
    import cv2
    import onnxruntime

    try:
        import ddddocr
        from ddddocr.models.charset_manager import CharsetManager
    except ImportError as error:
        raise GoodnoiseError(
            Code.PRECONDITION, 'ddddocr is not installed; run: pip install "goodnoise[captcha]"'
        ) from error
    manager = CharsetManager()
    manager.load_default_charset(not beta, beta)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    file = "common.onnx" if beta else "common_old.onnx"
    session = onnxruntime.InferenceSession(
        f"{ddddocr.__path__[0]}/{file}", options, providers=["CPUExecutionProvider"]
    )
    entry = session.get_inputs()[0].name

    def score(image: Grey) -> Scores:
        # Its networks take 64 rows, and columns in proportion.
        wide = max(1, round(image.shape[1] * 64 / image.shape[0]))
        fitted = cv2.resize(image, (wide, 64), interpolation=cv2.INTER_AREA)
        found = session.run(None, {entry: fitted[None, None].astype(np.float32) / np.float32(255)})[0]
        return np.asarray(found, np.float32)[:, 0]

    return Columns(name, version("ddddocr"), seen, tuple(manager.get_charset()), score)


Opener: TypeAlias = Callable[[bool, Store], Solver]
SOLVERS: Mapping[str, Opener] = MappingProxyType(
    {
        "ppocr": lambda seen, store: _open_zoo("ppocr", "ppocr-v6-rec", seen=seen, store=store),
        "whisperer": lambda seen, store: _open_zoo("whisperer", "captcha-whisperer", seen=seen, store=store),
        "ddddocr": lambda seen, _: _open_ddddocr("ddddocr", beta=True, seen=seen),
        "ddddocr-old": lambda seen, _: _open_ddddocr("ddddocr-old", beta=False, seen=seen),
        "tesseract": lambda seen, _: Tesseract.open(seen=seen),
    }
)


def open_solvers(
    names: Sequence[str] = tuple(SOLVERS), *, seen: Sequence[str] = (), store: Store | None = None
) -> tuple[list[Solver], list[Absent]]:
    """Those solvers that are here, and those that are not.

    Args:
        names: of `SOLVERS`.
        seen: names of those that the images were made against.
        store: of the zoo's networks; the user's own by default.

    Raises:
        GoodnoiseError: INVALID_INPUT for a name that is not known.
    """
    here: list[Solver] = []
    absent: list[Absent] = []
    for name in names:
        if name not in SOLVERS:
            raise GoodnoiseError(
                Code.INVALID_INPUT, f"there is no solver {name!r}; known are {', '.join(SOLVERS)}"
            )
        try:
            here.append(SOLVERS[name](name in seen, store or Store(default_store())))
        except (GoodnoiseError, PackageNotFoundError) as error:
            absent.append(Absent(name, str(error)))
    return here, absent
