"""Vectors that are trees: the arithmetic of parameters held in any nesting of arrays.

Parameters, gradients and updates are trees of arrays of one structure, and a tree is a vector
x with its arrays as blocks. With numbers a, β the first-order methods need

    a x,        x + a y                                                        (1)
    (1 − β) y + β x                                                            (2)
    ‖x‖ = √Σ xᵢ²,   the sum over all numbers of all blocks                      (3)

A block keeps its dtype: a and 1 − β are computed in their own and rounded to it last. √ here has
the derivative 0 at 0, where the true one is infinite, so that a parameter whose gradient is 0
does not turn the derivative of a step into NaN.

>>> import jax.numpy as jnp
>>> from mlmath.optimize import trees
>>> x, y = {"w": jnp.ones(2), "b": jnp.ones(())}, {"w": jnp.arange(2.0), "b": jnp.zeros(())}
>>> print(trees.add_scaled(x, 3, y), trees.norm(x).round(2))
{'b': Array(1., dtype=...), 'w': Array([1., 4.], dtype=...)} 1.73

References:
    Golub & Van Loan (2013), Matrix Computations, §1.1 (saxpy), for (1).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.arrays import Real, Scalar

__all__ = ["add_scaled", "average", "like", "norm", "root", "scale", "zeros"]


def like(a: Scalar, x: Any) -> Array:
    """The number ``a`` in the dtype of the block ``x``, which must hold real floats."""
    dtype = jnp.result_type(x)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"Parameters and gradients must be real floats, got {dtype}.")
    return jnp.asarray(a, dtype)


def zeros(x: Any) -> Any:
    """The zero vector of the structure of ``x``."""
    return jax.tree.map(jnp.zeros_like, x)


def scale(a: Scalar, x: Any) -> Any:
    """Scale, a x of eq. (1)."""
    return jax.tree.map(lambda x: like(a, x) * x, x)


def add_scaled(x: Any, a: Scalar, y: Any) -> Any:
    """Add, x + a y of eq. (1)."""
    return jax.tree.map(lambda x, y: x + like(a, x) * y, x, y)


def average(x: Any, y: Any, decay: Scalar) -> Any:
    """Running average x moved towards y, eq. (2).

    Args:
        x: the average so far.
        y: what is averaged.
        decay: β, what remains of x.
    """
    return jax.tree.map(lambda x, y: like(1 - decay, y) * y + like(decay, x) * x, x, y)


def norm(x: Any) -> Float[Array, ""]:
    """Euclidean norm, eq. (3)."""
    squares = (jnp.sum(jnp.square(block)) for block in jax.tree.leaves(x))
    return root(jnp.asarray(sum(squares, 0.0)))


@jax.custom_jvp
def root(x: Float[Real, "..."]) -> Float[Array, "..."]:
    """√x with the derivative 0 at 0."""
    return jnp.sqrt(x)


@root.defjvp
def _root_jvp(primals, tangents):
    value = root(*primals)
    positive = value > 0
    return value, jnp.where(positive, tangents[0] / (2 * jnp.where(positive, value, 1)), 0)
