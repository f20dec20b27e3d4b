"""Sums over rows, Gram matrices first, in one pass over memory.

With rows xᵢ, weights sᵢ and any function F that adds up over rows,

    F(X) = Σ_B F(X_B)        over blocks B of rows                             (1)
    G = Σᵢ sᵢ xᵢxᵢᵀ = XᵀSX                                                     (2)
    Gᵃ = Σᵢ sᵢ (xᵢ, 1)(xᵢ, 1)ᵀ                                                 (3)

and for many weights of the same rows, as in a sweep by ``vmap``, one product of matrices

    vec Gᵃ_c = Σᵢ s_ci vec (xᵢ, 1)(xᵢ, 1)ᵀ                                      (4)

and of a product YᵀX that is known to be symmetric, as (2) is with Y = SX, the halves

    YᵀX = [A B; Bᵀ D],    A = Y₁ᵀX₁,  B = Y₁ᵀX₂,  D = Y₂ᵀX₂                     (5)

each in its turn so: of wide rows a quarter to a half of the operations are never done.

(3) takes the rows whole, for which its callers have centred them. In (1), (2) and (4), on a
CPU, a block fits the cache: what F makes of its rows (centred, weighted) is never written to
memory, and the sum of sums of blocks rounds less than one long sum. Elsewhere, and for few
rows, F takes all rows at once. Rows sharded over the devices stay where they are: each device
goes through its own.

Derivatives of any order are those of F on all rows at once.

Time O(nd²) for (2) and (3), memory that of a block, for (3) that of X.

>>> import jax.numpy as jnp
>>> from mlmath.linalg import gram
>>> X, s = jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([1.0, 2.0])
>>> print(gram.gram(X, s))
[[19. 26.]
 [26. 36.]]
>>> print(gram.row_sum(lambda X, c: jnp.sum(X - c[None], axis=0), (X,), jnp.array([1.0, 1.0])))
[2. 4.]
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float

from mlmath.arrays import Real, parts

__all__ = ["affine_gram", "gram", "row_sum", "symmetric_product"]

_BLOCK = 2**19  # numbers
_WIDE = 192  # columns from which eq. (5) is the faster


def gram(X: Float[Real, "n d"], weight: Float[Real, " n"]) -> Float[Array, "d d"]:
    """Weighted Gram matrix of the rows, eq. (2)."""
    return row_sum(_gram, (X, weight))


def affine_gram(X: Float[Real, "n d"], weight: Float[Real, " n"]) -> Float[Array, "d+1 d+1"]:
    """Weighted Gram matrix of the rows with a 1 at their end, eq. (3); under ``vmap`` eq. (4)."""
    return _affine_gram(jnp.asarray(X), jnp.asarray(weight))


def symmetric_product(Y: Float[Real, "n d"], X: Float[Real, "n d"]) -> Float[Array, "d d"]:
    """YᵀX where it is symmetric, eq. (5)."""
    Y, X = jnp.asarray(Y), jnp.asarray(X)
    half = X.shape[1] // 2
    if 2 * half < _WIDE:
        return Y.T @ X
    A, D = (symmetric_product(Y[:, part], X[:, part]) for part in (slice(half), slice(half, None)))
    B = Y[:, :half].T @ X[:, half:]
    return jnp.block([[A, B], [B.T, D]])


def row_sum(
    function: Callable[..., Any], rows: tuple[Any, ...], *shared: Any, block: int = _BLOCK
) -> Any:
    """Sum ``function(*rows, *shared)`` over blocks of rows, eq. (1).

    Args:
        function: F, additive over rows; arrays that it takes are passed, not closed over.
        rows: arrays with a common leading axis.
        shared: what F takes besides.
        block: most numbers of the largest of ``rows`` in one block.
    """
    return _row_sum(function, block, tuple(map(jnp.asarray, rows)), shared)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _row_sum(function, block, rows, shared):
    n = rows[0].shape[0]
    shards = parts(n)
    count = block // max(1, shards * max(a.size // n for a in rows))  # rows of a shard at a time
    if not 0 < 2 * count <= n // shards:
        return function(*rows, *shared)

    return lax.platform_dependent(
        rows,
        shared,
        cpu=lambda rows, shared: _by_blocks(function, rows, shared, shards, count),
        default=lambda rows, shared: function(*rows, *shared),
    )


def _by_blocks(function, rows, shared, shards, count):
    per_shard = rows[0].shape[0] // shards

    def part(first, count):
        apart = (a.reshape(shards, -1, *a.shape[1:]) for a in rows)
        blocks = (lax.dynamic_slice_in_dim(a, first, count, axis=1) for a in apart)
        return function(*(a.reshape(-1, *a.shape[2:]) for a in blocks), *shared)

    def add(i, total):
        return jax.tree.map(jnp.add, total, part(i * count, count))

    shapes = jax.eval_shape(lambda: part(0, count))
    zero = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)
    total = lax.fori_loop(0, per_shard // count, add, zero)
    rest = per_shard % count
    return jax.tree.map(jnp.add, total, part(per_shard - rest, rest)) if rest else total


@_row_sum.defjvp
@jax.default_matmul_precision("highest")
def _(function, block, primals, tangents):
    """Tangent of F on all rows at once; traced when the entry point has already returned."""
    tangent = jax.jvp(lambda rows, shared: function(*rows, *shared), primals, tangents)[1]
    return _row_sum(function, block, *primals), tangent


def _gram(X, weight):
    return symmetric_product(weight[:, None] * X, X)


def _affine(X, weight):
    inner, border, corner = _gram(X, weight), weight @ X, jnp.sum(weight)
    return jnp.block([[inner, border[:, None]], [border[None], corner[None, None]]])


@jax.custom_jvp
def _affine_gram(X, weight):
    return _lane(X, weight)


@_affine_gram.defjvp
def _(primals, tangents):
    return _affine_gram(*primals), jax.jvp(_affine, primals, tangents)[1]


@custom_vmap
def _lane(X, weight):
    return _affine(X, weight)


@_lane.def_vmap
@jax.default_matmul_precision("highest")  # traced when the entry point has already returned
def _(size, batched, X, weight):
    """Lanes that differ in their weights alone share the products, where lanes are many."""
    if batched[0] or size < X.shape[1]:
        return jax.vmap(_affine, [0 if many else None for many in batched])(X, weight), True
    rows = max(256, _BLOCK // X.shape[1] ** 2)  # so that a block of products fits the cache
    return row_sum(_lanes, (X, weight.T), block=rows * max(X.shape[1], size)), True


def _lanes(X, weights):
    """Eq. (4) for the columns of ``weights``, each pair of columns of X once."""
    A = jnp.concatenate([X, jnp.ones_like(X[:, :1])], axis=1)
    p = A.shape[1]
    i, j = np.triu_indices(p)
    place = np.zeros((p, p), int)
    place[i, j] = place[j, i] = np.arange(len(i))
    return (weights.T @ (A[:, i] * A[:, j]))[:, place]
