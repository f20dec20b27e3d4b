"""Nearest rows: which of many points lie next to each of many others.

Of the rows y of Y ∈ ℝᵐˣᵈ the k with the smallest

    δ(x, y) = ‖x − y‖²                                                         (1)

for each row x of X ∈ ℝⁿˣᵈ, in ascending order and of equal ones the lower index first, as NumPy's
stable ``argsort`` of (1) has it. Candidates are found by

    κ(x, y) = [−2(y − c), ‖y − c‖²]·[x − c, 1] = δ(x, y) − ‖x − c‖²             (2)

with c the :func:`~mlmath.linalg.distances.center` of the rows of Y: one product of matrices for a
block of rows of X and of Y, never n × m numbers at a time; exact for whole numbers. The k smallest
of a row of (2) lie in the k groups of consecutive columns whose minima are smallest, and these
minima in k groups of theirs, so that only there anything is looked for. (1) of the candidates is
computed from the differences, right to a few d ε of itself, and orders them; :func:`smallest` looks
at four candidates more than it returns. Rows of which (1) differs by less than the rounding of (2),

    2 (d + 6) ε (‖x − c‖ + ‖y − c‖)²                                           (3)

can take each other's place where one of them is chosen and the other not.

A row of Y with weight 0 is absent, never the answer whatever it holds. Where fewer than k rows
are present the surplus comes last with distance ∞ and the index m, one past the last row, which
JAX drops when it scatters. Rows at a distance that is not finite come after all others, by index;
a query that is not finite has distances NaN, and its indices mean nothing.

Distances are differentiable to any order in X and Y; indices are piecewise constant. Rows of X
that are sharded over devices stay where they are. Where there are several devices a sort takes the
place of ``lax.top_k``, which would gather them.

Time O(nmd), memory n × k, X and Y, a block of 2²² products and two copies of 2²¹ numbers of Y, or
of 256 or 2(k + 4) rows if these are more: of 32 MB or more less than once again.

>>> import jax.numpy as jnp
>>> from mlmath.linalg import nearest
>>> X, Y = jnp.array([[0.0], [5.0]]), jnp.array([[1.0], [4.0], [7.0]])
>>> print(*nearest.nearest(X, Y))
[0 1] [1. 1.]
>>> print(nearest.smallest(X, Y, 2).indices)
[[0 1]
 [1 2]]

References:
    Johnson, Douze & Jégou (2021), Billion-scale similarity search with GPUs, IEEE Transactions on
        Big Data 7(3), §3.2 (exact search in tiles by eq. (2)).
"""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from mlmath.arrays import Real, by_blocks
from mlmath.compiled import compiled
from mlmath.linalg import distances
from mlmath.linalg.running_minimum import running_minimum

__all__ = ["Nearest", "Smallest", "nearest", "smallest"]

_BLOCK = 2**22  # most numbers of eq. (2) at a time, to find k
_SMALL_BLOCK = 2**20  # to find one: fits the cache
_WIDTH = 2**16  # most rows of Y at a time
_PART = 2**21  # most numbers of these
_SMALL_WIDTH = 2**12
_GROUP = 16  # values, of which one is the minimum of a group
_SPARE = 4  # candidates beyond k


class Nearest(NamedTuple):
    """Outcome of :func:`nearest`."""

    indices: Int[Array, " n"]  # of a row of Y; m where none is present
    squared_distances: Float[Array, " n"]  # δ; ∞ where none is present


class Smallest(NamedTuple):
    """Outcome of :func:`smallest`: for each row of X its k nearest, the nearest first."""

    indices: Int[Array, "n k"]  # of rows of Y; m where no more are present
    squared_distances: Float[Array, "n k"]  # δ, ascending; ∞ where no more are present


@compiled()
def nearest(
    X: Float[Real, "n d"], Y: Float[Real, "m d"], *, row_weight: Float[Real, " m"] | None = None
) -> Nearest:
    """Nearest row of Y for each row of X.

    Args:
        X: points, in rows.
        Y: points to choose from, in rows.
        row_weight: 0 leaves a row of Y out; what else it is does not matter.
    """
    X, Y, present = _given(X, Y, row_weight)
    indices, squares = _search(X, Y, present, 1, _least, (_SMALL_WIDTH, _SMALL_BLOCK))
    return Nearest(indices[:, 0], _attached(X, Y, indices, squares)[:, 0])


