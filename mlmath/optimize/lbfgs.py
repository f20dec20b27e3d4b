"""L-BFGS: BFGS that remembers its last m steps in the place of a matrix.

With s and v the last m steps and changes of the gradient g, ρ = 1/sᵀv, the direction is

    d = −H g,        H⁺ = (I − ρ s vᵀ) H (I − ρ v sᵀ) + ρ s sᵀ                  (1)

over these pairs from the oldest to the newest, beginning with γ I, γ = sᵀv/vᵀv of the newest
pair. H g is computed without H, by a loop over the pairs there and one back,

    q = g;    from the newest:  a = ρ sᵀq,    q ← q − a v                       (2)
    r = γ q;  from the oldest:  r ← r + (a − ρ vᵀr) s;    H g = r               (3)

The first trial has length 1. While no more than m steps are taken H is that of BFGS begun with the
γ of today; a quadratic with exact searches ends after d steps, with m = 1 already. How the length
of a step is found, the gap, a relative gradient, and what comes back where it fails are
those of :mod:`mlmath.optimize.descent`. The derivative of the answer is solved for without a
matrix (``implicit.attach_symmetric``), which needs a minimum with ∇²L(x) positive definite.

Time per step one value and gradient, and O(md); memory O(md).

>>> import jax.numpy as jnp
>>> from mlmath.optimize import lbfgs
>>> def valleys(x, a):
...     return jnp.sum(a * (x[1::2] - x[::2] ** 2) ** 2 + (1 - x[::2]) ** 2)
>>> x, certificate = lbfgs.minimize(valleys, jnp.zeros(1000), 100.0)
>>> print(abs(x - 1).max() < 1e-3, certificate.converged)
True True

References:
    Nocedal & Wright (2006), Numerical Optimization, §7.2 (algorithms 7.4 and 7.5, γ of 7.20).
    Liu & Nocedal (1989), On the limited memory BFGS method, Mathematical Programming 45.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from mlmath.arrays import Count, Scalar
from mlmath.calculus import implicit
from mlmath.certificate import Certificate
from mlmath.optimize import descent

__all__ = ["minimize"]


class _Pairs(NamedTuple):
    """The last pairs, the newest last; zeros before there are m."""

    steps: Any  # s
    changes: Any  # v
    rho: Any


def minimize(
    objective: Callable[..., Any],
    start: Any,
    *args: Any,
    null_value: Scalar | None = None,
    memory: int = 10,
    curvature: Scalar = 0.9,
    tolerance: Scalar | None = None,
    max_steps: Count = 1000,
) -> tuple[Any, Certificate]:
    """Minimise ``objective(x, *args)`` from ``start`` along the directions (1).

    Args:
        objective: L, a smooth function of a pytree and of ``args``.
        start: first iterate.
        args: data and hyperparameters; derivatives flow through these.
        null_value: L of the null model, whose size scales the gap; that of the start if None.
        memory: m, at least 1; fixes a shape.
        curvature: c₂ of the line search, between 10⁻⁴ and 1; a small one makes it exact.
        tolerance: largest gap that counts as converged; ε^⅔ of the dtype if None.
        max_steps: most evaluations of L and ∇L after the first.

    Raises:
        ValueError: if nothing is to be remembered.
    """
    if memory < 1:
        raise ValueError(f"memory must be at least 1, got {memory}.")

    return descent.minimize(
        objective, start, *args,
        method=_method(memory), attach=implicit.attach_symmetric,
        null_value=null_value, curvature=curvature, tolerance=tolerance, max_steps=max_steps,
    )  # fmt: skip


@cache
def _method(memory):
    def begin(x):
        empty = jnp.zeros((memory, x.size), x.dtype)
        return _Pairs(empty, empty, empty[:, 0])

    return descent.Method(_turn, begin)


def _turn(aim, before, found):
    s, v = found.point.x - before.x, found.point.gradient - before.gradient
    newest = _Pairs(s, v, 1 / (s @ v))
    pairs = jax.tree.map(lambda old, new: jnp.append(old[1:], new[None], 0), aim.memory, newest)
    product = _product(pairs, s @ v / (v @ v), found.point.gradient)
    return descent.Aim(-product, jnp.ones_like(aim.length), pairs)


def _product(pairs, scale, gradient):
    """H g by the loops (2) and (3)."""

    def back(q, pair):
        s, v, rho = pair
        a = rho * (s @ q)
        return q - a * v, a

    def forth(r, pair_and_a):
        (s, v, rho), a = pair_and_a
        return r + (a - rho * (v @ r)) * s, None

    q, a = lax.scan(back, gradient, pairs, reverse=True)
    return lax.scan(forth, scale * q, (pairs, a))[0]
