"""BFGS: a quasi-Newton method for smooth functions that need not be convex.

At x with gradient g of the objective L and an estimate H of its inverse Hessian, the step is

    x⁺ = x + t d,        d = −Hg                                               (1)

with a length t > 0 that meets the strong conditions of Wolfe, φ(t) = L(x + t d), c₁ = 10⁻⁴,

    φ(t) ≤ φ(0) + c₁ t φ′(0),        |φ′(t)| ≤ c₂ |φ′(0)|                       (2)

found inside a bracket by the secant of φ′. With s = x⁺ − x, v = ∇L(x⁺) − g and ρ = 1/sᵀv, which
(2) makes positive, the new estimate is the one nearest to H that satisfies H⁺v = s,

    H⁺ = (I − ρ s vᵀ) H (I − ρ v sᵀ) + ρ s sᵀ                                  (3)

H begins as I/‖g‖, a first trial of length 1, and as sᵀv/vᵀv · I when s and v are first known: x
should have units in which 1 is a change worth trying (logarithms have).

What comes back is a stationary point, as a rule a local minimum: without convexity nothing bounds
L(x) − L*. The gap is the relative gradient

    ‖∇L(x)‖ max(‖x‖, 1) / |L(null)|                                            (4)

the change to first order when x moves by its own length, or by 1. A trial where L or ∇L is not
finite is too long; where no trial helps, the last iterate comes back with its own gap. Derivatives
of the answer are the implicit ones, which exist where ∇²L(x) is regular.

Time per step one value and gradient, and O(d²); memory O(d²).

>>> import jax.numpy as jnp
>>> from mlmath.optimize import bfgs
>>> def valley(x, a):
...     return (1 - x[0]) ** 2 + a * (x[1] - x[0] ** 2) ** 2
>>> x, certificate = bfgs.minimize(valley, jnp.array([-1.2, 1.0]), 100.0)
>>> print(x.round(3), certificate.converged)
[1. 1.] True

References:
    Nocedal & Wright (2006), Numerical Optimization, §3.1 (conditions 3.7), §6.1 (algorithm 6.1).
    Dennis & Schnabel (1983), Numerical Methods for Unconstrained Optimization, §7.2 (for (4)).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree

from mlmath.arrays import Count, Scalar
from mlmath.calculus import implicit
from mlmath.certificate import Certificate, certify, first_order_tolerance

__all__ = ["minimize"]

_DECREASE = 1e-4  # c₁


class _State(NamedTuple):
    x: Any
    value: Any
    gradient: Any
    inverse: Any  # H
    known: Any  # H has met a pair s, v
    direction: Any  # d
    slope: Any  # φ′(0) = gᵀd
    length: Any  # t of the next trial
    near: Any  # the bracket begins: the first of (2) holds, φ′ is too far below 0
    near_slope: Any  # φ′ there
    far: Any  # the bracket ends: too high, or φ′ too far above 0; ∞ until it is known
    steps: Any


def minimize(
    objective: Callable[..., Any],
    start: Any,
    *args: Any,
    null_value: Scalar | None = None,
    curvature: Scalar = 0.9,
    tolerance: Scalar | None = None,
    max_steps: Count = 200,
) -> tuple[Any, Certificate]:
    """Minimise ``objective(x, *args)`` from ``start`` by the steps (1).

    Args:
        objective: L, a smooth function of a pytree and of ``args``.
        start: first iterate.
        args: data and hyperparameters; derivatives flow through these.
        null_value: L of the null model, whose size scales the gap; L(start) if None.
        curvature: c₂ of (2), between c₁ and 1; a small one makes the search exact.
        tolerance: largest gap (4) that counts as converged; ε^⅔ of the dtype if None.
        max_steps: most evaluations of L and ∇L after the first.
    """
    fixed = lax.stop_gradient(args)
    flat, unravel = ravel_pytree(lax.stop_gradient(start))

    def function(v):
        return objective(unravel(v), *fixed)

    first = _first(function, flat)
    scale = jnp.abs(first.value if null_value is None else lax.stop_gradient(null_value))
    if tolerance is None:
        tolerance = first_order_tolerance(flat)
    state = _iterate(function, first, curvature, tolerance * scale, max_steps)
    x = implicit.attach(jax.grad(objective), unravel(state.x), *args)
    value = implicit.attach_value(objective, state.value, x, *args)
    return x, certify(value, _change(state), scale, steps=state.steps, tolerance=tolerance)


def _change(state):
    """Numerator of (4)."""
    return jnp.linalg.norm(state.gradient) * jnp.maximum(jnp.linalg.norm(state.x), 1)


def _first(function, x):
    value, gradient = jax.value_and_grad(function)(x)
    zero, no = jnp.zeros_like(value), jnp.asarray(False)
    empty = _State(
        x, value, gradient, jnp.zeros((x.size, x.size), x.dtype), no, x, zero, zero, zero, zero,
        zero, jnp.asarray(0),
    )  # fmt: skip
    return _aimed(empty)


def _iterate(function, first, curvature, target, max_steps):
    value_and_gradient = jax.value_and_grad(function)

    def unfinished(state):  # false for NaN, and where no number is left between the ends
        inside = (state.near < state.length) & (state.length < state.far)
        moves = (state.x + state.length * state.direction != state.x).any()
        return (_change(state) > target) & (state.steps < max_steps) & inside & moves

    def trial(state):
        v = state.x + state.length * state.direction
        value, gradient = value_and_gradient(v)
        slope, steep = gradient @ state.direction, -curvature * state.slope
        rounding = 8 * jnp.finfo(v.dtype).eps * jnp.abs(state.value)
        most = state.value + _DECREASE * state.length * state.slope + rounding
        low = (value <= most) & jnp.isfinite(value) & jnp.isfinite(gradient).all()
        short, long = low & (slope < -steep), ~low | (slope > steep)
        chosen = jax.tree.map(
            lambda a, b: jnp.where(short | long, a, b),
            _narrowed(state, slope, short, long),
            _aimed(_updated(state, v, value, gradient)),
        )
        return chosen._replace(steps=state.steps + 1)

    return lax.while_loop(unfinished, trial, first)


def _narrowed(state, slope, short, long):
    """Next length by the secant of φ′, kept a tenth of the bracket away from its ends."""
    t, width = state.length, state.length - state.near
    secant = state.near + width * state.near_slope / (state.near_slope - slope)
    near = jnp.where(short, t, state.near)
    far = jnp.where(long, t, state.far)
    bounded = jnp.isfinite(far)
    margin = jnp.where(bounded, far - near, 0) / 10
    plain = jnp.where(bounded, near + 5 * margin, 4 * t)
    guess = jnp.where(slope > state.near_slope, secant, plain)  # false for NaN
    return state._replace(
        length=jnp.clip(
            guess,
            jnp.where(bounded, near + margin, 1.1 * t),
            jnp.where(bounded, far - margin, 10 * t),
        ),
        near=near,
        near_slope=jnp.where(short, slope, state.near_slope),
        far=far,
    )


def _updated(state, x, value, gradient):
    """The new point, and H by eq. (3)."""
    s, v = x - state.x, gradient - state.gradient
    product = s @ v
    H = jnp.where(state.known, state.inverse, product / (v @ v) * jnp.eye(s.size, dtype=s.dtype))
    Hv, rho = H @ v, 1 / product
    cross = jnp.outer(Hv, s)
    new = H - rho * (cross + cross.T) + rho * (1 + rho * (v @ Hv)) * jnp.outer(s, s)
    sound = (product > 0) & jnp.isfinite(new).all()
    return state._replace(
        x=x,
        value=value,
        gradient=gradient,
        inverse=jnp.where(sound, new, state.inverse),
        known=state.known | sound,
    )


def _aimed(state):
    """A search from x along −Hg; along −g/‖g‖ where H is not known or does not descend."""
    g = state.gradient
    direction = -state.inverse @ g
    descends = state.known & (g @ direction < 0)
    direction = jnp.where(descends, direction, -g / jnp.linalg.norm(g))
    slope = g @ direction
    return state._replace(
        known=descends,
        direction=direction,
        slope=slope,
        length=jnp.ones_like(slope),
        near=jnp.zeros_like(slope),
        near_slope=slope,
        far=jnp.full_like(slope, jnp.inf),
    )
