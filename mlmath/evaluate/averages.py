"""Averages over the rows that count, in which a row that cannot be judged shows.

Some rows cannot be judged: the prediction or the target is NaN, a label names no class, a
probability is none. Such a row is an error where it counts and nothing where it does not:

    s̃ᵢ = sᵢ if row i can be judged, else 0 if sᵢ = 0, else NaN                 (1)

Of values fᵢ, which are cleared where a row cannot be judged, and of classes cᵢ ∈ {0, …, k − 1}

    ⟨f⟩ = Σᵢ s̃ᵢ fᵢ / Σᵢ s̃ᵢ                                                     (2)

    T_c = Σᵢ s̃ᵢ [cᵢ = c]                                                        (3)

and of the rows in a set A the weights are

    s̃ᵢ if i ∈ A or s̃ᵢ is NaN, else 0                                           (4)

Weight 2 is the row twice, weight 0 the row absent, and with no weight at all ⟨f⟩ is 0/0, NaN.
The derivative of ⟨f⟩ in the weight of a row that can be judged is right at 0.

In float32 a million rows are summed to 1e-6: (2) by XLA's reductions, which are trees (a matrix
product drifts by 3e-5), (3) in partial sums of 64 rows, or of k where that is more.

Time and memory O(n), O(n + k) for (3).

>>> import jax.numpy as jnp
>>> from mlmath.evaluate import averages
>>> f, judged = jnp.array([1.0, 4.0, 0.0]), jnp.array([True, True, False])
>>> weight = averages.counted(judged, jnp.array([1.0, 2.0, 0.0]), f)
>>> print(averages.mean(f, weight), averages.totals(jnp.array([1, 1, 0]), weight, classes=2))
3.0 [0. 3.]
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mlmath.arrays import Labels, Real

__all__ = ["coded", "counted", "mean", "part", "totals"]

_LENGTH = 64  # of a partial sum: more rows one after another drift in float32


def coded(label: Labels, *, classes: int) -> tuple[Int[Array, " n"], Bool[Array, " n"]]:
    """Classes cᵢ as numbers, 0 where a label is none of 0, …, k − 1, and where it is one.

    Args:
        label: integers, booleans or floats.
        classes: k.

    Raises:
        ValueError: if there is no class.
    """
    if classes < 1:
        raise ValueError(f"classes must be at least 1, got {classes}.")
    code = jnp.asarray(label).astype(jnp.int32)
    known = (code == label) & (code >= 0) & (code < classes)
    return jnp.where(known, code, 0), known


def counted(
    judged: Bool[Real, " n"], weight: Float[Real, " n"] | None, *inputs: Any
) -> Float[Array, " n"]:
    """Weights s̃, eq. (1), of ones if there are none, in the first float dtype of the rest.

    Args:
        judged: whether the row can be judged.
        weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        inputs: the arrays that were given, in the order in which their dtypes are followed.

    Raises:
        ValueError: if there are no rows.
    """
    if judged.shape[0] == 0:
        raise ValueError("there must be at least one row to judge, got none.")
    given = [a for a in (*inputs, weight) if a is not None]
    floats = [a.dtype for a in given if jnp.issubdtype(a.dtype, jnp.floating)]
    dtype = floats[0] if floats else jnp.result_type(float)
    if weight is None:
        return jnp.where(judged, jnp.ones((), dtype), jnp.nan)
    weight = jnp.asarray(weight, dtype)
    return jnp.where(judged, weight, jnp.where(weight == 0, 0, jnp.nan))


def mean(values: Float[Real, " n"], weight: Float[Real, " n"]) -> Float[Array, ""]:
    """Weighted mean ⟨f⟩, eq. (2)."""
    return jnp.sum(weight * values) / jnp.sum(weight)


def part(weight: Float[Real, " n"], members: Bool[Real, " n"]) -> Float[Array, " n"]:
    """Weights of a part of the rows, eq. (4): what cannot be judged is in every part."""
    return jnp.where(members | jnp.isnan(weight), weight, 0)


def totals(code: Int[Real, " n"], weight: Float[Real, " n"], *, classes: int) -> Float[Array, " k"]:
    """Weight T_c of each class, eq. (3); all NaN if one weight is.

    Args:
        code: cᵢ; where the weight is 0 or NaN any number of the range will do.
        weight: s̃ᵢ.
        classes: k.
    """
    n = code.shape[0]
    lanes = max(1, min(n // _LENGTH, n // classes))
    cell = code * lanes + jnp.arange(n, dtype=code.dtype) % lanes
    parts = jax.ops.segment_sum(weight, cell, num_segments=classes * lanes)
    lost = jnp.isnan(weight).any()  # it would show in one class only
    return jnp.where(lost, jnp.nan, jnp.sum(parts.reshape(classes, lanes), axis=1))
