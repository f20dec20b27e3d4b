"""Moments of weighted rows: how many there are, their mean and their scatter, part by part.

    S = Σᵢ sᵢ,    μ = Σᵢ sᵢ xᵢ / S,    C = Σᵢ sᵢ (xᵢ − μ)(xᵢ − μ)ᵀ                (1)

C/S is the covariance matrix. In one pass over the rows, about any c near μ,

    μ = c + m,    C = Σᵢ sᵢ (xᵢ − c)(xᵢ − c)ᵀ − S mmᵀ,    m = Σᵢ sᵢ (xᵢ − c) / S    (2)

which loses no more to rounding than (1). Blocks B of rows add up,

    S = Σ_B S_B,    μ = Σ_B S_B μ_B / S,    C = Σ_B C_B + S_B (μ_B − μ)(μ_B − μ)ᵀ    (3)

so that a stream, or parts on many hosts, give what one array gives, to rounding. A block of weight
0 adds nothing. Derivatives of any order exist in rows and weights; those of a block all of whose
weights are 0 are 0, as it has no mean that could move another.

Time O(nd²), memory O(d²) and a block of rows.

>>> import jax.numpy as jnp
>>> from mlmath.statistics import moments
>>> first, second = (moments.summarize(jnp.array(X)) for X in ([[0.0], [2.0]], [[4.0]]))
>>> both = moments.merge(first, second)
>>> print(both.weight, both.mean, both.scatter)
3.0 [2.] [[8.]]

References:
    Chan, Golub & LeVeque (1979), Updating formulae and a pairwise algorithm for computing sample
        variances, eq. 2.1.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.absence import apart
from mlmath.arrays import Real
from mlmath.compiled import compiled
from mlmath.linalg import gram
from mlmath.statistics.center import sampled_mean
from mlmath.statistics.weights import present_rows

__all__ = ["Moments", "merge", "of_rows", "summarize"]


class Moments(NamedTuple):
    """What a block of rows adds, eq. (1)."""

    weight: Float[Array, ""]  # S
    mean: Float[Array, " d"]  # μ
    scatter: Float[Array, "d d"]  # C


@compiled()
def summarize(X: Float[Real, "n d"], *, sample_weight: Float[Real, " n"] | None = None) -> Moments:
    """Moments (1) of a block of rows; zeros where all its weights are, NaN with a negative one."""
    X, weight = present_rows(X, sample_weight)
    weight = weight + jnp.where((weight < 0).any(), jnp.nan, 0)
    empty = (weight == 0).all()
    found, _ = of_rows(X, jnp.where(empty, 1, weight))  # no 0/0, in derivatives either
    return jax.tree.map(lambda a: jnp.where(empty, jnp.zeros_like(a), a), found)


def merge(first: Moments, second: Moments) -> Moments:
    """Moments of two blocks together, eq. (3)."""
    total = first.weight + second.weight
    share = second.weight / jnp.where(total == 0, 1, total)
    apart = second.mean - first.mean
    between = first.weight * share * jnp.outer(apart, apart)
    return Moments(total, first.mean + share * apart, first.scatter + second.scatter + between)


def of_rows(X: Float[Real, "n d"], weight: Float[Real, " n"]) -> tuple[Moments, Float[Array, ""]]:
    """Moments by eq. (2) of rows that are finite, and Σᵢ sᵢ maxⱼ |xᵢⱼ − cⱼ|.

    The latter is 0 for rows that are all the same, and of other rows whose squares leave the
    dtype it is not.
    """
    X, weight = jnp.asarray(X), jnp.asarray(weight)
    c = sampled_mean(X, weight)
    outer, first, total, deviation = gram.row_sum(_sums, (X, weight), c)
    away = first / total
    return Moments(total, c + away, outer - jnp.outer(first, away)), deviation


def _sums(X, weight, c):
    """Sums of products of x − c and 1, and of the largest |x − c|."""
    Z = apart(X, weight, c)
    outer = gram.symmetric_product(weight[:, None] * Z, Z)
    return outer, weight @ Z, jnp.sum(weight), weight @ jnp.max(jnp.abs(Z), axis=1)
