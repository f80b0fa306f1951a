"""Reading float TensorFlow Lite files: the file's graph, NHWC turned to NCHW, padding made explicit."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import tflite

from models.importers.net import Array, Net
from shared.errors import Code, GoodnoiseError

__all__ = ["read_tflite"]

# The tflite package has no types: its tables are read by methods named after the format's fields.
Table: TypeAlias = Any

_DTYPES = {
    tflite.TensorType.FLOAT16: np.float16,
    tflite.TensorType.FLOAT32: np.float32,
    tflite.TensorType.INT32: np.int32,
    tflite.TensorType.INT64: np.int64,
}
_OPERATORS = {code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)}


def read_tflite(content: bytes, *, source: str) -> Net:
    """The network with one image input; its batch size is freed by the canonical form.

    Raises:
        GoodnoiseError: CORRUPT when it is no such file, INVALID_INPUT naming an operator without a rule.
    """
    if content[4:8] != b"TFL3":
        raise GoodnoiseError(Code.CORRUPT, f"{source} is no TensorFlow Lite file; fetch it again")
    try:
        return _Reader(content, source).net()
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, struct.error) as error:
        raise GoodnoiseError(Code.CORRUPT, f"{source} cannot be read ({error}); fetch it again") from error


class _Reader:
    """One file while it is read.

    `names` maps tensor numbers to names in the net, `widened` those of half-precision weights to float32.
    """

    def __init__(self, content: bytes, source: str) -> None:
        self.model = tflite.Model.GetRootAsModel(content, 0)
        self.graph = self.model.Subgraphs(0)
        self.source = source
        self.out = Net("face", "")
        self.names: dict[int, str] = {int(self.graph.Inputs(0)): "face"}
        self.widened: dict[int, Array] = {}

    def net(self) -> Net:
        for index in range(self.graph.OperatorsLength()):
            operator = self.graph.Operators(index)
            name = self._operator_name(operator)
            if name == "DEQUANTIZE":
                self._widen(operator)
                continue
            if name not in _RULES:
                raise GoodnoiseError(
                    Code.INVALID_INPUT,
                    f"{self.source}: operator {name} has no rule here; there are {', '.join(sorted(_RULES))}",
                )
            self.names[int(operator.Outputs(0))] = _RULES[name](self, operator)
        result = int(self.graph.Outputs(0))
        self.out.output = self.names[result]
        if len(self.shape(result)) == 4:
            self.out.output = self.out.add("Flatten", [self.out.output], axis=1)
        return self.out

    def _widen(self, operator: Table) -> None:
        # Files of half size keep their weights as float16 and widen them when they run.
        source = int(operator.Inputs(0))
        value = self.array(source)
        if value is None or value.dtype != np.float16:
            raise GoodnoiseError(
                Code.INVALID_INPUT,
                f"{self.source}: tensor {source} is quantised; only float files can be read",
            )
        self.widened[int(operator.Outputs(0))] = value.astype(np.float32)

    def _operator_name(self, operator: Table) -> str:
        code = self.model.OperatorCodes(operator.OpcodeIndex())
        # Files written before the table outgrew one byte have only the deprecated field.
        return str(_OPERATORS[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())])

    def array(self, tensor: int) -> Array | None:
        """The constant behind a tensor, in its own layout, or None when it is computed."""
        if tensor in self.widened:
            return self.widened[tensor]
        item = self.graph.Tensors(tensor)
        buffer = self.model.Buffers(item.Buffer())
        if buffer.DataLength() == 0:
            return None
        if item.Type() not in _DTYPES:
            raise GoodnoiseError(
                Code.INVALID_INPUT, f"{self.source}: a tensor is quantised; only float files can be read"
            )
        return np.frombuffer(buffer.DataAsNumpy().tobytes(), _DTYPES[item.Type()]).reshape(self.shape(tensor))

    def shape(self, tensor: int) -> tuple[int, ...]:
        item = self.graph.Tensors(tensor)
        return tuple(int(item.Shape(i)) for i in range(item.ShapeLength()))

    def operand(self, tensor: int) -> str:
        """The name of a value; constants of the last axis are turned to the channel axis."""
        if tensor in self.names:
            return self.names[tensor]
        value = self.array(tensor)
        if value is None:
            raise GoodnoiseError(
                Code.CORRUPT, f"{self.source}: tensor {tensor} is read before it is computed"
            )
        if value.ndim == 1 and value.size > 1:
            value = value[:, None, None]
        elif value.ndim == 3:
            value = value.transpose(2, 0, 1)
        elif value.ndim == 4:
            value = value.transpose(0, 3, 1, 2)
        return self.out.weight(value)

    def activate(self, name: str, function: int) -> str:
        """Add the activation that is fused into an operator."""
        if function == tflite.ActivationFunctionType.NONE:
            return name
        if function == tflite.ActivationFunctionType.RELU:
            return self.out.add("Relu", [name])
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{self.source}: fused activation {function} has no rule here"
        )


def _options(operator: Table, kind: Table) -> Table:
    options = kind()
    table = operator.BuiltinOptions()
    options.Init(table.Bytes, table.Pos)
    return options


def _pads(size: int, kernel: int, stride: int, dilation: int, padding: int) -> tuple[int, int]:
    if padding == tflite.Padding.VALID:
        return 0, 0
    # TensorFlow's SAME: what is odd goes below and right.
    reach = (kernel - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def _convolve(reader: _Reader, operator: Table, options: Table, filters: Array, *, group: int) -> str:
    _, height, width, _ = reader.shape(int(operator.Inputs(0)))
    strides = [options.StrideH(), options.StrideW()]
    dilations = [options.DilationHFactor(), options.DilationWFactor()]
    kernel = list(filters.shape[2:])
    top, bottom = _pads(height, kernel[0], strides[0], dilations[0], options.Padding())
    left, right = _pads(width, kernel[1], strides[1], dilations[1], options.Padding())
    inputs = [reader.operand(int(operator.Inputs(0))), reader.out.weight(filters, "weight")]
    if operator.InputsLength() > 2 and int(operator.Inputs(2)) >= 0:
        bias = reader.array(int(operator.Inputs(2)))
        inputs.append(reader.out.weight(np.zeros(len(filters)) if bias is None else bias, "bias"))
    name = reader.out.add(
        "Conv",
        inputs,
        kernel_shape=kernel,
        strides=strides,
        dilations=dilations,
        pads=[top, left, bottom, right],
        group=group,
    )
    return reader.activate(name, options.FusedActivationFunction())


def _filters(reader: _Reader, operator: Table) -> Array:
    filters = reader.array(int(operator.Inputs(1)))
    if filters is None:
        raise GoodnoiseError(Code.INVALID_INPUT, f"{reader.source}: a convolution has computed filters")
    return filters


def _conv(reader: _Reader, operator: Table) -> str:
    options = _options(operator, tflite.Conv2DOptions)
    # Stored as out, height, width, in.
    return _convolve(reader, operator, options, _filters(reader, operator).transpose(0, 3, 1, 2), group=1)


def _depthwise(reader: _Reader, operator: Table) -> str:
    options = _options(operator, tflite.DepthwiseConv2DOptions)
    # Stored as 1, height, width, out.
    filters = _filters(reader, operator).transpose(3, 0, 1, 2)
    channels = reader.shape(int(operator.Inputs(0)))[3]
    return _convolve(reader, operator, options, filters, group=channels)


def _reshape(reader: _Reader, operator: Table) -> str:
    source = int(operator.Inputs(0))
    before, after = reader.shape(source), reader.shape(int(operator.Outputs(0)))
    if len(after) != 2 or len(before) != 4:
        raise GoodnoiseError(
            Code.INVALID_INPUT, f"{reader.source}: a reshape of {before} to {after} has no rule here"
        )
    name = reader.operand(source)
    if before[1] * before[2] > 1 and before[3] > 1:
        name = reader.out.add("Transpose", [name], perm=[0, 2, 3, 1])
    return reader.out.add("Flatten", [name], axis=1)


def _max_pool(reader: _Reader, operator: Table) -> str:
    options = _options(operator, tflite.Pool2DOptions)
    source = int(operator.Inputs(0))
    _, height, width, _ = reader.shape(source)
    kernel = [options.FilterHeight(), options.FilterWidth()]
    strides = [options.StrideH(), options.StrideW()]
    top, bottom = _pads(height, kernel[0], strides[0], 1, options.Padding())
    left, right = _pads(width, kernel[1], strides[1], 1, options.Padding())
    name = reader.out.add(
        "MaxPool",
        [reader.operand(source)],
        kernel_shape=kernel,
        strides=strides,
        pads=[top, left, bottom, right],
    )
    return reader.activate(name, options.FusedActivationFunction())


def _pad(reader: _Reader, operator: Table) -> str:
    source, widths = int(operator.Inputs(0)), reader.array(int(operator.Inputs(1)))
    if widths is None or widths.shape != (4, 2):
        raise GoodnoiseError(Code.INVALID_INPUT, f"{reader.source}: a pad of computed or odd widths")
    # One pair an axis, N H W C; ONNX wants all beginnings and then all ends, N C H W.
    pads = widths[[0, 3, 1, 2]].T.reshape(-1).astype(np.int64)
    return reader.out.add("Pad", [reader.operand(source), reader.out.weight(pads, "pads")])


def _prelu(reader: _Reader, operator: Table) -> str:
    return reader.out.add("PRelu", [reader.operand(int(operator.Inputs(i))) for i in (0, 1)])


def _unary(op: str) -> Callable[[_Reader, Table], str]:
    return lambda reader, operator: reader.out.add(op, [reader.operand(int(operator.Inputs(0)))])


def _binary(op: str, kind: Table) -> Callable[[_Reader, Table], str]:
    def rule(reader: _Reader, operator: Table) -> str:
        name = reader.out.add(op, [reader.operand(int(operator.Inputs(i))) for i in (0, 1)])
        return reader.activate(name, _options(operator, kind).FusedActivationFunction())

    return rule


_RULES: dict[str, Callable[[_Reader, Table], str]] = {
    "ABS": _unary("Abs"),
    "ADD": _binary("Add", tflite.AddOptions),
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "MAX_POOL_2D": _max_pool,
    "MUL": _binary("Mul", tflite.MulOptions),
    "PAD": _pad,
    "PRELU": _prelu,
    "RELU": _unary("Relu"),
    "RESHAPE": _reshape,
    "SUB": _binary("Sub", tflite.SubOptions),
}
