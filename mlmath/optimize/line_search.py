"""Line search: how far to go along a direction in which a function falls.

From x with gradient g along d, where φ(t) = L(x + t d) has φ′(0) = gᵀd < 0, a length t > 0 is
accepted that meets the strong conditions of Wolfe, with 0 < c₁ = 10⁻⁴ < c₂ < 1,

    φ(t) ≤ φ(0) + c₁ t φ′(0)                                                   (1)
    |φ′(t)| ≤ c₂ |φ′(0)|                                                       (2)

A trial is too long if (1) fails, L or ∇L is not finite there, or φ′(t) > c₂ |φ′(0)|; too short
if φ′(t) < −c₂ |φ′(0)|. The longest trial that was too short, or 0, and the shortest that was too
long are the ends of a bracket: ψ(t) = φ(t) − φ(0) − c₁ t φ′(0) begins it at most 0 and falling and
ends it positive or rising, so that its minimum inside has (1) and, with φ′ = c₁ φ′(0), (2).
The next trial is where the secant of φ′ from the near end through the last trial is 0,

    t⁺ = a + (t − a) φ′(a) / (φ′(a) − φ′(t)),        a the near end               (3)

kept a tenth of the bracket away from its ends, or between 1.1 t and 10 t until there is a far end.
Where (3) is not finite or φ′ falls from a to t it is the middle, or 4 t. If φ is a quadratic, (3)
is its minimum and the second trial.

(1) forgives 8ε |φ(0)|, what rounding makes of two equal values; the slopes in (2), which keep
their digits for longer, then decide alone.

Time: one value and gradient per trial.

>>> import jax, jax.numpy as jnp
>>> from mlmath.optimize import line_search
>>> bowl = jax.value_and_grad(lambda x: jnp.sum(x**2))
>>> x = jnp.array([3.0, 4.0])
>>> found = line_search.search(
...     bowl, line_search.Point(x, *bowl(x)), -x, length=0.1, curvature=0.1, max_trials=20
... )
>>> print(found.length, found.trials, found.point.x)
1.0 2 [0. 0.]

References:
    Nocedal & Wright (2006), Numerical Optimization, §3.1 (conditions 3.7), §3.5 (algorithms 3.5 and
        3.6, whose near end is the lowest trial).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from mlmath.arrays import Count, Scalar

__all__ = ["Found", "Point", "search"]

_DECREASE = 1e-4  # c₁


class Point(NamedTuple):
    """A place with what is known of the function there."""

    x: Float[Array, " d"]
    value: Float[Array, ""]  # L(x)
    gradient: Float[Array, " d"]  # ∇L(x)


class Found(NamedTuple):
    """Outcome of :func:`search`."""

    point: Point  # x + t d, or x where no trial was accepted
    length: Float[Array, ""]  # t, or 0
    trials: Int[Array, ""]
    accepted: Bool[Array, ""]


class _Bracket(NamedTuple):
    length: Any  # t, the next trial
    near: Any  # its begin a
    near_slope: Any  # φ′(a)
    far: Any  # its end; ∞ until one is known


def search(
    value_and_gradient: Callable[..., Any],
    start: Point,
    direction: Float[Array, " d"],
    *,
    length: Scalar,
    curvature: Scalar,
    max_trials: Count,
) -> Found:
    """Find a length with (1) and (2).

    Args:
        value_and_gradient: L and ∇L of a vector.
        start: x.
        direction: d; one along which L does not fall yields no trial.
        length: the first trial, t > 0.
        curvature: c₂, between c₁ and 1; a small one makes the search exact.
        max_trials: most trials; none at all yields x.
    """
    slope = start.gradient @ direction
    steep = -curvature * slope
    rounding = 8 * jnp.finfo(slope.dtype).eps * jnp.abs(start.value)

    def unfinished(state):  # false for NaN, and where no number is left between the ends
        found, bracket = state
        inside = (bracket.near < bracket.length) & (bracket.length < bracket.far)
        moves = (start.x + bracket.length * direction != start.x).any()
        return ~found.accepted & (found.trials < max_trials) & (slope < 0) & inside & moves

    def trial(state):
        found, bracket = state
        t = bracket.length
        x = start.x + t * direction
        value, gradient = value_and_gradient(x)
        end = gradient @ direction
        low = value <= start.value + _DECREASE * t * slope + rounding
        low &= jnp.isfinite(value) & jnp.isfinite(gradient).all()
        short, long = low & (end < -steep), ~low | (end > steep)
        last = Found(Point(x, value, gradient), t, found.trials + 1, ~(short | long))
        return last, _narrowed(bracket, end, short, long)

    zero = jnp.zeros_like(slope)
    first = Found(start, zero, jnp.asarray(0), jnp.asarray(False))
    bracket = _Bracket(jnp.asarray(length, slope.dtype), zero, slope, zero + jnp.inf)
    last, _ = lax.while_loop(unfinished, trial, (first, bracket))
    point = Point(*(jnp.where(last.accepted, a, b) for a, b in zip(last.point, start, strict=True)))
    return last._replace(point=point, length=jnp.where(last.accepted, last.length, 0))


def _narrowed(bracket, slope, short, long):
    """The bracket after a trial with φ′(t) = ``slope``, and the next trial by (3)."""
    t, a, before, _ = bracket
    secant = a + (t - a) * before / (before - slope)
    near = jnp.where(short, t, a)
    far = jnp.where(long, t, bracket.far)
    bounded = jnp.isfinite(far)
    margin = jnp.where(bounded, far - near, 0) / 10
    plain = jnp.where(bounded, near + 5 * margin, 4 * t)
    guess = jnp.where(slope > before, secant, plain)  # false for NaN
    least, most = (
        jnp.where(bounded, near + margin, 1.1 * t),
        jnp.where(bounded, far - margin, 10 * t),
    )
    return _Bracket(jnp.clip(guess, least, most), near, jnp.where(short, slope, before), far)
