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
>>> print(shifted.solve(system, 0.0, b))
[1. 1.]
>>> print(jax.vmap(lambda s: shifted.solve(system, s, b))(jnp.array([0.0, 3.0]))[1])
[0.5 0.5]

References:
    Golub & Van Loan (2013), Matrix Computations, 4th ed., §6.1.4 (ridge), §4.2.6 (scaling).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, Float

from mlmath.arrays import Real, Scalar

__all__ = ["System", "prepare", "solve"]

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


def solve(system: System, shift: Scalar, b: Float[Real, " d"]) -> Float[Array, " d"]:
    """Solution of (1)."""
    H = system.matrix
    shift, fixed = jnp.asarray(shift, H.dtype), lax.stop_gradient(system)
    still = lax.stop_gradient(shift)
    return lax.custom_linear_solve(
        lambda x: H @ x + shift * x,
        jnp.asarray(b, H.dtype),
        lambda _, b: _solve(*fixed, still, b),
        symmetric=True,
    )


@custom_vmap
def _solve(H, values, vectors, shift, b):
    """One shift: the spectrum is not used, so a compiled program does not hold it."""
    return _by_factor(H, shift, b)


@_solve.def_vmap
def _(size, batched, H, values, vectors, shift, b):
    """Many shifts of one H share its spectrum, if its diagonal allows that."""
    axes = [0 if many else None for many in batched]
    each = partial(jax.vmap(_by_factor, (axes[0], axes[3], axes[4])), H, shift, b)
    if batched[0] or not batched[3]:
        return each(), True
    shared = partial(jax.vmap(_by_spectrum, (None, None, *axes[3:])), values, vectors, shift, b)
    diagonal = jnp.diagonal(H)
    return lax.cond(diagonal.max() <= _SPAN * diagonal.min(), shared, each), True


def _by_factor(H, shift, b):
    A = H + shift * jnp.eye(len(H), dtype=H.dtype)
    factor = cho_factor(jnp.where(jnp.isfinite(A).all(), A, jnp.nan))  # ∞ would give x = 0
    return cho_solve(factor, b)


def _by_spectrum(values, vectors, shift, b):
    return vectors @ ((b @ vectors) / (values + shift))
