"""Ridge regression: a linear model of a number, shrunk towards zero.

For one example x ∈ ℝᵈ the prediction is

    ŷ(x) = wᵀx + b                                                             (1)

Fitting minimises the weighted squared error with a penalty λⱼ on each weight,

    L(w, b) = ½ Σᵢ sᵢ (yᵢ − wᵀxᵢ − b)² + ½ Σⱼ λⱼ wⱼ²                           (2)

The bias is not penalised. With x̄, ȳ the weighted means, X̃ = X − x̄, ỹ = y − ȳ, S = diag(s)
and Λ = diag(λ) the minimiser is b = ȳ − wᵀx̄ and

    w = (X̃ᵀSX̃ + Λ)⁻¹ X̃ᵀSỹ                         if d ≤ n                     (3)
      = Λ⁻¹X̃ᵀ (I + S X̃Λ⁻¹X̃ᵀ)⁻¹ Sỹ                 if d > n, which needs λⱼ > 0   (4)

Where the matrix to be inverted is singular (λ = 0 with a column twice, say) minimisers are many:
what comes back is one of them as rounding will have it, or NaN and not converged;
``linear.least_squares`` gives the one of least norm. λ → ∞ is the mean.

Time O(nd·min(n, d)), memory O(nd).

>>> import jax, jax.numpy as jnp
>>> from mlmath.linear import ridge
>>> X, y = jnp.array([[0.0], [1.0], [2.0]]), jnp.array([1.0, 3.0, 5.0])
>>> fitted = ridge.fit(X, y, l2=2.0)
>>> print(fitted.params.weights, fitted.params.bias)
[1.] 2.0
>>> bool(fitted.certificate.converged)
True
>>> jax.vmap(lambda l2: ridge.fit(X, y, l2=l2))(jnp.logspace(-3, 3, 50)).params.weights.shape
(50, 1)

References:
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §3.4.1, eq. 3.44.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.absence import apart, within
from mlmath.arrays import Real, Scalar
from mlmath.certificate import Certificate, certify, superlinear_tolerance
from mlmath.compiled import compiled
from mlmath.linalg import gram, shifted
from mlmath.linear.plane import Params, loss, predict, rounding
from mlmath.statistics.center import near_mean
from mlmath.statistics.weights import present, total

__all__ = ["Fit", "Params", "fit", "loss", "objective", "predict"]


class Fit(NamedTuple):
    """Outcome of :func:`fit`."""

    params: Params
    certificate: Certificate  # gap: ½ gᵀH⁻¹g / L(0, ȳ), exact for a quadratic; ½ gᵀΛ⁻¹g if d > n


def objective(
    params: Params,
    X: Float[Real, "n d"],
    y: Float[Real, " n"],
    *,
    l2: Scalar | Float[Real, " d"] = 1.0,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[Array, ""]:
    """Penalised objective L, eq. (2), that :func:`fit` minimises."""
    return _objective(params, *present(X, y, sample_weight), l2)


@compiled()
def fit(
    X: Float[Real, "n d"],
    y: Float[Real, " n"],
    *,
    l2: Scalar | Float[Real, " d"] = 1.0,
    sample_weight: Float[Real, " n"] | None = None,
    tolerance: Scalar | None = None,
) -> Fit:
    """Minimise :func:`objective` in closed form, eq. (3) or (4).

    Differentiable to any order in every array argument and in ``l2``.

    Args:
        X: features.
        y: targets.
        l2: λ, the penalty on the squared weights, one for all columns or one per column.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        tolerance: largest gap that counts as converged; 4ε of the dtype if None.
    """
    X, y, weight = present(X, y, sample_weight)
    l2 = jnp.asarray(l2, X.dtype)
    route = _primal if X.shape[1] <= X.shape[0] else _dual
    w, center, mean, null, bound = route(X, y, weight, l2)
    squares, descent = gram.row_sum(_residual, (X, y, weight), w, center, mean)
    params = Params(w, mean - center @ w)
    lost = jnp.where(null > 0, jnp.sum(weight) * rounding(params, center), 0)
    return Fit(
        params,
        certify(
            (squares + jnp.sum(l2 * w**2)) / 2,
            bound(l2 * w - descent) / 2 + lost,
            null / 2,
            tolerance=superlinear_tolerance(X) if tolerance is None else tolerance,
        ),
    )


def _primal(X, y, weight, l2):
    """Weights by eq. (3), x̄, ȳ, ỹᵀSỹ and g ↦ gᵀH⁻¹g.

    Moments about any c near the mean, here its first rounding, give those about the mean.
    """
    c, m = near_mean(X, weight), near_mean(y[:, None], weight)[0]
    outer, cross, first, square, shift = gram.row_sum(_moments, (X, y, weight), c, m)
    away, above = first / jnp.sum(weight), shift / jnp.sum(weight)
    solve = _solver(outer - jnp.outer(first, away), l2)
    w = solve(cross - first * above)
    return w, c + away, m + above, square - shift * above, lambda g: g @ solve(g)


def _solver(h, l2):
    """b ↦ (h + Λ)⁻¹b; one penalty for all columns is a shift, which candidates share."""
    if jnp.shape(l2) == ():
        return shifted.solver(shifted.prepare(h), l2)
    return shifted.solver(shifted.prepare(h + jnp.diag(l2)), 0.0)


def _moments(X, y, weight, c, m):
    """Sums of products of x − c, y − m and 1."""
    Z, r = X - c[None], y - m
    scaled, weighted = weight[:, None] * Z, weight * r
    return (
        gram.symmetric_product(scaled, Z),
        weighted @ Z,
        weight @ Z,
        weighted @ r,
        jnp.sum(weighted),
    )


def _residual(X, y, weight, w, center, mean):
    """Sum of squared residuals, and of their products with x̃."""
    Xc = apart(X, weight, center)
    residual = y - mean - Xc @ w
    return total(residual**2, weight), (weight * residual) @ Xc


def _dual(X, y, weight, l2):
    """Weights by eq. (4), x̄, ȳ, ỹᵀSỹ and g ↦ gᵀΛ⁻¹g ≥ gᵀH⁻¹g."""
    center, mean = (weight @ a / jnp.sum(weight) for a in (X, y))
    Xc, yc = within(X - center[None], weight, jnp.zeros_like(center)), y - mean
    scaled = Xc / jnp.broadcast_to(l2, X.shape[1:])[None]
    system = jnp.eye(len(y), dtype=X.dtype) + weight[:, None] * (Xc @ scaled.T)
    w = jnp.linalg.solve(system, weight * yc) @ scaled
    return w, center, mean, total(yc**2, weight), lambda g: g @ (g / l2)


def _objective(params, X, y, weight, l2):
    losses = jax.vmap(loss, (None, 0, 0))(params, X, y)
    return total(losses, weight) + jnp.sum(l2 * params.weights**2) / 2
