"""Figure 1 from start to end: train, measure what is missing, sum up, write JSON, Markdown, pictures, kit."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cloud_server.paper.figure1.experiment import (
    Bench,
    Progress,
    kept_levels,
    measure_all,
    train_all,
    unit_path,
)
from cloud_server.paper.figure1.letters import make_letters
from cloud_server.paper.figure1.pictures import curves_over_rmse, figure
from cloud_server.paper.figure1.readers import public_readers
from cloud_server.paper.figure1.report import markdown
from cloud_server.paper.figure1.settings import LETTERS, Protocol, Unit
from cloud_server.paper.figure1.study.kit import Pool, check_enough, write_kit
from cloud_server.paper.figure1.summary import summarise
from cloud_server.paper.journal import Journal
from shared.errors import Code, GoodnoiseError
from shared.files import storage_errors, write_atomically

__all__ = ["SHOWN", "Order", "draw_with_people", "make_figure"]

# As in the paper: an OCR of LSTM columns that learnt from noisy letters, attacked with its own gradients.
SHOWN = Unit("fgsm", "lstm-noise")
_EXAMPLES = "AEHKRS"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to make.

    Args:
        protocol: what decides the figures.
        participants: of the study whose kit is written; 0 for no kit.
        public: whether public readers read, where they are installed.
        out: folder of the results.
    """

    protocol: Protocol
    participants: int
    public: bool
    out: Path


def make_figure(order: Order, *, progress: Progress) -> str:
    """Make the figure and return its Markdown; a second run of the same order measures nothing again.

    Raises:
        GoodnoiseError: for what is missing, broken or cannot be written.
    """
    _require("matplotlib")
    protocol = order.protocol
    if order.participants:
        check_enough(min(protocol.test, protocol.kept), 1 + 2 * protocol.levels)
    readers = public_readers() if order.public else {}
    work = order.out / "work" / protocol.key()
    nets = order.out / "work" / f"nets-{protocol.training_key()}"
    bench = Bench(
        protocol,
        make_letters("test", protocol.test, seed=protocol.seed),
        train_all(protocol, nets, progress=progress),
        readers,
    )
    journal = Journal(work / f"levels-{_fingerprint(sorted(readers))}.jsonl")
    measure_all(bench, journal, work, progress=progress)
    summary = summarise(protocol, journal)
    text = markdown(protocol, summary)
    _write(order.out / "figure1.json", _as_json(protocol, summary))
    _write(order.out / "figure1.md", text.encode())
    examples = _examples(bench, work)
    _write(order.out / "figure1.png", figure(summary, examples))
    _write(order.out / "rmse.png", curves_over_rmse(summary, [net.name for net in protocol.nets]))
    _write(order.out / "examples.npz", _pack(examples))
    if order.participants:
        write_kit(
            _pool(bench, work), order.out / "study", participants=order.participants, seed=protocol.seed
        )
    return text


def draw_with_people(results: Path, people: dict[str, Any], out: Path) -> None:
    """Draw the figure again with the curves of a study in it.

    Args:
        results: folder of `make_figure`.
        people: of `study.analysis`, as JSON values.
        out: where figure1.png goes.

    Raises:
        GoodnoiseError: NOT_FOUND when the folder holds no results.
    """
    _require("matplotlib")
    try:
        summary = json.loads((results / "figure1.json").read_text())["summary"]
        with np.load(results / "examples.npz") as stored:
            examples = {name: list(stored[name]) for name in stored}
    except (OSError, ValueError, KeyError) as error:
        raise GoodnoiseError(
            Code.NOT_FOUND, f"{results} holds no results of 'paper figure1' ({error}); give its --out folder"
        ) from error
    _write(out / "figure1.png", figure(summary, examples, people["curves"]))


def _require(module: str) -> None:
    if find_spec(module) is None:
        raise GoodnoiseError(Code.PRECONDITION, f"figure 1 needs {module}; pip install 'goodnoise[train]'")


def _fingerprint(names: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:8]


def _examples(bench: Bench, work: Path) -> dict[str, list[npt.NDArray[np.uint8]]]:
    """Rows of the picture: the first image of each chosen letter, 1+L S S."""
    labels = bench.letters.labels[bench.kept]
    places = [int(np.flatnonzero(labels == LETTERS.index(letter))[0]) for letter in _EXAMPLES]
    found = {}
    for name, unit in (("fgsm", SHOWN), ("gaussian", Unit("gaussian"))):
        kept = kept_levels(unit_path(work, unit))
        found[name] = [kept[:, place, 0] for place in places]
    return found


def _pool(bench: Bench, work: Path) -> Pool:
    named = (("fgsm", SHOWN), ("gaussian", Unit("gaussian")))
    kept = {name: kept_levels(unit_path(work, unit))[:, :, 0] for name, unit in named}
    return Pool(kept, bench.letters.labels[bench.kept], bench.protocol.key())


def _as_json(protocol: Protocol, summary: dict[str, Any]) -> bytes:
    content = {"protocol": protocol.to_dict(), "summary": summary}
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"


def _pack(examples: dict[str, list[npt.NDArray[np.uint8]]]) -> bytes:
    stream = io.BytesIO()
    arrays: dict[str, Any] = {name: np.stack(rows) for name, rows in examples.items()}
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def _write(path: Path, content: bytes) -> None:
    with storage_errors(path.parent, setting="--out"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
