"""A point near the mean of the rows, the same one for all weightings of them.

A model with a free bias may be fitted to x − c for any c, which loses least to rounding near

    x̄ = Σᵢ sᵢ xᵢ / Σᵢ sᵢ                                                       (1)

Under ``vmap`` over the weights alone (a bootstrap, a set of folds) a c per lane would make a
copy of the rows per lane. There all lanes share

    cⱼ = medianₖ x̄ₖⱼ        over lanes k whose mean is finite                    (2)

so that one lane with a row far away moves no other. It carries no derivative, as c is free.

>>> import jax, jax.numpy as jnp
>>> from mlmath.statistics import center
>>> X, s = jnp.array([[1.0], [3.0], [8.0]]), jnp.array([1.0, 1.0, 0.0])
>>> print(center.near_mean(X, s))
[2.]
>>> lanes = jnp.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]])
>>> print(jax.vmap(lambda s: center.near_mean(X, s))(lanes)[0])
[4.]
"""

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float

from mlmath.arrays import Real

__all__ = ["near_mean"]


def near_mean(X: Float[Real, "n d"], weight: Float[Real, " n"]) -> Float[Array, " d"]:
    """Mean (1), or under ``vmap`` over ``weight`` alone the common point (2)."""
    fixed = lax.stop_gradient((jnp.asarray(X), jnp.asarray(weight)))
    return lax.stop_gradient(_near_mean(*fixed))


def _mean(X, weight):
    return jnp.sum(weight[:, None] * X, axis=0) / jnp.sum(weight)


_near_mean = custom_vmap(_mean)


@_near_mean.def_vmap
@jax.default_matmul_precision("highest")
def _(size, batched, X, weight):
    if batched[0]:
        return jax.vmap(_mean, [0 if many else None for many in batched])(X, weight), True
    means = weight @ X / jnp.sum(weight, axis=1, keepdims=True)
    return jnp.nanmedian(jnp.where(jnp.isfinite(means), means, jnp.nan), axis=0), False
