"""Many runs of k-means in one call: every number of clusters from every seed.

A lane is one number of clusters k and one seed t. It begins at

    C₀ = init_plus_plus(keyₜ, X, k),        keyₜ = split(key, seeds)[t]         (1)

and takes Lloyd's steps to its end. Lanes are padded to the largest k with centroids that are
absent, at ∞, so that all are one program; padding changes no number of a lane. Of each k the best
seed is

    argminₜ L(C_kt)                                                            (2)

the first of equal ones. Slots hold as many lanes as make a good product of matrices with a block
of rows; a slot whose lane has ended takes the next, so that a lane which ends early costs nothing
more. Seedings of sizes with the same number of candidates are prefixes of one.

Law of the weights: in distribution for the seeding, exact from there. The sweep chooses, so that
its numbers carry no derivative; ``kmeans.fit`` from the chosen centroids has it.

Time that of the steps of all lanes with k the largest, in products of G·k columns; memory the
answers, a block, some numbers per row for each of the G slots.

>>> import jax, jax.numpy as jnp
>>> from mlmath.latent import sweeps
>>> X = jnp.array([[0.0], [0.5], [4.0], [4.5], [9.0], [9.5]])
>>> swept = sweeps.sweep(jax.random.key(0), X, sizes=(2, 3), seeds=4)
>>> print(swept.certificate.objective.min(axis=1), bool(swept.certificate.converged.all()))
[16.375  0.375] True
>>> print(jnp.sort(swept.centroids[1, swept.best[1]].ravel()))
[0.25 4.25 9.25]

References:
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §14.3.6 (many
        starts), §14.3.11 (the choice of k).
"""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from mlmath.arrays import Count, Key, Real, Scalar, after
from mlmath.certificate import Certificate, certify, superlinear_tolerance
from mlmath.compiled import compiled
from mlmath.latent import assignment, lloyd
from mlmath.latent.seeding import greedy, usable

__all__ = ["Sweep", "sweep"]

_COLUMNS = 128  # of a product: fewer use the processor badly, more let idle slots cost more


class Sweep(NamedTuple):
    """Outcome of :func:`sweep`; m sizes, t seeds, k the largest size."""

    sizes: Int[Array, " m"]
    centroids: Float[Array, "m t k d"]  # surplus ones are ∞
    certificate: Certificate  # of each lane, shape (m, t)
    best: Int[Array, " m"]  # seed with the least inertia, eq. (2)


class _Slots(NamedTuple):
    """Lanes under way, the next one to begin, and what has ended."""

    lane: Int[Array, " g"]  # at least as many as there are lanes: idle
    centroids: Float[Array, "g k d"]
    steps: Int[Array, " g"]
    waiting: Int[Array, ""]
    ended: tuple[Float[Array, "l k d"], Float[Array, " l"], Int[Array, " l"]]


@compiled(static=("sizes", "seeds"))
def sweep(
    key: Key,
    X: Float[Real, "n d"],
    *,
    sizes: tuple[int, ...] = (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12),
    seeds: int = 10,
    sample_weight: Float[Real, " n"] | None = None,
    tolerance: Scalar | None = None,
    max_steps: Count = 300,
) -> Sweep:
    """Run k-means for every size from every seed.

    Args:
        key: of the seeds, eq. (1).
        X: rows.
        sizes: numbers of clusters; static.
        seeds: how many for each; static.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        tolerance: largest gap that counts as converged; 4ε of the dtype if None.
        max_steps: most steps of a lane.

    Raises:
        ValueError: if there is no size or no seed, or a size is not from 1 to the number of rows.
    """
    if not sizes or seeds < 1:
        raise ValueError(f"there must be a size and a seed, got sizes {sizes} and {seeds} seeds.")
    if not 1 <= min(sizes) <= max(sizes) <= X.shape[0]:
        raise ValueError(f"sizes must be from 1 to the {X.shape[0]} rows of X, got {sizes}.")
    X, weight, lost = lax.stop_gradient(usable(X, max(sizes), sample_weight=sample_weight))
    rows = assignment.frame(X, weight)
    starts = _starts(jax.random.split(key, seeds), rows, sizes) + lost
    null = assignment.spread(rows)
    tolerance = superlinear_tolerance(X) if tolerance is None else tolerance
    present = np.repeat(np.arange(max(sizes)) < np.array(sizes)[:, None], seeds, axis=0)
    ended = _run(rows, starts, jnp.asarray(present), null * tolerance, max_steps)
    return _judged(rows, ended, jnp.asarray(present), null, tolerance, sizes)


