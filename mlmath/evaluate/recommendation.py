"""Recommendation: how well scores put what is relevant to each query at the top of its list.

A query (a user, a search) has n items with scores fⱼ, of which only the order matters, and
relevances gⱼ ≥ 0; a relevant item is one with gⱼ > 0. The items that are ranked stand at the
ranks r = 1, 2, … by falling score. For a weight w of each rank let item j have

    w̄ⱼ = the mean of w(r) over the ranks that the items of its score share             (1)

which is what it has on average over the orders of these. At the cut k

    DCG = Σⱼ gⱼ w̄ⱼ,   w(r) = [r ≤ k] / log₂(1 + r);   NDCG = DCG(f) / DCG(g)          (2)
    hits = Σⱼ [gⱼ > 0] w̄ⱼ,   w(r) = [r ≤ k];   precision = hits / k                    (3)
    recall = hits / Σⱼ [gⱼ > 0]                                                        (4)

and the average precision of a query is eq. (4) of :mod:`~mlmath.evaluate.ranking`, in which items
of one score have one threshold. Each function is the mean over the queries with the weights sᵢ:

    ⟨m⟩ = Σᵢ sᵢ mᵢ / Σᵢ sᵢ                                                             (5)

An item that is not ranked is absent, whatever it holds: what was seen in training, say. A query
without a relevant item has no NDCG, recall or average precision: it is NaN where it counts, and
weight 0 leaves it out (scikit-learn says 0). So is a query in which an item that is ranked has no
score, or a relevance that is negative or not finite. Exponential gains are 2^g − 1 in the place
of g. The scores have no derivative but 0; those in weights are right, and in relevances too where
no two are equal, at which DCG(g) bends.

Time O(q n log n), memory O(q n) for q queries; k is a number, which ``vmap`` sweeps. In float32
lists of 10⁵ items keep six digits, one relevant item far down as well.

>>> import jax.numpy as jnp
>>> from mlmath.evaluate import recommendation
>>> score = jnp.array([[0.9, 0.8, 0.1, 0.4], [0.2, 0.7, 0.6, 0.5]])
>>> relevance = jnp.array([[3.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
>>> print(recommendation.ndcg(score, relevance), recommendation.recall_at(score, relevance, k=3))
0.9724 0.75
>>> print(recommendation.mean_average_precision(score, relevance))
0.875

References:
    Järvelin & Kekäläinen (2002), Cumulated gain-based evaluation of IR techniques, ACM
        Transactions on Information Systems 20, §2.2.
    McSherry & Najork (2008), Computing information retrieval performance measures efficiently
        in the presence of tied scores, ECIR, §3 (1).
    Manning, Raghavan & Schütze (2008), Introduction to Information Retrieval, §8.4.
"""

from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from mlmath.arrays import Real, Scalar
from mlmath.compiled import compiled
from mlmath.evaluate.averages import counted, mean
from mlmath.evaluate.ranking import average_precision

__all__ = ["mean_average_precision", "ndcg", "precision_at", "recall_at"]

Relevances: TypeAlias = Float[Real, "q n"] | Int[Real, "q n"] | Bool[Real, "q n"]


@compiled()
def ndcg(
    score: Float[Real, "q n"],
    relevance: Relevances,
    *,
    k: Scalar | None = None,
    ranked: Bool[Real, "q n"] | None = None,
    sample_weight: Float[Real, " q"] | None = None,
) -> Float[Array, ""]:
    """Normalised discounted cumulative gain, eq. (2), mean over the queries.

    Args:
        score: fⱼ of each item for each query.
        relevance: gⱼ ≥ 0, in the place of which exponential gains may stand.
        k: length of the list that is looked at; all of it if None.
        ranked: which items the list is made of; all if None.
        sample_weight: sᵢ of a query; 2 counts it twice, 0 leaves it out.
    """

    def gain(score, relevance, present):
        weight = _cut(score, k) / jnp.log2(2 + jnp.arange(score.shape[0], dtype=score.dtype))
        found, best = (relevance @ _shared(s, present, weight) for s in (score, relevance))
        return found / best

    return _mean(gain, score, relevance, ranked, sample_weight)


