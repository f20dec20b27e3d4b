"""Absence: a row of weight 0 vanishes from a weighted sum whatever it holds.

A sum Σᵢ sᵢ f(xᵢ, yᵢ) in which a row may hold NaN or ∞ is that of

    x̃ᵢ, ỹᵢ = xᵢ, yᵢ if finite, else 0                                          (1)
    s̃ᵢ = sᵢ if the row is finite, else 0 if sᵢ = 0, else NaN

0·NaN is NaN, in values and in derivatives, so that no factor 0 could clear such a row. Where a
row is finite nothing changes and the derivative in sᵢ at sᵢ = 0 is its influence f(xᵢ, yᵢ),
which ``where(s > 0, …)`` would lose.

>>> import jax.numpy as jnp
>>> from mlmath import absence
>>> X, y, s = jnp.array([[1.0], [jnp.nan], [jnp.inf]]), jnp.ones(3), jnp.array([1.0, 0.0, 2.0])
>>> X, y, s = absence.cleared(X, y, s)
>>> print(X.T, y, s)
[[1. 0. 0.]] [1. 0. 0.] [ 1.  0. nan]
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.arrays import Real

__all__ = ["cleared"]


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
