"""The logarithm without its linear part, of which nothing cancels near 0.

    log(1 + u) − u = −u²/2 + u³/3 − u⁴/4 + …                                   (1)

of which the formula on the left loses all digits where u is as small as √ε; there, for |u| < 1/50,
the first eight terms of the series are taken. −(1) of u = q/p − 1 is what a Kullback–Leibler
divergence is made of.

Time and memory those of a logarithm.

>>> import jax.numpy as jnp
>>> from mlmath.calculus.log1pmx import log1pmx
>>> print(log1pmx(jnp.array([1e-6, 1.0])))
[-5.e-13 -3.0685e-01]

References:
    Abramowitz & Stegun (1964), Handbook of Mathematical Functions, 4.1.24.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.arrays import Real

__all__ = ["log1pmx"]


def log1pmx(u: Float[Real, "..."]) -> Float[Array, "..."]:
    """log(1 + u) − u, eq. (1); −∞ at u = −1, NaN below."""
    u = jnp.asarray(u)
    near = jnp.abs(u) < 0.02
    small = jnp.where(near, u, 0)
    series = jnp.zeros_like(u)
    for j in (9, 8, 7, 6, 5, 4, 3, 2):
        series = small * series + (1 / j if j % 2 else -1 / j)
    large = jnp.where(near, 1, u)
    return jnp.where(near, small**2 * series, jnp.log1p(large) - large)
