"""Batch normalisation: each feature brought to mean 0 and variance 1 over the batch.

While training on rows xᵢ ∈ ℝᵈ of weights sᵢ, with S = Σᵢ sᵢ and learnt γ and β,

    μⱼ = Σᵢ sᵢ xᵢⱼ / S,        σⱼ² = Σᵢ sᵢ (xᵢⱼ − μⱼ)² / S                      (1)
    yᵢⱼ = γⱼ (xᵢⱼ − μⱼ)/√(σⱼ² + ε) + βⱼ                                        (2)

and beside it running averages are kept,

    m ← ρ m + (1 − ρ) μ,        v ← ρ v + (1 − ρ) σ²                           (3)

from which ONE example is normalised when the network predicts,

    yⱼ = γⱼ (xⱼ − mⱼ)/√(vⱼ + ε) + βⱼ                                           (4)

σ² divides by S, in (3) too. Rounding cannot bring the mean outside what was averaged, so that
a constant feature has y = β exactly, also for ε = 0, and no derivative is infinite. The squares
are those of (x − μ)/u with u = max(√ε, maxᵢ |xᵢ − μ|/8), so that (2) holds as far as the dtype
reaches (u and 1/u are numbers of it); v becomes ∞ where the variance is none.

The law of the weights is *exact*: 2 is the row twice and 0 the row absent, whatever it holds; its
own outputs are finite and mean nothing, and one so far away that its square overflows has the
influence of one at μ. A missing value that counts, or no weight at all, makes all outputs NaN.
The derivative of (2) goes through μ and σ; the averages (3) have none. Outputs have the dtype of
x, the averages keep theirs.

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
from jax import lax
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
    x = jnp.asarray(x)
    params, state = jax.tree.map(lambda a: jnp.asarray(a, x.dtype), (params, state))
    variance = state.variance + jnp.asarray(eps, x.dtype)
    return params.scale * (x - state.center) / _root(variance) + params.shift


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
    ones, eps = jnp.ones_like(X, shape=X.shape[:1]), jnp.asarray(eps, X.dtype)
    X, _, weight = present(X, ones, ones if sample_weight is None else sample_weight)
    share, counts = weight / jnp.sum(weight), (weight != 0)[:, None]
    low = jnp.min(jnp.where(counts, X, jnp.inf), axis=0)
    high = jnp.max(jnp.where(counts, X, -jnp.inf), axis=0)
    first = lax.stop_gradient(jnp.clip(share @ X, low, high))  # a constant feature itself
    offset = X - first[None]
    most = jnp.max(jnp.where(counts, jnp.abs(offset), 0), axis=0)
    unit = lax.stop_gradient(jnp.maximum(most / 8, jnp.sqrt(eps)))
    unit = jnp.where(unit == 0, 1, unit)
    z = offset / unit[None]
    z = jnp.where(counts | jnp.isfinite(z**2), z, 0)  # 0·∞ would be NaN
    shift = share @ z
    z = z - shift[None]
    variance = share @ z**2
    γ, β = jax.tree.map(lambda a: jnp.asarray(a, X.dtype)[None], params)
    outputs = γ * z / _root(variance + eps / unit / unit)[None] + β
    batch = State(first + unit * shift, unit * (unit * variance))
    batch = jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), batch, state)
    return outputs, lax.stop_gradient(trees.average(state, batch, decay))


def _root(variance):
    """σ, or 1 where nothing varies, so that the derivative there is finite."""
    return jnp.sqrt(jnp.where(variance == 0, 1, variance))
