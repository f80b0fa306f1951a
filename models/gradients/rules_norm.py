"""Backward rules of normalisation layers in inference.

Batch norm is affine then; the others use the image's own moments.
"""

from __future__ import annotations

import numpy as np
import onnx

from models.gradients.context import Context
from models.gradients.graph import attributes, unsupported
from models.gradients.rules_shape import axis_of

__all__ = ["RULES"]


def _batch_normalization(node: onnx.NodeProto, ctx: Context) -> None:
    if attributes(node).get("training_mode", 0):
        raise unsupported(node, "training_mode must be 0")
    scale, variance = ctx.constant(node, 1), ctx.constant(node, 4)
    if scale is None or variance is None:
        raise unsupported(node, "its scale and variance must be constants")
    factor = scale / np.sqrt(variance.astype(np.float64) + attributes(node).get("epsilon", 1e-5))
    rank = len(ctx.shape(node.input[0]))
    slope = ctx.floats(factor.reshape((-1,) + (1,) * (rank - 2)))
    ctx.give(node.input[0], ctx.multiply(ctx.upstream(node), slope))


def _layer_normalization(node: onnx.NodeProto, ctx: Context) -> None:
    ctx.refuse(node, 1, 2)
    first = axis_of(ctx, node, attributes(node).get("axis", -1))
    axes = tuple(range(first, len(ctx.shape(node.input[0]))))
    inverse = ctx.output(node, 2)
    unit = ctx.multiply(ctx.subtract(node.input[0], ctx.output(node, 1)), inverse)
    ctx.give(
        node.input[0],
        _through_moments(ctx, ctx.multiply(ctx.upstream(node), node.input[1]), unit, inverse, axes),
    )


def _instance_normalization(node: onnx.NodeProto, ctx: Context) -> None:
    """Each channel of each image over its pixels."""
    ctx.refuse(node, 1, 2)
    rank = len(ctx.shape(node.input[0]))
    axes = tuple(range(2, rank))
    centred = ctx.subtract(node.input[0], _mean(ctx, node.input[0], axes))
    variance = _mean(ctx, ctx.multiply(centred, centred), axes)
    epsilon = ctx.number(attributes(node).get("epsilon", 1e-5))
    inverse = ctx.emit("Reciprocal", ctx.emit("Sqrt", ctx.add(variance, epsilon)))
    scale = ctx.emit("Reshape", node.input[1], ctx.ints(-1, *([1] * (rank - 2))))
    gradient = ctx.multiply(ctx.upstream(node), scale)
    ctx.give(node.input[0], _through_moments(ctx, gradient, ctx.multiply(centred, inverse), inverse, axes))


def _through_moments(ctx: Context, gradient: str, unit: str, inverse: str, axes: tuple[int, ...]) -> str:
    """Gradient through u = (x - mean) / deviation: (g - mean(g) - u mean(g u)) / deviation."""
    level = _mean(ctx, gradient, axes)
    along = ctx.multiply(unit, _mean(ctx, ctx.multiply(gradient, unit), axes))
    return ctx.multiply(ctx.subtract(ctx.subtract(gradient, level), along), inverse)


def _mean(ctx: Context, value: str, axes: tuple[int, ...]) -> str:
    return ctx.emit("ReduceMean", value, ctx.ints(*axes), keepdims=1)


RULES = {
    "BatchNormalization": _batch_normalization,
    "InstanceNormalization": _instance_normalization,
    "LayerNormalization": _layer_normalization,
}
