"""Running minimum: the least number of each column, and its row.

For V ∈ ℝᵏˣⁿ, rows taken one after the other,

    bᵢ ← min(bᵢ, vⱼᵢ),        pᵢ ← j where vⱼᵢ < bᵢ,        j = 0 … k − 1          (1)

from b = ∞ and p = k. Of equal numbers the first counts; a NaN never does, and where a column holds
nothing below ∞ its place is k.

Columns lie along the last axis, so that (1) is one of vectors, in one pass over V: a minimum and
a search for its place are two, and an ``argmin`` is ten times slower. Nothing here has a
derivative. Time O(kn), memory that of the answer.

>>> import jax.numpy as jnp
>>> from mlmath.linalg.running_minimum import running_minimum
>>> print(*running_minimum(jnp.array([[3.0, 1.0, jnp.nan], [2.0, 1.0, jnp.nan]])))
[1 0 2] [ 2.  1. inf]
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from mlmath.arrays import Real

__all__ = ["Least", "running_minimum"]

_GROUP = 64  # rows of one program; more go through it in turn


class Least(NamedTuple):
    """Outcome of :func:`running_minimum`."""

    places: Int[Array, " n"]  # p; k where there is none
    values: Float[Array, " n"]  # b; ∞ where there is none


def running_minimum(V: Float[Real, "k n"]) -> Least:
    """The least number of each column of ``V`` and its row, eq. (1)."""
    V = lax.stop_gradient(jnp.asarray(V))
    k, n = V.shape
    best = Least(jnp.full(n, k, jnp.int32), jnp.full(n, jnp.inf, V.dtype))

    def group(i, best):
        return _lowered(best, lax.dynamic_slice_in_dim(V, i * _GROUP, _GROUP), i * _GROUP)

    if k > _GROUP:
        best = lax.fori_loop(0, k // _GROUP, group, best)
    rest = k % _GROUP if k > _GROUP else k
    return _lowered(best, V[k - rest :], k - rest)


def _lowered(best, V, first):
    """Eq. (1) over the rows of V, which are ``first``, ``first`` + 1, …"""
    places, values = best
    for j in range(V.shape[0]):
        less = V[j] < values
        places = jnp.where(less, jnp.int32(first + j), places)
        values = jnp.where(less, V[j], values)
    return Least(*lax.optimization_barrier((places, values)))
