"""The adjoint of a convolution as convolutions, from the one stored copy of its weights.

Flipped and transposed weights are derived inside the graph from the same initialiser; ONNX Runtime folds them when
it loads the file. For stride 1 that is one Conv. For stride s it is one small Conv for each of the s x s phases of
the input grid, interleaved by DepthToSpace: no multiplication by inserted zeros, and several times faster than ONNX
Runtime's ConvTranspose where there are groups. What does not fit falls back to ConvTranspose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import onnx

from models.gradients.context import Context
from models.gradients.graph import attributes, unsupported

__all__ = ["Window", "conv_adjoint", "windows_of"]

MAX_PHASES = 9  # above it (stride 4 and more) the kernel is mostly one tap for a phase: use ConvTranspose


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
    def extent(self) -> int:
        """Pixels from the first to the last tap."""
        return self.dilation * (self.kernel - 1) + 1


@dataclass(frozen=True)
class Phase:
    """Input positions of one residue along one axis: which taps reach them, and the pads of their Conv.

    `taps` is in the order of the output positions; it is empty when no tap reaches these positions.
    """

    taps: tuple[int, ...]
    begin: int
    end: int


def windows_of(
    node: onnx.NodeProto, kernel: Sequence[int], sizes: Sequence[int], steps: Sequence[int]
) -> list[Window]:
    """Windows of a Conv or a pool with `auto_pad` made explicit; sizes and steps are H W of input and output."""
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
        raise unsupported(node, f"its spatial sizes {list(sizes)} -> {list(steps)} must be fixed; state the input's size")
    return windows


def conv_adjoint(ctx: Context, gradient: str, weight: str, windows: Sequence[Window], channels: tuple[int, int, int]) -> str:
    """Emit the gradient of a convolution's input.

    Args:
        ctx: where to emit.
        gradient: gradient of the output, N M *steps.
        weight: the convolution's weights, M C/groups *kernel.
        windows: one for each spatial axis.
        channels: M, C and the number of groups.

    Returns:
        Name of the gradient, N C *sizes.
    """
    if all(w.steps == 1 and w.begin == w.end == 0 and w.size == w.extent and w.dilation == 1 for w in windows):
        return _whole(ctx, gradient, weight, windows, channels)
    phases = [_phases(window) for window in windows]
    count = int(np.prod([len(axis) for axis in phases]))
    strides = {window.stride for window in windows}
    fits = count == 1 or (len(windows) == 2 and len(strides) == 1 and count <= MAX_PHASES)
    if not fits or any(min(phase.begin, phase.end) < 0 for axis in phases for phase in axis):
        return _transposed(ctx, gradient, weight, windows, channels[2])
    parts = [_phase_conv(ctx, gradient, weight, windows, combination, channels) for combination in product(*phases)]
    if count == 1:
        return parts[0] or gradient
    return _interleave(ctx, parts, windows)


def _phases(window: Window) -> list[Phase]:
    """One phase for stride 1 (dilation allowed), `stride` phases otherwise."""
    if window.stride == 1:
        reach = window.extent - 1
        taps = tuple(range(window.kernel))[::-1]
        return [Phase(taps, reach - window.begin, window.size - window.steps + window.begin)]
    if window.dilation != 1:
        return [Phase((), -1, -1)] * window.stride
    return [_phase(window, residue) for residue in range(window.stride)]


def _phase(window: Window, residue: int) -> Phase:
    """Input position stride*q + residue meets tap t at output q + (residue + begin - t) / stride."""
    place = residue + window.begin
    taps = [tap for tap in range(window.kernel) if (place - tap) % window.stride == 0][::-1]
    if not taps:
        return Phase((), 0, 0)
    first, last = ((place - tap) // window.stride for tap in (taps[0], taps[-1]))
    return Phase(tuple(taps), -first, _positions(window) - 1 + last - (window.steps - 1))


def _positions(window: Window) -> int:
    return -(-window.size // window.stride)


def _phase_conv(
    ctx: Context,
    gradient: str,
    weight: str,
    windows: Sequence[Window],
    phases: Sequence[Phase],
    channels: tuple[int, int, int],
) -> str | None:
    if any(not phase.taps for phase in phases):
        return None
    taps = [phase.taps for phase in phases]
    return ctx.emit(
        "Conv",
        gradient,
        _adjoint_weight(ctx, weight, windows, taps, channels),
        group=channels[2],
        kernel_shape=[len(axis) for axis in taps],
        dilations=[window.dilation for window in windows],
        pads=[phase.begin for phase in phases] + [phase.end for phase in phases],
        strides=[1] * len(windows),
    )


def _adjoint_weight(
    ctx: Context,
    weight: str,
    windows: Sequence[Window],
    taps: Sequence[tuple[int, ...]],
    channels: tuple[int, int, int],
) -> str:
    """Weights C M/groups *taps of the adjoint, derived from the weights M C/groups *kernel."""
    for axis, (window, chosen) in enumerate(zip(windows, taps, strict=True)):
        if chosen != tuple(range(window.kernel)):
            weight = ctx.emit("Gather", weight, ctx.ints(*chosen), axis=axis + 2)
    outputs, inputs, groups = channels
    if outputs == inputs == groups:
        return weight
    spatial = [len(chosen) for chosen in taps]
    grouped = ctx.emit("Reshape", weight, ctx.ints(groups, outputs // groups, inputs // groups, *spatial))
    swapped = ctx.emit("Transpose", grouped, perm=[0, 2, 1, *range(3, 3 + len(spatial))])
    return ctx.emit("Reshape", swapped, ctx.ints(inputs, outputs // groups, *spatial))


def _interleave(ctx: Context, parts: Sequence[str | None], windows: Sequence[Window]) -> str:
    """Phases, row by row, to one picture; positions beyond the input's edge are cut off."""
    present = next(part for part in parts if part is not None)
    filled = [part if part is not None else _zeros_of(ctx, present) for part in parts]
    joined = ctx.emit("Concat", *filled, axis=1)
    whole = ctx.emit("DepthToSpace", joined, blocksize=windows[0].stride, mode="DCR")
    if all(window.size % window.stride == 0 for window in windows):
        return whole
    ends = ctx.ints(*(window.size for window in windows))
    return ctx.emit("Slice", whole, ctx.ints(0, 0), ends, ctx.ints(2, 3))


def _zeros_of(ctx: Context, like: str) -> str:
    return ctx.emit("Expand", ctx.number(0.0), ctx.emit("Shape", like))


def _whole(
    ctx: Context, gradient: str, weight: str, windows: Sequence[Window], channels: tuple[int, int, int]
) -> str:
    """The kernel covers the whole input once: a product, without windows."""
    outputs, inputs, groups = channels
    sizes = [window.size for window in windows]
    if outputs == inputs == groups:
        return ctx.multiply(gradient, ctx.emit("Reshape", weight, ctx.ints(1, inputs, *sizes)))
    if groups != 1:
        return _transposed(ctx, gradient, weight, windows, groups)
    rows = ctx.emit("Reshape", gradient, ctx.ints(-1, outputs))
    table = ctx.emit("Reshape", weight, ctx.ints(outputs, -1))
    return ctx.emit("Reshape", ctx.emit("MatMul", rows, table), ctx.ints(-1, inputs, *sizes))


def _transposed(ctx: Context, gradient: str, weight: str, windows: Sequence[Window], groups: int) -> str:
    extra = [w.size - ((w.steps - 1) * w.stride + w.extent - w.begin - w.end) for w in windows]
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
