"""The readers that this project trained: their weights, what they are asked, and what they answer."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TypeAlias
from zipfile import BadZipFile

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.text.networks import SLOTS, Architecture, TextOutput, build
from shared.errors import Code, GoodnoiseError

__all__ = [
    "READERS",
    "Reader",
    "decode",
    "encode",
    "fold",
    "load_reader",
    "pack_weights",
    "read_weights",
    "reading_loss",
    "unpack_weights",
    "weights_name",
]

_Array: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.generic]]


@dataclass(frozen=True)
class Reader:
    """A row of the table of readers.

    Args:
        name: as in the table; its weights are `weights/text-NAME.npz`.
        architecture: of `models.text.networks`.
        width: factor of its channels.
        hardened: whether it was trained on attacked images.
    """

    name: str
    architecture: Architecture
    width: float = 1.0
    hardened: bool = False


# Hardened twice against attacks made while they learnt, then retrained twice on what the service would issue.
_HARDENED: tuple[Architecture, ...] = ("columns", "attention")
_ROWS = (
    Reader("columns", "columns"),
    Reader("attention", "attention"),
    Reader("segments", "segments"),
    *(
        Reader(f"{architecture}-h{number}", architecture, hardened=True)
        for number in (1, 2, 3, 4)
        for architecture in _HARDENED
    ),
)
READERS: dict[str, Reader] = {row.name: row for row in _ROWS}


def load_reader(name: str, alphabet: str, folder: Path | None = None) -> nn.Module:
    """A trained reader in evaluation mode, without gradients for its weights.

    Args:
        name: in `READERS`.
        alphabet: characters, in the order of classes 1 and up.
        folder: of weights that were trained elsewhere; None for those of this package.

    Raises:
        GoodnoiseError: NOT_FOUND naming those that exist, or the file that the folder lacks; CORRUPT when its
            weights are of another alphabet, or none.
    """
    if name not in READERS:
        raise GoodnoiseError(Code.NOT_FOUND, f"there is no reader {name!r}; known are {', '.join(READERS)}")
    row = READERS[name]
    network = build(row.architecture, len(alphabet), width=row.width)
    try:
        unpack_weights(network, read_weights(name, folder), alphabet, source=weights_name(name))
    except (BadZipFile, KeyError, ValueError) as error:
        raise GoodnoiseError(Code.CORRUPT, f"{weights_name(name)} holds no weights: {error}") from error
    fast = fold(network.eval().requires_grad_(requires_grad=False))
    return fast.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def weights_name(name: str) -> str:
    """The file of a reader's weights, in whatever folder."""
    return f"text-{name}.npz"


def read_weights(name: str, folder: Path | None = None) -> bytes:
    """The packed weights of a reader, of a folder or those that come along.

    Raises:
        GoodnoiseError: NOT_FOUND when the folder has none.
    """
    if folder is None:
        return (files("models") / "weights" / weights_name(name)).read_bytes()
    path = folder / weights_name(name)
    if not path.is_file():
        raise GoodnoiseError(
            Code.NOT_FOUND, f"there is no {path}; make it with goodnoise-cloud captcha train --out {folder}"
        )
    return path.read_bytes()


def fold(network: nn.Module) -> nn.Module:
    """Merge each batch norm into the convolution before it; changed in place, the output stays the same.

    Args:
        network: in evaluation mode.
    """
    for block in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for place in range(len(block) - 1):
            first, second = block[place], block[place + 1]
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                block[place] = fuse_conv_bn_eval(first, second).requires_grad_(requires_grad=False)
                block[place + 1] = nn.Identity()
    return network


def pack_weights(network: nn.Module, alphabet: str) -> bytes:
    """Weights as an .npz file of float16, with the alphabet that they are of."""
    arrays = {key: _half(value) for key, value in network.state_dict().items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{"alphabet": np.array(alphabet), **arrays})  # type: ignore[arg-type]
    return buffer.getvalue()


def unpack_weights(network: nn.Module, content: bytes, alphabet: str, *, source: str) -> None:
    """Fill a network with packed weights.

    Raises:
        GoodnoiseError: CORRUPT when they do not fit.
    """
    state = _arrays(content, source)
    known = str(state.pop("alphabet"))
    if known != alphabet:
        raise GoodnoiseError(Code.CORRUPT, f"{source} reads {known}, expected {alphabet}; train it again")
    try:
        tensors = {key: torch.from_numpy(value) for key, value in state.items()}
        network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
    except RuntimeError as error:
        raise GoodnoiseError(Code.CORRUPT, f"{source} does not fit its network: {error}") from error


def _arrays(content: bytes, source: str) -> dict[str, _Array]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as packed:
            arrays = {key: packed[key] for key in ("alphabet", *packed.files)}
    except (ValueError, KeyError, OSError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise GoodnoiseError(Code.CORRUPT, f"{source} holds no packed weights: {error}") from error
    return arrays


def _half(value: Tensor) -> _Array:
    array: _Array = value.detach().cpu().numpy()
    return array.astype(np.float16) if value.is_floating_point() else array


def encode(texts: Sequence[str], alphabet: str) -> Tensor:
    """Texts as classes, int64 N K, 0 behind their ends.

    Raises:
        ValueError: for a text that is too long or has other characters.
    """
    labels = torch.zeros(len(texts), SLOTS, dtype=torch.int64)
    for row, text in enumerate(texts):
        if len(text) > SLOTS or set(text) - set(alphabet):
            raise ValueError(f"text is {text!r}, expected at most {SLOTS} characters of {alphabet}")
        for place, character in enumerate(text):
            labels[row, place] = 1 + alphabet.index(character)
    return labels


def reading_loss(output: TextOutput, labels: Tensor) -> Tensor:
    """How unlikely a reader finds texts, in nats a character: N.

    For CTC all alignments of the text count, not only the likeliest path (Graves et al., ICML 2006).

    Args:
        output: of a reader for N images.
        labels: int64 N K, 0 behind the end.
    """
    lengths = (labels > 0).sum(dim=1)
    total = torch.zeros(len(labels))
    if output.columns is not None:
        steps = torch.full((len(labels),), output.columns.shape[1])
        rows = output.columns.transpose(0, 1)
        total = (
            total + F.ctc_loss(rows, labels, steps, lengths, reduction="none", zero_infinity=True) / lengths
        )
    if output.slots is not None:
        total = total + F.nll_loss(output.slots.transpose(1, 2), labels, reduction="none").mean(dim=1)
    return total


def decode(output: TextOutput, alphabet: str) -> list[str]:
    """The likeliest reading of each image: the best class of each slot, or CTC's greedy path."""
    if output.slots is not None:
        return [_text(row, alphabet) for row in output.slots.argmax(dim=-1).tolist()]
    if output.columns is None:
        raise ValueError("output: expected columns or slots, got neither")
    best = output.columns.argmax(dim=-1).tolist()
    return [
        _text([k for k, before in zip(row, [0, *row], strict=False) if k != before], alphabet) for row in best
    ]


def _text(classes: Sequence[int], alphabet: str) -> str:
    return "".join(alphabet[k - 1] for k in classes if k)
