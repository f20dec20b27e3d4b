"""Newton's method for smooth convex functions, with a certificate and implicit derivatives.

At x with gradient g and Hessian H of the objective L, the step and the decrement are

    x⁺ = x − t H⁻¹g,        δ² = gᵀH⁻¹g                                         (1)

and ½δ² is the decrease that the quadratic model promises: an estimate of L(x) − L*, exact for
a quadratic and asymptotically exact at any minimum with a regular Hessian. A step is taken
only if L does not rise beyond rounding and all stays finite; otherwise t is halved. A Hessian
may serve further steps (a chord step costs one gradient). It does where the last step shrank δ²
at least tenfold and the chord steps that are left, shrinking it as much, would reach the target.

Far from the minimum ½δ² can be far too small. Where rows aᵢ are known with

    L ≥ 0,        |D³L(x)[v, v, v]| ≤ maxᵢ |aᵢᵀv| · vᵀH(x)v  for all x, v        (2)

the certificate is a bound at every point: with ρ² = maxᵢ aᵢᵀH⁻¹aᵢ and u = ρδ,

    L(x) − L* ≤ min{L(x), [u + (1 − u) log(1 − u)] / ρ²}, the latter if u < 1     (3)

whose second term tends to ½δ². A kept Hessian H₀ = H(x₀) still serves: H(x)⁻¹ ≼ eʳ H₀⁻¹ with
r = maxᵢ |aᵢᵀ(x − x₀)|, so that δ² and ρ² by H₀ are multiplied by eʳ.

H is scaled to a unit diagonal and 4dε is added to it, so that a direction in which L is flat
costs nothing: a Hessian that is singular because minimisers are many gives one of them. Where
L has no minimiser the iterates run off until the gap meets the tolerance or a step is not
finite; the last finite one comes back with its own gap.

Time per Hessian: what it costs (d Hessian-vector products unless one is passed) and O(d³).

>>> import jax.numpy as jnp
>>> from mlmath.optimize import newton
>>> def cost(x, a):
...     return jnp.exp(x) - a * x
>>> x, certificate = newton.minimize(cost, jnp.array(0.0), 3.0, null_value=1.0, max_steps=50)
>>> bool(certificate.converged), round(float(x), 4)
(True, 1.0986)

References:
    Boyd & Vandenberghe (2004), Convex Optimization, §9.5.
    Ortega & Rheinboldt (1970), Iterative Solution of Nonlinear Equations, §10.2 (chord steps).
    Bach (2010), Self-concordant analysis for logistic regression, proposition 1, for (3).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import cho_factor, cho_solve, solve_triangular
from jaxtyping import Array, Bool, Float

from mlmath.arrays import Count, Scalar
from mlmath.calculus import implicit
from mlmath.certificate import Certificate, certify, superlinear_tolerance

__all__ = ["Reach", "excess", "minimize"]

_KEEP = 0.1  # largest δ²⁺/δ² at which the Hessian is kept


class Reach(NamedTuple):
    """Rows aᵢ = (fᵢ, 1) of (2), over x flattened to weights and a bias."""

    features: Float[Array, "n d"]  # fᵢ
    counted: Bool[Array, " n"]  # rows that are there


class _State(NamedTuple):
    x: Any
    value: Any
    gradient: Any
    factor: Any  # Cholesky factor of the Hessian in use, scaled to a unit diagonal
    scale: Any  # H_jj^-½
    origin: Any  # x₀, where that Hessian was computed
    moved: Any  # r; without reach 0 where the Hessian is that at x, else ∞
    direction: Any  # H⁻¹g
    decrement: Any  # δ²
    length: Any  # t of the next step
    steps: Any
    fresh: Any  # the Hessian was computed at x, or is as good
    kept: Any  # steps taken with it; −1 before the first


def minimize(
    objective: Callable[..., Any],
    start: Any,
    *args: Any,
    null_value: Scalar,
    hessian: Callable[..., Any] | None = None,
    reach: Reach | None = None,
    chord_steps: Count = 0,
    tolerance: Scalar | None = None,
    max_steps: Count = 100,
) -> tuple[Any, Certificate]:
    """Minimise ``objective(x, *args)`` from ``start`` by the guarded steps (1).

    Args:
        objective: L, a smooth convex function of a pytree and of ``args``.
        start: first iterate.
        args: data and hyperparameters; derivatives flow through these.
        null_value: L of the null model, which scales the gap.
        hessian: H as a matrix over the flattened x, called as ``objective`` is; by automatic
            differentiation if None.
        reach: rows aᵢ of (2): the gap is the bound (3) with them, the estimate ½δ² if None.
        chord_steps: steps beyond its own that a Hessian may serve; what it costs in gradients.
        tolerance: largest gap that counts as converged; 4ε if None.
        max_steps: most steps, counting those that were refused.
    """
    fixed = lax.stop_gradient(args)
    flat, unravel = ravel_pytree(lax.stop_gradient(start))

    def function(v):
        return objective(unravel(v), *fixed)

    def curvature(v):
        return jax.hessian(function)(v) if hessian is None else hessian(unravel(v), *fixed)

    scale = lax.stop_gradient(jnp.asarray(null_value, flat.dtype))
    if tolerance is None:
        tolerance = superlinear_tolerance(flat)
    reach = lax.stop_gradient(reach)
    # Half of the tolerance leaves room for what (3) adds to ½δ².
    target = tolerance * scale * (1 if reach is None else 0.5)
    state = _iterate(function, curvature, reach, flat, target, chord_steps, max_steps)
    x = implicit.attach(jax.grad(objective), unravel(state.x), *args)
    value = implicit.attach_value(objective, state.value, x, *args)
    above = state.decrement / 2 if reach is None else _bound(reach, state)
    return x, certify(value, above, scale, steps=state.steps, tolerance=tolerance)


def excess(
    decrement: Float[Array, ""], u: Float[Array, ""], value: Float[Array, ""]
) -> Float[Array, ""]:
    """Right-hand side of (3) from δ², u and L(x)."""
    near = u < 1
    v = jnp.where(near, u, 0.5)
    series = 1 / 2 + v / 6 + v * v / 12  # for small u, where the closed form cancels
    ratio = jnp.where(v < 0.01, series, (v + (1 - v) * jnp.log1p(-v)) / jnp.maximum(v, 0.01) ** 2)
    bound = jnp.where(near, ratio * decrement, jnp.inf)
    return jnp.where(jnp.isnan(u * decrement), jnp.nan, jnp.minimum(bound, value))


def _distances(reach, v):
    """|aᵢᵀv| of the rows that are there."""
    return jnp.where(reach.counted, jnp.abs(reach.features @ v[:-1] + v[-1]), 0)


def _bound(reach, state):
    """Bound (3) on L(x) − L*, with a cheap bound on ρ² where that is good enough."""
    identity = jnp.eye(len(state.scale), dtype=state.scale.dtype)
    root = state.scale[:, None] * solve_triangular(state.factor, identity)  # H⁻¹ = root rootᵀ
    # aᵀH⁻¹a ≤ (Σⱼ |aⱼ| √(H⁻¹)ⱼⱼ)²
    largest = jnp.max(jnp.where(reach.counted[:, None], jnp.abs(reach.features), 0), axis=0)
    cheap = (jnp.append(largest, 1) @ jnp.sqrt(jnp.sum(root**2, axis=1))) ** 2
    stretch = jnp.exp(state.moved)

    def exact():
        rows = jnp.sum((reach.features @ root[:-1] + root[-1][None]) ** 2, axis=1)
        return jnp.max(jnp.where(reach.counted, rows, 0))

    loose = stretch**2 * cheap * state.decrement >= 0.5
    # A loop of at most one round: under vmap lax.cond would copy the rows to every lane.
    rho2, _ = lax.while_loop(
        lambda s: s[1], lambda s: (exact(), jnp.asarray(False)), (cheap, loose)
    )
    u = stretch * jnp.sqrt(rho2 * state.decrement)
    return excess(stretch * state.decrement, u, state.value)


def _iterate(function, hessian, reach, x, target, chords, max_steps):
    value_and_gradient = jax.value_and_grad(function)

    def unfinished(state, stretch=1):  # false for NaN: a singular Hessian ends the iteration
        far = stretch * state.decrement / 2 > target
        return far & (state.steps < max_steps) & (state.length > jnp.finfo(x.dtype).eps)

    def unproved(state):
        return unfinished(state, jnp.exp(state.moved))

    def descend(state):
        state = lax.while_loop(
            lambda s: unfinished(s) & s.fresh,
            lambda s: _step(value_and_gradient, target, chords, s),
            _refresh(hessian, state),
        )
        if reach is None:
            return state
        return state._replace(moved=jnp.max(_distances(reach, state.x - state.origin)))

    value, gradient = value_and_gradient(x)
    first = _State(
        x, value, gradient, jnp.eye(x.size, dtype=x.dtype), jnp.ones_like(x), x,
        jnp.zeros_like(value), gradient, jnp.full_like(value, jnp.inf), jnp.ones_like(value),
        jnp.asarray(0), jnp.asarray(False), jnp.asarray(-1),
    )  # fmt: skip
    last = lax.while_loop(lambda s: (s.kept < 0) | unproved(s), descend, first)
    if reach is not None:
        return last
    return lax.while_loop(lambda s: jnp.isinf(s.moved), lambda s: _refresh(hessian, s), last)


def _refresh(hessian, state):
    """Compute the Hessian anew."""
    factor, scale = _factor(hessian(state.x))
    direction = scale * cho_solve((factor, False), scale * state.gradient)
    return state._replace(
        factor=factor,
        scale=scale,
        origin=state.x,
        moved=jnp.zeros_like(state.moved),
        direction=direction,
        decrement=state.gradient @ direction,
        length=jnp.ones_like(state.length),
        fresh=jnp.ones_like(state.fresh),
        kept=jnp.zeros_like(state.kept),
    )


def _step(value_and_gradient, target, chords, state):
    """One step (1) with the Hessian in use, or half its length the next time."""
    v = state.x - state.length * state.direction
    value, gradient = value_and_gradient(v)
    direction = state.scale * cho_solve((state.factor, False), state.scale * gradient)
    decrement = gradient @ direction
    shrunk, left = decrement / state.decrement, chords - state.kept
    rise = 8 * jnp.finfo(v.dtype).eps * jnp.abs(state.value)
    taken = (value <= state.value + rise) & jnp.isfinite(decrement)
    proposed = state._replace(
        x=v,
        value=value,
        gradient=gradient,
        direction=direction,
        decrement=decrement,
        moved=jnp.full_like(state.moved, jnp.inf),
        length=jnp.ones_like(state.length),
        fresh=(left > 0) & (shrunk <= _KEEP) & (shrunk**left * decrement / 2 <= target),
        kept=state.kept + 1,
    )
    refused = state._replace(length=state.length / 2)
    chosen = jax.tree.map(lambda a, b: jnp.where(taken, a, b), proposed, refused)
    return chosen._replace(steps=state.steps + 1)


def _factor(h):
    """Cholesky factor of H scaled to a unit diagonal, plus 4dε, and the scale."""
    diagonal = jnp.diagonal(h)
    scale = lax.rsqrt(jnp.where(diagonal > 0, diagonal, 1))
    jitter = 4 * len(h) * float(jnp.finfo(h.dtype).eps) * jnp.eye(len(h), dtype=h.dtype)
    return cho_factor(h * jnp.outer(scale, scale) + jitter)[0], scale
