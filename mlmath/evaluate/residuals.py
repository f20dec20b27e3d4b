"""Residuals: how far predicted numbers are from the measured ones.

With weights sᵢ, S = Σᵢ sᵢ and the weighted mean ȳ = Σᵢ sᵢ yᵢ / S,

    mean squared error     Σᵢ sᵢ (ŷᵢ − yᵢ)² / S                                (1)
    mean absolute error    Σᵢ sᵢ |ŷᵢ − yᵢ| / S                                 (2)
    R²                     1 − Σᵢ sᵢ (ŷᵢ − yᵢ)² / Σᵢ sᵢ (yᵢ − ȳ)²              (3)

so that R² is 1 for a perfect prediction, 0 for the mean of these rows and negative for
anything worse.

At the edges: all weights 0 give NaN, and so does a row that counts whose error, or the square of it
in (1) and (3), is not a finite number. R² of targets that are all one number is 0/0 or −∞ and has
no use: it is NaN, so that selection ranks it last (scikit-learn says 1 or 0). In (3) sums of
squares are taken about a first mean and corrected, in units of the range of y, so that a large
offset costs no digits and no unit of y leaves the range of the dtype.

Differentiable in every argument; the derivative of |0| is 0.

Time O(n), memory O(n).

>>> import jax.numpy as jnp
>>> from mlmath.evaluate import metrics
>>> predicted, y = jnp.array([2.5, 0.0, 2.0, 8.0]), jnp.array([3.0, -0.5, 2.0, 7.0])
>>> print(metrics.mean_squared_error(predicted, y), metrics.mean_absolute_error(predicted, y))
0.375 0.5
>>> print(metrics.r_squared(predicted, y))
0.9486

References:
    Draper & Smith (1998), Applied Regression Analysis, 3rd ed., ch. 1 (R²).
    Chan, Golub & LeVeque (1983), Algorithms for computing the sample variance, eq. 1.7.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mlmath.arrays import Real
from mlmath.compiled import compiled
from mlmath.evaluate.averages import counted, mean

__all__ = ["mean_absolute_error", "mean_squared_error", "r_squared"]


@compiled()
def mean_squared_error(
    predicted: Float[Real, " n"],
    y: Float[Real, " n"],
    *,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[Array, ""]:
    """Mean squared error, eq. (1), in the squared units of y."""
    return _mean(jnp.square, jnp.subtract(predicted, y), sample_weight)


@compiled()
def mean_absolute_error(
    predicted: Float[Real, " n"],
    y: Float[Real, " n"],
    *,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[Array, ""]:
    """Mean absolute error, eq. (2), in the units of y."""
    return _mean(_size, jnp.subtract(predicted, y), sample_weight)


@compiled()
def r_squared(
    predicted: Float[Real, " n"],
    y: Float[Real, " n"],
    *,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[Array, ""]:
    """Coefficient of determination R², eq. (3); NaN for a constant y."""
    # what does not depend on the prediction is computed once for all lanes of a vmap
    variance, unit = _variance(y, sample_weight)
    return 1 - _mean(jnp.square, jnp.subtract(predicted, y) / unit, sample_weight) / variance


def _mean(loss, residual, sample_weight):
    """Mean loss; a row whose loss is no finite number cannot be judged."""
    judged = jnp.isfinite(loss(residual))
    weight = counted(judged, sample_weight, residual)
    return mean(loss(jnp.where(judged, residual, 0)), weight)


def _size(residual):
    """|r| with derivative 0 at 0."""
    return residual * jnp.sign(residual)


def _variance(y, sample_weight):
    """Weighted variance of y in units of its squared range, NaN if that is 0; and the range."""
    finite = jnp.isfinite(y)
    weight, y = counted(finite, sample_weight, y), jnp.where(finite, y, 0)
    present = weight != 0
    greatest = jnp.max(jnp.where(present, y, -jnp.inf))
    least = jnp.min(jnp.where(present, y, jnp.inf))
    varies = greatest > least
    unit = lax.stop_gradient(jnp.where(varies, greatest - least, 1))
    offset = (y - lax.stop_gradient(mean(y, weight))) / unit
    variance = _mean(jnp.square, offset, weight) - jnp.square(mean(offset, weight))
    return jnp.where(varies, variance, jnp.nan), unit
