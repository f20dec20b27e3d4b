"""Dropout: while a network is trained, numbers between its layers are left out at random.

With a rate p ∈ [0, 1], independently for each number,

    yⱼ = xⱼ / (1 − p) with probability 1 − p, else 0                           (1)

so that for what comes after

    E yⱼ = xⱼ,        Var yⱼ = xⱼ² p / (1 − p)                                 (2)

and a trained network needs no other weights: for prediction the layer is just left out. At p = 1
all is 0; a rate outside [0, 1], or NaN, makes all NaN. The draw is discrete; the derivative in p
is that of the factor 1/(1 − p) alone.

>>> import jax, jax.numpy as jnp
>>> from mlmath.neural import dropout
>>> y = dropout.dropout(jax.random.key(0), jnp.ones(10_000), rate=0.75)
>>> print(jnp.unique(y), y.mean().round(1))
[0. 4.] 1.0

References:
    Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov (2014), Dropout, §4; §10 for the
        factor while training.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.arrays import Key, Real, Scalar

__all__ = ["dropout"]


def dropout(key: Key, x: Float[Real, "..."], *, rate: Scalar = 0.5) -> Float[Array, "..."]:
    """Leave out a share p = ``rate`` of the numbers, eq. (1).

    Args:
        key: a typed key, another one at each step and layer.
        x: what passes through.
        rate: p, traced: a schedule or a sweep compiles nothing.
    """
    rate = jnp.asarray(rate, x.dtype)
    share = jnp.where((rate >= 0) & (rate <= 1), 1 - rate, jnp.nan)
    kept = jax.random.bernoulli(key, share, jnp.shape(x)) | jnp.isnan(share)
    return jnp.where(kept, x / jnp.where(share == 0, 1, share), 0)
