"""Randomised singular value decomposition: the leading part of a matrix by few products with it.

For A ∈ ℝⁿˣᵈ, known through x ↦ A x and y ↦ Aᵀy, and Gaussian Ω ∈ ℝᵈˣˡ, l = k + p,

    Q = orth(A Ω),  then q times  Q̃ = orth(Aᵀ Q),  Q = orth(A Q̃)               (1)
    A ≈ Q Qᵀ A = U diag(σ) Vᵀ                                                  (2)

of which the k leading terms are kept. With r more Gaussian vectors ω, which nothing else has seen,

    ‖(I − QQᵀ)A‖₂ ≤ 10 √(2/π) maxᵢ ‖(I − QQᵀ)Aωᵢ‖₂                              (3)

with probability at least 1 − 10⁻ʳ, whatever A is; and by it

    ‖A − U_k diag(σ₁ … σ_k) V_kᵀ‖₂ ≤ (3) + σ_{k+1} of (2)                       (4)

Without power iterations q the spectrum has to fall fast; each shrinks what lies outside the
leading part by the square of its singular values. The rounding of the products is part of what (3)
measures, so that it does not fall below about 10ε σ₁. The sign is that of ``linalg.spectra``.
Singular values that are 0 have vectors that are some of many; a product that is not finite gives
NaN. The derivative of a draw is not that of the decomposition: all that comes back has derivative
zero.

Time: 2(q + 1) products with l vectors, one with r, and O((n + d) l²).

>>> import jax, jax.numpy as jnp
>>> from mlmath.linalg import randomised
>>> found = randomised.svd(jax.random.key(0), jnp.diag(jnp.array([4.0, 2.0, 1.0])), 2)
>>> print(jnp.round(found.values, 3), jnp.round(found.rest, 3))
[4. 2.] 1.0

References:
    Halko, Martinsson & Tropp (2011), Finding structure with randomness, SIAM Review 53,
        algorithms 4.4 (power iterations) and 5.1 (decomposition), eq. (4.3) (bound).
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mlmath.arrays import Key, Real
from mlmath.compiled import compiled
from mlmath.linalg import spectra

__all__ = ["Factors", "Linear", "svd", "svd_of_map"]


class Linear(NamedTuple):
    """A matrix of n rows and d columns through its products."""

    product: Callable[[Array], Array]  # x ↦ A x, of d numbers to n
    transpose: Callable[[Array], Array]  # y ↦ Aᵀy, of n numbers to d


class Factors(NamedTuple):
    """The leading part U diag(σ) Vᵀ of a matrix, eq. (2), and what is left."""

    left: Float[Array, "n k"]  # U
    values: Float[Array, " k"]  # σ, descending
    right: Float[Array, "d k"]  # V
    outside: Float[Array, ""]  # bound (3) on ‖(I − QQᵀ)A‖₂
    rest: Float[Array, ""]  # bound (4) on ‖A − U diag(σ) Vᵀ‖₂


@compiled(static=("k", "oversampling", "power_iterations", "probes"))
def svd(
    key: Key,
    A: Float[Real, "n d"],
    k: int,
    *,
    oversampling: int = 10,
    power_iterations: int = 2,
    probes: int = 10,
) -> Factors:
    """The k leading singular values and vectors of A, with the bounds (3), (4).

    Args:
        key: of the Gaussian vectors.
        A: the matrix.
        k: how many.
        oversampling: p, as far as A has as many rows and columns.
        power_iterations: q.
        probes: r, the vectors of the bound, which fails with probability up to 10⁻ʳ.
    """
    A = jnp.asarray(A)
    return svd_of_map(
        key, Linear(lambda x: A @ x, lambda y: A.T @ y), jnp.zeros_like(A[0]), k,
        oversampling=oversampling, power_iterations=power_iterations, probes=probes,
    )  # fmt: skip


def svd_of_map(
    key: Key,
    linear: Linear,
    like: Float[Real, " d"],
    k: int,
    *,
    oversampling: int = 10,
    power_iterations: int = 2,
    probes: int = 10,
) -> Factors:
    """:func:`svd` of a matrix that is known through its products, sparse or implicit.

    Args:
        key: of the Gaussian vectors.
        linear: the products with ONE vector; batches are made of them.
        like: any vector of d numbers, for its length and dtype.
        k: how many.
        oversampling: p.
        power_iterations: q.
        probes: r.
    """
    like = jnp.asarray(like)
    n, d = jax.eval_shape(linear.product, like).size, like.size
    if not 1 <= k <= min(n, d) or min(oversampling, power_iterations) < 0 or probes < 1:
        raise ValueError(
            f"k must be from 1 to {min(n, d)}, the smaller side of the matrix, oversampling and "
            f"power_iterations at least 0 and probes at least 1; got {k}, {oversampling}, "
            f"{power_iterations} and {probes}."
        )
    times, back = (jax.vmap(f, 1, 1) for f in linear)
    draws, fresh = jax.random.split(key)
    size = min(k + oversampling, n, d)
    Q = _orthonormal(times(jax.random.normal(draws, (d, size), like.dtype)))
    for _ in range(power_iterations):
        Q = _orthonormal(times(_orthonormal(back(Q))))
    rows = back(Q)  # AᵀQ
    right, values, left = spectra.svd(rows)
    sign = spectra.signs(right)
    left, right = _product(Q, left) * sign[None], right * sign[None]
    image = times(jax.random.normal(fresh, (d, probes), like.dtype))
    beyond = image - _product(Q, _product(Q.T, image))
    outside = 10 * (2 / jnp.pi) ** 0.5 * jnp.max(_norms(beyond))
    rest = outside + (values[k] if k < size else 0)
    return lax.stop_gradient(Factors(left[:, :k], values[:k], right[:, :k], outside, rest))


_product = partial(jnp.matmul, precision="highest")


def _orthonormal(columns):
    """Orthonormal basis of the span, each column first in a unit of its own."""
    largest = jnp.max(jnp.abs(columns), axis=0)
    return jnp.linalg.qr(columns / jnp.where(largest == 0, 1, largest)[None])[0]


def _norms(columns):
    """Lengths of columns whose squares may leave the range of the dtype."""
    largest = jnp.max(jnp.abs(columns), axis=0)
    unit = jnp.where(largest == 0, 1, largest)
    return unit * jnp.sqrt(jnp.sum((columns / unit[None]) ** 2, axis=0))
