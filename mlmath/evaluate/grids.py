"""Grids of candidates: the hyperparameters of candidate c are the c-th rows of all arrays.

A grid maps names of hyperparameters to arrays of equal length. For values v¹ of the first name,
v² of the second, …,

    product: every combination (v¹ᵢ, v²ⱼ, …), the last name fastest              (1)
    random:  candidate c is one draw of each name, independent                   (2)

A random design meets every one of C quantiles of each name with C candidates, whatever the
number of names; a product of the same size meets the C^(1/names)-th root of them.

>>> import jax, jax.numpy as jnp
>>> from mlmath.evaluate import grids
>>> grid = grids.product(l2=jnp.array([1.0, 10.0]), gamma=jnp.array([0.1, 0.2, 0.3]))
>>> print(grid["l2"], grid["gamma"])
[ 1.  1.  1. 10. 10. 10.] [0.1 0.2 0.3 0.1 0.2 0.3]
>>> draw = jax.tree_util.Partial(grids.log_uniform, low=1e-3, high=1e3)
>>> grids.random(jax.random.key(0), 50, l2=draw)["l2"].shape
(50,)

References:
    Bergstra & Bengio (2012), Random search for hyper-parameter optimization, §1.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.arrays import Key, Real, Scalar

__all__ = ["Grid", "log_uniform", "product", "random"]

Grid: TypeAlias = Mapping[str, Any]  # arrays with a leading axis of candidates


def product(**values: Real) -> dict[str, Any]:
    """Every combination of the values of each name, eq. (1).

    Args:
        values: arrays whose rows are the values of that name.
    """
    index = jnp.meshgrid(*(jnp.arange(len(v)) for v in values.values()), indexing="ij")
    return {
        name: jnp.asarray(v)[i.ravel()] for (name, v), i in zip(values.items(), index, strict=True)
    }


def random(key: Key, candidates: int, **draws: Callable[..., Any]) -> dict[str, Any]:
    """Independent draws of each name, eq. (2).

    Args:
        key: a typed key.
        candidates: how many.
        draws: of each name, called as ``draw(key, (candidates,))``: :func:`log_uniform` with its
            ends in a ``Partial``, or any of ``jax.random``.
    """
    keys = jax.random.split(key, max(len(draws), 1))
    return {
        name: draw(k, (candidates,)) for k, (name, draw) in zip(keys, draws.items(), strict=False)
    }


def log_uniform(
    key: Key, shape: tuple[int, ...], *, low: Scalar, high: Scalar
) -> Float[Array, "..."]:
    """Draw numbers whose logarithm is uniform between those of ``low`` and ``high``."""
    u = jax.random.uniform(key, shape)
    return jnp.exp(jnp.log(low) + u * (jnp.log(high) - jnp.log(low)))
