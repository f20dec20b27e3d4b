"""Criteria: how a fit will do on new examples, judged by the rows it was fitted to.

A fit looks better on its own rows the more freely it follows them. How freely is the effective
number of degrees of freedom: with predictions ŷᵢ = f(θ̂, xᵢ) of a fit θ̂ to the targets y

    k = Σᵢ ∂ŷᵢ/∂yᵢ = Σᵢ ⟨∂f(θ̂, xᵢ)/∂θ, ∂θ̂/∂yᵢ⟩                                   (1)

by the derivative of the fit. For a linear smoother ŷ = Ay it is tr A: the number of coefficients
for least squares, Σⱼ dⱼ²/(dⱼ² + λ) and 1 for the bias for ridge regression with singular values dⱼ.
For a fit by penalised likelihood, L(θ) = Σᵢ sᵢ ℓ(θ; xᵢ, yᵢ) + penalty, of a model that need
not be true, with H = ∇²L(θ̂) and gᵢ = ∇ℓ(θ̂; xᵢ, yᵢ), it is

    k = tr(H⁻¹ Σᵢ sᵢ gᵢgᵢᵀ)                                                    (2)

The deviance is −2 log likelihood. With N = Σᵢ sᵢ and R = Σᵢ sᵢ (yᵢ − ŷᵢ)² it is, for a Gaussian
model at its best variance R/N, and where ℓ is a negative log-likelihood,

    D = N log(2πR/N) + N                                                       (3)
    D = 2 Σᵢ sᵢ ℓ(θ; xᵢ, yᵢ)                                                    (4)

and of several models the one is taken that has the smallest

    AIC  = D + 2k                                                              (5)
    AICc = D + 2kN / (N − k − 1)              NaN if N ≤ k + 1                 (6)
    BIC  = D + k log N                                                         (7)
    GCV  = (R/N) / (1 − k/N)²                 NaN if N ≤ k                     (8)
    Cp   = R/σ² − N + 2k                                                       (9)

where σ² is the variance of y about its mean given x, by the largest model perhaps. k in (5)–(7)
does not count the variance R/N; add 1 to count it. Weights count as repetition.

Time of (1) one derivative of the fit per parameter, memory O(np) for p parameters.

>>> import jax, jax.numpy as jnp, mlmath
>>> from mlmath.evaluate import criteria
>>> from mlmath.linear import ridge
>>> X, y = jnp.array([[0.0], [1.0], [2.0], [3.0]]), jnp.array([1.0, 3.0, 4.0, 8.0])
>>> fit = jax.tree_util.Partial(ridge.fit, l2=5.0)
>>> k = criteria.degrees_of_freedom(fit, ridge.predict, X, y)
>>> D = criteria.gaussian_deviance(mlmath.rows(ridge.predict)(fit(X, y).params, X), y)
>>> print(k, criteria.aic(D, k))
1.5 17.0484

References:
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §7.5–7.7
        (AIC, effective number of parameters, BIC), §7.10.1 (GCV), §3.4.1 (ridge regression).
    Ye (1998), On measuring and correcting the effects of data mining, for (1).
    Murata, Yoshizawa & Amari (1994), Network information criterion, for (2).
    Hurvich & Tsai (1989), Regression and time series model selection in small samples, for (6).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from mlmath.absence import cleared
from mlmath.arrays import Labels, Real, Scalar
from mlmath.compiled import as_argument, compiled
from mlmath.evaluate import leave_one_out
from mlmath.statistics.standard_errors import model_based
from mlmath.statistics.weights import present

__all__ = [
    "aic", "aicc", "bic", "degrees_of_freedom", "deviance", "effective_parameters",
    "gaussian_deviance", "generalised_cross_validation", "mallows_cp",
]  # fmt: skip


def degrees_of_freedom(
    fit: Callable[..., Any],
    predict: Callable[..., Any],
    X: Float[Real, "n d"],
    y: Labels,
    *,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[Array, ""]:
    """Effective degrees of freedom of any fit that is differentiable in its targets, eq. (1).

    A fit that compares labels (classes, signs) has no such derivative: then this is 0.

    Args:
        fit: the method, its hyperparameters at their defaults or bound in a ``Partial``.
        predict: ŷ of ONE example, one number in the units of y: a mean, a probability.
        X: features.
        y: targets.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.

    Raises:
        ValueError: if a prediction is not one number.
    """
    return _freedom(as_argument(fit), as_argument(predict), X, y, sample_weight)


def effective_parameters(
    objective: Callable[..., Any],
    loss: Callable[..., Any],
    params: Any,
    X: Float[Real, "n d"],
    y: Labels,
    *,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[Array, ""]:
    """Effective number of parameters of a minimiser, eq. (2); NaN where H is not definite.

    Args:
        objective: L, as its module defines it, penalties at their defaults or in a ``Partial``.
        loss: ℓ of ONE example, a negative log-likelihood.
        params: θ̂, a pytree of floats.
        X: features.
        y: targets.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
    """
    return _parameters(as_argument(objective), as_argument(loss), params, X, y, sample_weight)


def gaussian_deviance(
    predicted: Float[Real, " n"],
    y: Float[Real, " n"],
    *,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[Array, ""]:
    """Deviance D of a Gaussian model, eq. (3); −∞ where nothing is left unexplained."""
    squares, total = _squares(predicted, y, sample_weight)
    return total * jnp.log(2 * jnp.pi * squares / total) + total


def deviance(
    loss: Callable[..., Any],
    params: Any,
    X: Float[Real, "n d"],
    y: Labels,
    *,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[Array, ""]:
    """Deviance D, eq. (4), where ``loss(params, x, y)`` is a negative log-likelihood."""
    X, y, weight = present(X, y, sample_weight)
    return 2 * jnp.sum(weight * jax.vmap(loss, (None, 0, 0))(params, X, y))


def aic(deviance: Scalar, freedom: Scalar) -> Float[Array, ""]:
    """Akaike's criterion, eq. (5), of a deviance D and degrees of freedom k."""
    return jnp.asarray(deviance + 2 * freedom)


