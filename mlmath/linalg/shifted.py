"""Symmetric positive semidefinite systems that differ in a shift of the diagonal.

For H ≽ 0 of order d and a shift σ,

    (H + σI) x = b                                                             (1)

One shift costs a Cholesky factor, d³/3. Many shifts of one H, which is what ``vmap`` over σ
asks for, share the spectrum H = V diag(e) Vᵀ:

    x = V [Vᵀb / (e + σ)]                                                      (2)

at O(d²) a shift. The error of (2) is ε‖H‖ in every entry of H, that of Cholesky's factor
ε√(H_ii H_jj): where the diagonal of H spans more than 64 the lanes are factored one by one.

Derivatives to any order in H, σ and b are those of (1). A singular H + σI gives NaN, infinity or
one of many solutions, as rounding will have it.

>>> import jax, jax.numpy as jnp
>>> from mlmath.linalg import shifted
>>> H, b = jnp.array([[2.0, 1.0], [1.0, 2.0]]), jnp.array([3.0, 3.0])
>>> system = shifted.prepare(H)
>>> print(shifted.solver(system, 0.0)(b))
[1. 1.]
>>> print(jax.vmap(lambda s: shifted.solver(system, s)(b))(jnp.array([0.0, 3.0]))[1])
[0.5 0.5]

References:
    Golub & Van Loan (2013), Matrix Computations, 4th ed., §6.1.4 (ridge), §4.2.6 (scaling).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, Float

from mlmath.arrays import Real, Scalar

__all__ = ["System", "prepare", "solver"]

_SPAN = 64  # largest ratio of diagonal entries at which (2) serves


class System(NamedTuple):
    """A matrix and its spectrum, which is computed only where something uses it."""

    matrix: Float[Array, "d d"]  # H
    values: Float[Array, " d"]  # e ≥ 0
    vectors: Float[Array, "d d"]  # V


def prepare(H: Float[Real, "d d"]) -> System:
    """Spectrum of H, in a compiled program only where many shifts use it."""
    H = jnp.asarray(H)
    values, vectors = jnp.linalg.eigh(lax.stop_gradient(H), symmetrize_input=False)
    return System(H, jnp.maximum(values, 0), vectors)


def solver(system: System, shift: Scalar) -> Callable[[Float[Real, " d"]], Float[Array, " d"]]:
    """b ↦ x of (1); all its right-hand sides share one factor."""
    H = system.matrix
    shift, fixed = jnp.asarray(shift, H.dtype), lax.stop_gradient(system)
    still = lax.stop_gradient(shift)
    factor, spectral = _factor(*fixed, still)

    def inverse(b):
        return lax.cond(
            spectral,
            lambda: fixed.vectors @ ((b @ fixed.vectors) / (fixed.values + still)),
            lambda: cho_solve((factor, False), b),
        )

    def solve(b: Float[Real, " d"]) -> Float[Array, " d"]:
        """Solution of (1)."""
        b = jnp.asarray(b, H.dtype)
        return lax.custom_linear_solve(
            lambda x: H @ x + shift * x, b, lambda _, b: inverse(b), symmetric=True
        )

    return solve


@custom_vmap
def _factor(H, values, vectors, shift):
    """Cholesky's factor for one shift; the spectrum is not used, and a program does not hold it."""
    return _cholesky(H, shift), jnp.asarray(False)


@_factor.def_vmap
@jax.default_matmul_precision("highest")
def _(size, batched, H, values, vectors, shift):
    """Many shifts of one H share its spectrum, if its diagonal allows that."""
    axes = (0 if batched[0] else None, 0 if batched[3] else None)
    if batched[0] or not batched[3]:
        return (jax.vmap(_cholesky, axes)(H, shift), jnp.asarray(False)), (True, False)
    diagonal = jnp.diagonal(H)
    spectral = diagonal.max() <= _SPAN * diagonal.min()
    # Where lanes of H make a select of this, XLA may run two LAPACK calls at once, and on two
    # threads each can wait for the other: the factors wait for the spectrum.
    H = jnp.where(jnp.isnan(values).any(), jnp.nan, H)
    none = jnp.zeros((size, *H.shape), H.dtype)
    factor = lax.cond(spectral, lambda: none, lambda: jax.vmap(_cholesky, axes)(H, shift))
    return (factor, spectral), (True, False)


def _cholesky(H, shift):
    A = H + shift * jnp.eye(len(H), dtype=H.dtype)
    return cho_factor(jnp.where(jnp.isfinite(A).all(), A, jnp.nan))[0]  # ∞ would give x = 0
