"""Backward rules of arithmetic that acts on each element, with broadcasting.

A rule emits, for every input that wants one, the gradient that follows from the gradients of the node's
outputs.
"""

from __future__ import annotations

import math

import onnx

from models.gradients.context import Context
from models.gradients.graph import attributes, unsupported

__all__ = ["RULES"]


def _add(node: onnx.NodeProto, ctx: Context) -> None:
    for index, name in enumerate(node.input):
        if ctx.wants(name):
            ctx.give_unbroadcast(node, index, ctx.upstream(node))


def _sub(node: onnx.NodeProto, ctx: Context) -> None:
    if ctx.wants(node.input[0]):
        ctx.give_unbroadcast(node, 0, ctx.upstream(node))
    if ctx.wants(node.input[1]):
        ctx.give_unbroadcast(node, 1, ctx.emit("Neg", ctx.upstream(node)))


def _mul(node: onnx.NodeProto, ctx: Context) -> None:
    for index in (0, 1):
        if ctx.wants(node.input[index]):
            ctx.give_unbroadcast(node, index, ctx.multiply(ctx.upstream(node), node.input[1 - index]))


def _div(node: onnx.NodeProto, ctx: Context) -> None:
    share = ctx.divide(ctx.upstream(node), node.input[1])
    if ctx.wants(node.input[0]):
        ctx.give_unbroadcast(node, 0, share)
    if ctx.wants(node.input[1]):
        ctx.give_unbroadcast(node, 1, ctx.emit("Neg", ctx.multiply(share, node.output[0])))


def _mean(node: onnx.NodeProto, ctx: Context) -> None:
    share = ctx.divide(ctx.upstream(node), ctx.number(len(node.input)))
    for index, name in enumerate(node.input):
        if ctx.wants(name):
            ctx.give_unbroadcast(node, index, share)


def _extreme(node: onnx.NodeProto, ctx: Context) -> None:
    """Max and Min of up to two inputs; equal ones share the gradient, as in torch."""
    if len(node.input) == 1:
        return ctx.give(node.input[0], ctx.upstream(node))
    if len(node.input) > 2:
        raise unsupported(node, "only one or two inputs have a rule; nest it")
    left, right = node.input
    tie = ctx.multiply(ctx.mask(ctx.emit("Equal", left, right)), ctx.number(0.5))
    for index, (mine, other) in enumerate(((left, right), (right, left))):
        if ctx.wants(mine):
            wins = ctx.mask(ctx.emit("Greater" if node.op_type == "Max" else "Less", mine, other))
            ctx.give_unbroadcast(node, index, ctx.multiply(ctx.upstream(node), ctx.add(wins, tie)))
    return None


def _pow(node: onnx.NodeProto, ctx: Context) -> None:
    exponent = ctx.constant(node, 1)
    if exponent is None or exponent.size != 1:
        raise unsupported(node, "the exponent must be one constant number")
    power = float(exponent.reshape(()))
    base = node.input[0] if power == 2.0 else ctx.emit("Pow", node.input[0], ctx.number(power - 1.0))
    slope = ctx.multiply(base, ctx.number(power))
    ctx.give_unbroadcast(node, 0, ctx.multiply(ctx.upstream(node), slope))


def _neg(node: onnx.NodeProto, ctx: Context) -> None:
    ctx.give(node.input[0], ctx.emit("Neg", ctx.upstream(node)))


def _abs(node: onnx.NodeProto, ctx: Context) -> None:
    ctx.give(node.input[0], ctx.multiply(ctx.upstream(node), ctx.emit("Sign", node.input[0])))


def _sqrt(node: onnx.NodeProto, ctx: Context) -> None:
    """The slope at zero counts as zero, not infinity: an all-zero face must not end as NaN."""
    root = node.output[0]
    positive = ctx.emit("Greater", root, ctx.number(0.0))
    safe = ctx.emit("Where", positive, root, ctx.number(math.inf))
    ctx.give(node.input[0], ctx.divide(ctx.multiply(ctx.upstream(node), ctx.number(0.5)), safe))


def _reciprocal(node: onnx.NodeProto, ctx: Context) -> None:
    squared = ctx.multiply(node.output[0], node.output[0])
    ctx.give(node.input[0], ctx.emit("Neg", ctx.multiply(ctx.upstream(node), squared)))


def _exp(node: onnx.NodeProto, ctx: Context) -> None:
    ctx.give(node.input[0], ctx.multiply(ctx.upstream(node), node.output[0]))


def _log(node: onnx.NodeProto, ctx: Context) -> None:
    ctx.give(node.input[0], ctx.divide(ctx.upstream(node), node.input[0]))


def _sin(node: onnx.NodeProto, ctx: Context) -> None:
    ctx.give(node.input[0], ctx.multiply(ctx.upstream(node), ctx.emit("Cos", node.input[0])))


def _cos(node: onnx.NodeProto, ctx: Context) -> None:
    slope = ctx.emit("Neg", ctx.emit("Sin", node.input[0]))
    ctx.give(node.input[0], ctx.multiply(ctx.upstream(node), slope))


def _erf(node: onnx.NodeProto, ctx: Context) -> None:
    bell = ctx.emit("Exp", ctx.emit("Neg", ctx.multiply(node.input[0], node.input[0])))
    slope = ctx.multiply(bell, ctx.number(2.0 / math.sqrt(math.pi)))
    ctx.give(node.input[0], ctx.multiply(ctx.upstream(node), slope))


def _where(node: onnx.NodeProto, ctx: Context) -> None:
    for index in (1, 2):
        if ctx.wants(node.input[index]):
            chosen = node.input[0] if index == 1 else ctx.emit("Not", node.input[0])
            ctx.give_unbroadcast(node, index, ctx.multiply(ctx.upstream(node), ctx.mask(chosen)))


def _cast(node: onnx.NodeProto, ctx: Context) -> None:
    """Back to the input's type; the gradient of a rounding cast passes straight through."""
    origin = onnx.helper.np_dtype_to_tensor_dtype(ctx.dtype(node.input[0]))
    gradient = ctx.upstream(node)
    same = attributes(node)["to"] == origin
    ctx.give(node.input[0], gradient if same else ctx.emit("Cast", gradient, to=origin))


RULES = {
    "Abs": _abs,
    "Add": _add,
    "Cast": _cast,
    "Cos": _cos,
    "Div": _div,
    "Erf": _erf,
    "Exp": _exp,
    "Log": _log,
    "Max": _extreme,
    "Mean": _mean,
    "Min": _extreme,
    "Mul": _mul,
    "Neg": _neg,
    "Pow": _pow,
    "Reciprocal": _reciprocal,
    "Sin": _sin,
    "Sqrt": _sqrt,
    "Sub": _sub,
    "Sum": _add,
    "Where": _where,
}
