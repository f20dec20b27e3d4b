"""The smallest box that holds rows: the range of each column.

Of the rows xᵢ ∈ ℝᵈ that are present

    lⱼ = minᵢ xᵢⱼ,        hⱼ = maxᵢ xᵢⱼ                                         (1)

so that l ≤ xᵢ ≤ h for all of them, and c ± r with r = max(h − c, c − l) holds them for any c. NaN
shows in the column that it is in; where no row is present l = ∞ and h = −∞.

On a CPU rows are looked at a block at a time, so that none is copied; each device goes through
its own.

Time O(nd), memory a block of 2¹⁸ numbers (2²⁴ on an accelerator).

>>> import jax.numpy as jnp
>>> from mlmath.linalg.bounding_box import bounding_box
>>> X = jnp.array([[1.0, 5.0], [3.0, 4.0], [9.0, 9.0]])
>>> print(*bounding_box(X, jnp.array([True, True, False])))
[1. 4.] [3. 5.]

References:
    Preparata & Shamos (1985), Computational Geometry, §1.2 (orthogonal ranges).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from mlmath.arrays import Real, after, parts

__all__ = ["Box", "bounding_box"]

_BLOCK = 2**18  # most numbers at a time
_WIDE_BLOCK = 2**24


class Box(NamedTuple):
    """Outcome of :func:`bounding_box`, eq. (1)."""

    low: Float[Array, " d"]  # l
    high: Float[Array, " d"]  # h


def bounding_box(X: Float[Real, "n d"], present: Bool[Real, " n"]) -> Box:
    """The box (1) of the rows that are present, without a derivative."""
    X, present = lax.stop_gradient(jnp.asarray(X)), jnp.asarray(present)
    cpu, default = (partial(_by_blocks, most=most) for most in (_BLOCK, _WIDE_BLOCK))
    high, low = lax.platform_dependent(X, present, cpu=cpu, default=default)
    return Box(low, high)


def _by_blocks(X, present, most):
    """h and l."""
    shards, d = parts(X.shape[0]), X.shape[1]
    X, present = (a.reshape(shards, -1, *a.shape[1:]) for a in (X, present))
    per_shard = X.shape[1]
    size = max(1, min(per_shard, most // (shards * d)))

    def wider(i, extent):
        x, here = (lax.dynamic_slice_in_dim(a, i * size, size, axis=1) for a in (X, present))
        found = (jnp.max(jnp.where(here[:, :, None], a, -jnp.inf), axis=1) for a in (x, -x))
        return jax.tree.map(jnp.maximum, extent, tuple(found))

    none = jnp.full((shards, d), -jnp.inf, X.dtype)
    high, low = lax.fori_loop(0, -(-per_shard // size), wider, (none, none))  # some rows twice
    high = jnp.max(high, axis=0)
    return high, -jnp.max(after(low, high), axis=0)
