"""Backward rules of operators that move elements and change none."""

from __future__ import annotations

import numpy as np
import onnx

from models.gradients.context import Context
from models.gradients.graph import Array, Graph, attributes, unsupported
from models.gradients.shapes import run_graph

__all__ = ["RULES", "axis_of"]


def axis_of(ctx: Context, node: onnx.NodeProto, axis: int) -> int:
    """A fixed axis of the first input, counted from the front.

    Raises:
        GoodnoiseError: INVALID_INPUT when it is the batch axis: images of a batch must not meet.
    """
    shape = ctx.shape(node.input[0])
    place = axis % len(shape)
    if shape[place] < 0:
        raise unsupported(node, f"axis {axis} runs over the images of a batch, which must not meet")
    return place


def _reshape(node: onnx.NodeProto, ctx: Context) -> None:
    ctx.give(node.input[0], ctx.reshape_like(ctx.upstream(node), node.input[0]))


def _identity(node: onnx.NodeProto, ctx: Context) -> None:
    ctx.give(node.input[0], ctx.upstream(node))


def _transpose(node: onnx.NodeProto, ctx: Context) -> None:
    rank = len(ctx.shape(node.input[0]))
    order = attributes(node).get("perm", list(range(rank))[::-1])
    ctx.give(node.input[0], ctx.emit("Transpose", ctx.upstream(node), perm=np.argsort(order).tolist()))


def _expand(node: onnx.NodeProto, ctx: Context) -> None:
    ctx.give_unbroadcast(node, 0, ctx.upstream(node))


def _slice_of(ctx: Context, value: str, axis: int, start: int, stop: int) -> str:
    return ctx.emit("Slice", value, ctx.ints(start), ctx.ints(stop), ctx.ints(axis))


def _concat(node: onnx.NodeProto, ctx: Context) -> None:
    axis, start = axis_of(ctx, node, attributes(node)["axis"]), 0
    for name in node.input:
        stop = start + ctx.shape(name)[axis]
        if ctx.wants(name):
            ctx.give(name, _slice_of(ctx, ctx.upstream(node), axis, start, stop))
        start = stop


def _split(node: onnx.NodeProto, ctx: Context) -> None:
    axis = axis_of(ctx, node, attributes(node).get("axis", 0))
    parts = [ctx.gradient(name) or ctx.zeros_like(name) for name in node.output]
    ctx.give(node.input[0], ctx.emit("Concat", *parts, axis=axis))


def _pad(node: onnx.NodeProto, ctx: Context) -> None:
    if attributes(node).get("mode", "constant") != "constant":
        raise unsupported(node, "only mode 'constant' has a rule")
    shape = ctx.shape(node.input[0])
    pads, listed = ctx.constant(node, 1), ctx.constant(node, 3)
    axes = range(len(shape)) if listed is None else [int(axis) for axis in listed.reshape(-1)]
    if pads is None:
        raise unsupported(node, "its pads must be stated")
    amounts = pads.reshape(2, -1)
    gradient = ctx.upstream(node)
    for place, axis in enumerate(axes):
        begin, end = (int(amounts[side][place]) for side in (0, 1))
        if begin or end:
            gradient = _unpad(ctx, gradient, axis_of(ctx, node, axis), (begin, end), len(shape))
    ctx.give(node.input[0], gradient)


def _unpad(ctx: Context, value: str, axis: int, pads: tuple[int, int], rank: int) -> str:
    """Undo pads along one axis; what negative pads cut off gets zeros."""
    begin, end = pads
    if begin > 0 or end > 0:
        stop = -end if end > 0 else np.iinfo(np.int64).max
        value = _slice_of(ctx, value, axis, max(begin, 0), stop)
    if begin < 0 or end < 0:
        value = _zeros_around(ctx, value, axis, (max(-begin, 0), max(-end, 0)), rank)
    return value


def _zeros_around(ctx: Context, value: str, axis: int, pads: tuple[int, int], rank: int) -> str:
    amounts = np.zeros((2, rank), np.int64)
    amounts[:, axis] = pads
    return ctx.emit("Pad", value, ctx.ints(*amounts.reshape(-1).tolist()))


def _slice(node: onnx.NodeProto, ctx: Context) -> None:
    shape = ctx.shape(node.input[0])
    starts, stops, listed, steps = (ctx.constant(node, index) for index in (1, 2, 3, 4))
    if starts is None or stops is None:
        raise unsupported(node, "starts and ends must be constants")
    axes = range(len(starts)) if listed is None else listed.tolist()
    gradient = ctx.upstream(node)
    for place, axis in enumerate(axes):
        step = 1 if steps is None else int(steps[place])
        if shape[axis] < 0 and (int(starts[place]), step) == (0, 1) and int(stops[place]) >= 2**31 - 1:
            continue
        axis = axis_of(ctx, node, axis)  # noqa: PLW2901 - the same axis, counted from the front
        kept = range(shape[axis])[
            slice(int(starts[place]), _stop(int(stops[place]), shape[axis], step), step)
        ]
        gradient = _place(ctx, gradient, axis, list(kept), (len(shape), shape[axis]))
    ctx.give(node.input[0], gradient)


def _stop(stop: int, size: int, step: int) -> int | None:
    """Walking backwards, ONNX takes a stop below -size as 'past the first', which Python writes as None."""
    return None if step < 0 and stop < -size else stop


