"""What ONNX operators of opset 18 mean in torch: one function an operator, in a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import torch
from onnx import TensorProto, numpy_helper
from torch import Tensor
from torch.nn import functional

__all__ = ["OPERATORS", "Operator"]

Attributes: TypeAlias = Mapping[str, Any]
# An operator gets its node's attributes and inputs; an input that the node leaves out is None.
Operator: TypeAlias = Callable[..., Tensor | tuple[Tensor, ...]]

_DTYPES = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.DOUBLE: torch.float64,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
    TensorProto.BOOL: torch.bool,
}


def _ints(values: Tensor | Sequence[int]) -> list[int]:
    return [int(value) for value in values]


def _unary(function: Callable[[Tensor], Tensor]) -> Operator:
    return lambda attrs, x: function(x)


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return lambda attrs, a, b: function(a, b)


def _many(function: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    def apply(attrs: Attributes, first: Tensor, *others: Tensor) -> Tensor:
        for other in others:
            first = function(first, other)
        return first

    return apply


def _pads(attrs: Attributes, shape: Sequence[int], kernel: Sequence[int]) -> list[int]:
    """Pads as torch wants them, last axis first: begin, end, begin, end."""
    count = len(kernel)
    automatic = attrs.get("auto_pad", "NOTSET")
    if automatic in ("NOTSET", "VALID"):
        pads = list(attrs.get("pads", [0] * 2 * count)) if automatic == "NOTSET" else [0] * 2 * count
        return [pads[axis + side] for axis in reversed(range(count)) for side in (0, count)]
    strides, dilations = attrs.get("strides", [1] * count), attrs.get("dilations", [1] * count)
    result = []
    for axis in reversed(range(count)):
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        total = max((math.ceil(shape[axis] / strides[axis]) - 1) * strides[axis] + reach - shape[axis], 0)
        small, large = total // 2, total - total // 2
        result += [small, large] if automatic == "SAME_UPPER" else [large, small]
    return result


def _conv(attrs: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    count = weight.ndim - 2
    pads = _pads(attrs, x.shape[2:], weight.shape[2:])
    begin, end = pads[::2][::-1], pads[1::2][::-1]
    symmetric = begin == end
    source = x if symmetric else functional.pad(x, pads)
    convolve = {1: functional.conv1d, 2: functional.conv2d}[count]
    return convolve(
        source,
        weight,
        bias,
        stride=attrs.get("strides", [1] * count),
        padding=begin if symmetric else [0] * count,
        dilation=attrs.get("dilations", [1] * count),
        groups=attrs.get("group", 1),
    )


def _max_pool(attrs: Attributes, x: Tensor) -> Tensor:
    kernel = attrs["kernel_shape"]
    return functional.max_pool2d(
        functional.pad(x, _pads(attrs, x.shape[2:], kernel), value=-math.inf),
        kernel,
        stride=attrs.get("strides", [1, 1]),
        dilation=attrs.get("dilations", [1, 1]),
        ceil_mode=bool(attrs.get("ceil_mode", 0)),
    )


def _average_pool(attrs: Attributes, x: Tensor) -> Tensor:
    kernel, strides = attrs["kernel_shape"], attrs.get("strides", [1, 1])
    pads, ceil = _pads(attrs, x.shape[2:], kernel), bool(attrs.get("ceil_mode", 0))
    pooled = functional.avg_pool2d(functional.pad(x, pads), kernel, strides, ceil_mode=ceil)
    if attrs.get("count_include_pad", 0) or not any(pads):
        return pooled
    covered = functional.avg_pool2d(
        functional.pad(torch.ones_like(x[:1, :1]), pads), kernel, strides, ceil_mode=ceil
    )
    return pooled / covered


def _gemm(attrs: Attributes, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    a = a.T if attrs.get("transA", 0) else a
    b = b.T if attrs.get("transB", 0) else b
    product: Tensor = attrs.get("alpha", 1.0) * (a @ b)
    return product if c is None else product + attrs.get("beta", 1.0) * c


def _batch_norm(attrs: Attributes, x: Tensor, *params: Tensor) -> Tensor:
    gamma, beta, mean, variance = params
    return functional.batch_norm(
        x, mean, variance, gamma, beta, training=False, eps=attrs.get("epsilon", 1e-5)
    )


def _layer_norm(attrs: Attributes, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    axis = attrs.get("axis", -1) % x.ndim
    normal = functional.layer_norm(x, list(x.shape[axis:]), eps=attrs.get("epsilon", 1e-5)) * scale
    return normal if bias is None else normal + bias


def _instance_norm(attrs: Attributes, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return functional.instance_norm(x, weight=scale, bias=bias, eps=attrs.get("epsilon", 1e-5))


def _lp_norm(attrs: Attributes, x: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(
        x, ord=attrs.get("p", 2), dim=attrs.get("axis", -1), keepdim=True
    )
    return x / length


def _reduce(function: Callable[..., Tensor]) -> Operator:
    def apply(attrs: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
        chosen = _ints(axes) if axes is not None else list(attrs.get("axes", []))
        if not chosen:
            if attrs.get("noop_with_empty_axes", 0):
                return x
            chosen = list(range(x.ndim))
        return function(x, dim=chosen, keepdim=bool(attrs.get("keepdims", 1)))

    return apply


def _sum_of_squares(x: Tensor, *, dim: list[int], keepdim: bool) -> Tensor:
    return torch.sum(x * x, dim=dim, keepdim=keepdim)


def _reshape(attrs: Attributes, x: Tensor, shape: Tensor) -> Tensor:
    wanted = _ints(shape)
    if not attrs.get("allowzero", 0):
        wanted = [x.shape[axis] if size == 0 else size for axis, size in enumerate(wanted)]
    return x.reshape(wanted)


def _flatten(attrs: Attributes, x: Tensor) -> Tensor:
    axis = attrs.get("axis", 1) % (x.ndim + 1)
    return x.reshape(math.prod(x.shape[:axis]), -1)


def _transpose(attrs: Attributes, x: Tensor) -> Tensor:
    return x.permute(attrs.get("perm", list(reversed(range(x.ndim)))))


def _squeeze(attrs: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
    return x.squeeze() if axes is None else x.squeeze(tuple(_ints(axes)))


def _unsqueeze(attrs: Attributes, x: Tensor, axes: Tensor) -> Tensor:
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in _ints(axes)):
        x = x.unsqueeze(axis)
    return x


def _concat(attrs: Attributes, *parts: Tensor) -> Tensor:
    return torch.cat(parts, dim=attrs["axis"])


def _split(attrs: Attributes, x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
    axis = attrs.get("axis", 0)
    each = math.ceil(x.shape[axis] / attrs["num_outputs"]) if sizes is None else _ints(sizes)
    return tuple(torch.split(x, each, dim=axis))


def _slice(
    attrs: Attributes,
    x: Tensor,
    starts: Tensor,
    ends: Tensor,
    axes: Tensor | None = None,
    steps: Tensor | None = None,
) -> Tensor:
    chosen = _ints(axes) if axes is not None else list(range(len(starts)))
    strides = _ints(steps) if steps is not None else [1] * len(starts)
    for axis, start, end, step in zip(chosen, _ints(starts), _ints(ends), strides, strict=True):
        # Python's slices have ONNX's rules for what is out of range, torch's have no negative steps.
        size = x.shape[axis]
        stop = None if step < 0 and end < -size else end
        x = x.index_select(axis, torch.arange(size, device=x.device)[range(size)[start:stop:step]])
    return x


def _gather(attrs: Attributes, x: Tensor, indices: Tensor) -> Tensor:
    axis = attrs.get("axis", 0) % x.ndim
    flat = indices.reshape(-1)
    picked = x.index_select(axis, torch.where(flat < 0, flat + x.shape[axis], flat))
    return picked.reshape([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])


def _pad(
    attrs: Attributes, x: Tensor, pads: Tensor, value: Tensor | None = None, axes: Tensor | None = None
) -> Tensor:
    count = len(pads) // 2
    amounts = [[0, 0] for _ in range(x.ndim)]
    for place, axis in enumerate(_ints(axes) if axes is not None else range(count)):
        amounts[axis] = [int(pads[place]), int(pads[place + count])]
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}[attrs.get("mode", "constant")]
    if mode == "constant":
        order = [side for axis in reversed(amounts) for side in axis]
        return functional.pad(x, order, value=0.0 if value is None else float(value))
    # torch mirrors and repeats only the last axes of a batch.
    return functional.pad(x, [side for axis in reversed(amounts[2:]) for side in axis], mode=mode)


def _clip(attrs: Attributes, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    return x if low is None and high is None else torch.clamp(x, min=low, max=high)


def _prelu(attrs: Attributes, x: Tensor, slope: Tensor) -> Tensor:
    if slope.ndim == 3 and slope.numel() == slope.shape[0] and x.ndim == 4:
        return functional.prelu(x, slope.reshape(-1))
    return torch.where(x < 0, slope * x, x)


def _resize(
    attrs: Attributes,
    x: Tensor,
    region: Tensor | None = None,
    scales: Tensor | None = None,
    sizes: Tensor | None = None,
) -> Tensor:
    if sizes is not None:
        target = _ints(sizes)[2:]
    elif scales is not None:
        target = [int(size * scale) for size, scale in zip(x.shape[2:], scales.tolist()[2:], strict=True)]
    else:
        raise ValueError("Resize: expected scales or sizes, got neither")
    mode, places = attrs.get("mode", "nearest"), attrs.get("coordinate_transformation_mode", "half_pixel")
    if mode == "nearest" and places == "asymmetric" and attrs.get("nearest_mode") == "floor":
        return functional.interpolate(x, size=target, mode="nearest")
    if mode == "linear" and places in ("half_pixel", "align_corners"):
        return functional.interpolate(
            x, size=target, mode="bilinear", align_corners=places == "align_corners"
        )
    raise ValueError(f"Resize: mode {mode} with {places} is not in the table")


def _expand(attrs: Attributes, x: Tensor, shape: Tensor) -> Tensor:
    return x.expand(torch.broadcast_shapes(x.shape, _ints(shape)))  # type: ignore[no-untyped-call]


def _constant_of_shape(attrs: Attributes, shape: Tensor) -> Tensor:
    value = torch.zeros(1)
    if "value" in attrs:
        value = torch.from_numpy(numpy_helper.to_array(attrs["value"]).copy())
    return value.to(shape.device).expand(_ints(shape)).clone()


def _gelu(attrs: Attributes, x: Tensor) -> Tensor:
    return functional.gelu(x, approximate=attrs.get("approximate", "none"))


def _hard_sigmoid(attrs: Attributes, x: Tensor) -> Tensor:
    return torch.clamp(attrs.get("alpha", 0.2) * x + attrs.get("beta", 0.5), 0, 1)


OPERATORS: Mapping[str, Operator] = MappingProxyType(
    {
        "Abs": _unary(torch.abs),
        "Add": _binary(torch.add),
        "AveragePool": _average_pool,
        "BatchNormalization": _batch_norm,
        "Cast": lambda attrs, x: x.to(_DTYPES[attrs["to"]]),
        "Clip": _clip,
        "Concat": _concat,
        "ConstantOfShape": _constant_of_shape,
        "Conv": _conv,
        "Div": _binary(torch.div),
        "Dropout": lambda attrs, x, *rest: x,
        "Elu": lambda attrs, x: functional.elu(x, alpha=attrs.get("alpha", 1.0)),
        "Erf": _unary(torch.erf),
        "Exp": _unary(torch.exp),
        "Expand": _expand,
        "Flatten": _flatten,
        "Gather": _gather,
        "Gelu": _gelu,
        "Gemm": _gemm,
        "GlobalAveragePool": lambda attrs, x: x.mean(dim=tuple(range(2, x.ndim)), keepdim=True),
        "HardSigmoid": _hard_sigmoid,
        "HardSwish": _unary(functional.hardswish),
        "Identity": _unary(lambda x: x),
        "InstanceNormalization": _instance_norm,
        "LayerNormalization": _layer_norm,
        "LeakyRelu": lambda attrs, x: functional.leaky_relu(x, attrs.get("alpha", 0.01)),
        "Log": _unary(torch.log),
        "LogSoftmax": lambda attrs, x: torch.log_softmax(x, attrs.get("axis", -1)),
        "LpNormalization": _lp_norm,
        "MatMul": _binary(torch.matmul),
        "Max": _many(torch.maximum),
        "MaxPool": _max_pool,
        "Min": _many(torch.minimum),
        "Mul": _binary(torch.mul),
        "Neg": _unary(torch.neg),
        "PRelu": _prelu,
        "Pad": _pad,
        "Pow": _binary(torch.pow),
        "Reciprocal": _unary(torch.reciprocal),
        "ReduceL2": _reduce(torch.linalg.vector_norm),
        "ReduceMean": _reduce(torch.mean),
        "ReduceSum": _reduce(torch.sum),
        "ReduceSumSquare": _reduce(_sum_of_squares),
        "Relu": _unary(functional.relu),
        "Reshape": _reshape,
        "Resize": _resize,
        "Shape": lambda attrs, x: torch.tensor(x.shape, dtype=torch.int64),
        "Sigmoid": _unary(torch.sigmoid),
        "Slice": _slice,
        "Softmax": lambda attrs, x: torch.softmax(x, attrs.get("axis", -1)),
        "Softplus": _unary(functional.softplus),
        "Split": _split,
        "Sqrt": _unary(torch.sqrt),
        "Squeeze": _squeeze,
        "Sub": _binary(torch.sub),
        "Sum": _many(torch.add),
        "Tanh": _unary(torch.tanh),
        "Transpose": _transpose,
        "Unsqueeze": _unsqueeze,
        "Where": lambda attrs, condition, a, b: torch.where(condition, a, b),
    }
)
