"""The loss at the end of a gradient graph, and its gradient for the embedding."""

from __future__ import annotations

from models.gradients.context import Context

__all__ = ["EPSILON", "emit_loss"]

# Under the square root of a squared length: no effect on real embeddings, no NaN for zero vectors.
EPSILON = 1e-12


def emit_loss(ctx: Context, embedding: str) -> tuple[str, str]:
    """Emit loss N = sum over k of weights N K times the cosine of embedding N D and anchors N K D.

    Returns:
        Names of the loss and of its gradient for the embedding: with e = x/|x| and v = sum_k w_k a_k/|a_k|,
        the loss is v . e and the gradient (v - (v . e) e) / |x|.
    """
    length = _length(ctx, embedding, axis=1)
    unit = ctx.divide(embedding, length)
    anchors = ctx.divide("anchors", _length(ctx, "anchors", axis=2))
    weighted = ctx.multiply(anchors, ctx.emit("Unsqueeze", "weights", ctx.ints(2)))
    target = ctx.emit("ReduceSum", weighted, ctx.ints(1), keepdims=0)
    loss = ctx.reduce_sum(ctx.multiply(target, unit), (1,))
    gradient = ctx.divide(ctx.subtract(target, ctx.multiply(loss, unit)), length)
    return ctx.emit("Squeeze", loss, ctx.ints(1)), gradient


def _length(ctx: Context, value: str, *, axis: int) -> str:
    squared = ctx.reduce_sum(ctx.multiply(value, value), (axis,))
    return ctx.emit("Sqrt", ctx.add(squared, ctx.number(EPSILON)))
