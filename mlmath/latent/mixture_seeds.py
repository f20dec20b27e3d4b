"""Starts for mixtures: rows far from each other, and the scatter about them.

Of the rows in units of the standard deviations of their columns the first mean is a row drawn with
probability ∝ sᵢ, and each further one with probability

    ∝ sᵢ minⱼ ‖xᵢ − μⱼ‖²        over the means μⱼ drawn before                   (1)

as k-means++ has it. The covariances are all that of the rows about the nearest mean in these units,

    Σ = Σᵢ sᵢ (xᵢ − μ₍ᵢ₎)(xᵢ − μ₍ᵢ₎)ᵀ / Σᵢ sᵢ                                     (2)

and the weights are equal. Draws of k means begin with the draws of fewer from the same key. Where
fewer than k rows are distinct (2) is singular, and the fit that starts there says so.

Time O(nkd), memory O(nd).

>>> import jax, jax.numpy as jnp
>>> from mlmath.latent import full_mixture, mixture_seeds
>>> X = jnp.array([[0.0], [1.0], [100.0], [101.0]])
>>> start = mixture_seeds.init(full_mixture.FAMILY, jax.random.key(0), X, k=2)
>>> print(start.weights, start.covariances[0])
[0.5 0.5] [[0.5]]

References:
    Arthur & Vassilvitskii (2007), k-means++: the advantages of careful seeding, §2.2.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from mlmath.absence import within
from mlmath.arrays import Count, Key, Real
from mlmath.latent.gaussian_mixture import Family, Params
from mlmath.linalg import gram
from mlmath.statistics.center import near_mean
from mlmath.statistics.weights import present_rows

__all__ = ["init"]


def init(
    family: Family,
    key: Key,
    X: Float[Real, "n d"],
    *,
    k: int = 2,
    present: Count | None = None,
    sample_weight: Float[Real, " n"] | None = None,
) -> Params:
    """Draw a start of k components, eq. (1) and (2).

    Args:
        family: kind of covariance.
        key: of the draws.
        X: rows.
        k: number of components; static.
        present: how many have a weight, the first ones; all if None.
        sample_weight: sᵢ, to which the draws are proportional.
    """
    if not 1 <= k <= X.shape[0]:
        raise ValueError(f"k must be from 1 to the {X.shape[0]} rows of X, got {k}.")
    X, weight = lax.stop_gradient(present_rows(X, sample_weight))
    center = near_mean(X, weight)
    X = within(X, weight, center)
    Z = _standardised(X - center[None], weight)
    there = jnp.arange(k) < (k if present is None else present)
    means, nearest = _drawn(key, X, Z, weight, there)
    scatter = _scatter(family, X, means, nearest, weight)
    weights = there / jnp.sum(there).astype(X.dtype)
    stacked = jnp.broadcast_to(
        scatter, (family.pool(jnp.ones((k, 1))).shape[0], *scatter.shape[1:])
    )
    return Params(weights, means, family.shaped(stacked))


def _standardised(X, weight):
    """Rows in units of each column; to whiten them would hide groups that lie along a line."""
    total = jnp.sum(weight)
    Z = X - (weight @ X / total)[None]
    spread = jnp.sqrt(weight @ Z**2 / total)
    return Z / jnp.where(spread > 0, spread, 1)[None]


def _drawn(key, X, Z, weight, there):
    """Means (1), and for each row the nearest of those that are there."""
    keys = jax.random.split(key, there.shape[0])

    def further(state, given):
        least, nearest = state
        key, j, counts = given
        chance = weight * least
        chance = jnp.where(jnp.sum(chance) > 0, chance, weight)  # every row is a mean
        row = jax.random.categorical(key, jnp.log(chance))
        square = jnp.sum((Z - Z[row][None]) ** 2, axis=1)
        closer = ((square < least) | (j == 0)) & counts
        return (jnp.where(closer, square, least), jnp.where(closer, j, nearest)), X[row]

    start = jnp.ones_like(weight), jnp.zeros_like(weight, dtype=int)
    (_, nearest), means = lax.scan(further, start, (keys, jnp.arange(there.shape[0]), there))
    return means, nearest


def _scatter(family, X, means, nearest, weight):
    """Eq. (2)."""
    d = X.shape[1]
    block = max(d, 2**20 // (d + 3))  # of about d + 3 halves of a feature for each number
    sums = gram.row_sum(partial(_sums, family), (X, nearest, weight), means, block=block)
    return family.pool(family.factors.second((sums / jnp.sum(weight))[None], d))


def _sums(family, X, nearest, weight, means):
    return family.factors.feature_sums((X - means[nearest]).T, weight)
