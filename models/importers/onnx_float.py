"""Reading ONNX files, block-quantised ones included, as float networks."""

from __future__ import annotations

import onnx
from onnx import numpy_helper, version_converter

from models.importers.canonical import IR_VERSION, OPSET
from models.importers.net import Net
from models.importers.passes import fold_constants
from shared.errors import Code, GoodnoiseError

__all__ = ["float_detector", "metadata_of", "read_onnx"]

MIN_OPSET, MAX_OPSET = 7, 24


def read_onnx(content: bytes, *, source: str) -> tuple[Net, int]:
    """A network with one image input and one output, and the opset of its nodes.

    Raises:
        GoodnoiseError: INVALID_INPUT naming the source and what is wrong with it.
    """
    model, opset = _load(content, source)
    if opset < OPSET:
        model, opset = version_converter.convert_version(model, OPSET), OPSET
    net = _net(model, source)
    return net, opset


def metadata_of(content: bytes) -> dict[str, str]:
    """The file's metadata entries."""
    return {item.key: item.value for item in onnx.load_from_string(content).metadata_props}


def _load(content: bytes, source: str) -> tuple[onnx.ModelProto, int]:
    try:
        model = onnx.load_from_string(content)
        onnx.checker.check_model(model)
    except Exception as error:
        # Parsing and checking raise several unrelated kinds of exception.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise GoodnoiseError(Code.INVALID_INPUT, f"{source} is no valid ONNX file: {reason}") from error
    foreign = sorted({node.domain for node in model.graph.node} - {"", "ai.onnx"})
    if foreign:
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"{source} uses operators of {foreign[0]!r}; export it with standard ONNX operators only",
        )
    opset = next((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), 0)
    if not MIN_OPSET <= opset <= MAX_OPSET:
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"{source} has opset {opset}, readable are {MIN_OPSET} to {MAX_OPSET}; export it again",
        )
    return model, opset


def _net(model: onnx.ModelProto, source: str) -> Net:
    graph = model.graph
    weights = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    # Some files list weights among the inputs, even those that a quantiser replaced and no node reads.
    read = {name for node in graph.node for name in node.input}
    inputs = [item.name for item in graph.input if item.name in read and item.name not in weights]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise GoodnoiseError(
            Code.INVALID_INPUT,
            f"{source} has {len(inputs)} inputs and {len(graph.output)} outputs, expected one of each",
        )
    return Net(inputs[0], graph.output[0].name, list(graph.node), weights)


def float_detector(content: bytes, *, source: str) -> bytes:
    """The same graph with its quantised weights folded to float32; names, inputs and outputs stay.

    OpenCV runs the quantised file as well, ONNX Runtime does not.
    """
    model, opset = _load(content, source)
    graph = model.graph
    weights = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    net = Net(graph.input[0].name, "", list(graph.node), weights)
    fold_constants(net, opset)
    inputs = [item for item in graph.input if item.name not in weights]
    outputs = list(graph.output)
    folded = onnx.helper.make_graph(net.nodes, "detector", inputs, outputs, initializer=net.initializers())
    result = onnx.helper.make_model(
        folded,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="goodnoise",
    )
    onnx.checker.check_model(result, full_check=True)
    return bytes(result.SerializeToString(deterministic=True))
