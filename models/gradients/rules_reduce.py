"""Backward rules of reductions and norms over axes."""

from __future__ import annotations

import math

import numpy as np
import onnx

from models.gradients.context import Context
from models.gradients.graph import attributes, unsupported
from models.gradients.rules_shape import axis_of

__all__ = ["RULES"]


def _axes(node: onnx.NodeProto, ctx: Context) -> tuple[int, ...]:
    """The reduced axes, from the front; none of them is the batch."""
    listed = ctx.constant(node, 1)
    if listed is None or listed.size == 0:
        if attributes(node).get("noop_with_empty_axes", 0):
            return ()
        listed = np.arange(len(ctx.shape(node.input[0])))
    return tuple(axis_of(ctx, node, int(axis)) for axis in listed.reshape(-1))


def _kept(node: onnx.NodeProto, ctx: Context, value: str) -> str:
    """A tensor of the output's shape with the reduced axes put back as dimensions of 1."""
    axes = _axes(node, ctx)
    if attributes(node).get("keepdims", 1) or not axes:
        return value
    return ctx.emit("Unsqueeze", value, ctx.ints(*sorted(axes)))


def _reduce_sum(node: onnx.NodeProto, ctx: Context) -> None:
    ctx.give(node.input[0], ctx.expand_like(_kept(node, ctx, ctx.upstream(node)), node.input[0]))


def _reduce_mean(node: onnx.NodeProto, ctx: Context) -> None:
    count = math.prod(ctx.shape(node.input[0])[axis] for axis in _axes(node, ctx))
    share = ctx.divide(_kept(node, ctx, ctx.upstream(node)), ctx.number(count))
    ctx.give(node.input[0], ctx.expand_like(share, node.input[0]))


def _reduce_sum_square(node: onnx.NodeProto, ctx: Context) -> None:
    twice = ctx.multiply(_kept(node, ctx, ctx.upstream(node)), ctx.number(2.0))
    ctx.give(node.input[0], ctx.multiply(twice, node.input[0]))


def _reduce_l2(node: onnx.NodeProto, ctx: Context) -> None:
    """The slope at the zero vector counts as zero."""
    share = ctx.divide(_kept(node, ctx, ctx.upstream(node)), _safe(ctx, _kept(node, ctx, node.output[0])))
    ctx.give(node.input[0], ctx.multiply(share, node.input[0]))


def _safe(ctx: Context, length: str) -> str:
    """A length to divide by: infinite where it is zero, so that the quotient is zero."""
    positive = ctx.emit("Greater", length, ctx.number(0.0))
    return ctx.emit("Where", positive, length, ctx.number(math.inf))


def _lp_normalization(node: onnx.NodeProto, ctx: Context) -> None:
    """(g - (g . y) y) / |x|, and zero for the zero vector."""
    attrs = attributes(node)
    if attrs.get("p", 2) != 2:
        raise unsupported(node, "only p = 2 has a rule")
    axis = axis_of(ctx, node, attrs.get("axis", -1))
    gradient, unit = ctx.upstream(node), node.output[0]
    along = ctx.multiply(ctx.reduce_sum(ctx.multiply(gradient, unit), (axis,)), unit)
    length = ctx.emit("ReduceL2", node.input[0], ctx.ints(axis), keepdims=1)
    ctx.give(node.input[0], ctx.divide(ctx.subtract(gradient, along), _safe(ctx, length)))


RULES = {
    "LpNormalization": _lp_normalization,
    "ReduceL2": _reduce_l2,
    "ReduceMean": _reduce_mean,
    "ReduceSum": _reduce_sum,
    "ReduceSumSquare": _reduce_sum_square,
}
