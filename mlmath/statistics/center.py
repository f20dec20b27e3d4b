"""A point near the mean of the rows, the same one for all weightings of them.

A model with a free bias may be fitted to x − c for any c, which loses least to rounding near

    x̄ = Σᵢ sᵢ xᵢ / Σᵢ sᵢ                                                       (1)

Under ``vmap`` over the weights alone (a bootstrap, a set of folds) a c per lane would make a
copy of the rows per lane. There all lanes share

    cⱼ = medianₖ x̄ₖⱼ        over lanes k whose mean is finite                    (2)

so that one lane with a row far away moves no other. It carries no derivative, as c is free.

For sums of squares every 61st of many rows is enough (:func:`sampled_mean`, as ``near_mean`` goes
through all): with a share f of the weight the mean c of some rows has

    f (cⱼ − x̄ⱼ)² ≤ Σᵢ sᵢ (xᵢⱼ − x̄ⱼ)² / Σᵢ sᵢ                                   (3)

so that with f ≥ 1/122 squares about c cost 7 bits of the largest at worst, where the rows have that
period, and hardly ever one. Where they weigh less all rows are looked at. Of rows that are all the
same c is that row.

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

from mlmath.arrays import Real, parts

__all__ = ["near_mean", "sampled_mean"]

_STRIDE = 61  # a prime: rows come in periods of other numbers
_MANY = 2**13  # rows from which some stand for all


def near_mean(X: Float[Real, "n d"], weight: Float[Real, " n"]) -> Float[Array, " d"]:
    """Mean (1), or under ``vmap`` over ``weight`` alone the common point (2)."""
    fixed = lax.stop_gradient((jnp.asarray(X), jnp.asarray(weight)))
    return lax.stop_gradient(_near_mean(*fixed))


def sampled_mean(X: Float[Real, "n d"], weight: Float[Real, " n"]) -> Float[Array, " d"]:
    """Mean of some rows (3), right to rounding for these; under ``vmap`` as :func:`near_mean`."""
    fixed = lax.stop_gradient((jnp.asarray(X), jnp.asarray(weight)))
    return lax.stop_gradient(_sampled_mean(*fixed))


def _mean(X, weight):
    return jnp.sum(weight[:, None] * X, axis=0) / jnp.sum(weight)


@jax.default_matmul_precision("highest")
def _means(X, weight):
    """Eq. (1) for one weighting, or for each row of several, about a row that they weigh most.

    Sums of what is far from 0 would lose the digits that a centre is there to save.
    """
    index = lax.broadcasted_iota(jnp.int32, weight.shape, len(weight.shape) - 1)
    heaviest = weight >= jnp.max(weight, axis=-1, keepdims=True)
    first = jnp.min(jnp.where(heaviest, index, len(X)), axis=-1, keepdims=True)
    row = (index == first).astype(X.dtype) @ X
    row = jnp.nanmedian(row.reshape(-1, X.shape[1]), axis=0)
    away = weight @ (X - row[None]) / jnp.sum(weight, axis=-1, keepdims=True)
    return jnp.broadcast_to(row, away.shape) + away


@jax.default_matmul_precision("highest")
def _sampled(X, weight):
    """Eq. (1) of every 61st row of each shard where there are many, unless these weigh little."""
    shards, lanes = parts(len(X)), weight.shape[:-1]
    if len(X) < max(_MANY, 2 * _STRIDE * shards):
        return _means(X, weight)
    rows = X.reshape(shards, -1, X.shape[1])[:, ::_STRIDE].reshape(-1, X.shape[1])
    some = weight.reshape(*lanes, shards, -1)[..., ::_STRIDE].reshape(*lanes, -1)
    little = 2 * _STRIDE * jnp.sum(some, axis=-1) < jnp.sum(jnp.abs(weight), axis=-1)

    def whole(i, _):
        return _means(X, jnp.where(i >= 0, weight, 0))  # it is: else XLA looks at all beforehand

    return lax.fori_loop(0, jnp.where(little.any(), 1, 0), whole, _means(rows, some))  # none or one


_near_mean, _sampled_mean = custom_vmap(_mean), custom_vmap(_sampled)


@_near_mean.def_vmap
@jax.default_matmul_precision("highest")
def _(size, batched, X, weight):
    if batched[0]:
        return jax.vmap(_mean, [0 if many else None for many in batched])(X, weight), True
    return _median(weight @ X / jnp.sum(weight, axis=1, keepdims=True)), False


@_sampled_mean.def_vmap
def _(size, batched, X, weight):
    if batched[0]:
        return jax.vmap(_sampled, [0 if many else None for many in batched])(X, weight), True
    return _median(_sampled(X, weight)), False


def _median(means):
    """Eq. (2)."""
    return jnp.nanmedian(jnp.where(jnp.isfinite(means), means, jnp.nan), axis=0)
