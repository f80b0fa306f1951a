"""The zoo's canonical form of a network that reads text.

Input `image`, float32 N 1 H W, grey in [0,1], of the height (and width) that the card says; output
`columns`, float32 N T C, log-probabilities for CTC. Preprocessing is inside, pads are explicit, batch norm is
folded, N is free, and the operators are standard ones of opset 18. The file's metadata entry `characters` is
a JSON list: what each class stands for, "" for the blank.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from models.importers.canonical import IR_VERSION, OPSET, session
from models.importers.net import Net
from models.importers.passes import (
    drop_identities,
    explicit_pads,
    fold_batch_norm,
    fold_constants,
    share_numbers,
)
from shared.cards import Card, TextInput
from shared.errors import Code, GoodnoiseError

__all__ = ["characters_of", "to_text"]


def to_text(net: Net, card: Card, characters: Sequence[str], *, opset: int = OPSET) -> bytes:
    """The canonical ONNX file of an imported reader; the same net and card give the same bytes.

    Args:
        net: the network as its origin defines it; edited in place.
        card: its card, of kind 'text'.
        characters: of each class, see `characters_of`.
        opset: the opset that the net's nodes are written in.

    Raises:
        GoodnoiseError: INVALID_INPUT when the result is no valid graph or does not fit the card.
    """
    fold_constants(net, opset)
    drop_identities(net)
    explicit_pads(net)
    fold_batch_norm(net)
    _prepend_preprocessing(net, card)
    _append_log_softmax(net, _text(card))
    share_numbers(net)
    net.prune()
    content = _serialise(net, card, characters)
    _check(content, card, len(characters))
    return content


def characters_of(card: Card, metadata: dict[str, str]) -> list[str]:
    """What each class of the network stands for, "" for the blank.

    Raises:
        GoodnoiseError: INVALID_INPUT when the file lacks the entry that the card names.
    """
    text = _text(card)
    found: list[str] = []
    if text.characters_from:
        if text.characters_from not in metadata:
            raise GoodnoiseError(
                Code.INVALID_INPUT,
                f"card {card.name!r} wants the file's metadata entry {text.characters_from!r}, which it "
                f"lacks; it has {', '.join(sorted(metadata)) or 'none'}",
            )
        found = metadata[text.characters_from].removesuffix("\n").split("\n")
    found += text.characters
    found.insert(text.blank, "")
    return found


def _text(card: Card) -> TextInput:
    if card.text is None:
        raise GoodnoiseError(Code.INVALID_INPUT, f"card {card.name!r} has no table [text]")
    return card.text


def _prepend_preprocessing(net: Net, card: Card) -> None:
    # Grey is the same in every channel, so that their order does not matter here.
    channels = 1 if _text(card).channels == "grey" else 3
    first = [net.make("Concat", [net.input] * channels, axis=1)]
    scale = np.full((1, 1, 1, 1), 255.0 * card.scale)
    first.append(net.make("Mul", [first[-1].output[0], net.weight(scale, "scale")]))
    mean = np.array(card.mean[:channels], np.float64).reshape(1, channels, 1, 1)
    if _text(card).channels == "bgr":
        mean = mean[:, ::-1]
    if np.any(mean):
        first.append(net.make("Sub", [first[-1].output[0], net.weight(mean * card.scale, "mean")]))
    net.rewire(net.input, first[-1].output[0])
    for place in range(channels):
        first[0].input[place] = net.input
    net.nodes[:0] = first


def _append_log_softmax(net: Net, text: TextInput) -> None:
    last = net.producer(net.output)
    if last is not None and last.op_type == "Softmax":
        # From the logits: the logarithm of a probability that has become 0 has no gradient.
        net.output = last.input[0]
    if text.time_first:
        net.output = net.add("Transpose", [net.output], perm=[1, 0, 2])
    net.output = net.add("LogSoftmax", [net.output], axis=-1)


def _serialise(net: Net, card: Card, characters: Sequence[str]) -> bytes:
    net.rename("image", "columns")
    size = [card.text.height, card.text.width or "W"] if card.text is not None else []
    graph = helper.make_graph(
        net.nodes,
        card.name,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, *size])],
        [helper.make_tensor_value_info("columns", TensorProto.FLOAT, ["N", "T", len(characters)])],
        initializer=net.initializers(),
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="goodnoise",
    )
    entry = model.metadata_props.add()
    entry.key, entry.value = "characters", json.dumps(list(characters))
    return bytes(model.SerializeToString(deterministic=True))


def _check(content: bytes, card: Card, classes: int) -> None:
    try:
        onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
        _check_result(content, _text(card), classes)
    except Exception as error:
        # ONNX and ONNX Runtime raise a dozen kinds of exception for graphs that they do not accept.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"the network of card {card.name!r} cannot be used: {reason}; compare file and card",
        ) from error


def _check_result(content: bytes, text: TextInput, classes: int) -> None:
    running = session(content)
    for count in (1, 2):
        shape = (count, 1, text.height, text.width or 4 * text.height)
        images = np.linspace(0, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)
        result = np.asarray(running.run(None, {"image": images})[0])
        if result.ndim != 3 or result.shape[0] != count or result.shape[2] != classes:
            raise ValueError(f"{count} images give {result.shape}, expected {count} T {classes}")
        if not np.isfinite(result).all():
            raise ValueError(f"{count} images give values that are not finite")
