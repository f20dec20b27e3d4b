"""Nearest neighbours over a stream of blocks of rows that are never together in memory.

Of the k rows that lie nearest to x each is one of the k nearest of its own block. So the k
nearest of a block, in their order, are all that has to be kept of it,

    K(A) = the first k of A by (δ, index),    δ = ‖x − xᵢ‖²                           (1)
    K(A ∪ B) = K(K(A) ∪ K(B))                                                   (2)

for blocks A and B whose rows follow each other, with the targets and weights of these rows. Merging
is associative, a block without rows that are present is its unit, and of equal distances the rows
of the first block come first, as they do in one array. From K of all rows follow the votes, means
and shares (1)–(4) of ``kernels.nearest_neighbors``.

The order is that of δ; where its squares leave the dtype, that of the distances d, which do not.
One array in blocks has the candidates of the array exactly where δ is exact, as for whole numbers,
ties included. Elsewhere rows whose δ differ by no more than rounding can take each other's place,
(3) of ``linalg.nearest``: with more than 4 such rows at the k-th place, or where squares leave the
dtype.

A block may have fewer rows than k, or none that are present. What makes predictions of an array NaN
does so in any block: a weight that counts and is negative or NaN, a row or a query that is not
finite, a label that is no class, no weight in all blocks together. Which rows are nearest is
piecewise constant; with that fixed everything is differentiable as in ``nearest_neighbors``.

Time O(nd) for one x and a block, O(k log k) to merge; under ``vmap`` or ``mlmath.rows`` one blocked
product of matrices. Memory a block as in ``linalg.nearest``, and k numbers per query.

>>> from functools import partial
>>> import jax, jax.numpy as jnp, mlmath
>>> from mlmath.kernels import nearest_neighbors, neighbor_stream
>>> blocks = [([[0.0], [1.0]], [0.0, 1.0]), ([[4.0], [2.0], [9.0]], [1.0, 3.0, 7.0])]
>>> X, summarize = jnp.array([[1.4], [5.0]]), mlmath.rows(partial(neighbor_stream.summarize, k=3))
>>> parts = [summarize(nearest_neighbors.init(*map(jnp.array, block)), X) for block in blocks]
>>> merged = jax.vmap(neighbor_stream.merge)(*parts)
>>> print(merged.distances)
[[0.4 0.6 1.4]
 [1.  3.  4. ]]
>>> print(jax.vmap(neighbor_stream.predict)(merged))
[1.3333 1.6667]

References:
    Johnson, Douze & Jégou (2021), Billion-scale similarity search with GPUs, IEEE Transactions on
        Big Data 7(3), on several GPUs (the nearest of shards, selected from once more).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mlmath.arrays import Real, Scalar
from mlmath.compiled import compiled
from mlmath.kernels import nearest_neighbors
from mlmath.kernels.nearest_neighbors import Params, uniform

__all__ = ["Candidates", "merge", "predict", "probabilities", "summarize"]


class Candidates(NamedTuple):
    """What blocks of rows say of ONE example: its k nearest rows in order, eq. (1)."""

    squares: Float[Array, " k"]  # δⱼ, which order them, constants; ∞ where no more are present
    distances: Float[Array, " k"]  # dⱼ; ∞ where no more are present
    weights: Float[Array, " k"]  # sⱼ; 0 where no more are present
    targets: Float[Array, " k"]  # yⱼ; 0 where no more are present
    largest_label: Float[Array, ""]  # of all rows; −1 without rows, ∞ if one is not 0, 1, …
    lost: Float[Array, ""]  # 0; NaN if any row counts and cannot, or x is not finite


@compiled(static=("k",))
def summarize(params: Params, x: Float[Real, " d"], *, k: int = 5) -> Candidates:
    """The k nearest rows of a block for ONE example.

    Args:
        params: rows of the block, as ``nearest_neighbors.init`` makes them.
        x: the example, the same for all blocks.
        k: most rows that are kept, more than the block has or not; static.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}.")
    y = params.targets
    n = y.shape[0]
    found = nearest_neighbors.search(params, x, k=min(k, n))
    targets = jnp.where(found.indices < n, y[jnp.minimum(found.indices, n - 1)], 0)
    surplus = (0, max(k - n, 0))
    known = jnp.where((y == jnp.floor(y)) & (y >= 0), y, jnp.inf)
    candidates = Candidates(
        jnp.pad(found.squares, surplus, constant_values=jnp.inf),
        jnp.pad(found.distances, surplus, constant_values=jnp.inf),
        jnp.pad(found.weights, surplus),
        jnp.pad(targets, surplus),
        lax.stop_gradient(jnp.max(jnp.where(params.weights != 0, known, -1))),
        found.lost,
    )
    return _first(candidates, k)


@compiled()
def merge(first: Candidates, second: Candidates) -> Candidates:
    """Candidates of two blocks, or sets of blocks, together, eq. (2), for ONE example.

    Args:
        first: of the rows that come before, which stay so where distances are equal.
        second: of the rows that follow, with the same k.
    """
    both = Candidates(
        jnp.concatenate([first.squares, second.squares]),
        jnp.concatenate([first.distances, second.distances]),
        jnp.concatenate([first.weights, second.weights]),
        jnp.concatenate([first.targets, second.targets]),
        jnp.maximum(first.largest_label, second.largest_label),
        first.lost + second.lost,
    )
    return _first(both, first.weights.shape[0])


@compiled()
def predict(
    candidates: Candidates,
    *,
    votes: Scalar | None = None,
    weighting: Callable[..., Any] = uniform,
) -> Float[Array, ""]:
    """Weighted mean of the neighbours' targets, (3) of ``nearest_neighbors``, for ONE example.

    Args:
        candidates: of all blocks.
        votes: v, units of weight that vote; k if None. A number: ``vmap`` sweeps it.
        weighting: φ ≥ 0, of one distance.
    """
    return jnp.sum(_coefficients(candidates, votes, weighting) * candidates.targets)


@compiled(static=("classes",))
def probabilities(
    candidates: Candidates,
    *,
    classes: int = 2,
    votes: Scalar | None = None,
    weighting: Callable[..., Any] = uniform,
) -> Float[Array, " classes"]:
    """Share of each class in the votes, (4) of ``nearest_neighbors``, for ONE example.

    Args:
        candidates: of all blocks, whose targets are the classes 0, …, ``classes`` − 1.
        classes: how many there are; static.
        votes: v, units of weight that vote; k if None. A number: ``vmap`` sweeps it.
        weighting: φ ≥ 0, of one distance.
    """
    shares = nearest_neighbors.class_shares(
        _coefficients(candidates, votes, weighting), candidates.targets, classes=classes
    )
    return jnp.where(candidates.largest_label < classes, shares, jnp.nan)


def _first(candidates, k):
    """The first k, of equal ones those that come before; what is absent comes last."""
    squares, distances, weights, *_ = lax.stop_gradient(candidates)
    order = jnp.lexsort((weights == 0, distances, squares))[:k]  # by the last key first
    rows = jax.tree.map(lambda a: a[order], candidates[:4])
    return Candidates(*rows, *candidates[4:])


def _coefficients(candidates, votes, weighting):
    """Share of each candidate in the prediction."""
    weights = candidates.weights
    shares = nearest_neighbors.shares(weights, weights.shape[0] if votes is None else votes)
    return nearest_neighbors.coefficients(
        candidates.distances, shares + candidates.lost, weighting=weighting
    )
