"""Eigenvalues and singular values, largest first, with derivatives where values repeat.

For a symmetric A ∈ ℝᵈˣᵈ and a matrix B ∈ ℝⁿˣᵈ, m = min(n, d),

    A = V diag(λ) Vᵀ,    λ₁ ≥ … ≥ λ_d,    VᵀV = I                              (1)
    B = U diag(σ) Vᵀ,    σ₁ ≥ … ≥ σ_m ≥ 0,    UᵀU = VᵀV = I                    (2)

with the sign at which the entry of largest modulus of each column of V is positive (the first of
several). Of A the symmetric part counts. With Ẽ = VᵀĖV and P = UᵀḂV the derivatives are

    λ̇ᵢ = Ẽᵢᵢ,    V̇ = VΩ,    Ωᵢⱼ = Ẽᵢⱼ / (λⱼ − λᵢ)                                (3)
    σ̇ᵢ = Pᵢᵢ,    U̇ = UΩ⁺ + (I − UUᵀ)ḂVΣ⁻¹,    V̇ = VΩ⁻ + (I − VVᵀ)ḂᵀUΣ⁻¹
    Ω^±ᵢⱼ = ½ (P + Pᵀ)ᵢⱼ / (σⱼ − σᵢ) ± ½ (P − Pᵀ)ᵢⱼ / (σⱼ + σᵢ)                 (4)

Values closer than 10dε max|λ|, or 10 max(n, d) ε σ₁, are a cluster: within it rounding alone chose
the vectors. There the quotients by a difference (and by σᵢ + σⱼ and σᵢ at zero) are 0, not 1/0.
First derivatives are then right for what depends on a cluster through the sum over it of any
function of a value, through the projector on it, and for (2) through UVᵀ: for all that stays the
same when the vectors of a cluster turn, *also where its values differ a little*. V f(Λ) Vᵀ is not
of that kind, since it stays the same only while they are equal: its derivative is that of
``linalg.matrix_functions``. What depends on single vectors of a cluster has no derivative, and
what comes back is not one. Second derivatives at a cluster are NaN, elsewhere those of (1), (2).

A matrix with an entry that is not finite gives NaN. Time O(d³), or O(nd m).

>>> import jax, jax.numpy as jnp
>>> from mlmath.linalg import spectra
>>> values, vectors = spectra.eigh(jnp.array([[2.0, 1.0], [1.0, 2.0]]))
>>> print(values)
[3. 1.]
>>> print(jax.grad(lambda A: jnp.sum(spectra.eigh(A).values ** 3))(jnp.eye(2)))
[[3. 0.]
 [0. 3.]]

References:
    Magnus & Neudecker (2019), Matrix Differential Calculus, 3rd ed., §9.8–9.9 (derivatives).
    Giles (2008), Collected matrix derivative results for forward and reverse mode algorithmic
        differentiation, §3.1, §3.2.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mlmath.arrays import Real, Scalar

__all__ = ["SVD", "Eigh", "decompose", "eigh", "reciprocals", "signs", "svd"]


class Eigh(NamedTuple):
    """A = V diag(λ) Vᵀ, eq. (1)."""

    values: Float[Array, " d"]  # λ, descending
    vectors: Float[Array, "d d"]  # V, vectors in its columns


class SVD(NamedTuple):
    """B = U diag(σ) Vᵀ, eq. (2)."""

    left: Float[Array, "n m"]  # U
    values: Float[Array, " m"]  # σ, descending
    right: Float[Array, "d m"]  # V, vectors in its columns


def eigh(A: Float[Real, "d d"]) -> Eigh:
    """Spectrum (1) of the symmetric part of A, with the derivatives (3)."""
    A = jnp.asarray(A)
    A = A / 2 + A.T / 2
    return Eigh(*_attach_eigh(A, *decompose(A)))


def svd(B: Float[Real, "n d"]) -> SVD:
    """Thin singular value decomposition (2), with the derivatives (4)."""
    B = jnp.asarray(B)
    fixed = lax.stop_gradient(B)
    left, values, right = jnp.linalg.svd(fixed, full_matrices=False)
    sign = signs(right.T)
    finite = jnp.isfinite(fixed).all()
    found = (left * sign[None], values, right.T * sign[None])
    return SVD(*_attach_svd(B, *(jnp.where(finite, a, jnp.nan) for a in found)))


def decompose(A: Float[Real, "d d"]) -> Eigh:
    """Spectrum (1) of a symmetric A, without derivatives."""
    A = lax.stop_gradient(jnp.asarray(A))
    values, vectors = jnp.linalg.eigh(A, symmetrize_input=False)
    values, vectors = values[::-1], vectors[:, ::-1]
    finite = jnp.isfinite(A).all()
    return Eigh(
        jnp.where(finite, values, jnp.nan),
        jnp.where(finite, vectors * signs(vectors)[None], jnp.nan),
    )


def signs(vectors: Float[Real, "d m"]) -> Float[Array, " m"]:
    """±1 by which the columns are multiplied for their entry of largest modulus to be positive."""
    vectors = jnp.asarray(vectors)
    largest = jnp.argmax(jnp.abs(vectors), axis=0)
    entry = jnp.take_along_axis(vectors, largest[None], axis=0)[0]
    return jnp.where(entry < 0, -1, 1).astype(vectors.dtype)


def reciprocals(
    differences: Float[Real, "d d"], least: Scalar, within: Scalar
) -> Float[Array, "d d"]:
    """1 / differences off the diagonal, the quotients of (3) and (4), and 0 on it.

    Args:
        differences: of values.
        least: up to which they are rounding.
        within: what stands for the quotient there.
    """
    differences = jnp.asarray(differences)
    close = jnp.abs(differences) <= least
    diagonal = jnp.eye(len(differences), dtype=bool)
    inverse = jnp.where(close, within, 1 / jnp.where(close | diagonal, 1, differences))
    return jnp.where(diagonal, 0, inverse)


@jax.custom_jvp
def _attach_eigh(A, values, vectors):
    """Values and vectors of A with the derivatives (3), 0 within clusters."""
    return values, vectors


@jax.custom_jvp
def _attach_eigh_strictly(A, values, vectors):
    """The same with NaN within clusters: what derivatives of derivatives are made of."""
    return values, vectors


@_attach_eigh.defjvp
def _(primals, tangents):
    return _attach_eigh(*primals), _eigh_tangents(*_attach_eigh_strictly(*primals), tangents[0], 0)


@_attach_eigh_strictly.defjvp
def _(primals, tangents):
    found = _attach_eigh_strictly(*primals)
    return found, _eigh_tangents(*found, tangents[0], jnp.nan)


@jax.default_matmul_precision("highest")
def _eigh_tangents(values, V, E, within):
    d = len(values)
    E = V.T @ E @ V
    least = 10 * d * jnp.finfo(values.dtype).eps * jnp.max(jnp.abs(values))
    return jnp.diagonal(E), V @ (reciprocals(values[None] - values[:, None], least, within) * E)


@jax.custom_jvp
def _attach_svd(B, left, values, right):
    """Factors of B with the derivatives (4), 0 within clusters."""
    return left, values, right


@jax.custom_jvp
def _attach_svd_strictly(B, left, values, right):
    """The same with NaN within clusters: what derivatives of derivatives are made of."""
    return left, values, right


@_attach_svd.defjvp
def _(primals, tangents):
    return _attach_svd(*primals), _svd_tangents(*_attach_svd_strictly(*primals), tangents[0], 0)


@_attach_svd_strictly.defjvp
def _(primals, tangents):
    found = _attach_svd_strictly(*primals)
    return found, _svd_tangents(*found, tangents[0], jnp.nan)


@jax.default_matmul_precision("highest")
def _svd_tangents(U, values, V, E, within):
    n, d = E.shape
    least = 10 * max(n, d) * jnp.finfo(values.dtype).eps * jnp.max(values)
    P = U.T @ E @ V
    apart = reciprocals(values[None] - values[:, None], least, within) * (P + P.T) / 2
    together = reciprocals(values[None] + values[:, None], least, within) * (P - P.T) / 2
    inverse = jnp.where(values <= least, within, 1 / jnp.where(values <= least, 1, values))
    left, right = U @ (apart + together), V @ (apart - together)
    if n > d:  # else U is square
        outside = E @ V
        left = left + (outside - U @ (U.T @ outside)) * inverse[None]
    if d > n:
        outside = E.T @ U
        right = right + (outside - V @ (V.T @ outside)) * inverse[None]
    return left, jnp.diagonal(P), right
