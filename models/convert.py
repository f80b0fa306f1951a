"""From a card and the files that it names to the ONNX file of the zoo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from models.importers.canonical import OPSET, to_canonical
from models.importers.onnx_float import float_detector, metadata_of, read_onnx
from models.importers.text import characters_of, to_text
from shared.cards import Card
from shared.errors import Code, GoodnoiseError

__all__ = ["CONVERTER_VERSION", "convert"]

# Raise this when an importer or a pass changes what it writes; stored results are then made again.
CONVERTER_VERSION = 1


def convert(card: Card, contents: Sequence[bytes]) -> bytes:
    """The zoo's ONNX file of a card.

    Args:
        card: the card.
        contents: the files of `card.origin.files`, in that order.

    Raises:
        GoodnoiseError: INVALID_INPUT or CORRUPT naming the file and what is wrong with it.
    """
    kinds = tuple(PurePosixPath(name).suffix for name in card.origin.files)
    if card.kind == "detector":
        return float_detector(contents[0], source=card.origin.files[0])
    if kinds not in _READERS:
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"card {card.name!r} names files of kinds {kinds}; readable are {', '.join(map(str, _READERS))}",
        )
    return _READERS[kinds](card, contents)


def _from_onnx(card: Card, contents: Sequence[bytes]) -> bytes:
    net, opset = read_onnx(contents[0], source=card.origin.files[0])
    if card.kind == "text":
        return to_text(net, card, characters_of(card, metadata_of(contents[0])), opset=opset)
    return to_canonical(net, card, opset=opset)


def _from_tflite(card: Card, contents: Sequence[bytes]) -> bytes:
    from models.importers.tflite_graph import read_tflite

    return to_canonical(read_tflite(contents[0], source=card.origin.files[0]), card, opset=OPSET)


def _from_faceapi(card: Card, contents: Sequence[bytes]) -> bytes:
    from models.importers.faceapi import read_faceapi

    return to_canonical(read_faceapi(contents[0], contents[1], source=card.origin.package), card, opset=OPSET)


_READERS: dict[tuple[str, ...], Callable[[Card, Sequence[bytes]], bytes]] = {
    (".onnx",): _from_onnx,
    (".tflite",): _from_tflite,
    (".json", ".bin"): _from_faceapi,
}
