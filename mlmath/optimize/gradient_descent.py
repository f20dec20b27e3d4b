"""Gradient descent: straight down, as far as the objective allows.

At x with gradient g of the objective L,

    x⁺ = x − t g                                                               (1)

with a length t > 0 that meets the strong conditions of Wolfe. A first trial is the length that
fitted the last step, s = x⁺ − x with the change v of the gradient,

    t₀ = sᵀv / vᵀv = argmin ‖s − t v‖                                           (2)

between the inverses of the least and the largest curvature that were met, and it grows and
shrinks with them. Where it fits, no other is tried. A convex L whose gradient is Lipschitz with
constant ℓ falls by at least

    L(x) − L(x⁺) ≥ c₁ (1 − c₂) ‖g‖² / ℓ                                         (3)

at every step, so that ‖g‖ → 0 as long as L is bounded below, convex or not. It is slow where
curvatures differ: ``lbfgs`` needs the same gradients and far fewer of them. How t is found, the gap
‖∇L(x)‖ max(‖x‖, 1) / |L(null)|, and what comes back where it fails are those of
:mod:`mlmath.optimize.descent`. A length that stays what it was given is ``momentum.sgd``. The
derivative of the answer is solved for without a matrix (``implicit.attach_symmetric``), which
needs a minimum with ∇²L(x) positive definite.

Time per step about one value and gradient; memory O(d).

>>> import jax.numpy as jnp
>>> from mlmath.optimize import gradient_descent
>>> def cost(x, a):
...     return jnp.sum(jnp.exp(x) - a * x)
>>> x, certificate = gradient_descent.minimize(cost, jnp.zeros(2), jnp.array([1.0, 3.0]))
>>> print(x.round(2), certificate.converged)
[0.  1.1] True

References:
    Nocedal & Wright (2006), Numerical Optimization, §3.2 (theorem 3.2) for (3), §3.3.
    Barzilai & Borwein (1988), Two-point step size gradient methods, IMA Journal of Numerical
        Analysis 8, eq. 5, for (2).
"""

from collections.abc import Callable
from typing import Any

from mlmath.arrays import Count, Scalar
from mlmath.calculus import implicit
from mlmath.certificate import Certificate
from mlmath.optimize import descent

__all__ = ["minimize"]


def minimize(
    objective: Callable[..., Any],
    start: Any,
    *args: Any,
    null_value: Scalar | None = None,
    curvature: Scalar = 0.9,
    tolerance: Scalar | None = None,
    max_steps: Count = 10_000,
) -> tuple[Any, Certificate]:
    """Minimise ``objective(x, *args)`` from ``start`` by the steps (1).

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
    s, v = found.point.x - before.x, found.point.gradient - before.gradient
    return descent.Aim(-found.point.gradient, s @ v / (v @ v), ())
