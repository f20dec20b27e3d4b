"""Orthogonal maps: reflections that annihilate, rotations in a plane, rotations of one on another.

The reflection in the plane with unit normal n, and Householder's, which takes x to α e₁,

    H = I − 2 n nᵀ                                                             (1)
    n = (x − α e₁) / ‖x − α e₁‖,    α = −sign(x₁) ‖x‖,    sign(0) = 1             (2)

the sign being the one that adds in the first entry and does not cancel. Givens' rotation

    [ c  s] [a]   [r]
    [−s  c] [b] = [0],    r = √(a² + b²),    c = a / r,    s = b / r              (3)

The rotation by θ in the plane of eᵢ and eⱼ turns eᵢ towards eⱼ,

    yᵢ = cos θ xᵢ − sin θ xⱼ,    yⱼ = sin θ xᵢ + cos θ xⱼ,    the rest stays      (4)

and the one that takes u to v, both of norm 1, and leaves alone what is orthogonal to both, is

    y = x + (c − 1) u uᵀx − q qᵀx / (1 + c) + q uᵀx − u qᵀx,   c = uᵀv,  q = v − c u   (5)

For v near −u it is computed with q qᵀ / (1 + c) = (1 − c) p pᵀ, p = q / ‖q‖. For v = −u there are
many: p is then the axis that u is farthest from, made orthogonal to u; in ℝ¹ there is none, NaN.

None over- or underflows. All are differentiable, but for v = −u, a sign (2) that changes, and
x = 0 or a = b = 0, where n = e₁, α = 0 and c = 1, s = r = 0 come back with the derivative 0.
:func:`rotate_onto` takes the direction of u to that of v, whatever their lengths, and is NaN where
one of them is zero.

Time and memory O(d). A matrix comes from the rows of I: ``jax.vmap(map)(jnp.eye(d)).T``.

>>> import jax.numpy as jnp
>>> from mlmath.linalg import rotations
>>> x = jnp.array([3.0, 0.0, 4.0])
>>> found = rotations.householder(x)
>>> print(found.image, jnp.round(rotations.reflect(x, found.normal), 4) + 0.0)
-5.0 [-5.  0.  0.]
>>> print(rotations.givens(3.0, 4.0).radius)
5.0

References:
    Golub & Van Loan (2013), Matrix Computations, §5.1.2–5.1.3 (Householder), §5.1.8 (Givens).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.arrays import Count, Real, Scalar
from mlmath.linalg import vectors

__all__ = ["Givens", "Householder", "givens", "householder", "reflect", "rotate", "rotate_onto"]


class Householder(NamedTuple):
    """The reflection that takes x to a multiple of e₁, eq. (2)."""

    normal: Float[Array, " d"]  # n, of norm 1
    image: Float[Array, ""]  # α, what x is taken to along e₁


class Givens(NamedTuple):
    """The rotation that takes (a, b) to (r, 0), eq. (3)."""

    cosine: Float[Array, ""]  # c
    sine: Float[Array, ""]  # s
    radius: Float[Array, ""]  # r ≥ 0


def reflect(x: Float[Real, " d"], normal: Float[Real, " d"]) -> Float[Array, " d"]:
    """Reflect x in the plane with this unit normal, eq. (1)."""
    n = jnp.asarray(normal)
    return jnp.asarray(x) - 2 * vectors.inner_product(n, x) * n


def householder(x: Float[Real, " d"]) -> Householder:
    """Reflection of x onto the first axis, eq. (2)."""
    if x.shape[0] == 0:
        raise ValueError("x must have at least one entry, got shape (0,).")
    unit = vectors.magnitude(x)
    x = x / unit
    length = vectors.norm(x)
    image = jnp.where(x[0] < 0, 1, -1) * length
    axis = jnp.zeros_like(x).at[0].set(1)
    normal = jnp.where(length == 0, axis, x - image * axis)
    return Householder(vectors.normalise(normal), unit * image)


def givens(a: Scalar, b: Scalar) -> Givens:
    """Rotation of (a, b) onto the first axis, eq. (3)."""
    dtype = jnp.result_type(float, a, b)
    x = jnp.stack([jnp.asarray(a, dtype), jnp.asarray(b, dtype)])
    unit = vectors.magnitude(x)
    x = x / unit
    length = vectors.norm(x)
    absent = length == 0
    direction = jnp.where(absent, jnp.eye(2, dtype=dtype)[0], x / jnp.where(absent, 1, length))
    return Givens(direction[0], direction[1], unit * length)


def rotate(x: Float[Real, " d"], i: Count, j: Count, angle: Scalar) -> Float[Array, " d"]:
    """Rotate x in the plane of two axes, eq. (4).

    Args:
        x: the vector.
        i: first axis, 0 ≤ i < d.
        j: second axis, another one; if they are traced and not two axes of x, the result is NaN.
        angle: θ in radians, from i to j.
    """
    d = x.shape[0]
    if isinstance(i, int) and isinstance(j, int) and not (0 <= i < d and 0 <= j < d and i != j):
        raise ValueError(f"i and j must be two different axes of {d}, got {i} and {j}.")
    x, i, j = jnp.asarray(x), jnp.asarray(i), jnp.asarray(j)
    theta = jnp.asarray(angle, x.dtype)
    c, s = jnp.cos(theta), jnp.sin(theta)
    turned = x.at[i].set(c * x[i] - s * x[j]).at[j].set(s * x[i] + c * x[j])
    valid = (i >= 0) & (i < d) & (j >= 0) & (j < d) & (i != j)
    return jnp.where(valid, turned, jnp.nan)


def rotate_onto(
    x: Float[Real, " d"], u: Float[Real, " d"], v: Float[Real, " d"]
) -> Float[Array, " d"]:
    """Rotate x as the direction of u is rotated to that of v, eq. (5)."""
    x, u, v = jnp.asarray(x), vectors.normalise(u), vectors.normalise(v)
    c = vectors.inner_product(u, v)
    q = _across(u, v)
    near = c >= 0
    opposite = ~near & (vectors.norm(q) <= 4 * jnp.finfo(q.dtype).eps)
    axis = jnp.zeros_like(u).at[jnp.argmin(jnp.abs(u))].set(1)
    p = jnp.where(near, axis, jnp.where(opposite, _across(u, axis), q))
    p = p / vectors.norm(p)
    along, across = vectors.inner_product(u, x), vectors.inner_product(q, x)
    second = jnp.where(
        near, -q * across / jnp.where(near, 1 + c, 1), (c - 1) * p * vectors.inner_product(p, x)
    )
    return x + (c - 1) * u * along + second + q * along - u * across


def _across(u, v):
    """Part of v that is orthogonal to the unit vector u; taken twice, so that it is."""
    for _ in range(2):
        v = v - vectors.inner_product(u, v) * u
    return v
