"""Spectrum of a scatter matrix from its rows, by the smaller side.

Rows xᵢ ∈ ℝᵈ with weights sᵢ ≥ 0, centred by whoever wants them so, have the scatter matrix

    C = Σᵢ sᵢ xᵢxᵢᵀ = XᵀSX = V diag(λ) Vᵀ,    λ₁ ≥ … ≥ λ_m ≥ 0,  m = min(n, d)     (1)

of which the eigenvalue 0 has the other d − m vectors. With more columns than rows no d × d matrix
is made: in a basis Q of the rows,

    Xᵀ = QR,    R S Rᵀ = U diag(λ) Uᵀ,    V = QU                                (2)

The sign is that of ``linalg.spectra``, and so are the derivatives and their limits. In (2), where
R need not have any, they are attached as those of C: with Ċ = d/dt XᵀSX

    λ̇ᵢ = vᵢᵀĊvᵢ,    v̇ᵢ = Σ_{j ≠ i} vⱼ vⱼᵀĊvᵢ / (λᵢ − λⱼ) + (I − Σⱼ vⱼvⱼᵀ) Ċvᵢ / λᵢ    (3)

over i, j of which λ is above rounding; those of the others are 0. A weight below 0 makes no C
that this module speaks of, but values and vectors are still those of XᵀSX, so that differences
across weight 0 exist. What the decomposition leaves over is measured,

    e = ‖C V − V diag(λ)‖_F + ε tr C                                            (4)

with what rounding did to C itself. By it the k leading vectors capture nearly the most there is:

    Σ_{i≤k} λᵢ(C) − tr(V_kᵀ C V_k) ≤ max_{0 ≤ t ≤ √k} 2et − δt²,  δ = λ_k − λ_{k+1} − 2e    (5)

For W ∈ ℝᵈˣᵏ with orthonormal columns put t = ‖(I − V_kV_kᵀ)W‖_F ≤ √k: what W gains beyond
V_k is at most 2et and costs δt². A δ well above e makes (5) e²/δ, far below ε.

Time O(nd m + m³), memory O(d m + n m) beside blocks of rows.

>>> import jax.numpy as jnp
>>> from mlmath.linalg import scatter
>>> found = scatter.eigh(jnp.array([[1.0, 1.0], [1.0, -1.0], [2.0, 2.0]]), jnp.ones(3))
>>> print(found.values.round(4))
[10.  2.]

References:
    Golub & Van Loan (2013), Matrix Computations, 4th ed., §8.1.1 (residuals), §8.6 (SVD).
    Stewart & Sun (1990), Matrix Perturbation Theory, ch. IV and V (values, subspaces).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mlmath.arrays import Real, Scalar
from mlmath.linalg import gram, spectra
from mlmath.linalg.vectors import norm

__all__ = ["Spectrum", "eigh", "excess", "gain", "of_matrix"]


class Spectrum(NamedTuple):
    """C = V diag(λ) Vᵀ, eq. (1), and how well that holds."""

    values: Float[Array, " m"]  # λ, descending, never below 0
    vectors: Float[Array, "d m"]  # V, vectors in its columns
    residual: Float[Array, ""]  # e, eq. (4), in the units of C; without derivative


def eigh(X: Float[Real, "n d"], weight: Float[Real, " n"]) -> Spectrum:
    """Spectrum (1) of Σᵢ sᵢ xᵢxᵢᵀ: by C where d ≤ n, else by (2).

    Rows are finite, as :func:`~mlmath.statistics.weights.present_rows` has them.
    """
    X, weight = jnp.asarray(X), jnp.asarray(weight)
    n, d = X.shape
    return of_matrix(gram.gram(X, weight)) if d <= n else _of_rows(X, weight)


def of_matrix(C: Float[Real, "d d"]) -> Spectrum:
    """Spectrum (1) of a scatter matrix; one that is indefinite beyond rounding has a large e."""
    C = jnp.asarray(C)
    values, vectors = spectra.eigh(C)
    return _measured(C @ vectors, jnp.trace(C), values, vectors)


def excess(spectrum: Spectrum, k: int) -> Float[Array, ""]:
    """Bound (5) on what the k leading vectors capture too little, in the units of C."""
    values, e = lax.stop_gradient((spectrum.values, spectrum.residual))
    if k == len(spectrum.values):  # they span all rows
        return e * 0
    return gain(e, values[k - 1] - values[k] - 2 * e, k)


def gain(residual: Scalar, apart: Scalar, k: int) -> Float[Array, ""]:
    """Right side of eq. (5), for a residual e of k vectors and a distance δ to the rest."""
    e, apart = jnp.asarray(residual), jnp.asarray(apart)
    root = jnp.sqrt(jnp.asarray(k, e.dtype))
    best = jnp.where(apart * root > e, e / jnp.where(apart > 0, apart, 1), root)
    return (2 * e - apart * best) * best


def _measured(image, trace, values, vectors):
    """Clamp the values, keeping their derivative, and measure (4)."""
    fixed_image, fixed_values, fixed = lax.stop_gradient((image, values, vectors))
    positive = values + lax.stop_gradient(jnp.maximum(values, 0) - values)
    left = norm((fixed_image - fixed * jnp.maximum(fixed_values, 0)[None]).ravel())
    rounding = jnp.finfo(left.dtype).eps * jnp.abs(lax.stop_gradient(trace))
    return Spectrum(positive, vectors, left + rounding)


def _of_rows(X, weight):
    fixed, s = lax.stop_gradient((X, weight))
    Q, _ = jnp.linalg.qr(fixed.T)
    rows = fixed @ Q  # Rᵀ, of Q: two LAPACK calls side by side could wait for each other
    values, inner = spectra.decompose(gram.symmetric_product(s[:, None] * rows, rows))
    vectors = Q @ inner
    vectors = vectors * spectra.signs(vectors)[None]
    values, vectors = _attach(X, weight, values, vectors)
    image = _product(X, weight, vectors)
    return _measured(image, jnp.sum(weight * jnp.sum(X**2, axis=1)), values, vectors)


def _product(X, weight, V):
    """C V by the rows."""
    inner = jnp.matmul(X, V, precision="highest")
    return jnp.matmul(X.T, weight[:, None] * inner, precision="highest")


@jax.custom_jvp
def _attach(X, weight, values, vectors):
    """Values and vectors with the derivatives (3), 0 within clusters."""
    return values, vectors


@jax.custom_jvp
def _attach_strictly(X, weight, values, vectors):
    """The same with NaN within clusters: what derivatives of derivatives are made of."""
    return values, vectors


@_attach.defjvp
def _(primals, tangents):
    found = _attach_strictly(*primals)
    return _attach(*primals), _tangents(*primals[:2], *tangents[:2], *found, 0)


@_attach_strictly.defjvp
def _(primals, tangents):
    found = _attach_strictly(*primals)
    return found, _tangents(*primals[:2], *tangents[:2], *found, jnp.nan)


@jax.default_matmul_precision("highest")
def _tangents(X, weight, dX, ds, values, V, within):
    least = 10 * max(X.shape) * jnp.finfo(values.dtype).eps * jnp.max(jnp.abs(values))
    some = jnp.abs(values) > least
    V = jnp.where(some[None], V, 0)
    moved = jax.jvp(lambda X, s: _product(X, s, V), (X, weight), (dX, ds))[1]  # Ċ V
    inner = V.T @ moved
    both = some[:, None] & some[None]
    apart = jnp.where(both, values[None] - values[:, None], 2 * least)
    apart = spectra.reciprocals(apart, least, within)
    inverse = 1 / jnp.where(some, values, 1)[None]
    outside = (moved - V @ inner) * inverse
    outside = outside + _product(X, weight, outside) * inverse  # C is 0 there, its derivative not
    return jnp.diagonal(inner), V @ (apart * inner) + outside
