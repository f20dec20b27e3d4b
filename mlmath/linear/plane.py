"""The plane: a linear model of a number.

For one example x ∈ ℝᵈ the prediction and the loss on its target y are

    ŷ(x) = wᵀx + b                                                             (1)
    ℓ(w, b) = ½ (y − ŷ(x))²                                                    (2)

Least squares, ridge regression and Adaline are three ways to (w, b): the first minimises
Σᵢ sᵢℓᵢ, the second adds a penalty on w, the third takes a step down the gradient of ℓ after
every example. They share this module's names, so what one has fitted is a start for another.

The first two fit w to x − x̄ and round b = ȳ − wᵀx̄ at the end, each example's loss by at most

    Δ²/2,        Δ = ε (|w|ᵀ|x̄| + |b|)                                         (3)

to first order at the best b, which their gaps count.

Time and memory O(d) per example.

>>> import jax.numpy as jnp, mlmath
>>> from mlmath.linear import plane
>>> params = plane.Params(jnp.array([2.0]), jnp.array(1.0))
>>> print(plane.predict(params, jnp.array([3.0])), plane.loss(params, jnp.array([3.0]), 8.0))
7.0 0.5
>>> print(mlmath.rows(plane.predict)(params, jnp.array([[0.0], [1.0]])))
[1. 3.]

References:
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §3.2, eq. 3.1.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mlmath.arrays import Real, Scalar

__all__ = ["Params", "loss", "predict", "rounding"]


class Params(NamedTuple):
    """The plane ŷ = wᵀx + b."""

    weights: Float[Array, " d"]  # w, change of y per unit of each feature
    bias: Float[Array, ""]  # b, prediction at x = 0


def predict(params: Params, x: Float[Real, " d"]) -> Float[Array, ""]:
    """Prediction for ONE example, eq. (1)."""
    return jnp.vdot(params.weights, x) + params.bias


def loss(params: Params, x: Float[Real, " d"], y: Scalar) -> Float[Array, ""]:
    """Half the squared error of ONE example, eq. (2)."""
    return jnp.square(y - predict(params, x)) / 2


def rounding(params: Params, center: Float[Real, " d"]) -> Float[Array, ""]:
    """What rounding the bias may add to the mean of the loss, eq. (3)."""
    w, b = lax.stop_gradient((params.weights, params.bias))
    size = jnp.abs(w) @ jnp.abs(lax.stop_gradient(center)) + jnp.abs(b)
    return (jnp.finfo(size.dtype).eps * size) ** 2 / 2
