"""Batch normalisation: each feature brought to mean 0 and variance 1 over the batch.

While training on rows xᵢ ∈ ℝᵈ of weights sᵢ, with S = Σᵢ sᵢ and learnt γ and β,

    μⱼ = Σᵢ sᵢ xᵢⱼ / S,        σⱼ² = Σᵢ sᵢ (xᵢⱼ − μⱼ)² / S                      (1)
    yᵢⱼ = γⱼ (xᵢⱼ − μⱼ)/√(σⱼ² + ε) + βⱼ                                        (2)

and beside it running averages are kept,

    m ← ρ m + (1 − ρ) μ,        v ← ρ v + (1 − ρ) σ²                           (3)

from which ONE example is normalised when the network predicts,

    yⱼ = γⱼ (xⱼ − mⱼ)/√(vⱼ + ε) + βⱼ                                           (4)

σ² divides by S, in (3) too. A constant feature has y = β, also for ε = 0, and no derivative
is infinite. The law of the weights is *exact*: 2 is the row twice and 0 the row absent,
whatever it holds; its own outputs are finite and mean nothing. A missing value that counts, or no
weight at all, makes all outputs NaN. The derivative of (2) goes through μ and σ; the averages (3)
have none.

>>> import jax, jax.numpy as jnp
>>> from mlmath.neural import batch_normalisation
>>> params, state = batch_normalisation.init(1)
>>> outputs, state = batch_normalisation.step(params, state, jnp.array([[1.0], [3.0]]))
>>> print(outputs.T.round(2), state.center, state.variance)
[[-1.  1.]] [0.2] [1.]

References:
    Ioffe & Szegedy (2015), Batch normalization, algorithm 1 for (1) and (2), algorithm 2 for (4).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.arrays import Real, Scalar
from mlmath.optimize import trees
from mlmath.statistics.weights import present

__all__ = ["Params", "State", "init", "predict", "step"]


class Params(NamedTuple):
    """What follows the normalisation, eq. (2)."""

    scale: Float[Array, " d"]  # γ
    shift: Float[Array, " d"]  # β


class State(NamedTuple):
    """Running averages (3)."""

    center: Float[Array, " d"]  # m
    variance: Float[Array, " d"]  # v


def init(features: int) -> tuple[Params, State]:
    """γ = 1, β = 0, m = 0 and v = 1 for ``features`` numbers."""
    zero, one = jnp.zeros(features), jnp.ones(features)
    return Params(one, zero), State(zero, one)


def predict(
    params: Params, state: State, x: Float[Real, " d"], *, eps: Scalar = 1e-5
) -> Float[Array, " d"]:
    """Normalise ONE example by the running averages, eq. (4)."""
    variance = state.variance + jnp.asarray(eps, x.dtype)
    deviation = jnp.sqrt(jnp.where(variance > 0, variance, 1))
    return params.scale * (x - state.center) / deviation + params.shift


def step(
    params: Params,
    state: State,
    X: Float[Real, "n d"],
    *,
    decay: Scalar = 0.9,
    eps: Scalar = 1e-5,
    sample_weight: Float[Real, " n"] | None = None,
) -> tuple[Float[Array, "n d"], State]:
    """Normalise a batch while training, eq. (2), and move the running averages, eq. (3).

    Args:
        params: γ and β.
        state: the averages so far.
        X: the batch.
        decay: ρ, what remains of the averages.
        eps: ε.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
    """
    X = jnp.asarray(X)
    X, _, weight = present(X, jnp.zeros_like(X, shape=X.shape[:1]), sample_weight)
    mean = weight @ X / jnp.sum(weight)
    variance = weight @ (X - mean[None]) ** 2 / jnp.sum(weight)
    batch = State(mean, variance)
    outputs = jax.vmap(lambda x: predict(params, batch, x, eps=eps))(X)
    return outputs, jax.lax.stop_gradient(trees.average(state, batch, decay))