def _gather(node: onnx.NodeProto, ctx: Context) -> None:
    indices = ctx.constant(node, 1)
    if indices is None or ctx.wants(node.input[1]):
        raise unsupported(node, "indices must be constants")
    shape = ctx.shape(node.input[0])
    axis = axis_of(ctx, node, attributes(node).get("axis", 0))
    gradient = ctx.upstream(node)
    if indices.ndim != 1:
        gradient = _one_axis(ctx, gradient, node.input[0], axis, indices.size)
    kept = (indices.reshape(-1) % shape[axis]).tolist()
    ctx.give(node.input[0], _place(ctx, gradient, axis, kept, (len(shape), shape[axis])))


def _one_axis(ctx: Context, gradient: str, like: str, axis: int, count: int) -> str:
    """Join the axes that a table of indices made of one axis; for a single index that is a new axis of 1."""
    dims = [-1 if dim < 0 else dim for dim in ctx.shape(like)]
    return ctx.emit("Reshape", gradient, ctx.ints(*dims[:axis], count, *dims[axis + 1 :]))


def _place(ctx: Context, gradient: str, axis: int, kept: list[int], size: tuple[int, int]) -> str:
    """The adjoint of keeping these positions of an axis of this size; size is rank and length."""
    rank, length = size
    if kept == list(range(length)):
        return gradient
    if kept and kept == list(range(kept[0], kept[-1] + 1)):
        return _zeros_around(ctx, gradient, axis, (kept[0], length - 1 - kept[-1]), rank)
    if sorted(kept) == list(range(length)):
        return ctx.emit("Gather", gradient, ctx.ints(*np.argsort(kept).tolist()), axis=axis)
    table = np.zeros((len(kept), length))
    table[np.arange(len(kept)), kept] = 1.0
    return _along(ctx, gradient, axis, table, rank)


def _along(ctx: Context, value: str, axis: int, table: Array, rank: int) -> str:
    """Multiply one axis by a constant matrix, rows = the axis of `value`."""
    order = [*(place for place in range(rank) if place != axis), axis]
    if axis == rank - 1:
        return ctx.emit("MatMul", value, ctx.floats(table))
    turned = ctx.emit("MatMul", ctx.emit("Transpose", value, perm=order), ctx.floats(table))
    return ctx.emit("Transpose", turned, perm=np.argsort(order).tolist())


def _depth_to_space(node: onnx.NodeProto, ctx: Context) -> None:
    attrs = attributes(node)
    if attrs.get("mode", "DCR") != "DCR":
        raise unsupported(node, "only mode 'DCR' has a rule")
    ctx.give(node.input[0], ctx.emit("SpaceToDepth", ctx.upstream(node), blocksize=attrs["blocksize"]))


def _space_to_depth(node: onnx.NodeProto, ctx: Context) -> None:
    size = attributes(node)["blocksize"]
    ctx.give(node.input[0], ctx.emit("DepthToSpace", ctx.upstream(node), blocksize=size, mode="DCR"))


def _resize(node: onnx.NodeProto, ctx: Context) -> None:
    """Resizing is linear, axis by axis: multiply each by the matrix of its resize, from the other side."""
    ctx.refuse(node, 1, 2, 3)
    before, after = ctx.shape(node.input[0]), ctx.shape(node.output[0])
    if attributes(node).get("coordinate_transformation_mode") == "tf_crop_and_resize":
        raise unsupported(node, "cropping while resizing has no rule; crop first")
    gradient = ctx.upstream(node)
    for axis, (old, new) in enumerate(zip(before, after, strict=True)):
        if old != new:
            gradient = _along(
                ctx, gradient, axis_of(ctx, node, axis), _resize_matrix(node, ctx, axis), len(before)
            )
    ctx.give(node.input[0], gradient)


def _resize_matrix(node: onnx.NodeProto, ctx: Context, axis: int) -> Array:
    """The matrix (new, old) of this Resize along one axis, asked of the runtime with unit vectors."""
    old, new = ctx.shape(node.input[0])[axis], ctx.shape(node.output[0])[axis]
    scales = ctx.constant(node, 2)
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    del copy.input[:], copy.output[:]
    copy.output.append("resized")
    kept = [item for item in node.attribute if item.name not in ("axes", "keep_aspect_ratio_policy")]
    del copy.attribute[:]
    copy.attribute.extend(kept)
    constants: dict[str, Array] = {}
    if scales is not None and scales.size:
        axes = attributes(node).get("axes", list(range(len(ctx.shape(node.input[0])))))
        scale = scales[[place % len(ctx.shape(node.input[0])) for place in axes].index(axis)]
        constants["scales"] = np.array([1, 1, scale, 1], np.float32)
        copy.input.extend(["units", "", "scales"])
    else:
        constants["sizes"] = np.array([1, 1, new, old], np.int64)
        copy.input.extend(["units", "", "", "sizes"])
    graph = Graph([copy], constants, "units", "resized", (1, old, old), 18)
    units = np.eye(old, dtype=np.float32)[None, None]
    resized = run_graph(graph, ["resized"], {"units": units})["resized"]
    return np.asarray(resized[0, 0])


RULES = {
    "Concat": _concat,
    "DepthToSpace": _depth_to_space,
    "Dropout": _identity,
    "Expand": _expand,
    "Flatten": _reshape,
    "Gather": _gather,
    "Identity": _identity,
    "Pad": _pad,
    "Reshape": _reshape,
    "Resize": _resize,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _reshape,
    "Transpose": _transpose,
    "Unsqueeze": _reshape,
}
