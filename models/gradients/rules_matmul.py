"""Backward rules of matrix products."""

from __future__ import annotations

import onnx

from models.gradients.context import Context
from models.gradients.graph import attributes, unsupported

__all__ = ["RULES"]


def _matmul(node: onnx.NodeProto, ctx: Context) -> None:
    left, right = node.input
    ranks = len(ctx.shape(left)), len(ctx.shape(right))
    if min(ranks) < 2:
        raise unsupported(node, "operands with one dimension have no rule; unsqueeze them")
    gradient, shape = ctx.upstream(node), ctx.shape(node.output[0])
    if ctx.wants(left):
        whole = ctx.emit("MatMul", gradient, _swapped(ctx, right))
        ctx.give(left, ctx.unbroadcast(whole, (*shape[:-1], ctx.shape(left)[-1]), left))
    if ctx.wants(right):
        whole = ctx.emit("MatMul", _swapped(ctx, left), gradient)
        ctx.give(right, ctx.unbroadcast(whole, (*shape[:-2], *ctx.shape(right)[-2:]), right))


def _swapped(ctx: Context, name: str) -> str:
    """The last two dimensions exchanged."""
    rank = len(ctx.shape(name))
    return ctx.emit("Transpose", name, perm=[*range(rank - 2), rank - 1, rank - 2])


def _gemm(node: onnx.NodeProto, ctx: Context) -> None:
    attrs = attributes(node)
    alpha, beta = attrs.get("alpha", 1.0), attrs.get("beta", 1.0)
    turn_left, turn_right = attrs.get("transA", 0), attrs.get("transB", 0)
    left, right, gradient = node.input[0], node.input[1], ctx.upstream(node)
    if ctx.wants(left):
        first, second = (right, gradient) if turn_left else (gradient, right)
        turns = {"transA": turn_right, "transB": 1} if turn_left else {"transB": 1 - turn_right}
        ctx.give(left, ctx.emit("Gemm", first, second, alpha=alpha, **turns))
    if ctx.wants(right):
        first, second = (gradient, left) if turn_right else (left, gradient)
        turns = {"transA": 1, "transB": turn_left} if turn_right else {"transA": 1 - turn_left}
        ctx.give(right, ctx.emit("Gemm", first, second, alpha=alpha, **turns))
    if len(node.input) > 2 and ctx.wants(node.input[2]):
        ctx.give_unbroadcast(node, 2, ctx.multiply(gradient, ctx.number(beta)))


RULES = {"Gemm": _gemm, "MatMul": _matmul}
