"""Resampling: the bootstrap as row weights, so that fitting a resample is a weighted fit.

Weights sᵢ count repetition: N = Σᵢ sᵢ examples, of which row i is sᵢ. A resample is another
vector of weights c of the same rows, drawn with mean s in one of three ways:

    bootstrap:           c = (N/m) · Multinomial(m; s₁/N, …, sₙ/N),  m = max(1, ⌊N + ½⌋)   (1)
    Poisson bootstrap:   cᵢ ~ Poisson(sᵢ), independent                                     (2)
    Bayesian bootstrap:  c = N · Dirichlet(s₁, …, sₙ)                                       (3)

(1) draws N examples with replacement; cᵢ are whole numbers where N is, and Σᵢ cᵢ = N. In (2) that
sum is N in the mean only, but no row needs to know of another. In (3) Σᵢ cᵢ = N, and no row that
counts is left out. With pᵢ = sᵢ/N the covariances are

    cov(cᵢ, cⱼ) = κ (pᵢδᵢⱼ − pᵢpⱼ),    κ = N²/m in (1), N²/(N + 1) in (3);  sᵢδᵢⱼ in (2)   (4)

A row of weight 0 is never drawn. A row of weight 2 is drawn as the row twice, *in distribution*:
the weights of the two together have the law of the one. Weights that are only relative should be
scaled to the sum n first. No weight at all gives zeros; a weight that is negative or not finite
makes all of them NaN. A draw is discrete: its derivative in s is zero.

Without replacement, rows come in random order, and those that come first make a subset of t
examples; with Cᵢ = Σ sⱼ over the rows j before row i in that order,

    nested subsets:      cᵢ(t) = min(sᵢ, max(0, t − Cᵢ)),     Σᵢ cᵢ(t) = min(t, N)          (5)

so that c(t) grows with t. A row of weight 2 comes at once, as a pair, not as two rows that come
apart; the last row may come in part.

In (1) places between 0 and N are drawn and the row of each is found in the partial sums of s. Of
whole weights these are exact while N < 1/ε (1.6·10⁷ in float32); otherwise the probability of
row i is off by a factor 1 ± Nε/sᵢ.

Time of (1) O(n + N log n), of the others O(n); memory O(n).

>>> import jax, jax.numpy as jnp
>>> from mlmath.statistics import resampling
>>> weight = jnp.array([1.0, 2.0, 0.0, 1.0])
>>> drawn = resampling.bootstrap_weights(jax.random.key(0), weight, resamples=500)
>>> print(drawn.shape, drawn.sum(axis=1).min(), drawn.sum(axis=1).max(), drawn[:, 2].max())
(500, 4) 4.0 4.0 0.0

References:
    Efron & Tibshirani (1993), An Introduction to the Bootstrap, §6.2, for (1).
    Hanley & MacGibbon (2006), Creating non-parametric bootstrap samples using Poisson
        frequencies, for (2).
    Rubin (1981), The Bayesian bootstrap, §2, for (3).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from mlmath.arrays import Key, Real
from mlmath.compiled import as_argument, compiled

__all__ = [
    "bayesian_bootstrap", "bootstrap", "bootstrap_weights", "nested_subsets", "poisson_bootstrap",
]  # fmt: skip


def bootstrap(key: Key, weight: Float[Real, " n"]) -> Float[Array, " n"]:
    """One resample by eq. (1).

    Args:
        key: a typed key.
        weight: sᵢ, ones where each row is one example.
    """
    weight, sound = _sound(weight)
    total, edges = jnp.sum(weight), _edges(weight)
    draws = jnp.where(total > 0, jnp.maximum(jnp.floor(total + 0.5), 1), 0)
    at_once = max(len(weight), 256)
    end = jnp.maximum(draws, 1)

    def block(b, counts):
        place = _places(jax.random.fold_in(key, b), at_once, end) * (total / end)
        drawn = b * at_once + jnp.arange(at_once) < draws
        return counts.at[_row(edges, place)].add(drawn.astype(int))

    blocks = jnp.ceil(draws / at_once).astype(int)
    counts = lax.fori_loop(0, blocks, block, jnp.zeros(len(weight), int))
    return sound * counts * (total / end)


def poisson_bootstrap(key: Key, weight: Float[Real, " n"]) -> Float[Array, " n"]:
    """One resample by eq. (2); arguments as for :func:`bootstrap`, the key of kind threefry."""
    weight, sound = _sound(weight)
    return sound * jax.random.poisson(key, weight)


def bayesian_bootstrap(key: Key, weight: Float[Real, " n"]) -> Float[Array, " n"]:
    """One resample by eq. (3); arguments as for :func:`bootstrap`."""
    weight, sound = _sound(weight)
    there = weight > 0
    logs = jax.random.loggamma(key, jnp.where(there, weight, 1), dtype=weight.dtype)
    share = jax.nn.softmax(jnp.where(there, logs, -jnp.inf))
    return sound * jnp.where(there, jnp.sum(weight) * share, 0)


def bootstrap_weights(
    key: Key,
    weight: Float[Real, " n"],
    *,
    resamples: int = 1000,
    draw: Callable[..., Any] = bootstrap,
) -> Float[Array, "b n"]:
    """Resamples, one per row: those of ``draw`` with the keys ``jax.random.split(key, resamples)``.

    Args:
        key: a typed key.
        weight: sᵢ, ones where each row is one example.
        resamples: how many.
        draw: one of the three above, or any function of a key and the weights.
    """
    return _many(as_argument(draw), key, weight, resamples)


def nested_subsets(
    key: Key, weight: Float[Real, " n"], sizes: Float[Real, " t"] | Int[Real, " t"]
) -> Float[Array, "t n"]:
    """Weights of nested random subsets, eq. (5), one row per size.

    The order is ``jax.random.permutation(key, n)``. Of rows that each count once, a whole size
    takes whole rows.

    Args:
        key: a typed key.
        weight: sᵢ, ones where each row is one example.
        sizes: t, in examples; beyond N all rows are taken.
    """
    weight, sound = _sound(weight)
    order = jax.random.permutation(key, len(weight))
    ordered = weight[order]
    room = jnp.asarray(sizes, weight.dtype)[:, None] - (jnp.cumsum(ordered) - ordered)[None]
    taken = jnp.minimum(ordered[None], jnp.maximum(room, 0))
    return sound * jnp.zeros_like(taken).at[:, order].set(taken)


@compiled(static=("resamples",))
def _many(draw, key, weight, resamples):
    return jax.vmap(draw, (0, None))(jax.random.split(key, resamples), weight)


def _sound(weight):
    """Weights, and the factor 1; zeros and the factor NaN if one is negative or not finite."""
    weight = lax.stop_gradient(jnp.asarray(weight))
    sound = (weight >= 0).all() & jnp.isfinite(jnp.sum(weight))
    return jnp.where(sound, weight, 0), jnp.where(sound, jnp.ones_like(weight[0]), jnp.nan)


def _edges(weight):
    """Partial sums of s, in which rounding gives a row of weight 0 no room."""
    return lax.cummax(jnp.where(weight > 0, jnp.cumsum(weight), 0))


def _row(edges, place):
    """Row that each place falls in: the first whose partial sum lies beyond it."""
    inside = jnp.minimum(place, jnp.nextafter(edges[-1], jnp.zeros_like(edges[-1])))
    return jnp.searchsorted(edges, inside, side="right")


def _places(key, size, end):
    """Numbers uniform between 0 and the whole number ``end``, no whole number too often."""
    whole, part = jax.random.split(key)
    below = jax.random.randint(whole, (size,), 0, end.astype(int)).astype(end.dtype)
    place = below + jax.random.uniform(part, (size,), end.dtype)
    return jnp.minimum(place, jnp.nextafter(below + 1, jnp.zeros_like(below)))
