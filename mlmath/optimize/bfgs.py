"""BFGS: a quasi-Newton method for smooth functions that need not be convex.

At x with gradient g of the objective L and an estimate H of its inverse Hessian, the direction is

    d = −H g                                                                   (1)

With a step s and the change v of the gradient over it, ρ = 1/sᵀv, the new estimate is the one
nearest to H that satisfies H⁺v = s,

    H⁺ = (I − ρ s vᵀ) H (I − ρ v sᵀ) + ρ s sᵀ                                  (2)

H begins as sᵀv/vᵀv · I when s and v are first known; the first trial of a length is 1. How the
length of a step is found, the gap, a relative gradient, and what comes back where it fails are
those of :mod:`mlmath.optimize.descent`.

Time per step one value and gradient, and O(d²); memory O(d²).

>>> import jax.numpy as jnp
>>> from mlmath.optimize import bfgs
>>> def valley(x, a):
...     return (1 - x[0]) ** 2 + a * (x[1] - x[0] ** 2) ** 2
>>> x, certificate = bfgs.minimize(valley, jnp.array([-1.2, 1.0]), 100.0)
>>> print(x.round(3), certificate.converged)
[1. 1.] True

References:
    Nocedal & Wright (2006), Numerical Optimization, §6.1 (algorithm 6.1, 6.20 for the first H).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from mlmath.arrays import Count, Scalar
from mlmath.calculus import implicit
from mlmath.certificate import Certificate
from mlmath.optimize import descent

__all__ = ["minimize"]


class _Estimate(NamedTuple):
    inverse: Any  # H
    known: Any  # H has met a pair s, v


def minimize(
    objective: Callable[..., Any],
    start: Any,
    *args: Any,
    null_value: Scalar | None = None,
    curvature: Scalar = 0.9,
    tolerance: Scalar | None = None,
    max_steps: Count = 200,
) -> tuple[Any, Certificate]:
    """Minimise ``objective(x, *args)`` from ``start`` along the directions (1).

    Args:
        objective: L, a smooth function of a pytree and of ``args``.
        start: first iterate.
        args: data and hyperparameters; derivatives flow through these.
        null_value: L of the null model, whose size scales the gap; that of the start if None.
        curvature: c₂ of the line search, between 10⁻⁴ and 1; a small one makes it exact.
        tolerance: largest gap that counts as converged; ε^⅔ of the dtype if None.
        max_steps: most evaluations of L and ∇L after the first.
    """
    return descent.minimize(
        objective, start, *args,
        method=descent.Method(_turn, _begin), attach=implicit.attach,
        null_value=null_value, curvature=curvature, tolerance=tolerance, max_steps=max_steps,
    )  # fmt: skip


def _begin(x):
    return _Estimate(jnp.zeros((x.size, x.size), x.dtype), jnp.asarray(False))


def _turn(aim, before, found):
    s, v = found.point.x - before.x, found.point.gradient - before.gradient
    scaled = s @ v / (v @ v) * jnp.eye(s.size, dtype=s.dtype)
    H = jnp.where(aim.memory.known, aim.memory.inverse, scaled)
    Hv, rho = H @ v, 1 / (s @ v)
    cross = jnp.outer(Hv, s)
    H = H - rho * (cross + cross.T) + rho * (1 + rho * (v @ Hv)) * jnp.outer(s, s)
    memory = _Estimate(H, jnp.asarray(True))
    return descent.Aim(-H @ found.point.gradient, jnp.ones_like(aim.length), memory)
