"""Covariance matrices as Cholesky factors, for mixtures whose components have full covariances.

A component has the covariance Σ = LLᵀ with L lower triangular, and U = L⁻¹. Factors are stacked
along a first axis of as many as there are covariances: one per component, or one for all. The
negative half of a squared distance is linear in the features of x,

    −½ ‖U(x − μ)‖² = −½ ‖Uμ‖² + (UᵀUμ)ᵀx − ½ Σᵢ≤ⱼ (2 − δᵢⱼ)(UᵀU)ᵢⱼ xᵢxⱼ            (1)

so that the densities of many x are one product of matrices, and so are the sums of x and xxᵀ. Of
N(m, L⁺L⁺ᵀ) from N(m, LLᵀ) the divergence is ½ D with C = U L⁺, lower triangular, and

    D = tr(Σ⁻¹Σ⁺) − d − log det(Σ⁻¹Σ⁺) = Σᵢ>ⱼ Cᵢⱼ² + Σⱼ (Cⱼⱼ² − 1 − log Cⱼⱼ²)        (2)

a sum of terms that are not negative and of which none cancels, however near the two are.

A matrix of which rounding may have made what is left of a column after the columns before it,
Lⱼⱼ² ≤ 16 ε rⱼ with rⱼ the size of the numbers that were subtracted, has no factor: NaN.

Time O(d³) per covariance, (1) O(d²) per row and component.

>>> import jax.numpy as jnp
>>> from mlmath.latent import dense_factors
>>> L = dense_factors.factor(jnp.array([[[4.0, 2.0], [2.0, 5.0]]]), jnp.array([[4.0, 5.0]]))
>>> print(L[0])
[[2. 0.]
 [1. 2.]]
>>> print(dense_factors.divergence(dense_factors.inverse(L), L, 2))
[0.]

References:
    Golub & Van Loan (2013), Matrix Computations, §4.2.3 (Cholesky).
    Bishop (2006), Pattern Recognition and Machine Learning, §2.3.4 (the Gaussian as exponential
        family).
"""

from functools import partial

import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
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


def features(X: Float[Real, "d n"]) -> Float[Array, "q n"]:
    """Products xᵢxⱼ, i ≤ j, of each column of X, the quadratic features of (1)."""
    X = jnp.asarray(X)
    return jnp.concatenate([X[i : i + 1] * X[i:] for i in range(X.shape[0])])


def feature_sums(X: Float[Real, "d n"], weight: Float[Real, " n"]) -> Float[Array, " q"]:
    """Sums of :func:`features` over the columns with weights, by one product of matrices."""
    X = jnp.asarray(X)
    return ((X * weight[None]) @ X.T)[np.triu_indices(X.shape[0])]


def quadratic(inverse: Float[Real, "c d d"], d: int) -> Float[Array, "c q"]:
    """Coefficients of :func:`features` in (1)."""
    precision = jnp.swapaxes(jnp.asarray(inverse), 1, 2) @ inverse
    i, j = np.triu_indices(precision.shape[1])
    return precision[:, i, j] * np.where(i == j, -0.5, -1.0).astype(precision.dtype)[None]


def second(moments: Float[Real, "k q"], d: int) -> Float[Array, "k d d"]:
    """Symmetric matrices of sums of xᵢxⱼ from those of :func:`features`."""
    place = np.zeros((d, d), int)
    i, j = np.triu_indices(d)
    place[i, j] = place[j, i] = np.arange(len(i))
    return jnp.asarray(moments)[:, place]


def freedom(d: int) -> int:
    """Free numbers of one covariance."""
    return d * (d + 1) // 2


def identity(d: int) -> Float[Array, "1 d d"]:
    """The covariance I."""
    return jnp.eye(d)[None]


def diagonal(covariance: Float[Real, "c d d"]) -> Float[Array, "c d"]:
    """Variances of the features."""
    return jnp.diagonal(jnp.asarray(covariance), axis1=1, axis2=2)


def per(v: Float[Real, " c"]) -> Float[Array, "c 1 1"]:
    """Numbers of which each multiplies one covariance or factor."""
    return jnp.asarray(v)[:, None, None]


def outer(v: Float[Real, "k d"]) -> Float[Array, "k d d"]:
    """vvᵀ of each row v."""
    v = jnp.asarray(v)
    return v[:, :, None] * v[:, None, :]


