"""Newton's method without the matrix: each step by conjugate gradients on Hessian products.

At x with gradient g and Hessian H of the convex objective L the step d solves H d = g to

    rᵀM⁻¹r ≤ η² gᵀM⁻¹g,        r = g − H d,  η = min(1/4, √(δ₋²/δ₀²)),  M ≈ diag H  (1)

where δ₋², δ₀² are the decrements of the step before and of the first one: crude far from the
minimum, ever finer near it, so that convergence is superlinear. Then

    x⁺ = x − t d,        δ² = gᵀd ≤ gᵀH⁻¹g ≤ δ² + rᵀH⁻¹r                        (2)

and ½δ² is an estimate of L(x) − L*, exact for a quadratic as η → 0. A step is taken only if L
does not rise beyond rounding and all stays finite; otherwise t is halved. Directions in which
L is flat are never entered: of many minimisers one comes back.

The derivative of the answer is the implicit one, its linear systems solved by the same
conjugate gradients, so that no matrix over x is ever formed.

Time: one Hessian product per inner step, memory a few times that of x and of a gradient.

>>> import jax.numpy as jnp
>>> from mlmath.optimize import newton_cg
>>> def cost(x, a):
...     return jnp.sum(jnp.exp(x) - a * x)
>>> x, certificate = newton_cg.minimize(cost, jnp.zeros(2), jnp.array([1.0, 3.0]), null=jnp.zeros(2))
>>> bool(certificate.converged)
True
>>> print(x)
[0.     1.0986]

References:
    Nocedal & Wright (2006), Numerical Optimization, §5.1 (conjugate gradients), §7.1.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from mlmath.arrays import Count, Real, Scalar
from mlmath.certificate import Certificate, certify, superlinear_tolerance

__all__ = ["conjugate_gradients", "minimize"]


class _Inner(NamedTuple):
    x: Any
    residual: Any
    direction: Any
    product: Any  # rᵀM⁻¹r
    steps: Any


class _State(NamedTuple):
    x: Any
    value: Any
    gradient: Any
    direction: Any  # d
    decrement: Any  # δ²
    length: Any  # t of the next step
    steps: Any


def conjugate_gradients(
    linear: Callable[[Array], Array],
    b: Float[Real, " p"],
    *,
    diagonal: Float[Real, " p"] | None = None,
    tolerance: Scalar | None = None,
    max_steps: Count | None = None,
) -> Float[Array, " p"]:
    """Solve ``linear(x) = b`` for a symmetric positive (semi)definite map.

    Args:
        linear: the map, x ↦ A x.
        b: right-hand side; in the range of A if A is singular.
        diagonal: M, a positive approximation of the diagonal of A; ones if None.
        tolerance: η, the residual relative to b in the norm of M⁻¹; 4ε if None.
        max_steps: most products; 10p if None.
    """
    b = jnp.asarray(b)
    inverse = jnp.ones_like(b) if diagonal is None else 1 / diagonal
    if tolerance is None:
        tolerance = superlinear_tolerance(b)
    most = 10 * b.size if max_steps is None else max_steps

    def step(s):
        image = linear(s.direction)
        curvature = s.direction @ image
        along = s.product / jnp.where(curvature > 0, curvature, jnp.inf)  # flat: stay
        residual = s.residual - along * image
        product = residual @ (inverse * residual)
        return _Inner(
            s.x + along * s.direction,
            residual,
            inverse * residual + product / s.product * s.direction,
            jnp.where(curvature > 0, product, 0),
            s.steps + 1,
        )

    first = b @ (inverse * b)
    start = _Inner(jnp.zeros_like(b), b, inverse * b, first, jnp.asarray(0))
    return lax.while_loop(
        lambda s: (s.product > tolerance**2 * first) & (s.steps < most), step, start
    ).x


def minimize(
    objective: Callable[..., Any],
    start: Any,
    *args: Any,
    null: Any,
    diagonal: Callable[..., Any] | None = None,
    tolerance: Scalar | None = None,
    max_steps: Count = 100,
) -> tuple[Any, Certificate]:
    """Minimise ``objective(x, *args)`` from ``start`` by the guarded steps (1), (2).

    Args:
        objective: L, a smooth convex function of a pytree and of ``args``.
        start: first iterate.
        args: data and hyperparameters; derivatives flow through these.
        null: the null model, whose L scales the gap.
        diagonal: M of (1), called as ``objective`` is, of the structure of x; ones if None.
        tolerance: largest gap ½δ²/L(null) that counts as converged; 4ε if None.
        max_steps: most outer steps, counting those that were refused.
    """
    fixed = lax.stop_gradient(args)
    flat, unravel = ravel_pytree(lax.stop_gradient(start))

    def function(v):
        return objective(unravel(v), *fixed)

    def preconditioner(v):
        if diagonal is None:
            return jnp.ones_like(v)
        found = ravel_pytree(diagonal(unravel(v), *fixed))[0]
        return jnp.where(found > 0, found, 1)

    scale = objective(lax.stop_gradient(null), *fixed)
    if tolerance is None:
        tolerance = superlinear_tolerance(flat)
    state = _iterate(function, preconditioner, flat, tolerance * scale, max_steps)
    x = unravel(_attach(objective, state.x, unravel, args, preconditioner(state.x)))
    excess = jnp.minimum(state.decrement / 2, jnp.where(state.value >= 0, state.value, jnp.inf))
    return x, certify(objective(x, *args), excess, scale, steps=state.steps, tolerance=tolerance)


def _attach(objective, flat, unravel, args, diagonal):
    """Solution with the implicit derivative in ``args``, of any order, matrix-free."""

    def residual(v):
        return ravel_pytree(jax.grad(objective)(unravel(v), *args))[0]

    def solve(linear, b):
        return conjugate_gradients(linear, b, diagonal=diagonal)

    def tangent_solve(linear, b):
        return lax.custom_linear_solve(linear, b, solve, symmetric=True)

    return lax.custom_root(residual, lax.stop_gradient(flat), lambda _, v: v, tangent_solve)


def _iterate(function, preconditioner, x, target, max_steps):
    value_and_gradient = jax.value_and_grad(function)
    rounding = float(jnp.finfo(x.dtype).eps)

    def solve(v, gradient, eta):
        product = jax.linearize(jax.grad(function), v)[1]
        direction = conjugate_gradients(
            product, gradient, diagonal=preconditioner(v), tolerance=eta
        )
        return direction, gradient @ direction

    def advance(state, initial, v, value, gradient):
        eta = jnp.minimum(0.25, jnp.sqrt(jnp.abs(state.decrement / initial)))
        direction, decrement = solve(v, gradient, eta)
        return _State(
            v, value, gradient, direction, decrement, jnp.ones_like(value), state.steps
        )

    def step(carry):
        state, initial = carry
        v = state.x - state.length * state.direction
        value, gradient = value_and_gradient(v)
        rise = 8 * rounding * jnp.abs(state.value)
        taken = (value <= state.value + rise) & jnp.isfinite(gradient).all()
        refused = state._replace(length=state.length / 2)
        state = lax.cond(
            taken, lambda: advance(state, initial, v, value, gradient), lambda: refused
        )
        return state._replace(steps=state.steps + 1), initial

    def unfinished(carry):  # false for NaN
        state = carry[0]
        return (
            (state.decrement / 2 > target) & (state.steps < max_steps) & (state.length > rounding)
        )

    value, gradient = value_and_gradient(x)
    direction, initial = solve(x, gradient, 0.25)
    first = _State(
        x, value, gradient, direction, initial, jnp.ones_like(value), jnp.asarray(0)
    )
    return lax.while_loop(unfinished, step, (first, initial))[0]
