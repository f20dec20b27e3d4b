"""Certificates: how far the answer of a fit can be from the optimum.

For an objective L with minimum L*, at the answer x,

    gap ≥ (L(x) − L*) / L(null),        0/0 = 0                                (1)

where the null model is the one that knows nothing (zero weights; for least squares, the
mean). The ratio does not change when weights and penalties, or the units of the target, are
multiplied by a constant. Each fit names what it measures in the place of L(x) − L* (half the
squared Newton decrement, a duality gap, …); ``converged`` is gap ≤ tolerance.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mlmath.arrays import Count, Real, Scalar

__all__ = ["Certificate", "certify", "first_order_tolerance", "superlinear_tolerance"]


class Certificate(NamedTuple):
    """Proof that comes back with the answer of a fit."""

    objective: Float[Array, ""]  # L(x), in the units of the objective; differentiable
    gap: Float[Array, ""]  # bound or estimate of (L(x) − L*) / L(null), no units
    steps: Int[Array, ""]  # iterations taken; 0 for a closed form
    converged: Bool[Array, ""]  # gap ≤ tolerance, false for NaN


def certify(
    objective: Scalar,
    excess: Scalar,
    null: Scalar,
    *,
    steps: Count = 0,
    tolerance: Scalar = 0.0,
) -> Certificate:
    """Build a certificate by eq. (1); only ``objective`` keeps its derivative.

    The gap is NaN where a number is not finite or the excess is negative, as it is without
    convexity (a negative weight or penalty): then nothing is proved.

    Args:
        objective: L(x).
        excess: what bounds or estimates L(x) − L*.
        null: L of the null model.
        steps: iterations taken.
        tolerance: largest gap that counts as converged.
    """
    value, excess, null = jax.lax.stop_gradient((objective, excess, null))
    sound = jnp.isfinite(value + excess + null) & (excess >= 0)
    ratio = jnp.where(excess == 0, 0, excess / jnp.where(excess == 0, 1, null))
    gap = jnp.where(sound, ratio, jnp.nan)
    return Certificate(
        jnp.asarray(objective), gap, jnp.asarray(steps), jax.lax.stop_gradient(gap <= tolerance)
    )


def superlinear_tolerance(example: Float[Real, "..."]) -> float:
    """Gap that a method with a superlinear last step reaches in the dtype of ``example``: 4ε."""
    return 4 * float(jnp.finfo(example.dtype).eps)


def first_order_tolerance(example: Float[Real, "..."]) -> float:
    """Gap that a first-order method reaches in the dtype of ``example``: ε^⅔."""
    return float(jnp.finfo(example.dtype).eps) ** (2 / 3)
