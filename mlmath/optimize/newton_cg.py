"""Newton's method without the matrix: each step by conjugate gradients on Hessian products.

At x with gradient g and Hessian H of the convex objective L the step d solves H d = g to

    rᵀM⁻¹r ≤ η² gᵀM⁻¹g,        r = g − H d,  η = 1/4                            (1)

with a preconditioner M that resembles H. Then

    x⁺ = x − t d,        δ² = gᵀd ≤ gᵀH⁻¹g ≤ δ² + rᵀH⁻¹r                        (2)

and ½δ² is an estimate of L(x) − L*, which far from the minimum can be far too small. Where L ≥ 0
and a seminorm R is known with |D³L(x)[v, v, v]| ≤ R(v) vᵀH(x)v for all x and v, the excess is
measured by eq. (3) of ``newton`` with u = R(d), the largest of δ·R(v)/√(vᵀHv) taken over the one
direction v = d: an estimate too, but one that is L(x) itself, a bound, while the step is long.
A step is taken only if L does not rise beyond rounding and all stays finite; otherwise t is
halved. Directions in which L is flat are never entered: of many minimisers one comes back. Where L
has no curvature along M⁻¹g, as where it is not convex, nothing is proved: the gap is NaN.

The derivative of the answer is the implicit one, its linear systems solved by the same
conjugate gradients, so that no matrix over x is ever formed.

Time: one Hessian product per inner step, memory a few times that of x and of a gradient.

>>> import jax.numpy as jnp
>>> from mlmath.optimize import newton_cg
>>> def cost(x, a):
...     return jnp.sum(jnp.exp(x) - a * x)
>>> a = jnp.array([1.0, 3.0])
>>> x, certificate = newton_cg.minimize(cost, jnp.zeros(2), a, null_value=2.0)
>>> bool(certificate.converged)
True
>>> print(x.round(2))
[0.  1.1]

References:
    Nocedal & Wright (2006), Numerical Optimization, §7.1.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree

from mlmath.arrays import Count, Scalar
from mlmath.calculus import implicit
from mlmath.certificate import Certificate, certify, superlinear_tolerance
from mlmath.linalg.krylov import conjugate_gradients
from mlmath.optimize import newton

__all__ = ["minimize"]

_FORCING = 0.25  # η


class _State(NamedTuple):
    x: Any
    value: Any
    gradient: Any
    direction: Any  # d
    excess: Any  # estimate of L(x) − L*
    length: Any  # t of the next step
    steps: Any


def minimize(
    objective: Callable[..., Any],
    start: Any,
    *args: Any,
    null_value: Scalar,
    preconditioner: Callable[..., Callable[[Any], Any]] | None = None,
    reach: Callable[..., Any] | None = None,
    tolerance: Scalar | None = None,
    max_steps: Count = 100,
) -> tuple[Any, Certificate]:
    """Minimise ``objective(x, *args)`` from ``start`` by the guarded steps (1), (2).

    Args:
        objective: L, a smooth convex function of a pytree and of ``args``.
        start: first iterate.
        args: data and hyperparameters; derivatives flow through these.
        null_value: L of the null model, which scales the gap.
        preconditioner: called as ``objective`` is, returns r ↦ M⁻¹r of (1); M = I if None.
        reach: R, called as ``reach(d, *args)`` with d of the structure of x; without it the excess
            is estimated by ½δ².
        tolerance: largest gap that counts as converged; 4ε if None.
        max_steps: most outer steps, counting those that were refused.
    """
    fixed = lax.stop_gradient(args)
    flat, unravel = ravel_pytree(lax.stop_gradient(start))

    def function(v):
        return objective(unravel(v), *fixed)

    def inverse(v):
        if preconditioner is None:
            return lambda r: r
        found = preconditioner(unravel(v), *fixed)
        return lambda r: ravel_pytree(found(unravel(r)))[0]

    def above(direction, decrement, value):
        if reach is None:
            return decrement / 2
        return newton.excess(decrement, reach(unravel(direction), *fixed), value)

    scale = lax.stop_gradient(jnp.asarray(null_value, flat.dtype))
    if tolerance is None:
        tolerance = superlinear_tolerance(flat)
    state = _iterate(function, inverse, above, flat, tolerance * scale, max_steps)

    def stationarity(v, *args):
        return ravel_pytree(jax.grad(objective)(unravel(v), *args))[0]

    x = unravel(
        implicit.attach_symmetric(stationarity, state.x, *args, preconditioner=inverse(state.x))
    )
    return x, certify(
        objective(x, *args), state.excess, scale, steps=state.steps, tolerance=tolerance
    )


def _iterate(function, inverse, above, x, target, max_steps):
    value_and_gradient = jax.value_and_grad(function)
    rounding = float(jnp.finfo(x.dtype).eps)

    def at(v, value, gradient, steps, wanted):
        """State at v with the next step; a lane of a vmap that wants none holds up no other."""
        product = jax.linearize(jax.grad(function), v)[1]
        direction = conjugate_gradients(
            product,
            gradient,
            preconditioner=inverse(v),
            tolerance=_FORCING,
            max_steps=jnp.where(wanted, 10 * v.size, 0),
        )
        excess = above(direction, gradient @ direction, value)
        stuck = (direction == 0).all() & (gradient != 0).any()  # no curvature along M⁻¹g
        excess = jnp.where(stuck, jnp.nan, excess)
        return _State(v, value, gradient, direction, excess, jnp.ones_like(value), steps)

    def step(state):
        v = state.x - state.length * state.direction
        value, gradient = value_and_gradient(v)
        taken = (value <= state.value + 8 * rounding * jnp.abs(state.value)) & jnp.isfinite(
            gradient
        ).all()
        proposed = at(v, value, gradient, state.steps + 1, taken & unfinished(state))
        refused = state._replace(length=state.length / 2, steps=state.steps + 1)
        return jax.tree.map(lambda a, b: jnp.where(taken, a, b), proposed, refused)

    def unfinished(state):  # false for NaN
        return (state.excess > target) & (state.steps < max_steps) & (state.length > rounding)

    return lax.while_loop(unfinished, step, at(x, *value_and_gradient(x), jnp.asarray(0), True))
