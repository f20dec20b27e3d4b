"""k-means by small samples: each centroid is the mean of all rows it was ever shown.

In each step b rows are drawn, row i in proportion to its weight sᵢ, and each goes to the centroid
cⱼ that is nearest before the step. With vⱼ the rows that centroid j was shown so far, one after
the other moves it by

    vⱼ ← vⱼ + 1,        cⱼ ← cⱼ + (x − cⱼ) / vⱼ                                 (1)

which for the m rows with sum Σx that a step gives to it is

    cⱼ ← cⱼ + (Σx − m cⱼ) / (vⱼ + m),        vⱼ ← vⱼ + m                        (2)

so that with vⱼ = 0 at the beginning the first rows replace it. A centroid that is shown nothing
stays. A step sees b rows at any n; the certificate is measured on all of them at the end, as that
of ``kmeans.fit``: what one step of Lloyd's is sure to gain. After few steps it is honestly large.

Law of the weights: in distribution. With draws and assignments fixed the centroids are
differentiable to any order in X; the weights enter through the draws alone, so that the
derivative in them is 0. The number of steps is static.

Time O(steps·bkd + nkd), memory O(n + bd) besides X.

>>> import jax, jax.numpy as jnp
>>> from mlmath.latent import minibatch
>>> X = jnp.array([[0.0], [1.0], [9.0], [10.0]])
>>> run = minibatch.fit_minibatch(jax.random.key(0), X[1:3], X, batch_size=8, steps=50)
>>> print(jnp.abs(run.params.centroids.T - jnp.array([[0.5, 9.5]])).max() < 0.1, run.counts.sum())
True 400.0

References:
    Sculley (2010), Web-scale k-means clustering, WWW '10, algorithm 1.
    MacQueen (1967), Some methods for classification and analysis of multivariate observations,
        Proceedings of the Fifth Berkeley Symposium 1, §2 (the rate 1/vⱼ).
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from mlmath.arrays import Key, Real, Scalar, after
from mlmath.certificate import Certificate, certify, superlinear_tolerance
from mlmath.compiled import compiled
from mlmath.latent import assignment, lloyd
from mlmath.latent.centroids import Params, inertia
from mlmath.latent.seeding import measured
from mlmath.statistics.weights import present_weight

__all__ = ["MinibatchFit", "fit_minibatch"]


class MinibatchFit(NamedTuple):
    """Outcome of :func:`fit_minibatch`."""

    params: Params
    certificate: Certificate  # gap: what a step of Lloyd's is sure to gain / L(null), on all rows
    counts: Float[Array, " k"]  # vⱼ, rows that each centroid was shown


class _Table(NamedTuple):
    """Sums of chances, to draw many rows from: over groups, and over the rows of each."""

    groups: Float[Array, " g"]
    rows: Float[Array, "g r"]
    present: Int[Array, " gr"]  # the first row from here on that has a chance, or the last


@compiled(static=("batch_size", "steps"))
def fit_minibatch(
    key: Key,
    centroids: Float[Real, "k d"],
    X: Float[Real, "n d"],
    *,
    batch_size: int = 1024,
    steps: int = 100,
    sample_weight: Float[Real, " n"] | None = None,
    counts: Float[Real, " k"] | None = None,
    tolerance: Scalar | None = None,
) -> MinibatchFit:
    """Lower the inertia by steps of eq. (2) from ``centroids``.

    Args:
        key: of the draws; that of step t is ``fold_in(key, t)``.
        centroids: where the steps begin.
        X: rows.
        batch_size: b, rows of a step; static.
        steps: how many; static.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        counts: vⱼ of an earlier run that goes on; zeros if None.
        tolerance: largest gap that counts as converged; 4ε of the dtype if None.

    Raises:
        ValueError: if there are no centroids, more than rows, no columns, no steps or no batch.
    """
    if batch_size < 1 or steps < 1:
        raise ValueError(f"batch_size and steps must be at least 1, got {batch_size} and {steps}.")
    start = assignment.checked(centroids, X)
    X, weight = jnp.asarray(X), present_weight(X, sample_weight)
    rows = assignment.frame(X, weight)
    null = assignment.spread(rows)
    table = _table(measured(rows.weight))
    C = assignment.coordinates(rows, start)
    v = jnp.zeros_like(C[:, 0]) if counts is None else jnp.asarray(counts, C.dtype)

    def step(state, t):
        C, v = state
        drawn = _drawn(jax.random.fold_in(key, t), table, batch_size)
        batch = assignment.Frame(rows.X[drawn], jnp.ones_like(C, shape=batch_size), *rows[2:])
        labels = assignment.assign(batch, lax.stop_gradient(C)).labels
        Z = assignment.coordinates(rows, X[drawn])
        shown = jnp.concatenate([Z, jnp.ones_like(Z[:, :1])], axis=1)
        sums = jax.ops.segment_sum(shown, labels, num_segments=C.shape[0])
        m = sums[:, -1]
        moved = (sums[:, :-1] - m[:, None] * C) / jnp.maximum(v + m, 1)[:, None]
        return (C + moved, v + m), None

    C, v = lax.scan(step, (C, v), jnp.arange(steps))[0]
    ahead = lloyd.step(rows, lax.stop_gradient(C))
    lost = lax.stop_gradient(0 * (null + jnp.sum(start)))  # NaN if no answer exists
    params = Params(assignment.points(rows, C) + lost)
    labels = assignment.assign(rows, lax.stop_gradient(C)).labels
    value = inertia(params.centroids, X, labels, weight)
    signed = after(rows.weight, lax.stop_gradient(value))
    gain = jnp.where((signed >= 0).all(), ahead.gain, jnp.nan)
    tolerance = superlinear_tolerance(X) if tolerance is None else tolerance
    return MinibatchFit(params, certify(value, gain, null, steps=steps, tolerance=tolerance), v)


def _table(chance):
    """Sums over √n groups of √n rows, so that float32 tells the rows apart."""
    n = chance.shape[0]
    size = math.isqrt(n - 1) + 1
    count = -(-n // size)
    chance = jnp.pad(chance, (0, count * size - n))
    place = jnp.arange(count * size, dtype=jnp.int32)
    last = jnp.max(jnp.where(chance > 0, place, 0))
    present = lax.cummin(jnp.where(chance > 0, place, last), reverse=True)
    rows = jnp.cumsum(chance.reshape(count, size), axis=1)
    return _Table(jnp.cumsum(rows[:, -1]), rows, present)


def _drawn(key, table, many):
    """Rows drawn, with replacement, in proportion to their chance; never one of chance 0."""
    count, size = table.rows.shape
    level = jax.random.uniform(key, (2, many), table.rows.dtype)
    group = jnp.searchsorted(table.groups, level[0] * table.groups[-1], side="right")
    rows = table.rows[jnp.minimum(group, count - 1)]
    place = jax.vmap(lambda a, v: jnp.searchsorted(a, v, side="right"))(
        rows, level[1] * rows[:, -1]
    )
    index = jnp.minimum(group, count - 1) * size + jnp.minimum(place, size - 1)
    return table.present[index]
