"""Least squares regression: a linear model of a number, and how far its coefficients are known.

For one example x ∈ ℝᵈ the prediction is

    ŷ(x) = wᵀx + b                                                             (1)

Fitting minimises the weighted squared error

    L(w, b) = ½ Σᵢ sᵢ (yᵢ − wᵀxᵢ − b)²                                         (2)

With N = Σᵢ sᵢ, x̄ and ȳ the weighted means, X̃ = X − x̄, ỹ = y − ȳ and S = diag(s) the minimiser
is, of several the one with the least ‖w‖,

    w = (X̃ᵀSX̃)⁺ X̃ᵀSỹ,        b = ȳ − wᵀx̄                                       (3)

found by :mod:`mlmath.linalg.least_squares`. A weight counts as repetition, so with rank r of
√S X̃ there are N − r − 1 degrees of freedom, and if the yᵢ scatter independently about (1) with
one variance σ²,

    σ̂² = 2L(w, b) / (N − r − 1),    V = (X̃ᵀSX̃)⁺                                (4)
    var wⱼ = σ̂² Vⱼⱼ,    var b = σ̂² (1/N + x̄ᵀV x̄),    t = coefficient / √var    (5)
    R² = 1 − 2L(w, b) / Σᵢ sᵢỹᵢ²,    F = (R²/r) / ((1 − R²)/(N − r − 1))           (6)

Differences from a mean that are below its rounding ε|x̄ⱼ| count as 0, so that a constant column
gets weight 0. Where r < d single weights are not
determined by the data: those that come back, and their variances, are those of the answer of
least norm. This is ridge regression with λ = 0.

Time 2nd² for a moderate condition, 15nd² otherwise; memory a copy of X, or three.

>>> import jax.numpy as jnp
>>> from mlmath.linear import least_squares
>>> X, y = jnp.array([[0.0], [1.0], [2.0], [3.0]]), jnp.array([1.0, 3.0, 5.0, 7.5])
>>> fitted = least_squares.fit(X, y)
>>> print(fitted.params.weights, fitted.params.bias, fitted.certificate.converged)
[2.15] 0.9 True
>>> print(least_squares.summarize(fitted, X, y).standard_errors.weights)
[0.0866]

References:
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §3.2,
        eq. 3.8–3.13.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from mlmath.arrays import Real, Scalar
from mlmath.certificate import Certificate, superlinear_tolerance
from mlmath.compiled import compiled
from mlmath.linalg import least_squares
from mlmath.linear.plane import Params, loss, predict, rounding
from mlmath.statistics.weights import present

__all__ = ["Fit", "Params", "Summary", "fit", "loss", "objective", "predict", "summarize"]


class Fit(NamedTuple):
    """Outcome of :func:`fit`."""

    params: Params
    certificate: Certificate  # gap: ½ gᵀ(X̃ᵀSX̃)⁺g / L(0, ȳ), exact
    rank: Int[Array, ""]  # r, of √S X̃ on columns scaled to norm 1
    root: Float[Array, "d k"]  # W, (X̃ᵀSX̃)⁺ = WWᵀ; its derivative is zero


class Summary(NamedTuple):
    """How far a fit is known, and how much it explains."""

    standard_errors: Params  # √var, eq. (5), in the units of each coefficient
    t_values: Params  # coefficient / standard error
    residual_deviation: Float[Array, ""]  # σ̂, in the units of y
    degrees_of_freedom: Float[Array, ""]  # N − r − 1
    r_squared: Float[Array, ""]  # R², share of Σ sᵢỹᵢ² that is explained
    f_statistic: Float[Array, ""]  # F, with r and N − r − 1 degrees of freedom


def objective(
    params: Params,
    X: Float[Real, "n d"],
    y: Float[Real, " n"],
    *,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[Array, ""]:
    """Half the weighted sum of squares L, eq. (2), that :func:`fit` minimises."""
    X, y, weight = present(X, y, sample_weight)
    return weight @ jax.vmap(loss, (None, 0, 0))(params, X, y)


@compiled()
def fit(
    X: Float[Real, "n d"],
    y: Float[Real, " n"],
    *,
    sample_weight: Float[Real, " n"] | None = None,
    tolerance: Scalar | None = None,
) -> Fit:
    """Minimise :func:`objective` in closed form, eq. (3).

    Differentiable to any order in every array argument where the rank is full (d, or n − 1 if
    d ≥ n); at a lower one in ``y`` and ``sample_weight`` only, because in ``X`` the answer jumps.

    Args:
        X: features.
        y: targets.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        tolerance: largest gap that counts as converged; 4ε of the dtype if None.

    Raises:
        ValueError: if there are no rows or no columns.
    """
    if X.shape[1] == 0:
        raise ValueError("X must have at least one column, got none.")
    X, y, weight = present(X, y, sample_weight)
    Xc, center = _centered(X, weight)
    yc, mean = _centered(y[:, None], weight)
    solved = least_squares.solve(Xc, yc[:, 0], sample_weight=weight, tolerance=tolerance)
    params = Params(solved.solution, mean[0] - center @ solved.solution)
    null = lax.stop_gradient(weight @ yc[:, 0] ** 2) / 2
    lost = jnp.where(null > 0, weight.sum() * rounding(params, center) / null, 0)
    gap = solved.certificate.gap + lax.stop_gradient(lost)
    most = superlinear_tolerance(X) if tolerance is None else tolerance
    certificate = solved.certificate._replace(gap=gap, converged=gap <= most)
    return Fit(params, certificate, solved.rank, solved.root)


@compiled()
def summarize(
    fitted: Fit,
    X: Float[Real, "n d"],
    y: Float[Real, " n"],
    *,
    sample_weight: Float[Real, " n"] | None = None,
) -> Summary:
    """Standard errors, t, σ̂, R² and F of a fit to these data, eq. (4)–(6).

    NaN without a degree of freedom; t is NaN for a constant column, whose weight is always 0.
    """
    X, y, weight = present(X, y, sample_weight)
    Xc, center = _centered(X, weight)
    yc = _centered(y[:, None], weight)[0][:, 0]
    w, root, rank = fitted.params.weights, lax.stop_gradient(fitted.root), fitted.rank
    total, unexplained = weight @ yc**2, weight @ (yc - Xc @ w) ** 2
    freedom = weight.sum() - rank - 1
    variance = unexplained / jnp.where(freedom > 0, freedom, jnp.nan)
    V = lax.custom_linear_solve(
        lambda V: Xc.T @ (weight[:, None] * (Xc @ V)),
        jnp.eye(len(w), dtype=X.dtype),
        lambda _, rows: root @ (root.T @ rows),
        symmetric=True,
    )
    errors = Params(
        _sqrt(variance * jnp.diagonal(V)),
        _sqrt(variance * (1 / weight.sum() + center @ V @ center)),
    )
    return Summary(
        standard_errors=errors,
        t_values=jax.tree.map(jnp.divide, fitted.params, errors),
        residual_deviation=_sqrt(variance),
        degrees_of_freedom=freedom,
        r_squared=1 - unexplained / total,
        f_statistic=(total - unexplained) / rank / variance,
    )


def _centered(X, weight):
    """X − x̄, where a column that nowhere leaves the rounding of x̄ is 0, and x̄."""
    total = weight.sum()
    # any shift near x̄ makes the second mean exact
    first = lax.stop_gradient(jnp.sum(weight[:, None] * X, axis=0) / total)
    shifted = X - first[None]
    second = jnp.sum(weight[:, None] * shifted, axis=0) / total
    centered = shifted - second[None]
    rounding = jnp.abs(centered) <= jnp.finfo(X.dtype).eps * jnp.abs(first)[None]
    constant = (rounding | (weight == 0)[:, None]).all(axis=0)
    value = jnp.where(constant[None], 0, centered)
    return centered + lax.stop_gradient(value - centered), first + second


def _sqrt(x):
    """√x with derivative 0 at 0."""
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1)), jnp.where(x == 0, 0, jnp.nan))