def factor(covariance: Float[Real, "c d d"], size: Float[Real, "c d"]) -> Float[Array, "c d d"]:
    """Cholesky factor L of each matrix.

    Args:
        covariance: Σ, of which the lower triangle and its mirror image are averaged.
        size: rⱼ, of the numbers of whose difference the diagonal is.
    """
    L = jnp.linalg.cholesky(jnp.asarray(covariance))
    pivots = diagonal(L) ** 2
    sound = (pivots > 16 * jnp.finfo(L.dtype).eps * size).all(axis=1)
    return jnp.where(sound[:, None, None], L, jnp.nan)


def inverse(factor: Float[Real, "c d d"]) -> Float[Array, "c d d"]:
    """U = L⁻¹ of each factor."""
    L = jnp.asarray(factor)
    eye = jnp.broadcast_to(jnp.eye(L.shape[1], dtype=L.dtype), L.shape)
    return solve_triangular(L, eye, lower=True)


def covariance(factor: Float[Real, "c d d"]) -> Float[Array, "c d d"]:
    """Σ = LLᵀ of each factor."""
    return jnp.asarray(factor) @ jnp.swapaxes(jnp.asarray(factor), 1, 2)


def compose(first: Float[Real, "c d d"], then: Float[Real, "e d d"]) -> Float[Array, "f d d"]:
    """Products of the factors; one serves all."""
    return jnp.asarray(first) @ then


def congruent(
    inverse: Float[Real, "e d d"], covariance: Float[Real, "c d d"]
) -> Float[Array, "f d d"]:
    """UΣUᵀ of each covariance."""
    U = jnp.asarray(inverse)
    return U @ covariance @ jnp.swapaxes(U, 1, 2)


def apply(factor: Float[Real, "c d d"], v: Float[Real, "k d"]) -> Float[Array, "k d"]:
    """Lv of each factor and row v; one factor serves all rows."""
    L, v = jnp.asarray(factor), jnp.asarray(v)
    product = partial(jnp.matmul, precision="highest")
    return product(v, L[0].T) if L.shape[0] == 1 else product(L, v[:, :, None])[:, :, 0]


def apply_transposed(factor: Float[Real, "c d d"], v: Float[Real, "k d"]) -> Float[Array, "k d"]:
    """Lᵀv of each factor and row v."""
    return apply(jnp.swapaxes(jnp.asarray(factor), 1, 2), v)


def log_determinant(factor: Float[Real, "c d d"], d: int) -> Float[Array, " c"]:
    """log det L = ½ log det Σ of each factor."""
    return jnp.sum(jnp.log(diagonal(factor)), axis=1)


def trace(
    inverse: Float[Real, "c d d"], covariance: Float[Real, "e d d"], d: int
) -> Float[Array, " c"]:
    """tr(Σ⁻¹B) = tr(UBUᵀ) of each."""
    U = jnp.asarray(inverse)
    return jnp.sum((U @ covariance) * U, axis=(1, 2))


def divergence(
    inverse: Float[Real, "c d d"], factor: Float[Real, "c d d"], d: int
) -> Float[Array, " c"]:
    """D, eq. (2), of the covariances with factor L⁺ from those with inverse factor U."""
    C = jnp.tril(jnp.asarray(inverse) @ factor)
    pivots = diagonal(C)
    below = jnp.sum(jnp.tril(C, -1) ** 2, axis=(1, 2))
    return below + jnp.sum(-log1pmx(pivots**2 - 1), axis=1)


def displaced(inverse: Float[Real, "c d d"], step: Float[Real, "c d d"]) -> Float[Array, "c d d"]:
    """Inverse factor (I + E)U, E the lower triangle of ``step``; its divergence is about ‖E‖²."""
    U = jnp.asarray(inverse)
    return U + jnp.tril(step) @ U


def slope(
    inverse: Float[Real, "c d d"],
    step: Float[Real, "c d d"],
    scatter: Float[Real, "c d d"],
    mass: Float[Real, " c"],
    d: int,
) -> Float[Array, "c d d"]:
    """Derivative in E of ½ tr(VAVᵀ) − N log det V, V of :func:`displaced`, A the scatter.

    Above the diagonal, where E does nothing, it is that of half the squares of ``step``.
    """
    U, E = jnp.asarray(inverse), jnp.asarray(step)
    pull = (displaced(U, E) @ scatter) @ jnp.swapaxes(U, 1, 2)
    eye = jnp.eye(d, dtype=U.dtype)[None]
    return jnp.tril(pull) - per(mass) * eye / (1 + E * eye) + jnp.triu(E, 1)