def aicc(deviance: Scalar, freedom: Scalar, total: Scalar) -> Float[Array, ""]:
    """Akaike's criterion corrected for a small total N of weights, eq. (6)."""
    left = total - freedom - 1
    return jnp.asarray(deviance + 2 * freedom * total / jnp.where(left > 0, left, jnp.nan))


def bic(deviance: Scalar, freedom: Scalar, total: Scalar) -> Float[Array, ""]:
    """Schwarz's Bayesian criterion, eq. (7), with the total N of weights."""
    return jnp.asarray(deviance + freedom * jnp.log(total))


def generalised_cross_validation(
    predicted: Float[Real, " n"],
    y: Float[Real, " n"],
    freedom: Scalar,
    *,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[Array, ""]:
    """Generalised cross-validation, eq. (8): an estimate of the squared error of a new example.

    For a linear smoother it is leave-one-out with every leverage Aᵢᵢ replaced by their mean k/N.
    """
    squares, total = _squares(predicted, y, sample_weight)
    left = jnp.where(total > freedom, 1 - freedom / total, jnp.nan)
    return squares / total / left**2


def mallows_cp(
    predicted: Float[Real, " n"],
    y: Float[Real, " n"],
    freedom: Scalar,
    variance: Scalar,
    *,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[Array, ""]:
    """Mallows' Cp, eq. (9): k for a model without bias, if ``variance`` is σ²."""
    squares, total = _squares(predicted, y, sample_weight)
    return squares / variance - total + 2 * freedom


@compiled()
def _freedom(fit, predict, X, y, sample_weight):
    X, y, weight = present(X, y, sample_weight)
    params = jax.eval_shape(lambda y: fit(X, y, sample_weight=weight).params, y)
    shape = getattr(jax.eval_shape(predict, params, X[0]), "shape", None)
    if shape != ():
        raise ValueError(f"predict must return one number of ONE example, got shape {shape}.")

    return jnp.sum(leave_one_out.exact(fit, predict, X, y, sample_weight=weight).leverage)


@compiled()
def _parameters(objective, loss, params, X, y, sample_weight):
    X, y, weight = present(X, y, sample_weight)
    flat, unravel = ravel_pytree(params)
    inverse = model_based(lambda v: objective(unravel(v), X, y, sample_weight=weight), flat)
    slopes = jax.vmap(jax.grad(lambda v, x, t: loss(unravel(v), x, t)), (None, 0, 0))
    g = slopes(flat, X, y)
    return jnp.sum(weight[:, None] * g * (g @ inverse))


def _squares(predicted, y, sample_weight):
    """R and N."""
    predicted, y = jnp.asarray(predicted), jnp.asarray(y)
    weight = jnp.ones_like(y) if sample_weight is None else jnp.asarray(sample_weight, y.dtype)
    predicted, y, weight = cleared(predicted[:, None], y, weight)
    return jnp.sum(weight * (y - predicted[:, 0]) ** 2), jnp.sum(weight)