@compiled(static=("k",))
def smallest(
    X: Float[Real, "n d"],
    Y: Float[Real, "m d"],
    k: int,
    *,
    row_weight: Float[Real, " m"] | None = None,
) -> Smallest:
    """The k nearest rows of Y for each row of X.

    Args:
        X: points, in rows.
        Y: points to choose from, in rows.
        k: how many, from 1 to the number of rows of Y; static.
        row_weight: 0 leaves a row of Y out; what else it is does not matter.
    """
    X, Y, present = _given(X, Y, row_weight)
    m = Y.shape[0]
    if not 1 <= k <= m:
        raise ValueError(f"k must be from 1 to the {m} rows of Y, got {k}.")
    many = min(k + _SPARE, m)
    indices, squares = _search(X, Y, present, many, _fewest, (_WIDTH, _BLOCK))
    return Smallest(indices[:, :k], _attached(X, Y, indices[:, :k], squares[:, :k]))


def _given(X, Y, row_weight):
    """Points, and which rows of Y are present."""
    for name, points in (("X", X), ("Y", Y)):
        if 0 in points.shape:
            raise ValueError(
                f"{name} must have at least one row and one column, got shape {points.shape}."
            )
    X, Y = jnp.asarray(X), jnp.asarray(Y, X.dtype)
    present = jnp.ones(Y.shape[0], bool) if row_weight is None else jnp.asarray(row_weight) != 0
    return X, Y, present


