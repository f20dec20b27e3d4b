"""Influence: how far each row moves a fit.

The parameters θ̂(s) of a fit are a function of the row weights s. Their derivative is the empirical
influence of a row, and for θ̂ with ∇L(θ̂) = 0, H = ∇²L(θ̂) and the part sᵢ ℓᵢ of row i in L

    ∂θ̂/∂sᵢ = −H⁻¹ ∇ℓᵢ(θ̂)                                                      (1)

so that without the row θ̂ changes by −sᵢ ∂θ̂/∂sᵢ to first order. A fit by the contract carries (1)
with it, preprocessing included. On a number f(θ̂), a prediction or a validation loss, it is

    ∂f/∂sᵢ = ∇f(θ̂) · ∂θ̂/∂sᵢ                                                  (2)

for all rows by one reverse pass. At a row of weight 0 these are what including it would do.

How far θ̂ moves altogether when a row is left out, in the metric of L, is the distance of Cook,
with p parameters and the dispersion φ (the residual variance σ̂² of least squares, else 1)

    Dᵢ = (θ₋ᵢ − θ̂)ᵀ H (θ₋ᵢ − θ̂) / (pφ)                                         (3)

where θ₋ᵢ is eq. (3) of :mod:`mlmath.evaluate.leave_one_out`: exact for least squares, where (3) is
‖ŷ − ŷ₋ᵢ‖² / (pσ̂²), and one step of Newton's method otherwise. Above 1 a row deserves a look.

An absent row that is not finite has influence 0. Time of (1) for p reverse passes, of (2) for one,
of (3) O(np² + p³); memory O(np), of (2) that of the fit.

>>> import jax.numpy as jnp
>>> from mlmath.evaluate import influence
>>> from mlmath.linear import least_squares, plane
>>> X, y = jnp.array([[0.0], [1.0], [2.0], [9.0]]), jnp.array([1.0, 2.0, 2.0, 3.0])
>>> params = least_squares.fit(X, y).params
>>> D = influence.distance(plane.loss, least_squares.objective, params, X, y, dispersion=0.27)
>>> print(D.argmax())
3
>>> effect = influence.on(lambda params: params.weights[0], least_squares.fit, X, y)
>>> bool(effect[3] < 0)  # the fourth row flattens the slope
True

References:
    Cook & Weisberg (1982), Residuals and Influence in Regression, §3.5 (distance), §3.4 (1).
    Koh & Liang (2017), Understanding black-box predictions via influence functions, §2.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from mlmath.arrays import Labels, Real, Scalar
from mlmath.compiled import as_argument, compiled
from mlmath.evaluate import leave_one_out
from mlmath.statistics.weights import present

__all__ = ["distance", "on", "parameters"]


def on(
    value: Callable[..., Any],
    fit: Callable[..., Any],
    X: Float[Real, "n d"],
    y: Labels,
    *,
    sample_weight: Float[Real, " n"] | None = None,
    **numbers: Any,
) -> Float[Array, " n"]:
    """Influence ∂f/∂sᵢ of every row on a number, eq. (2).

    Args:
        value: f, a function of the parameters that returns one number.
        fit: the method, ``fit(X, y, *, sample_weight, **numbers) -> Fit``.
        X: features.
        y: targets.
        sample_weight: sᵢ; ones if None.
        numbers: hyperparameters of the fit.

    Raises:
        ValueError: if the value is not one number.
    """
    return _on(as_argument(value), as_argument(fit), X, y, _weight(X, sample_weight), numbers)


def parameters(
    fit: Callable[..., Any],
    X: Float[Real, "n d"],
    y: Labels,
    *,
    sample_weight: Float[Real, " n"] | None = None,
    **numbers: Any,
) -> Any:
    """Influence ∂θ̂/∂sᵢ on all parameters, eq. (1), with a leading axis of the rows.

    Args:
        fit: the method, ``fit(X, y, *, sample_weight, **numbers) -> Fit``.
        X: features.
        y: targets.
        sample_weight: sᵢ; ones if None.
        numbers: hyperparameters of the fit.
    """
    return _parameters(as_argument(fit), X, y, _weight(X, sample_weight), numbers)


def distance(
    loss: Callable[..., Any],
    objective: Callable[..., Any],
    params: Any,
    X: Float[Real, "n d"],
    y: Labels,
    *,
    dispersion: Scalar = 1.0,
    sample_weight: Float[Real, " n"] | None = None,
    **numbers: Any,
) -> Float[Array, " n"]:
    """Cook's distance Dᵢ of every row, eq. (3), 0 for an absent row.

    Args:
        loss: ℓ, ``loss(params, x, y)`` of ONE example.
        objective: L, ``objective(params, X, y, *, sample_weight, **numbers)``.
        params: θ̂, the minimiser of the objective.
        X: features.
        y: targets.
        dispersion: φ, in the units of the loss.
        sample_weight: sᵢ; 0 leaves a row out, and row i is removed with all its weight.
        numbers: hyperparameters of the objective.
    """
    functions = as_argument(loss), as_argument(objective)
    return _distance(*functions, params, X, y, _weight(X, sample_weight), dispersion, numbers)


@compiled()
def _on(value, fit, X, y, weight, numbers):
    def effect(weight):
        found = jnp.asarray(value(fit(X, y, sample_weight=weight, **numbers).params))
        if found.shape != ():
            raise ValueError(f"value must return one number, got an array of shape {found.shape}.")
        return found

    return jax.grad(effect)(weight) + _missing(X, y, weight)


@compiled()
def _parameters(fit, X, y, weight, numbers):
    def params(weight):
        return fit(X, y, sample_weight=weight, **numbers).params

    derivative = jax.jacrev(params)(weight)
    missing = _missing(X, y, weight)

    def by_row(a):
        return jnp.moveaxis(a + jnp.broadcast_to(missing, a.shape), -1, 0)

    return jax.tree.map(by_row, derivative)


@compiled()
def _distance(loss, objective, params, X, y, weight, dispersion, numbers):
    X, y, weight = present(X, y, weight)
    steps = leave_one_out.changes(loss, objective, params, X, y, sample_weight=weight, **numbers)
    flat, unravel = ravel_pytree(params)

    def total(v):
        return objective(unravel(v), X, y, sample_weight=weight, **numbers)

    moved = jax.vmap(lambda step: ravel_pytree(step)[0])(steps)
    return jnp.sum(moved @ jax.hessian(total)(flat) * moved, axis=1) / (flat.size * dispersion)


def _missing(X, y, weight):
    """NaN at a row that counts and is not finite, else 0."""
    return 0 * present(X, y, weight)[2]


def _weight(X, sample_weight):
    X = jnp.asarray(X)
    return jnp.ones_like(X, shape=X.shape[:1]) if sample_weight is None else sample_weight
