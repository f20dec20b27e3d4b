"""Backpropagation: the chain rule through a multilayer perceptron, layer by layer.

Forwards, for one example x = h₀ with target y, each layer keeps what it saw,

    aₗ = Wₗ hₗ₋₁ + bₗ,        hₗ = φ(aₗ) for l < L,  h_L = a_L = z               (1)

With δₗ = ∂ℓ/∂aₗ, what the loss ℓ(z, y) gains when aₗ grows, the chain rule goes backwards,

    δ_L = ∂ℓ/∂z,        δₗ = φ′(aₗ)ᵀ Wₗ₊₁ᵀ δₗ₊₁                                (2)

where φ′ is a matrix: diagonal, and the product one number by number, for all activations but the
softmax. It gives the gradient of every layer from what stands at its two ends:

    ∂ℓ/∂Wₗ = δₗ hₗ₋₁ᵀ,        ∂ℓ/∂bₗ = δₗ                                      (3)

Each W is used once forwards and once backwards, so that the gradient in all numbers costs about
three times the loss. ``jax.grad`` of ``mlp.loss`` finds the same without any of this; here it
can be read, printed and drawn. The derivatives of φ and ℓ alone are JAX's.

>>> import jax, jax.numpy as jnp
>>> from mlmath.neural import backprop, mlp
>>> params = mlp.init(jax.random.key(0), (2, 3, 1))
>>> x, y = jnp.array([1.0, -1.0]), 0.5
>>> [layer.delta.shape for layer in backprop.layers(params, x, y)]
[(3,), (1,)]
>>> ours, theirs = backprop.gradient(params, x, y), jax.grad(mlp.loss)(params, x, y)
>>> jax.tree.all(jax.tree.map(jnp.allclose, ours, theirs))
True

References:
    Rumelhart, Hinton & Williams (1986), Learning representations by back-propagating errors,
        eq. 4-7.
    Nielsen (2015), Neural Networks and Deep Learning, §2, BP1-BP4.
    Goodfellow, Bengio & Courville (2016), Deep Learning, §6.5, algorithm 6.4.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.arrays import Real
from mlmath.neural import activations, dense, losses, mlp

__all__ = ["Layer", "gradient", "layers"]


class Layer(NamedTuple):
    """What passes through a layer, forwards and backwards."""

    input: Float[Array, " i"]  # hₗ₋₁
    pre_activation: Float[Array, " o"]  # aₗ
    output: Float[Array, " o"]  # hₗ
    delta: Float[Array, " o"]  # δₗ = ∂ℓ/∂aₗ
    gradient: dense.Params  # ∂ℓ/∂Wₗ and ∂ℓ/∂bₗ


def layers(
    params: mlp.Params,
    x: Float[Real, " d"],
    y: losses.Targets,
    *,
    error: Callable[..., Any] = losses.squared,
    activation: Callable[..., Any] = activations.relu,
) -> tuple[Layer, ...]:
    """Every layer of the network with its part in eq. (1)-(3), for ONE example."""
    passed = _forward(params, jnp.asarray(x), activation)
    h, a, z = passed[-1]
    delta = jax.grad(error)(z, y)
    found = [_layer(h, a, z, delta)]
    for after, (h, a, output) in zip(params.layers[:0:-1], passed[-2::-1], strict=True):
        (delta,) = jax.vjp(activation, a)[1](delta @ after.weights)  # (2)
        found.append(_layer(h, a, output, delta))
    return tuple(reversed(found))


def gradient(
    params: mlp.Params,
    x: Float[Real, " d"],
    y: losses.Targets,
    *,
    error: Callable[..., Any] = losses.squared,
    activation: Callable[..., Any] = activations.relu,
) -> mlp.Params:
    """Gradient of ``mlp.loss`` in all parameters for ONE example, eq. (3)."""
    found = layers(params, x, y, error=error, activation=activation)
    return mlp.Params(tuple(layer.gradient for layer in found))


def _forward(params, h, activation):
    """hₗ₋₁, aₗ and hₗ of each layer, eq. (1)."""
    *hidden, last = params.layers
    passed = []
    for layer in hidden:
        a = dense.predict(layer, h)
        passed.append((h, a, activation(a)))
        h = passed[-1][2]
    z = dense.predict(last, h)
    return [*passed, (h, z, z)]


def _layer(h, a, output, delta):
    return Layer(h, a, output, delta, dense.Params(jnp.outer(delta, h), delta))  # (3)