def _search(X, Y, present, k, select, sizes):
    """Indices and δ of k candidates for each row of X, in order.

    ``sizes``: most rows of Y at a time, most numbers of eq. (2) at a time.
    """
    X, Y = lax.stop_gradient((X, Y))
    width, most = sizes
    m, d = Y.shape
    width = max(2 * k, min(width, max(256, _PART // (d + 1))))
    count = -(-m // width)
    levels = 0
    while k > 1 and k * count * _GROUP ** (levels + 1) <= m:  # so that k groups exist
        levels += 1
    width = -(-m // (count * _GROUP**levels)) * _GROUP**levels
    blocks = partial(by_blocks, width=max(width, k * d), most=most)
    middle, reach = distances.frame(Y, present=present)
    frame = middle, jnp.ldexp(jnp.ones_like(reach), -jnp.frexp(reach)[1])  # squares are numbers

    def part(i):
        """The candidates for each row of X of part i of the rows of Y."""
        first = jnp.minimum(i * width, max(0, m - width))
        columns = _columns(Y, present, frame, first, i * width - first, width)
        # place (h g + j) lies as (j, h): ``_fewest_of``
        columns = columns.reshape(-1, *[_GROUP] * levels, d + 1)
        columns = columns.transpose(*range(levels, -1, -1), levels + 1)

        def candidates(x):
            values, places = select(columns, _query(x, frame), k)
            return values, first + places

        return blocks(candidates, X)

    def more(best, i):
        return blocks(lambda both: _merged(*both), (best, part(i))), None

    found = part(0)
    if count > 1:
        found = lax.scan(more, found, jnp.arange(1, count, dtype=jnp.int32))[0]
    return blocks(lambda rows: _ordered(rows[0], Y, rows[1], frame[1]), (X, found))


def _columns(Y, present, frame, first, skipped, width):
    """Columns of eq. (2) of ``width`` rows of Y from ``first`` on, but those that are skipped.

    A row that is not finite is as far away as a number can be, one that is absent farther.
    """
    Y, present = (lax.dynamic_slice_in_dim(a, first, min(width, len(a))) for a in (Y, present))
    present = jnp.pad(present & (jnp.arange(len(Y)) >= skipped), (0, width - len(Y)))
    middle, scale = frame
    Z = scale * (jnp.pad(Y, ((0, width - len(Y)), (0, 0))) - middle[None])
    finite = present & jnp.all(jnp.isfinite(Z), axis=1)
    Z = jnp.where(finite[:, None], Z, 0)
    most = jnp.finfo(Y.dtype).max
    last = jnp.where(finite, jnp.sum(Z**2, axis=1), jnp.where(present, most, jnp.inf))
    return jnp.concatenate([-2 * Z, last[:, None]], axis=1)


def _query(x, frame):
    """[x − c, 1] in the coordinates of the frame."""
    most = math.sqrt(jnp.finfo(x.dtype).max)
    middle, scale = frame
    z = jnp.clip(scale * (x - middle[None]), -most, most)
    z = jnp.where(jnp.isnan(z), 0, z)
    return jnp.concatenate([z, jnp.ones_like(z[:, :1])], axis=1)


def _least(columns, queries, k):
    """Smallest value of eq. (2) for each query, and its place; k is 1.

    Without the barrier the products are computed again for each of their uses.
    """
    found = running_minimum(lax.optimization_barrier(columns @ queries.T))
    return found.values[:, None], found.places[:, None]


def _fewest(columns, queries, k):
    """The k smallest values of eq. (2) for each query, and their places."""
    values = lax.optimization_barrier(queries @ columns.reshape(-1, columns.shape[-1]).T)
    return _fewest_of(values.reshape(-1, *columns.shape[:-1]), k)


def _fewest_of(values, k):
    """The k smallest of each first index, and their places.

    Group h holds the places hg, …, hg + g − 1, and a value of the k smallest is in one of the
    k groups with the smallest minima: else each of these holds one that comes before it. The
    groups are found among theirs. Place hg + j lies in memory as (j, h), so that minima are
    those of vectors.
    """
    n, g, *rest = values.shape
    if not rest:
        return _first(values, k)
    minima = lax.optimization_barrier(jnp.min(values, axis=1))
    groups = jnp.sort(_fewest_of(minima, k)[1], axis=1)
    there = _in_memory(groups, rest)[:, None]
    inside = jnp.take_along_axis(values.reshape(n, g, -1), there, axis=2, mode="clip")
    least, place = _first(jnp.swapaxes(inside, 1, 2).reshape(n, -1), k)
    return least, g * jnp.take_along_axis(groups, place // g, axis=1) + place % g


def _in_memory(places, shape):
    """Where in memory places of groups of groups lie."""
    if len(shape) == 1:
        return places
    size = math.prod(shape[1:])
    return places % shape[0] * size + _in_memory(places // shape[0], shape[1:])


def _first(values, k):
    """The k smallest of each row, ascending, and their places, of equal ones the first.

    ``lax.top_k`` is fast but gathers the rows where they are sharded; a sort does not.
    """
    if jax.device_count() == 1:
        least, place = lax.top_k(-values, k)
        return -least, place
    place = lax.broadcasted_iota(jnp.int32, values.shape, 1)
    both = lax.sort((values, place), dimension=1, is_stable=True, num_keys=1)
    return both[0][:, :k], both[1][:, :k]


def _merged(best, new):
    """The k smallest of twice k; of equal ones those of ``best``, whose indices are lower."""
    if best[0].shape[1] == 1:
        better = new[0] < best[0]
        return jnp.where(better, new[0], best[0]), jnp.where(better, new[1], best[1])
    values, places = (jnp.concatenate(pair, axis=1) for pair in zip(best, new, strict=True))
    least, order = _first(values, best[0].shape[1])
    return least, jnp.take_along_axis(places, order, axis=1)


def _ordered(x, Y, found, scale):
    """The chosen rows by δ from the differences, eq. (1), of equal ones the lower index first.

    δ in other units tells apart what in those of the rows leaves the dtype.
    """
    indices = jnp.where(found[0] == jnp.inf, Y.shape[0], found[1])
    apart = x[:, None] - Y.at[indices].get(mode="clip")
    squares, scaled = (
        jnp.where(indices == Y.shape[0], jnp.inf, jnp.sum((unit * apart) ** 2, axis=2))
        for unit in (1, scale)
    )
    if indices.shape[1] == 1:
        return indices, squares
    keys = (jnp.where(jnp.isnan(a), jnp.inf, a) for a in (scaled, squares))
    return lax.sort((*keys, indices, squares), dimension=1, num_keys=3)[2:]


@jax.custom_jvp
def _attached(X, Y, indices, squares):
    """δ with the derivative of eq. (1) in X and Y, without its differences in memory."""
    return squares


@_attached.defjvp
def _(primals, tangents):
    X, Y, indices, _ = primals
    there = (indices < Y.shape[0])[:, :, None]
    apart, moved = (x[:, None] - y.at[indices].get(mode="clip") for x, y in ((X, Y), tangents[:2]))
    return _attached(*primals), 2 * jnp.sum(jnp.where(there, apart, 0) * moved, axis=2)