def _starts(keys, rows, sizes):
    """C₀ of every lane, eq. (1), with zeros for what is absent; (lanes, k, d)."""
    most, starts = max(sizes), {}
    alike = {k: math.floor(math.log(k)) for k in sizes}
    for many in set(alike.values()):
        group = [k for k in sizes if alike[k] == many]
        drawn = rows.X[lax.map(partial(greedy, rows=rows, k=max(group)), keys)]
        for k in group:
            starts[k] = jnp.pad(drawn[:, :k], ((0, 0), (0, most - k), (0, 0)))
    return jnp.concatenate([starts[k] for k in sizes])


def _run(rows, starts, present, enough, max_steps):
    """Centroids, gain and steps of each lane at its end, in the coordinates of ``assignment``."""
    lanes, k, _ = starts.shape
    n = rows.X.shape[0]
    starts = jax.vmap(lambda C: assignment.coordinates(rows, C))(starts)
    slots = min(lanes, max(1, _COLUMNS // k))

    def advance(state):
        own = jnp.minimum(state.lane, lanes - 1)
        there = present[own] & (state.lane < lanes)[:, None]
        ahead = jax.vmap(lambda C, p: lloyd.step(rows, C, present=p))(state.centroids, there)
        still = (ahead.gain > enough) & (state.steps < max_steps)
        idle = (ahead.taken < n) & ~(ahead.gain > enough)[:, None]  # they belong on rows
        now = jnp.where(idle[:, :, None], ahead.centroids, state.centroids)
        place = jnp.where(still, lanes, state.lane)
        ended = jax.tree.map(
            lambda a, b: a.at[place].set(b, mode="drop"), state.ended,
            (now, ahead.gain, state.steps),
        )  # fmt: skip
        lane = jnp.where(still, state.lane, state.waiting + jnp.cumsum(~still) - 1)
        begun = starts[jnp.minimum(lane, lanes - 1)]
        return _Slots(
            lane.astype(jnp.int32),
            jnp.where(still[:, None, None], ahead.centroids, begun),
            jnp.where(still, state.steps + 1, 0),
            state.waiting + jnp.sum(~still, dtype=jnp.int32),
            ended,
        )

    zero = jnp.zeros_like(starts[:, 0, 0])
    ended = jnp.zeros_like(starts), zero, jnp.zeros(lanes, jnp.int32)
    first = jnp.arange(slots, dtype=jnp.int32)
    state = _Slots(first, starts[:slots], jnp.zeros_like(first), jnp.int32(slots), ended)
    return lax.while_loop(lambda a: (a.lane < lanes).any(), advance, state).ended


def _judged(rows, ended, present, null, tolerance, sizes):
    """Certificates of all lanes, and the best seed of each size."""
    C, gain, steps = ended
    C = jax.vmap(lambda Z: assignment.points(rows, Z))(C) + 0 * null  # NaN if no answer exists
    C = jnp.where(present[:, :, None], C, jnp.inf)

    def inertia(lane):
        return rows.weight @ assignment.apart(rows, lane[0], present=lane[1])

    inside = lax.map(inertia, (ended[0], present)) + 0 * null  # within the dtype
    value = rows.unit**2 * inside
    signed = after(rows.weight, value)
    gain = jnp.where((signed >= 0).all(), gain, jnp.nan)
    certificate = jax.vmap(
        lambda value, gain, steps: certify(value, gain, null, steps=steps, tolerance=tolerance)
    )(value, gain, steps)

    def shaped(a):
        return a.reshape(len(sizes), -1, *a.shape[1:])

    inside = jnp.where(jnp.isnan(inside), jnp.inf, inside)
    best = jnp.argmin(shaped(inside), axis=1).astype(jnp.int32)
    return Sweep(jnp.asarray(sizes), shaped(C), jax.tree.map(shaped, certificate), best)
