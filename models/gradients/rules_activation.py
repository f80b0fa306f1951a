"""Backward rules of activations.

Masks are made by a comparison and a Cast, or by Where with small branches: the forms that ONNX Runtime runs
fast. At the kinks the slope is torch's.
"""

from __future__ import annotations

import onnx

from models.gradients.context import Context
from models.gradients.graph import attributes
from models.gradients.rules_shape import axis_of

__all__ = ["RULES"]


def _give_slope(node: onnx.NodeProto, ctx: Context, slope: str) -> None:
    ctx.give(node.input[0], ctx.multiply(ctx.upstream(node), slope))


def _greater(ctx: Context, value: str, bound: float) -> str:
    return ctx.emit("Greater", value, ctx.number(bound))


def _relu(node: onnx.NodeProto, ctx: Context) -> None:
    _give_slope(node, ctx, ctx.mask(_greater(ctx, node.output[0], 0.0)))


def _leaky_relu(node: onnx.NodeProto, ctx: Context) -> None:
    slope = ctx.number(attributes(node).get("alpha", 0.01))
    positive = _greater(ctx, node.input[0], 0.0)
    _give_slope(node, ctx, ctx.emit("Where", positive, ctx.number(1.0), slope))


def _elu(node: onnx.NodeProto, ctx: Context) -> None:
    below = ctx.add(node.output[0], ctx.number(attributes(node).get("alpha", 1.0)))
    positive = _greater(ctx, node.input[0], 0.0)
    _give_slope(node, ctx, ctx.emit("Where", positive, ctx.number(1.0), below))


def _clip(node: onnx.NodeProto, ctx: Context) -> None:
    """Slope 1 from bound to bound, both included."""
    slopes = []
    for index, operator in ((1, "GreaterOrEqual"), (2, "LessOrEqual")):
        bound = ctx.constant(node, index)
        if bound is not None:
            inside = ctx.emit(operator, node.input[0], ctx.number(float(bound)))
            slopes.append(ctx.mask(inside))
    gradient = ctx.upstream(node)
    for slope in slopes:
        gradient = ctx.multiply(gradient, slope)
    ctx.give(node.input[0], gradient)


def _sigmoid(node: onnx.NodeProto, ctx: Context) -> None:
    slope = ctx.multiply(node.output[0], ctx.subtract(ctx.number(1.0), node.output[0]))
    _give_slope(node, ctx, slope)


def _tanh(node: onnx.NodeProto, ctx: Context) -> None:
    """1 - tanh(x)^2 as 4e / (1 + e)^2 with e = exp(-2|x|): the difference cancels where tanh is near 1."""
    size = ctx.emit("Abs", node.input[0])
    falling = ctx.emit("Exp", ctx.multiply(size, ctx.number(-2.0)))
    below = ctx.add(falling, ctx.number(1.0))
    slope = ctx.emit("Div", ctx.multiply(falling, ctx.number(4.0)), ctx.multiply(below, below))
    _give_slope(node, ctx, slope)


def _softplus(node: onnx.NodeProto, ctx: Context) -> None:
    _give_slope(node, ctx, ctx.emit("Sigmoid", node.input[0]))


def _between(ctx: Context, value: str, low: float, high: float) -> str:
    above = _greater(ctx, value, low)
    below = ctx.emit("Less", value, ctx.number(high))
    return ctx.mask(ctx.emit("And", above, below))


def _hard_sigmoid(node: onnx.NodeProto, ctx: Context) -> None:
    inside = _between(ctx, node.output[0], 0.0, 1.0)
    _give_slope(node, ctx, ctx.multiply(inside, ctx.number(attributes(node).get("alpha", 0.2))))


def _hard_swish(node: onnx.NodeProto, ctx: Context) -> None:
    """0 below -3, 1 above 3, x/3 + 1/2 between."""
    line = ctx.add(ctx.divide(node.input[0], ctx.number(3.0)), ctx.number(0.5))
    inside = ctx.multiply(line, _between(ctx, node.input[0], -3.0, 3.0))
    above = ctx.emit("GreaterOrEqual", node.input[0], ctx.number(3.0))
    _give_slope(node, ctx, ctx.add(inside, ctx.mask(above)))


def _softmax(node: onnx.NodeProto, ctx: Context) -> None:
    axis = axis_of(ctx, node, attributes(node).get("axis", -1))
    gradient = ctx.upstream(node)
    mean = ctx.reduce_sum(ctx.multiply(gradient, node.output[0]), (axis,))
    ctx.give(node.input[0], ctx.multiply(ctx.subtract(gradient, mean), node.output[0]))


def _log_softmax(node: onnx.NodeProto, ctx: Context) -> None:
    axis = axis_of(ctx, node, attributes(node).get("axis", -1))
    gradient = ctx.upstream(node)
    share = ctx.multiply(ctx.emit("Exp", node.output[0]), ctx.reduce_sum(gradient, (axis,)))
    ctx.give(node.input[0], ctx.subtract(gradient, share))


RULES = {
    "Clip": _clip,
    "Elu": _elu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "LeakyRelu": _leaky_relu,
    "LogSoftmax": _log_softmax,
    "Relu": _relu,
    "Sigmoid": _sigmoid,
    "Softmax": _softmax,
    "Softplus": _softplus,
    "Tanh": _tanh,
}
