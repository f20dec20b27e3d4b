"""Nonlinear conjugate gradients: directions from the last one and two gradients (Hager and Zhang).

With v = g⁺ − g the change of the gradient over a step along d, the next direction is

    d⁺ = −g⁺ + β d,    β = max{β′, η gᵀd / dᵀd},  η = 0.4                       (1)
    β′ = (v − 2 d vᵀv / dᵀv)ᵀ g⁺ / dᵀv                                          (2)

On a quadratic with exact searches this is the linear method of ``linalg.krylov``, which ends after
d steps. In general L falls along every direction, however rough the search that found the last,

    g⁺ᵀd⁺ ≤ −⅞ ‖g⁺‖²                                                          (3)

which is why β is this one: that of Polak and Ribière has (3) only after nearly exact searches and
must be watched and restarted. The floor of β in (1) lets it turn sharply where L is not quadratic,
and has no units. The first trial moves L as much to first order as the step before,
t₀⁺ = t gᵀd / g⁺ᵀd⁺. How the length t of a step is found, the gap, a relative gradient,
and what comes back where it fails are those of :mod:`mlmath.optimize.descent`; c₂ = 0.1 because a
search that is nearly exact needs fewer steps. The derivative of the answer is solved for without a
matrix (``implicit.attach_symmetric``), which needs a minimum with ∇²L(x) positive definite.

Time per step about two values and gradients, and O(d); memory O(d), the least there is.

>>> import jax.numpy as jnp
>>> from mlmath.optimize import conjugate_gradient
>>> def cost(x, a):
...     return jnp.sum(jnp.exp(x) - a * x)
>>> x, certificate = conjugate_gradient.minimize(cost, jnp.zeros(2), jnp.array([1.0, 3.0]))
>>> print(x.round(2), certificate.converged)
[0.  1.1] True

References:
    Hager & Zhang (2005), A new conjugate gradient method with guaranteed descent and an efficient
        line search, SIAM Journal on Optimization 16, eq. 1.3 and theorem 1 for (2) and (3).
    Hager & Zhang (2013), The limited memory conjugate gradient method, SIAM Journal on Optimization
        23, §1 for the floor in (1).
    Nocedal & Wright (2006), Numerical Optimization, §5.2, eq. 3.60 of §3.5 for the first trial.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from mlmath.arrays import Count, Scalar
from mlmath.calculus import implicit
from mlmath.certificate import Certificate
from mlmath.optimize import descent

__all__ = ["minimize"]

_FLOOR = 0.4  # η


def minimize(
    objective: Callable[..., Any],
    start: Any,
    *args: Any,
    null_value: Scalar | None = None,
    curvature: Scalar = 0.1,
    tolerance: Scalar | None = None,
    max_steps: Count = 2000,
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
        method=descent.Method(_turn), attach=implicit.attach_symmetric,
        null_value=null_value, curvature=curvature, tolerance=tolerance, max_steps=max_steps,
    )  # fmt: skip


def _turn(aim, before, found):
    d, g = aim.direction, found.point.gradient
    v = g - before.gradient
    product, slope = d @ v, before.gradient @ d
    beta = (v @ g - 2 * (d @ g) * (v @ v) / product) / product
    turned = -g + jnp.maximum(beta, _FLOOR * slope / (d @ d)) * d
    return descent.Aim(turned, found.length * slope / (g @ turned), ())
