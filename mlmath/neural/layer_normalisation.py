"""Layer normalisation: the numbers of one example brought to mean 0 and variance 1.

For ONE example x ∈ ℝᵈ, with learnt γ and β,

    μ = (1/d) Σⱼ xⱼ,        σ² = (1/d) Σⱼ (xⱼ − μ)²                             (1)
    yⱼ = γⱼ (xⱼ − μ)/√(σ² + ε) + βⱼ                                            (2)

No other example takes part, so that training and prediction are the same and no weight of a row
is needed. It does not see a number that is added to all of x, nor, but for ε, a factor. Rounding
cannot bring the mean outside what was averaged, so that y = β exactly if all numbers are equal,
also for ε = 0, and no derivative is infinite. The squares are those of (x − μ)/u with
u = max(√ε, maxⱼ |xⱼ − μ|/8), so that none overflows (u and 1/u are numbers of the dtype). The
outputs have the dtype of x.

>>> import jax.numpy as jnp
>>> from mlmath.neural import layer_normalisation
>>> params = layer_normalisation.init(3)
>>> print(layer_normalisation.predict(params, jnp.array([1.0, 2.0, 3.0])).round(2))
[-1.22  0.    1.22]

References:
    Ba, Kiros & Hinton (2016), Layer normalization, eq. 3 and 4.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mlmath.arrays import Real, Scalar

__all__ = ["Params", "init", "predict"]


class Params(NamedTuple):
    """What follows the normalisation, eq. (2)."""

    scale: Float[Array, " d"]  # γ
    shift: Float[Array, " d"]  # β


def init(features: int) -> Params:
    """γ = 1 and β = 0 for ``features`` numbers."""
    return Params(jnp.ones(features), jnp.zeros(features))


def predict(params: Params, x: Float[Real, " d"], *, eps: Scalar = 1e-5) -> Float[Array, " d"]:
    """Normalise ONE example, eq. (2), with ε = ``eps``."""
    x = jnp.asarray(x)
    γ, β, eps = jax.tree.map(lambda a: jnp.asarray(a, x.dtype), (*params, eps))
    first = lax.stop_gradient(jnp.clip(jnp.mean(x), jnp.min(x), jnp.max(x)))
    offset = x - first  # 0 if all numbers are equal
    unit = lax.stop_gradient(jnp.maximum(jnp.max(jnp.abs(offset)) / 8, jnp.sqrt(eps)))
    unit = jnp.where(unit == 0, 1, unit)
    z = offset / unit
    z = z - jnp.mean(z)
    variance = jnp.mean(z**2) + eps / unit / unit
    return γ * z / jnp.sqrt(jnp.where(variance == 0, 1, variance)) + β
