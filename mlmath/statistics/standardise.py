"""Standardise: columns brought to weighted mean 0 and weighted variance 1.

For column j with row weights sᵢ and S = Σᵢ sᵢ (never the number of rows),

    μⱼ = Σᵢ sᵢ xᵢⱼ / S,        σⱼ² = Σᵢ sᵢ (xᵢⱼ − μⱼ)² / S                      (1)

    zⱼ = (xⱼ − μⱼ) / σⱼ,       xⱼ = μⱼ + σⱼ zⱼ                                  (2)

The mean is the minimiser of

    L(μ) = ½ Σᵢ sᵢ ‖xᵢ − μ‖²                                                   (3)

A column that does not vary beyond rounding, σⱼ ≤ 4ε|μⱼ|, keeps its units: its scale is 1.
Sums are taken about a first mean, so that a large offset costs no digits but those that X itself
has lost. With all weights 0 the answer is NaN and not converged. There is no target y here: what
every fit promises is tested beside this module, alone and in front of a model.

Time and memory O(nd).

>>> import jax.numpy as jnp, mlmath
>>> from mlmath.statistics import standardise
>>> X = jnp.array([[1.0, 7.0], [3.0, 7.0]])
>>> params = standardise.fit(X).params
>>> print(params.center, params.scale)
[2. 7.] [1. 1.]
>>> print(mlmath.rows(standardise.transform)(params, X))
[[-1.  0.]
 [ 1.  0.]]

References:
    Chan, Golub & LeVeque (1983), Algorithms for computing the sample variance, eq. 1.7.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.arrays import Real
from mlmath.certificate import Certificate, certify, superlinear_tolerance
from mlmath.compiled import compiled
from mlmath.statistics.weights import present_rows

__all__ = ["Fit", "Params", "fit", "inverse", "objective", "transform"]


class Params(NamedTuple):
    """The affine map (2), column by column."""

    center: Float[Array, " d"]  # μ, in the units of the column
    scale: Float[Array, " d"]  # σ, in the units of the column; 1 where it is constant


class Fit(NamedTuple):
    """Outcome of :func:`fit`."""

    params: Params
    certificate: Certificate  # gap: ½‖∇L(μ)‖²/S over L(0), exact for a quadratic


def transform(params: Params, x: Float[Real, " d"]) -> Float[Array, " d"]:
    """Standard units z of ONE example, eq. (2)."""
    return jnp.asarray((x - params.center) / params.scale)


def inverse(params: Params, z: Float[Real, " d"]) -> Float[Array, " d"]:
    """Units of the data x of ONE example in standard units, eq. (2)."""
    return params.center + params.scale * z


def objective(
    params: Params, X: Float[Real, "n d"], *, sample_weight: Float[Real, " n"] | None = None
) -> Float[Array, ""]:
    """Weighted squared distance L to the center, eq. (3), that :func:`fit` minimises."""
    X, weight = present_rows(X, sample_weight)
    return weight @ jnp.sum((X - params.center[None]) ** 2, axis=1) / 2


@compiled()
def fit(X: Float[Real, "n d"], *, sample_weight: Float[Real, " n"] | None = None) -> Fit:
    """Weighted mean and standard deviation of each column, eq. (1).

    Differentiable to any order in ``X`` and ``sample_weight``, except that the scale of a constant
    column is the number 1.

    Args:
        X: features.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
    """
    X, weight = present_rows(X, sample_weight)
    total = jnp.sum(weight)
    first = jnp.sum(weight[:, None] * X, axis=0) / total  # a long product would lose digits
    shift = jnp.sum(weight[:, None] * (X - first[None]), axis=0) / total
    center = first + shift
    offset = X - first[None] - shift[None]
    counted = jnp.where((weight != 0)[:, None], jnp.abs(offset), 0)
    largest = jax.lax.stop_gradient(jnp.max(counted, axis=0))
    unit = jnp.where(largest > 0, largest, 1)  # so that no square leaves the range of the dtype
    squares = weight @ (offset / unit[None]) ** 2 / total
    varies = squares > (4 * float(jnp.finfo(X.dtype).eps) * center / unit) ** 2
    scale = jnp.where(varies, unit * jnp.sqrt(jnp.where(varies, squares, 1)), 1)
    residual = X - center[None]
    gradient = weight @ residual
    return Fit(
        # NaN in, NaN out: a comparison with NaN is false, and 1 would look like an answer
        Params(center, jnp.where(jnp.isnan(squares), jnp.nan, scale)),
        certify(
            weight @ jnp.sum(residual**2, axis=1) / 2,
            gradient @ gradient / total / 2,
            weight @ jnp.sum(X**2, axis=1) / 2,
            tolerance=superlinear_tolerance(X),
        ),
    )
