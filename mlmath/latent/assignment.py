"""Which centroid each row is nearest to, and the sums of the rows of each.

With rows xᵢ, weights sᵢ and centroids cⱼ, the rows Aⱼ that lie nearest to cⱼ have

    Nⱼ = Σ_{i∈Aⱼ} sᵢ,        Σ_{i∈Aⱼ} sᵢ xᵢ                                      (1)

Nearest is found by

    κⱼ(z) = −2 cⱼ·z + ‖cⱼ‖²,        zᵢ = (xᵢ − o)·2⁻ᵉ                             (2)

one product of matrices for a block of rows: o is near their mean, so that rounding is relative
to their spread, and 2ᵉ above the largest |x − o|, so that no square leaves the dtype. A row whose
two nearest centroids differ by less than the rounding of (2), about (d + 6) ε times the square
of the spread, may go to either; of equally near ones the first counts. The inertia of k = 1 is

    Σᵢ sᵢ ‖zᵢ − z̄‖²,        z̄ = Σᵢ sᵢ zᵢ / Σᵢ sᵢ                                 (3)

Rows that are sharded over devices stay where they are. Nothing here has a derivative. Time O(nkd),
memory a block of 2¹⁸ numbers (2²⁴ on an accelerator) and a label per row.

>>> import jax.numpy as jnp
>>> from mlmath.latent import assignment
>>> rows = assignment.frame(jnp.array([[0.0], [1.0], [9.0]]), jnp.ones(3))
>>> C = assignment.coordinates(rows, jnp.array([[0.0], [5.0]]))
>>> clusters = assignment.assign(rows, C)
>>> print(clusters.labels, clusters.totals)
[0 0 1] [2. 1.]

References:
    Johnson, Douze & Jégou (2021), Billion-scale similarity search with GPUs, IEEE Transactions on
        Big Data 7(3), §3.2 (distances in tiles by eq. (2)).
    Higham (2002), Accuracy and Stability of Numerical Algorithms, §3.1 (inner products).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from mlmath.absence import filled
from mlmath.arrays import Real, after, parts
from mlmath.linalg import gram
from mlmath.linalg.bounding_box import bounding_box
from mlmath.linalg.running_minimum import running_minimum

__all__ = [
    "Clusters", "Frame", "apart", "assign", "checked", "coordinates", "frame", "points",
    "spread",
]  # fmt: skip

_BLOCK = 2**18  # numbers of eq. (2) at a time: they fit the cache
_WIDE_BLOCK = 2**24  # on an accelerator


class Frame(NamedTuple):
    """Rows and the coordinates (2) in which distances are compared."""

    X: Float[Array, "n d"]
    weight: Float[Array, " n"]
    origin: Float[Array, " d"]  # o
    unit: Float[Array, ""]  # 2ᵉ


class Clusters(NamedTuple):
    """Outcome of :func:`assign`."""

    labels: Int[Array, " n"]  # of the nearest centroid; k where a number is not finite
    sums: Float[Array, "k d"]  # Σ sᵢ zᵢ
    totals: Float[Array, " k"]  # Nⱼ


def checked(centroids: Float[Real, "k d"], X: Float[Real, "n d"]) -> Float[Array, "k d"]:
    """``centroids`` in the dtype of X.

    Raises:
        ValueError: if there are no centroids, more than rows, or no columns.
    """
    k, (n, d) = centroids.shape[0], X.shape
    if n == 0:
        raise ValueError("X must have at least one row, got none.")
    if d == 0:
        raise ValueError("X must have at least one column, got none.")
    if not 1 <= k <= n:
        raise ValueError(f"there must be from 1 to {n} centroids, as many as rows; got {k}.")
    return jnp.asarray(centroids, X.dtype)


def frame(X: Float[Real, "n d"], weight: Float[Real, " n"]) -> Frame:
    """Rows with the origin and the unit of the coordinates (2); the two have no derivative.

    Args:
        X: rows; those of weight 0 hold anything, and of the others all numbers are finite, or the
            unit is NaN.
        weight: sᵢ; all rows of one that is not 0 count alike for the origin.
    """
    X, weight = lax.stop_gradient((jnp.asarray(X), jnp.asarray(weight)))
    present = weight != 0
    low, high = bounding_box(X, present)
    each = after(present, low).astype(X.dtype)
    many = jnp.sum(each)
    sums = gram.row_sum(_filled_sum, (X, after(each, many)))
    extent = high - low
    grain = jnp.ldexp(jnp.ones_like(extent), jnp.frexp(extent)[1] - 3)
    mean = jnp.round((sums / many - low) / grain) * grain + low
    origin = jnp.where((extent > 0) & jnp.isfinite(mean), mean, low)
    farthest = jnp.max(jnp.maximum(high - origin, origin - low))
    usable = (farthest > 0) & jnp.isfinite(farthest)
    most = jnp.finfo(farthest.dtype).maxexp - 2  # so that 1/2ᵉ is a number too
    exponent = jnp.clip(jnp.frexp(jnp.where(usable, farthest, 1))[1], -most, most)
    unit = jnp.ldexp(jnp.ones_like(farthest), exponent)
    finite = (jnp.isfinite(high) & jnp.isfinite(low)).all()
    return Frame(X, weight, origin, jnp.where(finite, unit, jnp.nan))


def coordinates(rows: Frame, X: Float[Real, "m d"]) -> Float[Array, "m d"]:
    """Coordinates z of points, eq. (2)."""
    return jnp.clip(_scaled(jnp.asarray(X), rows.origin, rows.unit), -_most(X), _most(X))


def points(rows: Frame, Z: Float[Real, "m d"]) -> Float[Array, "m d"]:
    """Points of which Z are the :func:`coordinates`."""
    return rows.origin[None] + rows.unit * jnp.asarray(Z)


def spread(rows: Frame) -> Float[Array, ""]:
    """Σᵢ sᵢ‖zᵢ − z̄‖², the inertia of the mean alone, in coordinates (2)."""
    origin = rows.origin, rows.unit
    sums = gram.row_sum(_moments, (rows.X, rows.weight), *origin)
    found = gram.row_sum(_squares, (rows.X, rows.weight), sums[:-1] / sums[-1], *origin)
    return found + 0 * rows.unit


def assign(
    rows: Frame, centroids: Float[Real, "k d"], *, present: Bool[Real, " k"] | None = None
) -> Clusters:
    """Nearest centroid of each row by eq. (2), and the sums (1).

    Args:
        rows: the rows.
        centroids: cⱼ in coordinates (2).
        present: which centroids there are; all if None.
    """
    columns = _columns(centroids, present)
    cpu = partial(_by_blocks, most=_BLOCK, block=partial(_clusters, _sums))
    default = partial(_by_blocks, most=_WIDE_BLOCK, block=partial(_clusters, _products))
    labels, total = lax.platform_dependent(rows, columns, cpu=cpu, default=default)
    return Clusters(labels, total[:, :-1], total[:, -1])


def apart(
    rows: Frame, centroids: Float[Real, "k d"], *, present: Bool[Real, " k"] | None = None
) -> Float[Array, " n"]:
    """Squared distance of each row to the nearest centroid, in coordinates (2).

    Args:
        rows: the rows.
        centroids: cⱼ in coordinates (2).
        present: which centroids there are; all if None.
    """
    cpu = partial(_by_blocks, most=_BLOCK, block=_squares_apart)
    default = partial(_by_blocks, most=_WIDE_BLOCK, block=_squares_apart)
    columns = _columns(centroids, present)
    return lax.platform_dependent(rows, columns, cpu=cpu, default=default)[0]


def _columns(centroids, present):
    """[−2cⱼ, ‖cⱼ‖²] of eq. (2), the last ∞ where a centroid is absent."""
    columns = -2 * jnp.asarray(centroids)
    last = jnp.sum((columns / 2) ** 2, axis=1)
    last = last if present is None else jnp.where(jnp.asarray(present), last, jnp.inf)
    return jnp.concatenate([columns, last[:, None]], axis=1)


def _sharded(a):
    """Rows (shards, rows of each, …)."""
    return a.reshape(parts(a.shape[0]), -1, *a.shape[1:])


def _most(X):
    """A number of which the square is one, too, and that no coordinate of a row reaches."""
    return 2.0 ** (jnp.finfo(X.dtype).maxexp // 2 - 16)


def _scaled(X, origin, unit):
    return (X - origin[None]) * (1 / unit)


def _of_rows(X, origin, unit):
    """Coordinates z of rows; 0 where none that counts can be, and where nothing is a number."""
    Z = _scaled(X, origin, unit)
    return jnp.where(jnp.abs(Z) <= _most(X), Z, 0)


def _filled_sum(X, weight):
    return weight @ filled(X)


def _moments(X, weight, origin, unit):
    """Σᵢ sᵢ (zᵢ, 1)."""
    Z = _of_rows(X, origin, unit)
    return jnp.sum(jnp.concatenate([weight[:, None] * Z, weight[:, None]], axis=1), axis=0)


def _squares(X, weight, mean, origin, unit):
    Z = _of_rows(X, origin, unit) - mean[None]
    return jnp.sum(weight * jnp.sum(Z**2, axis=1))


def _by_blocks(rows, columns, most, block):
    """A number per row and a sum, ``block(columns, [Z, 1], weight)`` of each block of rows.

    Blocks come one after the other; each shard goes through its own.
    """
    X, weight = _sharded(rows.X), _sharded(rows.weight)
    shards, per_shard, d = X.shape

    def one(x, s):
        Z = _of_rows(x, rows.origin, rows.unit)
        Z = lax.optimization_barrier(jnp.concatenate([Z, jnp.ones_like(Z[:, :1])], axis=1))
        return block(columns, Z, s)

    def part(first, size):
        cut = [lax.dynamic_slice_in_dim(a, first, size, axis=1) for a in (X, weight)]
        if shards == 1:  # lanes then know that they share the rows
            return jax.tree.map(lambda a: a[None], one(*(a[0] for a in cut)))
        return jax.vmap(one)(*cut)

    def add(i, state):
        values, total = state
        new, more = part(i * size, size)
        return lax.dynamic_update_slice_in_dim(values, new, i * size, axis=1), total + more

    size = max(1, most // (shards * max(len(columns), d)))
    size = -(-per_shard // -(-per_shard // size))  # blocks alike, with little or no rest
    if size == per_shard:
        values, total = part(0, per_shard)
        return values.reshape(-1), jnp.sum(total, axis=0)
    of_one, sums = jax.eval_shape(lambda: part(0, size))
    state = jnp.zeros((shards, per_shard), of_one.dtype), jnp.zeros(sums.shape, sums.dtype)
    values, total = lax.fori_loop(0, per_shard // size, add, state)
    if rest := per_shard % size:
        new, more = part(per_shard - rest, rest)
        values = lax.dynamic_update_slice_in_dim(values, new, per_shard - rest, axis=1)
        total = total + more
    return values.reshape(-1), jnp.sum(total, axis=0)


def _clusters(summed, columns, Z, weight):
    """Labels of a block, and its sums (1)."""
    labels = _nearest(columns, Z)
    return labels, summed(labels, weight, Z, columns)


def _squares_apart(columns, Z, weight):
    """Squared distances of a block to the nearest centroids, from the differences."""
    own = columns if len(columns) == 1 else columns.at[_nearest(columns, Z)].get(mode="clip")
    return jnp.sum((Z + own / 2)[:, :-1] ** 2, axis=1), jnp.zeros_like(weight[:1])


def _nearest(columns, Z):
    """Labels by eq. (2) from [−2c, ‖c‖²] and [z, 1]; of equally near centroids the first.

    Without the barrier the product is computed again for each of its uses. Where nothing is a
    number the label is k.
    """
    return running_minimum(lax.optimization_barrier(columns @ Z.T)).places


def _sums(labels, weight, Z, like):
    """Σ sᵢ (zᵢ, 1) for each label, of which there are as many as rows of ``like``."""
    return jax.ops.segment_sum(weight[:, None] * Z, labels, num_segments=like.shape[0])


def _products(labels, weight, Z, like):
    """The same as a product with indicators: adding to few places is slow on an accelerator."""
    own = (jnp.arange(like.shape[0], dtype=jnp.int32)[:, None] == labels[None]).astype(Z.dtype)
    return own @ (weight[:, None] * Z)
