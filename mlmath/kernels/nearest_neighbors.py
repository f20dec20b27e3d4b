"""Nearest neighbours: an example is predicted from the rows that lie next to it.

Nothing is fitted: what is learnt are the rows themselves. Let d₁ ≤ d₂ ≤ … be the Euclidean
distances of the rows from x, the lower index first where they are equal, s₁, s₂, … the weights of
these rows and Sⱼ = s₁ + … + sⱼ. The nearest rows that have v units of weight together vote, the
last of them with what is left:

    mⱼ = min(Sⱼ, v) − min(Sⱼ₋₁, v)                                             (1)
    aⱼ = mⱼ φ(dⱼ)                                                              (2)
    ŷ(x) = Σⱼ aⱼ yⱼ / Σⱼ aⱼ                                                    (3)
    p_c(x) = Σⱼ aⱼ [yⱼ = c] / Σⱼ aⱼ                                            (4)

φ weighs a vote by its distance: 1 in :func:`uniform`, 1/d in :func:`inverse_distance`, or any
other function. Where φ is ∞, as 1/d at a row that is x itself, only such rows vote, by mⱼ. With
weights 1 and v = k this is the rule of the k nearest neighbours; with k = 1 the error on its own
rows is 0, and with all rows (3) is their mean.

By (1) weight 2 is the row twice, in its place, and weight 0 the row absent. The k nearest rows of
weight other than 0 are searched, which is all that (1) needs where each weighs at least v/k, as
whole weights do with v = k. Lighter rows can have less than v units together, which then vote; a
greater k searches more. A weight that counts and is negative or NaN, a row or a query that is not
finite, a label that is no class, no weight at all and votes that are all 0 make predictions NaN.

Which rows are nearest is piecewise constant. With that fixed (3) and (4) are differentiable in x,
in the rows, their targets, weights, v and in what φ carries. (1) has a kink where Sⱼ = v, as it
always has at whole weights: there the derivative is that towards more weight and a smaller v. A
row of weight 0 is not searched and has the derivative 0, not its influence.

Time O(nd) for one x; under ``vmap`` or ``mlmath.rows`` one blocked product of matrices, in memory
that does not grow with queries × rows. Rows that are never together in memory:
``kernels.neighbor_stream``.

>>> import jax.numpy as jnp, mlmath
>>> from mlmath.kernels import nearest_neighbors
>>> params = nearest_neighbors.init(jnp.array([[0.0], [1.0], [4.0]]), jnp.array([0.0, 1.0, 1.0]))
>>> x = jnp.array([1.5])
>>> print(nearest_neighbors.predict(params, x, k=2))
0.5
>>> print(nearest_neighbors.probabilities(params, x, k=3, classes=2))
[0.3333 0.6667]
>>> nearest = nearest_neighbors.inverse_distance
>>> print(nearest_neighbors.predict(params, x, k=2, weighting=nearest))
0.75

References:
    Cover & Hart (1967), Nearest neighbor pattern classification, IEEE Transactions on
        Information Theory 13, eq. 2 (the rule), §IV (its error in the limit).
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §2.3.2, §13.3.
    Shepard (1968), A two-dimensional interpolation function for irregularly-spaced data (1/d).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float, Int

from mlmath.arrays import Labels, Real, Scalar, owned
from mlmath.compiled import compiled
from mlmath.linalg import nearest, vectors
from mlmath.statistics.weights import known, present

__all__ = [
    "Found",
    "Neighbors",
    "Params",
    "class_shares",
    "coefficients",
    "init",
    "inverse_distance",
    "neighbors",
    "predict",
    "probabilities",
    "search",
    "shares",
    "uniform",
]


class Params(NamedTuple):
    """The rows that are remembered, as :func:`init` makes them."""

    rows: Float[Array, "n d"]  # X, finite
    targets: Float[Array, " n"]  # y, a number or the number of a class
    weights: Float[Array, " n"]  # s; NaN for a row that counts and cannot


class Neighbors(NamedTuple):
    """Outcome of :func:`neighbors`: the rows next to one x, the nearest first."""

    indices: Int[Array, " k"]  # of the rows; n, one past the last, where no more are present
    distances: Float[Array, " k"]  # dⱼ; ∞ where no more are present
    shares: Float[Array, " k"]  # mⱼ, units of weight that vote


class Found(NamedTuple):
    """Outcome of :func:`search`: the rows next to one x, before anyone votes."""

    indices: Int[Array, " k"]  # of the rows; n where no more are present
    squares: Float[Array, " k"]  # δⱼ = dⱼ², which orders them, a constant; ∞ where no more are
    distances: Float[Array, " k"]  # dⱼ; ∞ where no more are present
    weights: Float[Array, " k"]  # sⱼ; 0 where no more are present
    lost: Float[Array, ""]  # 0; NaN if any row counts and cannot, or x is not finite


def uniform(distance: Float[Real, ""]) -> Float[Array, ""]:
    """Vote φ = 1 of a neighbour at any distance."""
    return jnp.ones_like(distance)


def inverse_distance(distance: Float[Real, ""]) -> Float[Array, ""]:
    """Vote φ = 1/d of a neighbour at a distance d; ∞ at 0, where its derivative is 0."""
    apart = jnp.asarray(distance) > 0
    return jnp.where(apart, 1 / jnp.where(apart, distance, 1), jnp.inf)


def init(
    X: Float[Real, "n d"], y: Labels, *, sample_weight: Float[Real, " n"] | None = None
) -> Params:
    """Remember the rows.

    Args:
        X: features, in units in which distances make sense.
        y: targets, or labels 0, 1, ….
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out whatever it holds.
    """
    if X.shape[1] == 0:
        raise ValueError("X must have at least one column, got none.")
    X, y, weight = present(owned(X), owned(y), sample_weight)
    finite = jnp.isfinite(X).all(axis=1) & jnp.isfinite(y)  # nothing was cleared without weights
    return Params(X, y, jnp.where((weight == 0) | (finite & (weight >= 0)), weight, jnp.nan))


@compiled(static=("k",))
def neighbors(
    params: Params, x: Float[Real, " d"], *, k: int = 5, votes: Scalar | None = None
) -> Neighbors:
    """The nearest rows of ONE example, and the weight with which each votes, eq. (1).

    Args:
        params: the rows.
        x: the example.
        k: most rows that are searched, from 1 to n; static.
        votes: v, units of weight that vote; k if None. A number: ``vmap`` sweeps it.
    """
    found = search(params, x, k=k)
    parts = shares(found.weights, k if votes is None else votes)
    return Neighbors(found.indices, found.distances, parts + found.lost)


@compiled(static=("k",))
def predict(
    params: Params,
    x: Float[Real, " d"],
    *,
    k: int = 5,
    votes: Scalar | None = None,
    weighting: Callable[..., Any] = uniform,
) -> Float[Array, ""]:
    """Weighted mean of the neighbours' targets for ONE example, eq. (3).

    Args:
        params: the rows.
        x: the example.
        k: most rows that are searched, from 1 to n; static.
        votes: v, units of weight that vote; k if None. A number: ``vmap`` sweeps it.
        weighting: φ ≥ 0, of one distance.
    """
    found = neighbors(params, x, k=k, votes=votes)
    targets = params.targets[jnp.minimum(found.indices, params.targets.shape[0] - 1)]
    return jnp.sum(coefficients(found.distances, found.shares, weighting=weighting) * targets)


@compiled(static=("k", "classes"))
def probabilities(
    params: Params,
    x: Float[Real, " d"],
    *,
    classes: int = 2,
    k: int = 5,
    votes: Scalar | None = None,
    weighting: Callable[..., Any] = uniform,
) -> Float[Array, " classes"]:
    """Share of each class in the neighbours' votes for ONE example, eq. (4).

    Args:
        params: the rows, their targets the classes 0, …, ``classes`` − 1.
        x: the example.
        classes: how many there are; static.
        k: most rows that are searched, from 1 to n; static.
        votes: v, units of weight that vote; k if None. A number: ``vmap`` sweeps it.
        weighting: φ ≥ 0, of one distance.
    """
    y = params.targets
    weight = known(params.weights, (y == jnp.floor(y)) & (y >= 0) & (y < classes))
    found = neighbors(params._replace(weights=weight), x, k=k, votes=votes)
    votes = coefficients(found.distances, found.shares, weighting=weighting)
    return class_shares(votes, y[jnp.minimum(found.indices, y.shape[0] - 1)], classes=classes)


@compiled(static=("k",))
def search(params: Params, x: Float[Real, " d"], *, k: int = 5) -> Found:
    """The k nearest rows of ONE example that are present, of equal δ the lower index first.

    ``vmap`` over x alone is the blocked search of many, whatever batches it.
    """
    X, weight = params.rows, params.weights
    n = X.shape[0]
    if not 1 <= k <= n:
        raise ValueError(f"k must be from 1 to the {n} rows that are remembered, got {k}.")
    x = jnp.asarray(x, X.dtype)
    indices, squares = _search(k)(*lax.stop_gradient((X, weight, x)))
    there, place = indices < n, jnp.minimum(indices, n - 1)
    distances = jnp.where(there, jax.vmap(vectors.norm)(X[place] - x[None]), jnp.inf)
    lost = jnp.isnan(weight).any() | ~jnp.isfinite(x).all()
    return Found(
        indices,
        squares,
        distances,
        jnp.where(there, weight[place], 0),
        jnp.where(lost, jnp.nan, jnp.zeros_like(distances[0])),
    )


def shares(weights: Float[Real, " k"], votes: Scalar) -> Float[Array, " k"]:
    """Units of weight mⱼ with which neighbours of weights sⱼ vote, eq. (1); NaN if v ≤ 0."""
    mass = jnp.cumsum(jnp.asarray(weights))
    limit = jnp.asarray(votes, mass.dtype)
    limit = jnp.where(limit > 0, limit, jnp.nan)
    return jnp.diff(jnp.where(mass < limit, mass, limit), prepend=0)


def coefficients(
    distances: Float[Real, " k"],
    shares: Float[Real, " k"],
    *,
    weighting: Callable[..., Any] = uniform,
) -> Float[Array, " k"]:
    """aⱼ / Σⱼ aⱼ of eq. (2); where φ is ∞ its rows alone, by mⱼ."""
    there = shares != 0  # the others' distances may be ∞
    factors = jax.vmap(weighting)(jnp.where(there, distances, 1))
    endless = there & (factors == jnp.inf)
    factors = jnp.where(endless.any(), endless, jnp.where(endless, 0, factors))
    unit = lax.stop_gradient(jnp.max(jnp.where(there, factors, 0)))  # no product underflows
    votes = jnp.where(there, shares * (factors / unit), 0)
    return votes / jnp.sum(votes)


def class_shares(
    votes: Float[Real, " k"], labels: Float[Real, " k"], *, classes: int = 2
) -> Float[Array, " classes"]:
    """Share of each class in votes whose sum is 1, eq. (4)."""
    if classes < 1:
        raise ValueError(f"classes must be at least 1, got {classes}.")
    votes, labels = jnp.asarray(votes), jnp.asarray(labels)
    members = labels[:, None] == jnp.arange(classes, dtype=labels.dtype)[None]
    return votes @ members.astype(votes.dtype)


def _search(k):
    """(X, s, x) ↦ indices and δ of the k nearest rows that are present; see :func:`search`."""

    def alone(X, weight, x):
        return tuple(a[0] for a in nearest.smallest(x[None], X, k, row_weight=weight))

    one = custom_vmap(alone)

    @one.def_vmap
    def _(size, batched, X, weight, x):
        if batched == [False, False, True]:
            return tuple(nearest.smallest(x, X, k, row_weight=weight)), (True, True)
        lanes = jax.vmap(alone, [0 if many else None for many in batched])
        return lanes(X, weight, x), (True, True)

    return one
