"""Initialisations: random first weights that keep the size of what passes through a layer.

Let a = W x with W ∈ ℝᵒˣⁱ of independent numbers of mean 0 and variance v. If the i numbers of x
have mean square q, each aⱼ has mean square i v q; backwards, each number of Wᵀδ has o v times the
mean square of δ. So

    LeCun     v = 1/i             keeps the size forwards through linear layers       (1)
    Glorot    v = 2/(i + o)       the compromise between forwards and backwards        (2)
    He        v = 2/i             (1) for rectifiers, which halve the mean square       (3)

each with numbers that are

    normal, N(0, v),    or uniform on [−√(3v), √(3v)]                            (4)

The normal ones are not cut off, so that v is exact. Of the orthogonal matrices

    W Wᵀ = I if o ≤ i,        Wᵀ W = I if o ≥ i                                  (5)

the uniformly distributed one is Q of the QR factorisation of a matrix of standard normal numbers,
when R's diagonal is made positive; it keeps the length of x where o ≥ i. All raise ``ValueError``
if o or i is below 1.

>>> import jax
>>> from mlmath.neural import initialisations
>>> W = initialisations.he_normal(jax.random.key(0), 1000, 50)
>>> W.shape, round(float(W.var() * 50), 1)
((1000, 50), 2.0)

References:
    LeCun, Bottou, Orr & Müller (1998), Efficient BackProp, §4.6, for (1).
    Glorot & Bengio (2010), Understanding the difficulty of training deep feedforward neural
        networks, eq. 12 and 16, for (2).
    He, Zhang, Ren & Sun (2015), Delving deep into rectifiers, eq. 10, for (3).
    Mezzadri (2007), How to generate random matrices from the classical compact groups, §5, for (5).
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.arrays import Key

__all__ = [
    "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform",
    "orthogonal",
]  # fmt: skip


def glorot_normal(key: Key, outputs: int, inputs: int) -> Float[Array, "o i"]:
    """Normal numbers of variance (2)."""
    return _normal(key, outputs, inputs, 2, inputs + outputs)


def glorot_uniform(key: Key, outputs: int, inputs: int) -> Float[Array, "o i"]:
    """Uniform numbers of variance (2)."""
    return _uniform(key, outputs, inputs, 2, inputs + outputs)


def he_normal(key: Key, outputs: int, inputs: int) -> Float[Array, "o i"]:
    """Normal numbers of variance (3)."""
    return _normal(key, outputs, inputs, 2, inputs)


def he_uniform(key: Key, outputs: int, inputs: int) -> Float[Array, "o i"]:
    """Uniform numbers of variance (3)."""
    return _uniform(key, outputs, inputs, 2, inputs)


def lecun_normal(key: Key, outputs: int, inputs: int) -> Float[Array, "o i"]:
    """Normal numbers of variance (1)."""
    return _normal(key, outputs, inputs, 1, inputs)


def lecun_uniform(key: Key, outputs: int, inputs: int) -> Float[Array, "o i"]:
    """Uniform numbers of variance (1)."""
    return _uniform(key, outputs, inputs, 1, inputs)


def orthogonal(key: Key, outputs: int, inputs: int) -> Float[Array, "o i"]:
    """Uniformly distributed orthogonal matrix, eq. (5)."""
    tall = sorted(_shape(outputs, inputs), reverse=True)
    Q, R = jnp.linalg.qr(jax.random.normal(key, tall))
    W = Q * jnp.where(jnp.diagonal(R) < 0, -1, 1)[None]
    return W if outputs >= inputs else W.T


def _normal(key, outputs, inputs, gain, fan):
    # apart, so that XLA never merges two factors and a seed means one W in every program
    standard = jax.lax.optimization_barrier(jax.random.normal(key, _shape(outputs, inputs)))
    return math.sqrt(gain / fan) * standard


def _uniform(key, outputs, inputs, gain, fan):
    shape = _shape(outputs, inputs)
    limit = math.sqrt(3 * (gain / fan))
    return jax.random.uniform(key, shape, minval=-limit, maxval=limit)


def _shape(outputs, inputs):
    if min(outputs, inputs) < 1:
        raise ValueError(
            f"outputs and inputs must be at least 1, got {outputs} outputs and {inputs} inputs."
        )
    return outputs, inputs
