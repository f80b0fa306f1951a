"""Backward rules of convolutions and pools, for their pictures; weights are constants."""

from __future__ import annotations

import numpy as np
import onnx

from models.gradients.context import Context
from models.gradients.conv_adjoint import Channels, Window, conv_adjoint, windows_of
from models.gradients.graph import Array, attributes, unsupported

__all__ = ["RULES"]


def _windows(node: onnx.NodeProto, ctx: Context, kernel: tuple[int, ...]) -> list[Window]:
    return windows_of(node, kernel, ctx.shape(node.input[0])[2:], ctx.shape(node.output[0])[2:])


def _conv(node: onnx.NodeProto, ctx: Context) -> None:
    ctx.refuse(node, 1, 2)
    weight = node.input[1]
    outputs, _, *kernel = ctx.shape(weight)
    channels = Channels(outputs, ctx.shape(node.input[0])[1], attributes(node).get("group", 1))
    windows = _windows(node, ctx, tuple(kernel))
    ctx.give(node.input[0], conv_adjoint(ctx, ctx.upstream(node), weight, windows, channels))


def _conv_transpose(node: onnx.NodeProto, ctx: Context) -> None:
    """The adjoint is the Conv with the same weights."""
    ctx.refuse(node, 1, 2)
    attrs = attributes(node)
    if attrs.get("auto_pad", "NOTSET") != "NOTSET" or "output_shape" in attrs:
        raise unsupported(node, "its pads must be stated as numbers")
    kept = {key: attrs[key] for key in ("strides", "dilations", "pads", "group") if key in attrs}
    kernel = list(ctx.shape(node.input[1])[2:])
    whole = ctx.emit("Conv", ctx.upstream(node), node.input[1], kernel_shape=kernel, **kept)
    ctx.give(node.input[0], whole)


def _max_pool(node: onnx.NodeProto, ctx: Context) -> None:
    """Scatter to where the maxima were; windows may overlap."""
    if attributes(node).get("storage_order", 0):
        raise unsupported(node, "storage_order must be 0")
    places = ctx.emit("Reshape", ctx.output(node, 1), ctx.ints(-1))
    values = ctx.emit("Reshape", ctx.upstream(node), ctx.ints(-1))
    count = ctx.emit("Reshape", ctx.emit("Size", node.input[0]), ctx.ints(1))
    zeros = ctx.emit("Expand", ctx.number(0.0), count)
    flat = ctx.emit("ScatterElements", zeros, places, values, axis=0, reduction="add")
    ctx.give(node.input[0], ctx.reshape_like(flat, node.input[0]))


def _average_pool(node: onnx.NodeProto, ctx: Context) -> None:
    attrs = attributes(node)
    if attrs.get("ceil_mode", 0):
        raise unsupported(node, "ceil_mode must be 0; pad explicitly")
    windows = _windows(node, ctx, tuple(attrs["kernel_shape"]))
    gradient = ctx.divide(
        ctx.upstream(node), _counts(ctx, windows, padding_counts=bool(attrs.get("count_include_pad", 0)))
    )
    channels = ctx.shape(node.input[0])[1]
    if all(w.stride == w.kernel and w.begin == w.end == 0 and w.size == w.steps * w.stride for w in windows):
        ctx.give(node.input[0], _repeat(ctx, gradient, windows, channels))
        return
    ones = ctx.emit("Expand", ctx.number(1.0), ctx.ints(channels, 1, *(window.kernel for window in windows)))
    ctx.give(
        node.input[0], conv_adjoint(ctx, gradient, ones, windows, Channels(channels, channels, channels))
    )


def _counts(ctx: Context, windows: list[Window], *, padding_counts: bool) -> str:
    """How many pixels each output averages: a number, or 1 1 *steps where windows hang over the edge."""
    counts: Array = np.ones(())
    for window in windows:
        starts = np.arange(window.steps) * window.stride - window.begin
        taps = starts[:, None] + np.arange(window.kernel) * window.dilation
        inside = (taps >= 0) & (taps < window.size) | padding_counts
        counts = np.multiply.outer(counts, inside.sum(axis=1))
    if counts.min() == counts.max():
        return ctx.number(float(counts.flat[0]))
    return ctx.floats(counts[None, None])


def _repeat(ctx: Context, gradient: str, windows: list[Window], channels: int) -> str:
    """Windows tile the picture: each pixel gets its window's gradient."""
    apart = [-1, channels, *(dim for window in windows for dim in (window.steps, 1))]
    tiles = [1, 1, *(dim for window in windows for dim in (1, window.kernel))]
    spread = ctx.emit("Expand", ctx.emit("Reshape", gradient, ctx.ints(*apart)), ctx.ints(*tiles))
    return ctx.emit("Reshape", spread, ctx.ints(-1, channels, *(window.size for window in windows)))


def _global_average_pool(node: onnx.NodeProto, ctx: Context) -> None:
    pixels = int(np.prod(ctx.shape(node.input[0])[2:]))
    share = ctx.divide(ctx.upstream(node), ctx.number(pixels))
    ctx.give(node.input[0], ctx.expand_like(share, node.input[0]))


RULES = {
    "AveragePool": _average_pool,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "GlobalAveragePool": _global_average_pool,
    "MaxPool": _max_pool,
}
