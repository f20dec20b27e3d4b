"""A dense layer: every output sees every input.

For one example x ∈ ℝⁱ,

    a = W x + b,        W ∈ ℝᵒˣⁱ,  b ∈ ℝᵒ                                      (1)

and in a batch, by ``vmap``, one product of matrices. It starts with random W
(``neural.initialisations``) and b = 0. With o = 1 this is the model of linear regression.

>>> import jax, jax.numpy as jnp
>>> from mlmath.neural import dense
>>> params = dense.init(jax.random.key(0), 3, 2)
>>> params.weights.shape, dense.predict(params, jnp.zeros(3)).shape
((2, 3), (2,))

References:
    Goodfellow, Bengio & Courville (2016), Deep Learning, §6.1.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.arrays import Key, Real
from mlmath.neural import initialisations

__all__ = ["Params", "init", "predict"]


class Params(NamedTuple):
    """The affine map (1)."""

    weights: Float[Array, "o i"]  # W
    bias: Float[Array, " o"]  # b


def init(
    key: Key,
    inputs: int,
    outputs: int,
    *,
    weights: Callable[..., Float[Array, "o i"]] = initialisations.he_normal,
) -> Params:
    """Draw W and set b = 0.

    Args:
        key: a typed key.
        inputs: i.
        outputs: o.
        weights: (key, outputs, inputs) -> W, one of ``neural.initialisations``.
    """
    W = weights(key, outputs, inputs)
    return Params(W, jnp.zeros_like(W[:, 0]))


def predict(params: Params, x: Float[Real, " i"]) -> Float[Array, " o"]:
    """The outputs a for ONE example, eq. (1)."""
    return params.weights @ x + params.bias
