"""Absence: a row of weight 0 vanishes from a weighted sum whatever it holds.

A sum Σᵢ sᵢ f(xᵢ, yᵢ) in which a row may hold NaN or ∞ is that of

    x̃ᵢ, ỹᵢ = xᵢ, yᵢ if finite, else 0                                          (1)
    s̃ᵢ = sᵢ if the row is finite, else 0 if sᵢ = 0, else NaN

0·NaN is NaN, in values and in derivatives, so that no factor 0 could clear such a row. Where a
row is finite nothing changes and the derivative in sᵢ at sᵢ = 0 is its influence f(xᵢ, yᵢ),
which ``where(s > 0, …)`` would lose.

A row that is finite but so far away that fourth powers of its distance, of which influences on
scatters and their derivatives are made, leave the dtype has an influence that is no number: where

    sᵢ = 0  and  |xᵢⱼ − cⱼ| > uⱼ M^¼  for some j,    M the largest number        (2)

with c and u the centre and the unit of the others, the row is absent for derivatives, too. Sums of
squares alone can do with M^½ in the place of M^¼ (:func:`apart`).

>>> import jax.numpy as jnp
>>> from mlmath import absence
>>> X, y, s = jnp.array([[1.0], [jnp.nan], [jnp.inf]]), jnp.ones(3), jnp.array([1.0, 0.0, 2.0])
>>> X, y, s = absence.cleared(X, y, s)
>>> print(X.T, y, s)
[[1. 0. 0.]] [1. 0. 0.] [ 1.  0. nan]
>>> far = jnp.array([[1.0], [1e99]])
>>> print(absence.within(far, jnp.array([1.0, 0.0]), jnp.array([1.5])).T)
[[1.  1.5]]
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mlmath.arrays import Real, Scalar

__all__ = ["apart", "cleared", "filled", "unreachable", "within"]


def cleared(
    X: Float[Real, "n d"], y: Float[Real, " n"], weight: Float[Real, " n"]
) -> tuple[Float[Array, "n d"], Float[Array, " n"], Float[Array, " n"]]:
    """Rows as finite numbers, and their weights, eq. (1).

    A missing value which somebody counts makes its weight NaN, so that it shows in the
    result. The mask does not depend on the weight: derivatives in the weight of a finite row
    are right at 0, and X stays unbatched under a ``vmap`` over weights.
    """
    finite = jnp.isfinite(X).all(axis=1) & jnp.isfinite(y)
    return (
        jnp.where(finite[:, None], X, 0),
        jnp.where(finite, y, 0),
        jnp.where(finite, weight, jnp.where(weight == 0, 0, jnp.nan)),
    )


def filled(X: Float[Real, "n d"]) -> Float[Array, "n d"]:
    """Finite numbers, and 0 in the place of others: what :func:`cleared` makes of a few rows.

    Who takes rows a block at a time needs no copy of all: weights show what is missing.
    """
    X = jnp.asarray(X)
    return jnp.where(jnp.isfinite(X), X, 0)


def unreachable(
    X: Float[Real, "n d"],
    weight: Float[Real, " n"],
    center: Float[Real, " d"],
    *,
    unit: Scalar | Float[Real, " d"] = 1.0,
) -> Bool[Array, " n"]:
    """Which rows are absent for derivatives, too, eq. (2).

    Args:
        X: rows.
        weight: sᵢ.
        center: c, a point among the rows that count.
        unit: u, their size.
    """
    center = jnp.asarray(center)
    reach = jnp.finfo(center.dtype).max ** 0.25 * jnp.asarray(unit)
    far = jnp.abs(X - center[None]) > jnp.broadcast_to(reach, center.shape)[None]
    return far.any(axis=1) & (jnp.asarray(weight) == 0)


def within(
    X: Float[Real, "n d"],
    weight: Float[Real, " n"],
    center: Float[Real, " d"],
    *,
    unit: Scalar | Float[Real, " d"] = 1.0,
) -> Float[Array, "n d"]:
    """Rows, of which those that are :func:`unreachable` lie at the centre."""
    gone = unreachable(X, weight, center, unit=unit)
    return jnp.where(gone[:, None], jnp.asarray(center)[None], X)


def apart(
    X: Float[Real, "n d"], weight: Float[Real, " n"], center: Float[Real, " d"]
) -> Float[Array, "n d"]:
    """x − c, 0 for absent rows of which not even the square is a number."""
    most = jnp.finfo(jnp.asarray(center).dtype).max ** 0.25
    return within(X, weight, center, unit=jnp.asarray(most)) - jnp.asarray(center)[None]
