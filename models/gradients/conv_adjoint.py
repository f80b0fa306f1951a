"""The adjoint of a convolution, from the one stored copy of its weights, as ONNX Runtime runs it fastest.

Measured on one core of an x86 server (ms for the shapes of the zoo): with stride 1 a Conv with flipped
weights takes 0.7 of a ConvTranspose; with stride 2 a ConvTranspose is best for dense weights, and for grouped
ones a Conv over the gradient with zeros between its elements (0.4 for 0.57). Flipped weights are derived
inside the graph from the same initialiser; ONNX Runtime folds them when it loads the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from models.gradients.context import Context
from models.gradients.graph import attributes, unsupported

__all__ = ["Channels", "Window", "conv_adjoint", "windows_of"]


@dataclass(frozen=True)
class Window:
    """Sliding window along one spatial axis: kernel, stride, dilation, pads, sizes of input and output."""

    kernel: int
    stride: int
    dilation: int
    begin: int
    end: int
    size: int
    steps: int

    @property
    def reach(self) -> int:
        """Pixels from the first to the last tap."""
        return self.dilation * (self.kernel - 1)

    @property
    def flipped_pads(self) -> tuple[int, int]:
        """Pads of the Conv with flipped taps that leads back, over `steps * stride` elements."""
        return self.reach - self.begin, self.size - self.steps * self.stride + self.begin


@dataclass(frozen=True)
class Channels:
    """Channels of a convolution's output and input, and its groups."""

    outputs: int
    inputs: int
    groups: int

    @property
    def depthwise(self) -> bool:
        """One filter for each channel."""
        return self.outputs == self.inputs == self.groups


def windows_of(
    node: onnx.NodeProto, kernel: Sequence[int], sizes: Sequence[int], steps: Sequence[int]
) -> list[Window]:
    """Windows of a Conv or pool, `auto_pad` made explicit; sizes and steps are H W of input and output."""
    attrs = attributes(node)
    rank = len(kernel)
    strides, dilations = attrs.get("strides", [1] * rank), attrs.get("dilations", [1] * rank)
    pads = attrs.get("pads", [0] * 2 * rank)
    auto = attrs.get("auto_pad", "NOTSET")
    windows = []
    for axis, (k, s, d) in enumerate(zip(kernel, strides, dilations, strict=True)):
        begin, end = pads[axis], pads[axis + rank]
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            total = max((steps[axis] - 1) * s + d * (k - 1) + 1 - sizes[axis], 0)
            begin = total // 2 if auto == "SAME_UPPER" else total - total // 2
            end = total - begin
        elif auto == "VALID":
            begin = end = 0
        windows.append(Window(k, s, d, begin, end, sizes[axis], steps[axis]))
    if min(*sizes, *steps) < 1:
        raise unsupported(
            node, f"its spatial sizes {list(sizes)} -> {list(steps)} must be fixed; state the input's size"
        )
    return windows


def conv_adjoint(
    ctx: Context, gradient: str, weight: str, windows: Sequence[Window], channels: Channels
) -> str:
    """Emit the gradient of a convolution's input.

    Args:
        ctx: where to emit.
        gradient: gradient of the output, N M *steps.
        weight: the convolution's weights, M C/groups *kernel.
        windows: one for each spatial axis.
        channels: M, C and the groups.

    Returns:
        Name of the gradient, N C *sizes.
    """
    if _covers(windows) and (channels.depthwise or channels.groups == 1):
        return _whole(ctx, gradient, weight, windows, channels)
    strided = any(window.stride > 1 for window in windows)
    dense_strided = strided and (channels.groups == 1 or len(windows) != 2)
    if dense_strided or any(min(window.flipped_pads) < 0 for window in windows):
        return _transposed(ctx, gradient, weight, windows, channels.groups)
    spread = _spread(ctx, gradient, windows) if strided else gradient
    return _flipped(ctx, spread, weight, windows, channels)


def _covers(windows: Sequence[Window]) -> bool:
    """Whether the kernel covers the whole input, once."""
    return all(
        w.steps == 1 and w.begin == w.end == 0 and w.size == w.kernel and w.dilation == 1 for w in windows
    )


def _flipped(ctx: Context, gradient: str, weight: str, windows: Sequence[Window], channels: Channels) -> str:
    pads = [window.flipped_pads for window in windows]
    return ctx.emit(
        "Conv",
        gradient,
        _flipped_weight(ctx, weight, windows, channels),
        group=channels.groups,
        kernel_shape=[window.kernel for window in windows],
        dilations=[window.dilation for window in windows],
        pads=[begin for begin, _ in pads] + [end for _, end in pads],
        strides=[1] * len(windows),
    )


def _flipped_weight(ctx: Context, weight: str, windows: Sequence[Window], channels: Channels) -> str:
    """Weights C M/groups *kernel of the adjoint, derived from the weights M C/groups *kernel."""
    for axis, window in enumerate(windows, start=2):
        if window.kernel > 1:
            weight = ctx.emit("Gather", weight, ctx.ints(*range(window.kernel)[::-1]), axis=axis)
    if channels.depthwise:
        return weight
    kernel = [window.kernel for window in windows]
    filters, depth = channels.outputs // channels.groups, channels.inputs // channels.groups
    grouped = ctx.emit("Reshape", weight, ctx.ints(channels.groups, filters, depth, *kernel))
    swapped = ctx.emit("Transpose", grouped, perm=[0, 2, 1, *range(3, 3 + len(kernel))])
    return ctx.emit("Reshape", swapped, ctx.ints(channels.inputs, filters, *kernel))


def _spread(ctx: Context, gradient: str, windows: Sequence[Window]) -> str:
    """Zeros between the elements, N M *(steps * stride): repeat each, and mask all copies but the first."""
    repeats = ctx.literal(np.array([1, 1, *(window.stride for window in windows)], np.float32))
    repeated = ctx.emit(
        "Resize",
        gradient,
        "",
        repeats,
        mode="nearest",
        nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    )
    first = [np.arange(window.steps * window.stride) % window.stride == 0 for window in windows]
    return ctx.multiply(repeated, ctx.floats(np.outer(*first)))


def _whole(ctx: Context, gradient: str, weight: str, windows: Sequence[Window], channels: Channels) -> str:
    """A kernel as large as the input: a product, without windows."""
    sizes = [window.size for window in windows]
    if channels.depthwise:
        return ctx.multiply(gradient, ctx.emit("Reshape", weight, ctx.ints(1, channels.inputs, *sizes)))
    rows = ctx.emit("Reshape", gradient, ctx.ints(-1, channels.outputs))
    table = ctx.emit("Reshape", weight, ctx.ints(channels.outputs, -1))
    return ctx.emit("Reshape", ctx.emit("MatMul", rows, table), ctx.ints(-1, channels.inputs, *sizes))


def _transposed(ctx: Context, gradient: str, weight: str, windows: Sequence[Window], groups: int) -> str:
    extra = [w.size - ((w.steps - 1) * w.stride + w.reach + 1 - w.begin - w.end) for w in windows]
    return ctx.emit(
        "ConvTranspose",
        gradient,
        weight,
        group=groups,
        kernel_shape=[window.kernel for window in windows],
        strides=[window.stride for window in windows],
        dilations=[window.dilation for window in windows],
        pads=[window.begin for window in windows] + [window.end for window in windows],
        output_padding=extra,
    )
