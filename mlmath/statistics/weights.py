"""Row weights: weight 2 is the row twice, weight 0 is the row absent, whatever it holds.

A sum over examples is Σᵢ sᵢ f(xᵢ, yᵢ), and the number of examples is Σᵢ sᵢ. With sᵢ = 0 a row
must vanish also when it holds NaN, which :mod:`mlmath.absence` brings about. Without weights
every row counts, so that nothing is cleared or copied: NaN stays what it is.

A method may know only some labels. A row with another one is an error where it counts and
nothing where it does not, and a fit to no weight at all has no answer:

    s̃ᵢ = NaN if row i is unknown and sᵢ ≠ 0, or if all s are 0, else sᵢ         (1)

>>> import jax.numpy as jnp
>>> from mlmath.statistics import weights
>>> X, y, s = jnp.array([[1.0], [jnp.nan]]), jnp.array([1.0, 2.0]), jnp.array([1.0, 0.0])
>>> X, y, s = weights.present(X, y, s)
>>> print(X.T, y, s)
[[1. 0.]] [1. 0.] [1. 0.]
>>> print(weights.known(jnp.array([2.0, 3.0, 0.0]), jnp.array([True, False, False])))
[ 2. nan  0.]
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mlmath.absence import cleared
from mlmath.arrays import Labels, Real

__all__ = ["known", "present", "present_rows", "present_weight", "total"]


def present_weight(
    X: Float[Real, "n d"], sample_weight: Float[Real, " n"] | None
) -> Float[Array, " n"]:
    """Weights as they are, ones if None."""
    ones = jnp.ones_like(X, shape=X.shape[:1])
    return ones if sample_weight is None else jnp.asarray(sample_weight, ones.dtype)


def present(
    X: Float[Real, "n d"], y: Labels, sample_weight: Float[Real, " n"] | None
) -> tuple[Float[Array, "n d"], Float[Array, " n"], Float[Array, " n"]]:
    """Rows that count, as finite numbers, and their weights, eq. (1) of ``absence``.

    A missing value which somebody counts makes its weight NaN, so that it shows in the
    result. Derivatives in the weight of a finite row are right at 0.

    Raises:
        ValueError: if there are no rows.
    """
    if X.shape[0] == 0:
        raise ValueError("X must have at least one row, got none.")
    X = jnp.asarray(X)
    y = jnp.asarray(y, X.dtype)
    if sample_weight is None:
        return X, y, jnp.ones_like(y)
    return cleared(X, y, jnp.asarray(sample_weight, X.dtype))


def present_rows(
    X: Float[Real, "n d"], sample_weight: Float[Real, " n"] | None
) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
    """:func:`present` of rows without a target."""
    X = jnp.asarray(X)
    X, _, weight = present(X, jnp.zeros_like(X, shape=X.shape[:1]), sample_weight)
    return X, weight


def total(values: Float[Real, " n"], weight: Float[Real, " n"]) -> Float[Array, ""]:
    """Σᵢ sᵢ vᵢ, in which a row of weight 0 whose value has left the dtype is absent."""
    values, weight = jnp.asarray(values), jnp.asarray(weight)
    return jnp.sum(weight * jnp.where((weight == 0) & jnp.isinf(values), 0, values))


def known(weight: Float[Real, " n"], label: Bool[Real, " n"]) -> Float[Array, " n"]:
    """Weights that show an unknown label or no weight at all, eq. (1).

    Args:
        weight: sᵢ, as :func:`present` returns it.
        label: whether the method knows the row's label.
    """
    lost = (~label & (weight != 0)) | (weight == 0).all()
    return jnp.asarray(weight) + jnp.where(lost, jnp.nan, 0)
