"""Orthogonal factors and pseudo-inverses, decided on columns scaled to norm 1.

For A ∈ ℝⁿˣᵈ whose columns have norm 1, or are 0, and n ≥ d,

    A = Q T M,        (QT)ᵀ(QT) = I on all directions above rounding            (1)

comes from three orthogonalisations Q ← Q VΛ^−½ with QᵀQ = VΛVᵀ, Λ held above 4dε. It is what
shifted Cholesky QR does with Cholesky factors; eigenvectors keep M to the rounding of A, not of
its square, when A is singular too. T is the last VΛ^−½, which Q does without. Only products and
sums over rows occur, so sharded rows stay where they are.

With singular values M = UΣVᵀ, of which the r above 10 dε max(σ₁, 1) count, and B = A D⁻¹ the
matrix in its own units, the root W of the pseudo-inverse is

    (BᵀB)⁺ = WWᵀ,        W = P D V Σ⁺                                           (2)

P the projection on the row space of B: for n ≥ d what lies in the null space, D V₀, is taken
from D VΣ⁺; for n < d, where M is A itself, V_rᵀD⁻¹W = Σ⁺ is solved within the row space.

Time 6nd² + O(d³), memory two copies of A; for n < d O(n²d).

>>> import jax.numpy as jnp
>>> from mlmath.linalg import pseudo_inverse
>>> A = jnp.array([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
>>> factors = pseudo_inverse.orthogonalise(A)
>>> found = pseudo_inverse.root(factors.M, jnp.ones(2))
>>> print(found.rank, jnp.round(found.root @ found.root.T, 4))
1 [[0.25 0.25]
 [0.25 0.25]]

References:
    Stathopoulos & Wu (2002), A block orthogonalization procedure with constant synchronization
        requirements, §2.
    Fukaya, Kannan, Nakatsukasa, Yamamoto & Yanagisawa (2020), Shifted Cholesky QR for computing
        the QR factorization of ill-conditioned matrices, §3.
    Björck (1996), Numerical Methods for Least Squares Problems, §2.7 (rank).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float, Int

from mlmath.arrays import Real

__all__ = ["Factors", "Root", "orthogonalise", "root"]


class Factors(NamedTuple):
    """A = Q T M, eq. (1)."""

    Q: Float[Array, "n d"]  # nearly orthonormal
    T: Float[Array, "d d"]  # what makes it orthonormal
    M: Float[Array, "d d"]  # MᵀM = AᵀA


class Root(NamedTuple):
    """Root of a pseudo-inverse, eq. (2)."""

    root: Float[Array, "d k"]  # W
    left: Float[Array, "m k"]  # U, 0 for the directions below rounding: WᵀBᵀ = (QTU)ᵀ
    rank: Int[Array, ""]  # r


def orthogonalise(A: Float[Real, "n d"]) -> Factors:
    """Factors (1) of a matrix with n ≥ d and columns of norm 1, or 0."""
    d = A.shape[1]
    Q, M, floor = A, jnp.eye(d, dtype=A.dtype), 4 * d * jnp.finfo(A.dtype).eps
    for _ in range(2):
        T, Q_values, Q_vectors = _whiten(Q, floor)
        Q, M = Q @ T, Q_values[:, None] * (Q_vectors.T @ M)
    T, Q_values, Q_vectors = _whiten(Q, floor)
    return Factors(jnp.asarray(Q), T, Q_values[:, None] * (Q_vectors.T @ M))


def root(M: Float[Real, "m d"], scale: Float[Real, " d"]) -> Root:
    """Root (2) for a matrix with scaled columns, or for its M.

    Args:
        M: of d rows, or of fewer.
        scale: D, what the columns were multiplied with.
    """
    m, d = M.shape
    left, values, right = jnp.linalg.svd(M, full_matrices=False)
    smallest = 10 * d * jnp.finfo(M.dtype).eps * jnp.maximum(values[0], 1)
    kept = values > smallest
    inverse = jnp.where(
        values <= smallest, 0, 1 / jnp.where(values <= smallest, 1, values)
    )  # or NaN
    found = (_within_rows if m < d else _without_null)(right.T, inverse, kept, scale[:, None])
    return Root(found, jnp.where(kept[None], left, 0), kept.sum())


def _whiten(Q, floor):
    """T = VΛ^−½, Λ^½ and V for QᵀQ = VΛVᵀ."""
    values, vectors = jnp.linalg.eigh(Q.T @ Q)
    values = jnp.sqrt(jnp.maximum(values, floor))
    return vectors / values[None], values, vectors


def _without_null(V, inverse, kept, scale):
    null, W = scale * jnp.where(kept[None], 0, V), scale * V * inverse[None]
    return W - null @ jnp.linalg.lstsq(null, W)[0]


def _within_rows(V, inverse, kept, scale):
    basis, R = jnp.linalg.qr(jnp.where(kept[None], V / scale, 0))
    R = R + jnp.diag(jnp.where(kept, 0, 1).astype(R.dtype))
    return basis @ solve_triangular(R, jnp.diag(inverse), trans="T")
