"""Seeding: where the centroids of k-means begin.

Of rows xᵢ with weights sᵢ, :func:`init_random` draws k different ones, each in proportion to sᵢ
among those that are left: the k largest of

    log sᵢ + gᵢ,        gᵢ independent with P(g ≤ t) = exp(−e⁻ᵗ)                 (1)

of which equal rows count once. :func:`init_plus_plus` draws the first in proportion to sᵢ and
each other one from

    P(i) = sᵢ D²(xᵢ) / Σₗ sₗ D²(xₗ),        D²(x) = minⱼ ‖x − cⱼ‖²                (2)

over the centroids so far; of

    2 + ⌊log k⌋                                                                (3)

candidates it keeps the one that leaves least inertia Σᵢ sᵢ D²(xᵢ). The expected inertia of (2)
with one candidate is within 8 (log k + 2) of the least possible.

Law of the weights: in distribution. Weight 2 is as likely as the row twice and weight 0 is never
drawn. With fewer distinct rows than k the surplus centroids are rows that others are already. A
NaN that counts makes all centroids NaN. Which row is drawn is discrete.

Time O(nd + nk) for (1) and O(nkd log k) for (2), memory O(nd).

>>> import jax, jax.numpy as jnp
>>> from mlmath.latent import seeding
>>> X = jnp.array([[0.0], [0.0], [5.0], [9.0]])
>>> print(jnp.sort(seeding.init_random(jax.random.key(0), X, k=3), axis=0).T)
[[0. 5. 9.]]
>>> weight = jnp.array([1.0, 1.0, 0.0, 1.0])
>>> print(jnp.sort(seeding.init_plus_plus(jax.random.key(1), X, k=2, sample_weight=weight).T))
[[0. 9.]]

References:
    Arthur & Vassilvitskii (2007), k-means++: the advantages of careful seeding, SODA '07, §2.2
        (the draws), theorem 3.1, §7 (several candidates).
    Efraimidis & Spirakis (2006), Weighted random sampling with a reservoir, Information
        Processing Letters 97(5), §2; its keys are (1) up to a monotone map.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from mlmath.absence import filled
from mlmath.arrays import Key, Real
from mlmath.compiled import compiled
from mlmath.latent import assignment
from mlmath.linalg import gram
from mlmath.statistics.weights import known, present_weight

__all__ = ["draw", "greedy", "init_plus_plus", "init_random", "measured", "usable"]


@compiled(static=("k",))
def init_random(
    key: Key, X: Float[Real, "n d"], *, k: int = 8, sample_weight: Float[Real, " n"] | None = None
) -> Float[Array, "k d"]:
    """Draw k different rows in proportion to their weights, eq. (1).

    Args:
        key: of the draws.
        X: rows.
        k: how many; static.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.

    Raises:
        ValueError: if k is not from 1 to the number of rows, or there are no columns.
    """
    X, weight, lost = usable(X, k, sample_weight=sample_weight)
    n = X.shape[0]
    noise, codes = jax.random.split(key)
    code = _codes(codes, X)
    score = jnp.log(weight) + jax.random.gumbel(noise, (n,), X.dtype, mode="high")
    row = jnp.arange(n, dtype=jnp.int32)

    def pick(j, state):
        score, chosen = state
        best = jnp.max(score)
        i = jnp.min(jnp.where((score >= best) & (score > -jnp.inf), row, n))
        i = jnp.where(i == n, chosen[0], i)  # no other row is left
        return jnp.where(code == code[i], -jnp.inf, score), chosen.at[j].set(i)

    chosen = lax.fori_loop(0, k, pick, (score, jnp.zeros(k, jnp.int32)))[1]
    return X[chosen] + lost


@compiled(static=("k",))
def init_plus_plus(
    key: Key, X: Float[Real, "n d"], *, k: int = 8, sample_weight: Float[Real, " n"] | None = None
) -> Float[Array, "k d"]:
    """Draw k rows far from each other, eq. (2), each the best of (3) candidates.

    Args:
        key: of the draws; that of centroid j is ``fold_in(key, j)``.
        X: rows.
        k: how many; static.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.

    Raises:
        ValueError: if k is not from 1 to the number of rows, or there are no columns.
    """
    X, weight, lost = usable(X, k, sample_weight=sample_weight)
    return X[greedy(key, assignment.frame(X, weight), k)] + lost


def greedy(key: Key, rows: assignment.Frame, k: int) -> Int[Array, " k"]:
    """Indices of the rows that :func:`init_plus_plus` draws."""
    X, weight = rows.X, measured(rows.weight)
    candidates = 2 + math.floor(math.log(k))

    def pick(j, state):
        squares, chosen = state
        chance = weight * squares
        chance = jnp.where(jnp.sum(chance) > 0, chance, weight)  # every row is a centroid
        drawn = draw(jax.random.fold_in(key, j), chance, candidates)
        points = assignment.coordinates(rows, X[drawn])
        left = gram.row_sum(_potentials, (X, weight, squares), points, rows)
        best = jnp.argmin(left)
        i, point = drawn[best], points[best]
        return jnp.minimum(squares, assignment.apart(rows, point[None])), chosen.at[j].set(i)

    first = draw(jax.random.fold_in(key, 0), weight, 1)[0]
    point = assignment.coordinates(rows, X[first][None])
    squares = assignment.apart(rows, point)
    chosen = jnp.zeros(k, jnp.int32).at[0].set(first)
    return lax.fori_loop(1, k, pick, (squares, chosen))[1]


def measured(weight: Float[Real, " n"]) -> Float[Array, " n"]:
    """Weights in a power of two above the largest, so that their sums stay within the dtype."""
    weight = jnp.asarray(weight)
    top = jnp.max(jnp.where(jnp.isfinite(weight), weight, 0))
    return weight * jnp.ldexp(jnp.ones_like(top), -jnp.frexp(top)[1])


def usable(
    X: Float[Real, "n d"], k: int, *, sample_weight: Float[Real, " n"] | None = None
) -> tuple[Float[Array, "n d"], Float[Array, " n"], Float[Array, ""]]:
    """Rows, their weights, and 0, or NaN where no k rows can be drawn.

    Raises:
        ValueError: if k is not from 1 to the number of rows, or there are no columns.
    """
    n, d = X.shape
    if n == 0:
        raise ValueError("X must have at least one row, got none.")
    if d == 0:
        raise ValueError("X must have at least one column, got none.")
    if not 1 <= k <= n:
        raise ValueError(f"k must be from 1 to the {n} rows of X, got {k}.")
    X, weight = jnp.asarray(X), lax.stop_gradient(present_weight(X, sample_weight))
    weight = known(weight, jnp.ones(n, bool))
    sound = (weight == 0) | ((weight > 0) & jnp.isfinite(X).all(axis=1))
    return X, weight, jnp.where(sound.all(), 0, jnp.nan).astype(X.dtype)


def draw(key: Key, chance: Float[Real, " n"], count: int) -> Int[Array, " c"]:
    """Draw rows, with replacement, in proportion to ``chance``; never one of chance 0.

    Sums run over √n groups of √n rows, so that float32 tells the rows apart.
    """
    chance = jnp.asarray(chance)
    n = chance.shape[0]
    size = math.isqrt(n - 1) + 1
    groups = -(-n // size)
    chance = jnp.pad(chance, (0, groups * size - n)).reshape(groups, size)
    level = jax.random.uniform(key, (count, 2), chance.dtype)
    group = jax.vmap(_crossed, (None, 0))(jnp.sum(chance, axis=1), level[:, 0])
    return group * size + jax.vmap(_crossed)(chance[group], level[:, 1])


def _crossed(chance, level):
    """First place of chance > 0 up to which more than a share ``level`` of it lies."""
    place = jnp.arange(chance.shape[0], dtype=jnp.int32)
    sums = jnp.cumsum(chance)
    last = jnp.max(jnp.where(chance > 0, place, 0))
    return jnp.min(jnp.where((sums > level * sums[-1]) & (chance > 0), place, last))


def _potentials(X, weight, squares, points, rows):
    """Inertia that is left with each of the points besides the centroids so far."""
    Z = assignment.coordinates(rows, filled(X))
    apart = jnp.sum(points**2, axis=1)[:, None] - 2 * points @ Z.T + jnp.sum(Z**2, axis=1)[None]
    return jnp.minimum(jnp.maximum(apart, 0), squares[None]) @ weight


def _codes(key, X):
    """A number per row, equal for equal rows and hardly ever for others."""
    bits = lax.bitcast_convert_type(X + 0, jnp.uint32)  # −0 is 0
    bits = bits.reshape(X.shape[0], -1)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):  # whole numbers end in 0s
        bits = (bits ^ (bits >> shift)) * jnp.uint32(factor)
    factors = jax.random.bits(key, bits.shape[1:], jnp.uint32) | 1
    return jnp.sum(bits * factors[None], axis=1, dtype=jnp.uint32)
