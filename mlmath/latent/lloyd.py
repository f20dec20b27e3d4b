"""Lloyd's step: every row to its nearest centroid, every centroid to the mean of its rows.

With rows xᵢ, weights sᵢ, centroids cⱼ and Aⱼ the rows that lie nearest to cⱼ,

    Nⱼ = Σ_{i∈Aⱼ} sᵢ,        mⱼ = Σ_{i∈Aⱼ} sᵢ xᵢ / Nⱼ                            (1)

the step is cⱼ ← mⱼ. A cluster with Nⱼ = 0 is empty. One after the other the empty ones, the
first first, take the row that lies farthest from all that stand by then,

    c ← x_f,        f = argmaxᵢ minⱼ ‖xᵢ − mⱼ‖²        over rows with sᵢ ≠ 0        (2)

of equally far ones the first; rows that are equal are taken once as long as others differ. The
inertia L falls by at least

    Σⱼ Nⱼ ‖cⱼ − mⱼ‖² + Σ_f s_f minⱼ ‖x_f − mⱼ‖²                                  (3)

the second sum over the rows of (2), each before it was taken. Distances do not know how often a
row is repeated, so that (2) is the same for weights as for repetitions.

Time O(nkd), and as much again for each empty cluster; memory as in ``latent.assignment``.

>>> import jax.numpy as jnp
>>> from mlmath.latent import assignment, lloyd
>>> rows = assignment.frame(jnp.array([[0.0], [1.0], [9.0]]), jnp.ones(3))
>>> ahead = lloyd.step(rows, assignment.coordinates(rows, jnp.array([[0.0], [5.0]])))
>>> print(assignment.points(rows, ahead.centroids).T)
[[0.5 9. ]]

References:
    Lloyd (1982), Least squares quantization in PCM, IEEE Transactions on Information Theory
        28(2), §II, method I.
    Gonzalez (1985), Clustering to minimize the maximum intercluster distance, Theoretical
        Computer Science 38, §2 (the farthest row).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from mlmath.arrays import Real
from mlmath.latent import assignment
from mlmath.latent.assignment import Frame

__all__ = ["Step", "step"]


class Step(NamedTuple):
    """Outcome of :func:`step`."""

    centroids: Float[Array, "k d"]  # after the step, in the coordinates of ``assignment``
    taken: Int[Array, " k"]  # f of the clusters that were empty, else n
    gain: Float[Array, ""]  # eq. (3), in the coordinates of ``assignment``


def step(
    rows: Frame, centroids: Float[Real, "k d"], *, present: Bool[Real, " k"] | None = None
) -> Step:
    """One step of Lloyd's, eq. (1) and (2).

    Args:
        rows: the rows.
        centroids: cⱼ in the coordinates of ``assignment``.
        present: which centroids there are; all if None. The others stay what they are.
    """
    n, k = rows.X.shape[0], centroids.shape[0]
    clusters = assignment.assign(rows, centroids, present=present)
    some = clusters.totals != 0
    means = clusters.sums / jnp.where(some, clusters.totals, 1)[:, None]
    means = jnp.where(some[:, None], means, centroids)
    gain = jnp.sum(clusters.totals * jnp.sum((centroids - means) ** 2, axis=1))
    settled = some if present is None else some | ~jnp.asarray(present)
    taken = jnp.full(k, n, jnp.int32)

    def place_one(state):
        means, some, settled, taken, gain = state
        j = jnp.min(jnp.where(settled, k, jnp.arange(k, dtype=jnp.int32)))
        f, z, square = _farthest(rows, means, some)
        here = jnp.arange(k) == j
        gain = gain + square
        return (
            jnp.where(here[:, None], z[None], means), some | here, settled | here,
            jnp.where(here, f, taken), gain,
        )  # fmt: skip

    state = lax.while_loop(lambda a: ~a[2].all(), place_one, (means, some, settled, taken, gain))
    return Step(state[0], state[3], state[4])


def _farthest(rows, centroids, present):
    """Row f of eq. (2), its coordinates, and its term of eq. (3)."""
    n = rows.X.shape[0]
    squares = assignment.apart(rows, centroids, present=present)
    squares = jnp.where(rows.weight != 0, squares, -1)
    index = jnp.arange(n, dtype=jnp.int32)
    f = jnp.min(jnp.where(squares >= jnp.max(squares), index, n - 1))
    x, s, square = (a.at[f[None]].get(mode="clip") for a in (rows.X, rows.weight, squares))
    return f, assignment.coordinates(rows, x)[0], (s * square)[0]
