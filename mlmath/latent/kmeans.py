"""k-means: k points such that the rows lie near one of them.

The inertia of centroids c₁ … c_k for rows xᵢ with weights sᵢ is

    L(C) = Σᵢ sᵢ minⱼ ‖xᵢ − cⱼ‖²                                               (1)

From given centroids Lloyd's step (``latent.lloyd``) moves each to the weighted mean mⱼ of the rows
Aⱼ nearest to it, Nⱼ = Σ_{i∈Aⱼ} sᵢ of them. That lowers L by at least

    Σⱼ Nⱼ ‖cⱼ − mⱼ‖²                                                           (2)

A cluster without rows takes the row that lies farthest from all centroids, several take several
different rows, and (2) counts what that is sure to gain. Steps end when nothing moves. L has other
minima, so the answer is a local one and depends on where the steps begin: :func:`init_plus_plus`
draws good places, :func:`sweep` tries many. The gap is (2) at the answer over

    L(null) = Σᵢ sᵢ ‖xᵢ − x̄‖²,        x̄ = Σᵢ sᵢ xᵢ / Σᵢ sᵢ                       (3)

the inertia of k = 1: what one more step is sure to gain.

With fewer distinct rows than k the surplus centroids lie on rows, and L = 0. With k = 1 the answer
is the mean. As their common variance tends to 0 a Gaussian mixture's means are these centroids.

Assignments are piecewise constant. With the last ones fixed, the centroids are means

    cⱼ = Σ_{i∈Aⱼ} sᵢ xᵢ / Σ_{i∈Aⱼ} sᵢ                                           (4)

whose derivatives of any order in X and the weights are those of the fit almost everywhere; the
derivative in the centroids where it begins is 0, and that of L is the envelope theorem's.

Law of the weights: :func:`fit` is exact; what draws rows draws them in proportion to sᵢ.

Time O(nkd) per step, memory a block (``latent.assignment``) and some numbers per row; never
n × k, nor a copy of X.

>>> import jax, jax.numpy as jnp
>>> from mlmath.latent import kmeans
>>> X = jnp.array([[0.0, 0.0], [0.0, 1.0], [9.0, 9.0], [9.0, 8.0]])
>>> fitted = kmeans.fit(kmeans.init_plus_plus(jax.random.key(0), X, k=2), X)
>>> print(jnp.sort(fitted.params.centroids, axis=0))
[[0.  0.5]
 [9.  8.5]]
>>> print(fitted.certificate.objective, fitted.certificate.converged)
1.0 True
>>> print(jax.vmap(kmeans.predict, (None, 0))(fitted.params, X)[::2].sum())
1

References:
    Lloyd (1982), Least squares quantization in PCM, IEEE Transactions on Information Theory
        28(2), §II.
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §14.3.6,
        algorithm 14.1.
    Bottou & Bengio (1995), Convergence properties of the k-means algorithms, Advances in Neural
        Information Processing Systems 7, §2 (a step is Newton's).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from mlmath.absence import apart, filled
from mlmath.arrays import Count, Real, Scalar, after
from mlmath.certificate import Certificate, certify, superlinear_tolerance
from mlmath.compiled import compiled
from mlmath.latent import assignment, lloyd
from mlmath.latent.centroids import Params, inertia, loss, objective, predict, transform
from mlmath.latent.minibatch import MinibatchFit, fit_minibatch
from mlmath.latent.seeding import init_plus_plus, init_random
from mlmath.latent.sweeps import Sweep, sweep
from mlmath.linalg import gram
from mlmath.statistics.weights import present_weight

__all__ = [
    "Fit",
    "MinibatchFit",
    "Params",
    "Sweep",
    "fit",
    "fit_minibatch",
    "init_plus_plus",
    "init_random",
    "loss",
    "objective",
    "predict",
    "sweep",
    "transform",
]


class Fit(NamedTuple):
    """Outcome of :func:`fit`."""

    params: Params
    certificate: Certificate  # gap: eq. (2) / L(null), what one more step is sure to gain


class _State(NamedTuple):
    """Where the steps are: ``ahead`` is what the next one will bring."""

    before: Float[Array, "k d"]  # centroids before the last step
    taken: Int[Array, " k"]  # rows that clusters took in it
    now: Float[Array, "k d"]
    ahead: lloyd.Step
    steps: Int[Array, ""]
    barred: Bool[Array, ""]  # whether a step would gain, but none was allowed


@compiled()
def fit(
    centroids: Float[Real, "k d"],
    X: Float[Real, "n d"],
    *,
    sample_weight: Float[Real, " n"] | None = None,
    tolerance: Scalar | None = None,
    max_steps: Count = 300,
) -> Fit:
    """Minimise :func:`objective` by Lloyd's steps from ``centroids``.

    Differentiable to any order in X and the weights, eq. (4).

    Args:
        centroids: where the steps begin, as :func:`init_plus_plus` draws them.
        X: rows.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        tolerance: largest gap that counts as converged; 4ε of the dtype if None.
        max_steps: most steps.

    Raises:
        ValueError: if there are no centroids, more than rows, or no columns.
    """
    start = assignment.checked(centroids, X)
    X, weight = jnp.asarray(X), present_weight(X, sample_weight)
    tolerance = superlinear_tolerance(X) if tolerance is None else tolerance
    rows = assignment.frame(X, weight)
    null = assignment.spread(rows)
    state = _descended(rows, lax.stop_gradient(start), null * tolerance, max_steps)
    found = _answer(X, weight, start, rows, state)
    labels = assignment.assign(rows, state.now).labels
    value = inertia(found, X, labels, weight)
    signed = after(rows.weight, lax.stop_gradient(value))
    gain = jnp.where((signed >= 0).all(), state.ahead.gain, jnp.nan)
    lost = lax.stop_gradient(0 * (null + jnp.sum(start)))  # NaN if no answer exists, in any lane
    return Fit(
        Params(found + lost),
        certify(value + lost, gain, null, steps=state.steps, tolerance=tolerance),
    )


def _descended(rows, start, enough, max_steps):
    """Steps until one would gain no more than ``enough``, or NaN."""

    def more(state):
        return (state.steps < 0) | ((state.ahead.gain > enough) & (state.steps < max_steps))

    def advance(state):
        ahead = lloyd.step(rows, state.ahead.centroids)
        now = state.ahead.centroids
        return _State(state.now, state.ahead.taken, now, ahead, state.steps + 1, state.barred)

    n, first = rows.X.shape[0], assignment.coordinates(rows, start)
    none = jnp.full(first.shape[0], n, jnp.int32)
    ahead = lloyd.Step(first, none, jnp.zeros_like(rows.unit))
    state = _State(first, none, first, ahead, jnp.asarray(-1, jnp.int32), jnp.asarray(False))
    state = lax.while_loop(more, advance, state)
    barred = (state.steps == 0) & (state.ahead.gain > enough)
    # what is empty at the end gains nothing by a step, but belongs on a row
    idle = (state.ahead.taken < n) & ~(state.ahead.gain > enough)
    now = jnp.where(idle[:, None], state.ahead.centroids, state.now)
    taken = jnp.where(idle, state.ahead.taken, jnp.where(state.steps == 0, n, state.taken))
    ahead, _ = lax.while_loop(  # none or one, in all lanes if in any: what they are worth there
        lambda a: a[1],
        lambda a: (lloyd.step(rows, now), jnp.asarray(False)),
        (state.ahead, idle.any()),
    )
    return state._replace(now=now, taken=taken, ahead=ahead, barred=barred)


@jax.custom_jvp
def _answer(X, weight, start, rows, state):
    """Centroids that the steps found, with the derivative of eq. (4), or of the row they took."""
    begin = (state.steps == 0) & (state.taken == X.shape[0])
    return jnp.where(begin[:, None], start, assignment.points(rows, state.now))


@_answer.defjvp
@jax.default_matmul_precision("highest")
def _(primals, tangents):
    _, _, _, rows, state = primals
    labels = assignment.assign(rows, state.before).labels

    def means(X, weight, start):
        sums = gram.row_sum(_sums, (X, weight, labels), rows.origin, start)
        totals = sums[:, -1:]
        mean = rows.origin[None] + sums[:, :-1] / jnp.where(totals != 0, totals, 1)
        mean = jnp.where(state.barred, start, mean)
        own = (state.taken < X.shape[0])[:, None]
        return jnp.where(own, X.at[state.taken].get(mode="clip"), mean)

    return _answer(*primals), jax.jvp(means, primals[:3], tangents[:3])[1]


def _sums(X, weight, labels, origin, like):
    """Σ sᵢ (xᵢ − o, 1) for each label."""
    Z = apart(filled(X), weight, origin)
    moved = jnp.concatenate([Z, jnp.ones_like(X[:, :1])], axis=1)
    return jax.ops.segment_sum(weight[:, None] * moved, labels, num_segments=like.shape[0])
