"""Row weights: weight 2 is the row twice, weight 0 is the row absent, whatever it holds.

A sum over examples is Σᵢ sᵢ f(xᵢ, yᵢ), and the number of examples is Σᵢ sᵢ. With sᵢ = 0 a row
must vanish also when it holds NaN, and with a finite row the derivative in sᵢ at sᵢ = 0 is
the row's influence f(xᵢ, yᵢ), which ``where(s > 0, …)`` would lose:

    x̃ᵢ, ỹᵢ = xᵢ, yᵢ if finite, else 0                                          (1)
    s̃ᵢ = sᵢ if the row is finite, else 0 if sᵢ = 0, else NaN

Without weights every row counts, so that nothing is cleared or copied: NaN stays what it is.

>>> import jax.numpy as jnp
>>> from mlmath.statistics import weights
>>> X, y, s = jnp.array([[1.0], [jnp.nan]]), jnp.array([1.0, 2.0]), jnp.array([1.0, 0.0])
>>> X, y, s = weights.present(X, y, s)
>>> print(X.T, y, s)
[[1. 0.]] [1. 0.] [1. 0.]
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.arrays import Labels, Real

__all__ = ["present"]


def present(
    X: Float[Real, "n d"], y: Labels, sample_weight: Float[Real, " n"] | None
) -> tuple[Float[Array, "n d"], Float[Array, " n"], Float[Array, " n"]]:
    """Rows that count, as finite numbers, and their weights, eq. (1).

    A missing value which somebody counts makes its weight NaN, so that it shows in the
    result. The mask does not depend on the weight: derivatives in the weight of a finite row
    are right at 0, and X stays unbatched under a ``vmap`` over weights.

    Raises:
        ValueError: if there are no rows.
    """
    if X.shape[0] == 0:
        raise ValueError("X must have at least one row, got none.")
    X, y = jnp.asarray(X), jnp.asarray(y, X.dtype)
    if sample_weight is None:
        return X, y, jnp.ones_like(y)
    weight = jnp.asarray(sample_weight, X.dtype)
    finite = jnp.isfinite(X).all(axis=1) & jnp.isfinite(y)
    return (
        jnp.where(finite[:, None], X, 0),
        jnp.where(finite, y, 0),
        jnp.where(finite, weight, jnp.where(weight == 0, 0, jnp.nan)),
    )
