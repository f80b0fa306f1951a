"""The exact projection onto the meeting of an L2 ball and a box that holds the origin."""

from __future__ import annotations

from shared.attack.arrays import Array, clip, energy, namespace, per_image

__all__ = ["into_ball"]

# Newton's method on a concave piecewise-linear function needs one step a piece that it crosses; the tolerance
# is reached in two to five. A bound, so that no input can keep the loop.
_MOST = 20
_CLOSE = 1e-4


def into_ball(delta: Array, lower: Array, upper: Array, radius: Array) -> Array:
    """The point nearest to `delta`, of norm at most `radius`, in a box around 0; image by image.

    By the conditions of Karush, Kuhn and Tucker it is clip(s * delta) for one s in [0,1]. With t = s^2 the
    squared norm is concave in t and linear between the points where another element meets its bound, so
    Newton's method from below, begun at the plain scaling onto the ball, climbs to the answer and is never
    outside the ball.

    Args:
        delta: N C H W.
        lower: as delta, at most 0.
        upper: as delta, at least 0.
        radius: of shape N.
    """
    xp = namespace(delta)
    clipped = clip(delta + 0.0, lower, upper)
    target = radius * radius
    inside = energy(clipped) <= target
    if xp.all(inside):
        return clipped
    whole = energy(delta)
    ones = xp.ones_like(whole)
    t = xp.where(inside, ones, xp.minimum(target / xp.where(whole > 0, whole, ones), ones))
    for _ in range(_MOST):
        scaled = delta * per_image(xp.sqrt(t))
        clipped = clip(scaled + 0.0, lower, upper)
        gap = target - energy(clipped)
        # An image that has arrived stays as it is, so that the others of its batch cannot move it.
        going = (gap > _CLOSE * target) & (t < 1.0)
        if not xp.any(going):
            break
        free = energy(xp.where(clipped == scaled, delta, xp.zeros_like(delta)))
        going &= free > 0
        if not xp.any(going):
            break
        step = gap / xp.where(free > 0, free, ones)
        t = xp.where(going, xp.minimum(t + step, ones), t)
    return clipped
