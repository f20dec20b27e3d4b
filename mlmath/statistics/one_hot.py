"""One-hot: a category becomes a unit vector, so that a linear model gives each its own weight.

Let column j of an example hold a number, or one of kⱼ categories as its code c ∈ {0, …, kⱼ − 1}.
A number stays as it is; a code becomes the kⱼ indicators

    eₘ(c) = 1 if c = m else 0,        m = 0, …, kⱼ − 1                          (1)

so that any other code (−1: a category never seen) becomes zeros. The indicators of a known
category sum to one.

Time and memory O(n Σⱼ max(kⱼ, 1)).

>>> import jax.numpy as jnp
>>> from mlmath.statistics import one_hot
>>> print(one_hot.transform(jnp.array([2.5, 1.0]), sizes=(0, 3)))
[2.5 0.  1.  0. ]
>>> print(one_hot.transform(jnp.array([2.5, -1.0]), sizes=(0, 3)))
[2.5 0.  0.  0. ]

References:
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §2.2 (dummy
    variables).
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mlmath.arrays import Real
from mlmath.certificate import Certificate, certify

__all__ = ["Columns", "Fit", "Params", "columns", "transform"]


class Params(NamedTuple):
    """Nothing is learnt: the codes are 0, …, k − 1."""


class Fit(NamedTuple):
    """Outcome of ``columns(sizes).fit``."""

    params: Params
    certificate: Certificate  # nothing is minimised: the gap is 0


class Columns(NamedTuple):
    """Fit and transform of a table's columns, for ``statistics.compose``."""

    fit: Callable[..., Fit]
    transform: Callable[..., Any]


def transform(x: Float[Real, " d"], *, sizes: tuple[int, ...] = ()) -> Float[Array, " e"]:
    """Indicators of ONE example, eq. (1).

    Args:
        x: numbers and codes.
        sizes: kⱼ for each column, 0 for a number; what is beyond the end of it is a number.

    Raises:
        ValueError: if there are more sizes than columns.
    """
    if len(sizes) > x.shape[0]:
        raise ValueError(f"sizes name {len(sizes)} columns, but x has {x.shape[0]}.")
    sizes = (*sizes, *[0] * (x.shape[0] - len(sizes)))
    source = np.repeat(np.arange(len(sizes)), np.maximum(sizes, 1))
    code = np.concatenate([np.arange(max(k, 1)) for k in sizes])
    value = jnp.asarray(x)[source]
    return jnp.where(np.asarray(sizes)[source] == 0, value, value == code)


@cache
def columns(sizes: tuple[int, ...]) -> Columns:
    """Bind ``sizes``; the same sizes give the same pair, so that nothing is traced twice."""

    def fit(X: Float[Real, "n d"], *, sample_weight: Float[Real, " n"] | None = None) -> Fit:
        """Learn nothing."""
        zero = jnp.zeros((), X.dtype)
        return Fit(Params(), certify(zero, zero, zero))

    def bound(params: Params, x: Float[Real, " d"]) -> Float[Array, " e"]:
        """Indicators of ONE example, eq. (1)."""
        return transform(x, sizes=sizes)

    return Columns(fit, bound)
