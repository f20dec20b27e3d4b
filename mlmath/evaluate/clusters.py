"""How good clusters are, and how many there are: silhouette, gap statistic, elbow, Rand index.

Let rows xᵢ have weights sᵢ and labels in clusters A of weight N_A, and d be Euclidean. For row i in
A the mean distance to its own cluster and to the next one are

    aᵢ = Σ_{l∈A} sₗ d(xᵢ, xₗ) / (N_A − min(sᵢ, 1))                              (1)
    bᵢ = min_{B≠A} Σ_{l∈B} sₗ d(xᵢ, xₗ) / N_B

and its silhouette, in [−1, 1], is

    (bᵢ − aᵢ) / max(aᵢ, bᵢ),        0 for a row that is alone in its cluster       (2)

A row of weight 2 lies beside a copy of itself. Without a second cluster (2) is NaN.

Of inertias W(k) of the data and W*_b(k) of B references, uniform in the box of the data, the gap is

    gap(k) = ⟨log W*_b(k)⟩ − log W(k),        σ(k) = sd_b(log W*_b(k)) √(1 + 1/B)   (3)

and the number of clusters the smallest k with

    gap(k) ≥ gap(k′) − σ(k′),        k′ the next size                               (4)

or the last. The elbow of inertias falling from W₁ at k₁ to W_m at k_m is the size that lies
farthest below the chord between the ends,

    (k_m − k)/(k_m − k₁) − (W(k) − W_m)/(W₁ − W_m)                                  (5)

the first of equal ones. For two labellings with n_ab of the weight in a of the one and b of the
other, n_a· and n_·b their sums, n all of it and (n over 2) = n(n − 1)/2, the adjusted Rand index is

    (R − E) / (M − E),    R = Σ_ab (n_ab over 2),    P = Σ_a (n_a· over 2),
    Q = Σ_b (n_·b over 2),    E = P Q / (n over 2),    M = (P + Q)/2               (6)

1 for the same clusters under any names, 0 in the mean over random ones; where both put all rows in
one cluster or each in its own it is 1.

Weight 2 is the row twice, weight 0 the row absent, whatever it holds, in all but (3): there a drawn
row has the weight of a row of X, so that W* of heavy rows varies more. (1), (2) and (6) count, so
that the unit of a weight is one row. A row that counts with a NaN or a label that is none makes
NaN. (2) is differentiable in X almost everywhere.

Time O(n²d) for (2), memory a block of 2²⁰ numbers and n × clusters; rows on several devices are
gathered.

>>> import jax.numpy as jnp
>>> from mlmath.evaluate import clusters
>>> X, label = jnp.array([[0.0], [1.0], [8.0], [9.0]]), jnp.array([0, 0, 1, 1])
>>> print(clusters.silhouette(X, label, classes=2).values)
[0.8824 0.8667 0.8667 0.8824]
>>> print(clusters.adjusted_rand(label, jnp.array([1, 1, 0, 0]), classes=2))
1.0
>>> print(clusters.elbow(jnp.array([1, 2, 3, 4]), jnp.array([9.0, 2.0, 1.0, 0.0])).chosen)
2

References:
    Rousseeuw (1987), Silhouettes: a graphical aid to the interpretation and validation of cluster
        analysis, Journal of Computational and Applied Mathematics 20, §2.
    Tibshirani, Walther & Hastie (2001), Estimating the number of clusters in a data set via the
        gap statistic, Journal of the Royal Statistical Society B 63(2), §3, reference (a).
    Satopää, Albrecht, Irwin & Raghavan (2011), Finding a "kneedle" in a haystack, ICDCS Workshops,
        §III (the chord).
    Hubert & Arabie (1985), Comparing partitions, Journal of Classification 2, eq. 5.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from mlmath.absence import filled, within
from mlmath.arrays import Key, Labels, Real, rows
from mlmath.compiled import as_argument, compiled
from mlmath.evaluate import averages
from mlmath.linalg.vectors import magnitude
from mlmath.statistics.weights import present_rows

__all__ = [
    "Elbow",
    "GapStatistic",
    "Silhouette",
    "adjusted_rand",
    "elbow",
    "gap_statistic",
    "silhouette",
]

_BLOCK = 2**20  # distances at a time


class Silhouette(NamedTuple):
    """Outcome of :func:`silhouette`."""

    values: Float[Array, " n"]  # eq. (2); of a row of weight 0, as if it were added
    mean: Float[Array, ""]  # over the rows by weight


class GapStatistic(NamedTuple):
    """Outcome of :func:`gap_statistic`, for m sizes."""

    gap: Float[Array, " m"]  # eq. (3); NaN where the data have inertia 0, to rounding
    error: Float[Array, " m"]  # σ
    chosen: Int[Array, ""]  # place of the size of eq. (4), before the first NaN; 0 if all are


class Elbow(NamedTuple):
    """Outcome of :func:`elbow`, for m sizes."""

    below: Float[Array, " m"]  # eq. (5), in shares of the ranges
    chosen: Int[Array, ""]  # the size, k


@compiled(static=("classes",))
def silhouette(
    X: Float[Real, "n d"],
    label: Labels,
    *,
    classes: int,
    sample_weight: Float[Real, " n"] | None = None,
) -> Silhouette:
    """Silhouette of each row, eq. (2), and their weighted mean.

    Args:
        X: rows.
        label: clusters 0, …, classes − 1.
        classes: how many clusters there may be; static.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.

    Raises:
        ValueError: if there are no rows or no clusters.
    """
    X = jnp.asarray(X)
    code, known = averages.coded(label, classes=classes)
    weight = averages.counted(known & jnp.isfinite(X).all(axis=1), sample_weight, X)
    X = filled(X)
    X = X / magnitude(jnp.where((weight != 0)[:, None], X, 0))  # silhouettes have no unit
    X = within(X, weight, jnp.zeros_like(X[0]))
    totals = averages.totals(code, weight, classes=classes)
    own = code[:, None] == jnp.arange(classes)[None]
    members = jnp.where(own | jnp.isnan(weight)[:, None], weight[:, None], 0)

    def value(shared, x, own, s):
        X, members = shared
        sums = _apart(x, X) @ members
        others = jnp.sum(jnp.where(own, totals, 0)) - jnp.minimum(s, 1)
        a = jnp.sum(jnp.where(own, sums, 0)) / jnp.where(others == 0, 1, others)
        elsewhere = jnp.where(own | (totals == 0), jnp.inf, sums / jnp.where(own, 1, totals))
        b = jnp.min(elsewhere)
        longer = jnp.maximum(a, b)
        ratio = (b - a) / jnp.where(longer == 0, 1, longer)
        lost = jnp.where(jnp.isinf(b) | jnp.isnan(jnp.sum(totals)), jnp.nan, 0)
        return jnp.where(others == 0, 0, ratio) + lost

    size = max(1, min(X.shape[0], _BLOCK // X.shape[0]))
    values = rows(value)((X, members), X, own, weight, batch_size=size)
    return Silhouette(values, averages.mean(values, weight))


def gap_statistic(
    key: Key,
    inertias: Callable[..., Any],
    X: Float[Real, "n d"],
    *,
    references: int = 10,
    sample_weight: Float[Real, " n"] | None = None,
) -> GapStatistic:
    """Gap of each size and the size that it chooses, eq. (3) and (4).

    Args:
        key: of the references and of ``inertias``; one of each is ``split(key, 1 + B)``.
        inertias: ``inertias(key, X, sample_weight=…)``, W of every size, in ascending order.
        X: rows.
        references: B.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.

    Raises:
        ValueError: if there are no rows, or fewer than two references.
    """
    if references < 2:
        raise ValueError(f"references must be at least 2, got {references}.")
    return _gap_statistic(key, as_argument(inertias), X, references, sample_weight)


@compiled(static=("references",))
def _gap_statistic(key, inertias, X, references, sample_weight):
    X, weight = present_rows(X, sample_weight)
    counts = (weight != 0)[:, None]
    low = jnp.min(jnp.where(counts, X, jnp.inf), axis=0)
    high = jnp.max(jnp.where(counts, X, -jnp.inf), axis=0)

    def reference(key):
        draw, fit = jax.random.split(key)
        box = jax.random.uniform(draw, X.shape, X.dtype) * (high - low)[None] + low[None]
        return jnp.log(inertias(fit, box, sample_weight=weight))

    keys = jax.random.split(key, 1 + references)
    logs = lax.map(reference, keys[1:])
    own = inertias(keys[0], X, sample_weight=weight)
    mean = jnp.mean(logs, axis=0)
    some = own > jnp.finfo(own.dtype).eps * jnp.exp(mean)  # less is rounding
    gap = mean - jnp.log(jnp.where(some, own, jnp.nan))
    error = jnp.std(logs, axis=0) * jnp.sqrt(1 + 1 / references)
    enough = jnp.append(~(gap[:-1] < gap[1:] - error[1:]), True) & ~jnp.isnan(gap)
    return GapStatistic(gap, error, jnp.argmax(enough))


@compiled()
def elbow(sizes: Float[Real, " m"] | Int[Real, " m"], inertias: Float[Real, " m"]) -> Elbow:
    """How far each size lies below the chord, eq. (5), and the size that lies farthest.

    Args:
        sizes: k, ascending.
        inertias: W of each size, as ``kmeans.sweep`` finds them.

    Raises:
        ValueError: if there are fewer than three sizes.
    """
    if sizes.shape[0] < 3:
        raise ValueError(f"an elbow needs at least three sizes, got {sizes.shape[0]}.")
    W = jnp.asarray(inertias)
    k = jnp.asarray(sizes, W.dtype)
    chord, fall = (k[-1] - k) / (k[-1] - k[0]), W[0] - W[-1]
    below = jnp.where(fall == 0, 0, chord - (W - W[-1]) / jnp.where(fall == 0, 1, fall))
    best = jnp.argmax(jnp.where(jnp.isnan(below), -jnp.inf, below))
    return Elbow(below, jnp.asarray(sizes)[best].astype(jnp.int32))


@compiled(static=("classes",))
def adjusted_rand(
    label: Labels, y: Labels, *, classes: int, sample_weight: Float[Real, " n"] | None = None
) -> Float[Array, ""]:
    """Adjusted Rand index of two labellings, eq. (6).

    Args:
        label: clusters 0, …, classes − 1.
        y: clusters of the other labelling, from the same numbers.
        classes: how many there may be; static.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.

    Raises:
        ValueError: if there are no rows or no clusters.
    """
    (a, known), (b, also) = (averages.coded(v, classes=classes) for v in (label, y))
    weight = averages.counted(known & also, sample_weight)
    cells = averages.totals(a * classes + b, weight, classes=classes**2)
    cells = cells.reshape(classes, classes)
    together, P, Q = (
        jnp.sum(n * (n - 1)) / 2 for n in (cells, jnp.sum(cells, axis=1), jnp.sum(cells, axis=0))
    )
    n = jnp.sum(cells)
    expected = P * Q / jnp.where(n == 1, 1, n * (n - 1) / 2)
    most = (P + Q) / 2
    alike = most == expected
    return jnp.where(alike, 1, (together - expected) / jnp.where(alike, 1, most - expected))


def _apart(x, X):
    """Distances by the differences, so that equal rows are at 0; derivative 0 there."""

    def add(total, pair):
        return total + (pair[0] - pair[1]) ** 2, None

    squares = lax.scan(add, jnp.zeros_like(X[:, 0]), (x, X.T), unroll=min(16, len(x)))[0]
    apart = squares > 0
    return jnp.where(apart, jnp.sqrt(jnp.where(apart, squares, 1)), 0)