@compiled()
def precision_at(
    score: Float[Real, "q n"],
    relevance: Relevances,
    *,
    k: Scalar = 10,
    ranked: Bool[Real, "q n"] | None = None,
    sample_weight: Float[Real, " q"] | None = None,
) -> Float[Array, ""]:
    """Share of the first k items that are relevant, eq. (3), mean over the queries."""

    def share(score, relevance, present):
        return _hits(score, relevance, present, k) / jnp.asarray(k, score.dtype)

    return _mean(share, score, relevance, ranked, sample_weight)


@compiled()
def recall_at(
    score: Float[Real, "q n"],
    relevance: Relevances,
    *,
    k: Scalar = 10,
    ranked: Bool[Real, "q n"] | None = None,
    sample_weight: Float[Real, " q"] | None = None,
) -> Float[Array, ""]:
    """Share of the relevant items that are among the first k, eq. (4), mean over the queries."""

    def share(score, relevance, present):
        return _hits(score, relevance, present, k) / jnp.sum(relevance > 0)

    return _mean(share, score, relevance, ranked, sample_weight)


@compiled()
def mean_average_precision(
    score: Float[Real, "q n"],
    relevance: Relevances,
    *,
    ranked: Bool[Real, "q n"] | None = None,
    sample_weight: Float[Real, " q"] | None = None,
) -> Float[Array, ""]:
    """Mean precision over the recall, eq. (4) of ``ranking``, mean over the queries."""

    def precision(score, relevance, present):
        weight = present.astype(score.dtype)
        return average_precision(score, relevance > 0, sample_weight=weight)

    return _mean(precision, score, relevance, ranked, sample_weight)


def _mean(measure, score, relevance, ranked, sample_weight):
    """Eq. (5); items that are not ranked are cleared, and queries that cannot be judged shown."""
    if 0 in score.shape:
        raise ValueError(f"there must be at least one query and one item, got {score.shape}.")
    score = jnp.asarray(score)
    relevance = jnp.asarray(relevance, score.dtype)
    present = jnp.ones(score.shape, bool) if ranked is None else jnp.asarray(ranked)
    known = ~jnp.isnan(score) & jnp.isfinite(relevance) & (relevance >= 0)
    score, relevance = (jnp.where(known & present, a, 0) for a in (score, relevance))
    values = jax.vmap(measure)(score, relevance, present)
    judged = (known | ~present).all(axis=1) & ~jnp.isnan(values)
    return mean(jnp.where(judged, values, 0), counted(judged, sample_weight, score))


def _cut(score, k):
    """[r ≤ k] of the ranks."""
    rank = jnp.arange(1, score.shape[0] + 1)
    return jnp.ones_like(score) if k is None else (rank <= k).astype(score.dtype)


def _hits(score, relevance, present, k):
    """Relevant items among the first k, eq. (3)."""
    return (relevance > 0) @ _shared(score, present, _cut(score, k))


def _shared(score, present, weight):
    """w̄ⱼ of each item, eq. (1); 0 where it is not ranked."""
    n = score.shape[0]
    place = jnp.arange(n)
    absent, falling, item = lax.sort((~present, -score, place), num_keys=2)
    new = jnp.append(True, (falling[1:] != falling[:-1]) | (absent[1:] != absent[:-1]))
    first = lax.cummax(jnp.where(new, place, 0))
    last = lax.cummin(jnp.where(jnp.append(new[1:], True), place, n), reverse=True)
    _, total = lax.associative_scan(_joined, (new, weight))
    average = jnp.where(absent, 0, total[last] / (last - first + 1))
    return jnp.zeros_like(weight).at[item].set(average.astype(weight.dtype))


def _joined(before, after):
    """Sums of two parts of a list, which begin anew where a score does.

    They are sums of these numbers alone, by halves: a difference of sums from the first rank on
    has in float32 no digit left of w(r) far down a list.
    """
    (begins, left), (anew, right) = before, after
    return begins | anew, jnp.where(anew, right, left + right)
