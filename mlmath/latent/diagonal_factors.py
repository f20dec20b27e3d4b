"""Diagonal covariance matrices as standard deviations, for mixtures whose features are apart.

A component has the covariance Σ = diag(l²), and u = 1/l. Standard deviations are stacked along a
first axis of as many as there are covariances, and hold one number per feature, or one for all
(p = 1). The negative half of a squared distance is linear in the features of x,

    −½ Σᵢ uᵢ²(xᵢ − μᵢ)² = −½ Σᵢ uᵢ²μᵢ² + Σᵢ uᵢ²μᵢ xᵢ − ½ Σᵢ uᵢ² xᵢ²               (1)

so that the densities of many x are one product of matrices, and so are the sums of x and x². Of
N(m, diag(l⁺²)) from N(m, diag(l²)) the divergence is ½ D with c = l⁺/l and

    D = Σᵢ (cᵢ² − 1 − log cᵢ²)                                                 (2)

a sum of terms that are not negative and of which none cancels, however near the two are. The
functions are those of ``latent.dense_factors``.

A variance that rounding may have made, l² ≤ 16 ε r with r the size of the numbers that were
subtracted, has no factor: NaN.

Time O(d) per covariance, (1) O(d) per row and component.

>>> import jax.numpy as jnp
>>> from mlmath.latent import diagonal_factors
>>> l = diagonal_factors.factor(jnp.array([[4.0, 9.0]]), jnp.array([[4.0, 9.0]]))
>>> print(l, diagonal_factors.divergence(diagonal_factors.inverse(l), l, 2))
[[2. 3.]] [0.]

References:
    Bishop (2006), Pattern Recognition and Machine Learning, §2.3.4 (the Gaussian as exponential
        family).
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.arrays import Real
from mlmath.calculus.log1pmx import log1pmx

__all__ = [
    "apply",
    "apply_transposed",
    "compose",
    "congruent",
    "covariance",
    "diagonal",
    "displaced",
    "divergence",
    "factor",
    "feature_sums",
    "features",
    "freedom",
    "identity",
    "inverse",
    "log_determinant",
    "outer",
    "per",
    "quadratic",
    "second",
    "slope",
    "trace",
]


def features(X: Float[Real, "d n"]) -> Float[Array, "d n"]:
    """Squares of each column of X, the quadratic features of (1)."""
    return jnp.asarray(X) ** 2


def feature_sums(X: Float[Real, "d n"], weight: Float[Real, " n"]) -> Float[Array, " d"]:
    """Sums of :func:`features` over the columns with weights."""
    return features(X) @ weight


def quadratic(inverse: Float[Real, "c p"], d: int) -> Float[Array, "c d"]:
    """Coefficients of :func:`features` in (1)."""
    u = jnp.asarray(inverse)
    return jnp.broadcast_to(-0.5 * u**2, (u.shape[0], d))


def second(moments: Float[Real, "k d"], d: int) -> Float[Array, "k d"]:
    """Sums of xᵢ² as they are those of :func:`features`."""
    return jnp.asarray(moments)


def freedom(d: int) -> int:
    """Free numbers of one covariance, of a number for each feature."""
    return d


def identity(d: int) -> Float[Array, "1 d"]:
    """The covariance I."""
    return jnp.ones((1, d))


def diagonal(covariance: Float[Real, "c p"]) -> Float[Array, "c p"]:
    """Variances of the features, as they are."""
    return jnp.asarray(covariance)


def per(v: Float[Real, " c"]) -> Float[Array, "c 1"]:
    """Numbers of which each multiplies one covariance or factor."""
    return jnp.asarray(v)[:, None]


def outer(v: Float[Real, "k d"]) -> Float[Array, "k d"]:
    """Squares of each row v, the diagonal of vvᵀ."""
    return jnp.asarray(v) ** 2


def factor(covariance: Float[Real, "c p"], size: Float[Real, "c p"]) -> Float[Array, "c p"]:
    """Standard deviations l of variances.

    Args:
        covariance: l².
        size: r, of the numbers of whose difference they are.
    """
    variance = jnp.asarray(covariance)
    sound = variance > 16 * jnp.finfo(variance.dtype).eps * size
    return jnp.where(sound, jnp.sqrt(jnp.where(sound, variance, 1)), jnp.nan)


def inverse(factor: Float[Real, "c p"]) -> Float[Array, "c p"]:
    """u = 1/l."""
    return 1 / jnp.asarray(factor)


def covariance(factor: Float[Real, "c p"]) -> Float[Array, "c p"]:
    """Variances l²."""
    return jnp.asarray(factor) ** 2


def compose(first: Float[Real, "c p"], then: Float[Real, "e q"]) -> Float[Array, "f r"]:
    """Products of the deviations; one serves all."""
    return jnp.multiply(jnp.asarray(first), then)


def congruent(inverse: Float[Real, "e p"], covariance: Float[Real, "c q"]) -> Float[Array, "f r"]:
    """UΣUᵀ of each covariance."""
    return jnp.asarray(inverse) ** 2 * covariance


def apply(factor: Float[Real, "c p"], v: Float[Real, "k d"]) -> Float[Array, "k d"]:
    """diag(l) v of each row v; one factor serves all rows."""
    return jnp.multiply(jnp.asarray(factor), v)


def apply_transposed(factor: Float[Real, "c p"], v: Float[Real, "k d"]) -> Float[Array, "k d"]:
    """The same as :func:`apply`, for a diagonal matrix is its transpose."""
    return apply(factor, v)


def log_determinant(factor: Float[Real, "c p"], d: int) -> Float[Array, " c"]:
    """Σᵢ log lᵢ = ½ log det Σ, over the d features."""
    return _over_features(jnp.log(jnp.asarray(factor)), d)


def trace(
    inverse: Float[Real, "c p"], covariance: Float[Real, "e p"], d: int
) -> Float[Array, " c"]:
    """tr(Σ⁻¹B) of each with diagonal B."""
    return _over_features(jnp.asarray(inverse) ** 2 * covariance, d)


def divergence(
    inverse: Float[Real, "c p"], factor: Float[Real, "c p"], d: int
) -> Float[Array, " c"]:
    """D, eq. (2), of the variances l⁺² from those with inverse deviations u."""
    return _over_features(-log1pmx((jnp.asarray(inverse) * factor) ** 2 - 1), d)


def displaced(inverse: Float[Real, "c p"], step: Float[Real, "c p"]) -> Float[Array, "c p"]:
    """Inverse deviations (1 + e)u; their divergence is about 2‖e‖²."""
    return jnp.asarray(inverse) * (1 + jnp.asarray(step))


def slope(
    inverse: Float[Real, "c p"],
    step: Float[Real, "c p"],
    scatter: Float[Real, "c p"],
    mass: Float[Real, " c"],
    d: int,
) -> Float[Array, "c p"]:
    """Derivative in e of ½ tr(VAVᵀ) − N log det V, V of :func:`displaced`, A the scatter."""
    u, e = jnp.asarray(inverse), jnp.asarray(step)
    return (displaced(u, e) * scatter * u - per(mass) / (1 + e)) * (d // u.shape[1])


def _over_features(values, d):
    """Sum over features; one number stands for all d."""
    return jnp.sum(values, axis=1) * (d // values.shape[1])
