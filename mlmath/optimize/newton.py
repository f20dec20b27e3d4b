"""Newton's method for smooth convex functions, with a certificate and implicit derivatives.

At x with gradient g and Hessian H of the objective L, the step and the decrement are

    x⁺ = x − t H⁻¹g,        δ² = gᵀH⁻¹g                                         (1)

and ½δ² is the decrease that the quadratic model promises: an estimate of L(x) − L*, exact for
a quadratic and asymptotically exact at any minimum with a regular Hessian. A step is taken
only if L does not rise beyond rounding and all stays finite; otherwise t is halved. The
Hessian is kept while a step with it shrinks δ² at least tenfold (a chord step costs one
gradient) and computed anew when it does not, so that the estimate stays within a third of
the one with a fresh Hessian.

H is scaled to a unit diagonal and 4dε is added to it, so that a direction in which L is flat
costs nothing: a Hessian that is singular because minimisers are many gives one of them. Where
L has no minimiser the iterates run off until ½δ² meets the tolerance or a step is not finite;
the last finite one comes back with its own gap.

Time O(d³) plus d Hessian-vector products per Hessian, memory d times that of a gradient.

>>> import jax.numpy as jnp
>>> from mlmath.optimize import newton
>>> def cost(x, a):
...     return jnp.exp(x) - a * x
>>> x, certificate = newton.minimize(cost, jnp.array(0.0), 3.0, null=jnp.array(0.0), max_steps=50)
>>> bool(certificate.converged), round(float(x), 4)
(True, 1.0986)

References:
    Boyd & Vandenberghe (2004), Convex Optimization, §9.5.
    Ortega & Rheinboldt (1970), Iterative Solution of Nonlinear Equations, §10.2 (chord steps).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import cho_factor, cho_solve

from mlmath.arrays import Count, Scalar
from mlmath.calculus import implicit
from mlmath.certificate import Certificate, certify, superlinear_tolerance

__all__ = ["minimize"]

_KEEP = 0.1  # largest δ²⁺/δ² at which the Hessian is kept


class _State(NamedTuple):
    x: Any
    value: Any
    gradient: Any
    factor: Any  # Cholesky factor of the Hessian in use, scaled to a unit diagonal
    scale: Any  # H_jj^-½
    direction: Any  # H⁻¹g
    decrement: Any  # δ²
    length: Any  # t of the next step
    steps: Any
    fresh: Any  # the Hessian was computed at x, or is as good


def minimize(
    objective: Callable[..., Any],
    start: Any,
    *args: Any,
    null: Any,
    tolerance: Scalar | None = None,
    max_steps: Count = 100,
) -> tuple[Any, Certificate]:
    """Minimise ``objective(x, *args)`` from ``start`` by the guarded steps (1).

    Args:
        objective: L, a smooth convex function of a pytree and of ``args``.
        start: first iterate.
        args: data and hyperparameters; derivatives flow through these.
        null: the null model, whose L scales the gap.
        tolerance: largest gap ½δ²/L(null) that counts as converged; 4ε if None.
        max_steps: most steps, counting those that were refused.
    """
    fixed = lax.stop_gradient(args)
    flat, unravel = ravel_pytree(lax.stop_gradient(start))

    def function(v):
        return objective(unravel(v), *fixed)

    scale = objective(lax.stop_gradient(null), *fixed)
    if tolerance is None:
        tolerance = superlinear_tolerance(flat)
    state = _iterate(function, flat, tolerance * scale, max_steps)
    x = implicit.attach(jax.grad(objective), unravel(state.x), *args)
    return x, certify(
        objective(x, *args), state.decrement / 2, scale, steps=state.steps, tolerance=tolerance
    )


def _iterate(function, x, target, max_steps):
    value_and_gradient = jax.value_and_grad(function)
    hessian = jax.hessian(function)
    rounding = float(jnp.finfo(x.dtype).eps)

    def solve(factor, scale, g):
        return scale * cho_solve((factor, False), scale * g)

    def refresh(state):
        h = hessian(state.x)
        diagonal = jnp.diagonal(h)
        scale = lax.rsqrt(jnp.where(diagonal > 0, diagonal, 1))
        factor = cho_factor(
            h * jnp.outer(scale, scale) + 4 * x.size * rounding * jnp.eye(x.size, dtype=x.dtype)
        )[0]
        direction = solve(factor, scale, state.gradient)
        return state._replace(
            factor=factor,
            scale=scale,
            direction=direction,
            decrement=state.gradient @ direction,
            length=jnp.ones_like(state.length),
            fresh=jnp.ones_like(state.fresh),
        )

    def step(state):
        v = state.x - state.length * state.direction
        value, gradient = value_and_gradient(v)
        direction = solve(state.factor, state.scale, gradient)
        decrement = gradient @ direction
        taken = (value <= state.value + 8 * rounding * jnp.abs(state.value)) & jnp.isfinite(
            decrement
        )
        proposed = state._replace(
            x=v,
            value=value,
            gradient=gradient,
            direction=direction,
            decrement=decrement,
            length=jnp.ones_like(state.length),
            fresh=decrement <= _KEEP * state.decrement,
        )
        refused = state._replace(length=state.length / 2)
        chosen = jax.tree.map(lambda a, b: jnp.where(taken, a, b), proposed, refused)
        return chosen._replace(steps=state.steps + 1)

    def unfinished(state):  # false for NaN: a singular Hessian ends the iteration
        return (
            (state.decrement / 2 > target) & (state.steps < max_steps) & (state.length > rounding)
        )

    def descend(state):
        state = lax.while_loop(lambda s: unfinished(s) & s.fresh, step, state)
        return lax.cond(state.fresh, lambda s: s, refresh, state)

    value, gradient = value_and_gradient(x)
    first = _State(
        x, value, gradient, jnp.eye(x.size, dtype=x.dtype), jnp.ones_like(x), gradient,
        jnp.full_like(value, jnp.inf), jnp.ones_like(value), jnp.asarray(0), jnp.asarray(False),
    )  # fmt: skip
    return lax.while_loop(unfinished, descend, refresh(first))
