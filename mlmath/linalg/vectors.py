"""Vectors: inner product, norms, and the angle between two of them.

For x, y ∈ ℝᵈ and p ≥ 1

    ⟨x, y⟩ = Σᵢ xᵢyᵢ                                                           (1)
    ‖x‖ = √⟨x, x⟩,    ‖x‖ₚ = (Σᵢ |xᵢ|ᵖ)^(1/p),    ‖x‖∞ = maxᵢ |xᵢ|               (2)
    cos θ = ⟨x, y⟩ / (‖x‖‖y‖)                                                  (3)
    θ = 2 atan2( ‖x‖y‖ − y‖x‖‖, ‖x‖y‖ + y‖x‖‖ )  ∈ [0, π]                       (4)

The arc cosine of (3) loses half of the digits near 0 and π; (4) keeps an absolute error of some
ε everywhere. All are computed in a unit of the size of the vector, so that no square leaves the
range of the dtype.

The derivative of a norm at 0, of |xᵢ| at xᵢ = 0 and of θ at 0 and π is 0, a subgradient; where
several entries share the maximum they share its derivative. A zero vector has no direction: its
cosines, its angles and what :func:`normalise` makes of it are NaN. ‖x‖₂ = ‖x‖, and ‖x‖ₚ → ‖x‖∞.

Time and memory O(d).

>>> import jax.numpy as jnp
>>> from mlmath.linalg import vectors
>>> x, y = jnp.array([3e30, 4e30]), jnp.array([4e-30, 3e-30])
>>> print(vectors.norm(x) / 1e30, vectors.p_norm(x, 1.0) / 1e30, vectors.cosine(x, y))
5.0 7.0 0.96
>>> print(vectors.angle(jnp.array([1.0, 0.0]), jnp.array([-1.0, 0.0])))
3.1415927

References:
    Golub & Van Loan (2013), Matrix Computations, §2.2 (vector norms).
    Kahan (2006), How Futile are Mindless Assessments of Roundoff in Floating-Point Computation?,
        §12 (4).
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mlmath.arrays import Real, Scalar

__all__ = [
    "angle",
    "cosine",
    "inner_product",
    "magnitude",
    "max_norm",
    "norm",
    "normalise",
    "p_norm",
]


def inner_product(x: Float[Real, " d"], y: Float[Real, " d"]) -> Float[Array, ""]:
    """Inner product ⟨x, y⟩, eq. (1)."""
    return jnp.vdot(x, y, precision=lax.Precision.HIGHEST)


def norm(x: Float[Real, " d"]) -> Float[Array, ""]:
    """Euclidean norm ‖x‖, eq. (2)."""
    unit = magnitude(x)
    return unit * _root(jnp.sum((x / unit) ** 2))


def p_norm(x: Float[Real, " d"], p: Scalar) -> Float[Array, ""]:
    """Norm ‖x‖ₚ, eq. (2), differentiable in p too.

    Args:
        x: the vector.
        p: at least 1, below which (2) is no norm and the result is NaN. At 1 < p < 2 the second
            derivative in an entry 0 is infinite.
    """
    x = jnp.asarray(x)
    p = jnp.asarray(p, x.dtype)
    unit = magnitude(x)
    largest = lax.stop_gradient(max_norm(x / unit))
    largest = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1)
    shares = x / unit / largest
    total = jnp.sum(jax.vmap(_power, (0, None))(shares, jnp.where(p >= 1, p, jnp.nan)))
    absent = total == 0
    return jnp.where(absent, 0, unit * largest * jnp.exp(jnp.log(jnp.where(absent, 1, total)) / p))


def max_norm(x: Float[Real, " d"]) -> Float[Array, ""]:
    """Largest magnitude ‖x‖∞, eq. (2)."""
    return jnp.max(jnp.sign(x) * x, initial=0)  # the derivative of abs at 0 is 1


def normalise(x: Float[Real, " d"]) -> Float[Array, " d"]:
    """Vector x / ‖x‖ of norm 1; NaN for a zero vector."""
    sized = _sized(x)
    return sized / norm(sized)


def cosine(x: Float[Real, " d"], y: Float[Real, " d"]) -> Float[Array, ""]:
    """Cosine of the angle, eq. (3), within [−1, 1]; NaN if a vector is zero."""
    x, y = _sized(x), _sized(y)
    value = inner_product(x, y) / (norm(x) * norm(y))
    return value + lax.stop_gradient(jnp.clip(value, -1, 1) - value)  # keeps the derivatives


def angle(x: Float[Real, " d"], y: Float[Real, " d"]) -> Float[Array, ""]:
    """Angle θ in radians, eq. (4); NaN if a vector is zero."""
    x, y = _sized(x), _sized(y)
    length_x, length_y = norm(x), norm(y)
    x, y = x * length_y, y * length_x
    return 2 * jnp.arctan2(norm(x - y), norm(x + y))


def magnitude(x: Float[Real, "..."]) -> Float[Array, ""]:
    """Largest power of two up to maxᵢ |xᵢ| with an inverse; 1 if x is zero or not finite.

    Dividing by it is exact. Its derivative is 0: what does not depend on the unit it is computed
    in has the right derivatives with the unit held.
    """
    largest = lax.stop_gradient(jnp.max(jnp.abs(x), initial=0))
    usable = (largest > 0) & jnp.isfinite(largest)
    _, exponent = jnp.frexp(jnp.where(usable, largest, 1))
    info = jnp.finfo(largest.dtype)  # so that its inverse is a normal number, too
    return jnp.ldexp(jnp.ones_like(largest), jnp.clip(exponent - 1, info.minexp, info.maxexp - 2))


def _sized(x):
    """x in a unit of its size; NaN if zero, in its derivatives too."""
    x = x / magnitude(x)
    return x * jnp.where(jnp.any(x != 0), 1, jnp.nan).astype(x.dtype)


def _root(x):
    """√x with the derivatives 0 at 0."""
    return jnp.where(x == 0, 0, jnp.sqrt(jnp.where(x == 0, 1, x)))


@jax.custom_jvp
def _power(x, p):
    """|x|ᵖ, whose derivative at 0 is 0."""
    return jnp.abs(x) ** p


@jax.custom_jvp
def _signed_power(x, p):
    """sign(x) |x|ᵖ, 0 at 0."""
    return jnp.where(x == 0, 0, jnp.sign(x) * jnp.where(x == 0, 1, jnp.abs(x)) ** p)


def _logarithm(x):
    return jnp.log(jnp.where(x == 0, 1, jnp.abs(x)))  # only ever times a power that is 0 at 0


@_power.defjvp
def _power_jvp(primals, tangents):
    (x, p), (dx, dp) = primals, tangents
    return _power(x, p), p * _signed_power(x, p - 1) * dx + _power(x, p) * _logarithm(x) * dp


@_signed_power.defjvp
def _signed_power_jvp(primals, tangents):
    (x, p), (dx, dp) = primals, tangents
    value = _signed_power(x, p)
    flat = (p == 0) & (x == 0)  # the kink of |x|
    slope = jnp.where(flat, 0, p * _power(x, jnp.where(flat, 1, p - 1)))
    return value, slope * dx + value * _logarithm(x) * dp
