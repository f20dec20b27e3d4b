"""Layer normalisation: the numbers of one example brought to mean 0 and variance 1.

For ONE example x ∈ ℝᵈ, with learnt γ and β,

    μ = (1/d) Σⱼ xⱼ,        σ² = (1/d) Σⱼ (xⱼ − μ)²                             (1)
    yⱼ = γⱼ (xⱼ − μ)/√(σ² + ε) + βⱼ                                            (2)

No other example takes part, so that training and prediction are the same and no weight of a row
is needed. It does not see a number that is added to all of x, nor, but for ε, a factor. If all
numbers are equal y = β, also for ε = 0, and no derivative is infinite.

>>> import jax.numpy as jnp
>>> from mlmath.neural import layer_normalisation
>>> params = layer_normalisation.init(3)
>>> print(layer_normalisation.predict(params, jnp.array([1.0, 2.0, 3.0])).round(2))
[-1.22  0.    1.22]

References:
    Ba, Kiros & Hinton (2016), Layer normalization, eq. 3 and 4.
"""

from typing import NamedTuple

import jax.numpy as jnp
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
    centred = x - jnp.mean(x)
    variance = jnp.mean(centred**2) + jnp.asarray(eps, x.dtype)
    deviation = jnp.sqrt(jnp.where(variance > 0, variance, 1))
    return params.scale * centred / deviation + params.shift
