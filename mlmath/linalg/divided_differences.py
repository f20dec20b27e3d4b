"""Divided differences of a function of one number, to rounding wherever the points lie.

    f[a, b] = (f(a) − f(b)) / (a − b),            f[a, a] = f′(a)              (1)
    f[a, b, c] = (f[a, b] − f[b, c]) / (a − c),   f[a, a, a] = f″(a) / 2       (2)

lose digits where the points are close. There Hermite and Genocchi's integrals keep them,

    f[a, b] = ∫₀¹ f′(b + s(a − b)) ds                                          (3)
    f[a, b, c] = ∫₀¹ ∫₀¹ f″(a + s(b − a) + st(c − b)) s dt ds                  (4)

by Gauss and Legendre's rule of five points. The integral is taken where it differs from the
quotient by no more than the rounding of the quotient, so that a kink between the points, or points
decades apart, do no harm, and no threshold asks for the scale of f. Both are symmetric in their
points. Where f′ does not exist, (1) at a = b is what JAX says it is.

Time: 5 values of f′ for (1), 25 of f″ for (2).

>>> import jax.numpy as jnp
>>> from mlmath.linalg import divided_differences
>>> a, b = jnp.array([1.0, 1.0, 4.0]), jnp.array([1.0, 1.0 + 1e-9, 0.0])
>>> print(divided_differences.first(jnp.sqrt, a, b))
[0.5 0.5 0.5]

References:
    de Boor (2005), Divided differences, Surveys in Approximation Theory 1, §8 (Genocchi–Hermite).
    Higham (2008), Functions of Matrices, §B.16.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mlmath.arrays import Real

__all__ = ["first", "second"]

_ROUNDINGS = 8  # of a quotient, in ε times the sum of the moduli of what is subtracted


def first(
    f: Callable[[Array], Array], a: Float[Real, "*shape"], b: Float[Real, "*shape"]
) -> Float[Array, "*shape"]:
    """f[a, b] in every place, eq. (1) or (3).

    Args:
        f: a function of one number.
        a: points.
        b: points.
    """
    return _first(f, jnp.asarray(a), jnp.asarray(b))[0]


def second(
    f: Callable[[Array], Array],
    a: Float[Real, "*shape"],
    b: Float[Real, "*shape"],
    c: Float[Real, "*shape"],
) -> Float[Array, "*shape"]:
    """f[a, b, c] in every place, eq. (2) or (4).

    Args:
        f: a function of one number.
        a: points.
        b: points.
        c: points.
    """
    a, b, c = jnp.asarray(a), jnp.asarray(b), jnp.asarray(c)
    a, b, c = (  # a ≥ b ≥ c: the quotient has the widest denominator
        jnp.maximum(jnp.maximum(a, b), c),
        jnp.maximum(jnp.minimum(a, b), jnp.minimum(jnp.maximum(a, b), c)),
        jnp.minimum(jnp.minimum(a, b), c),
    )
    (upper, upper_rounding), (lower, lower_rounding) = _first(f, a, b), _first(f, b, c)
    node, weight = _gauss(a)
    s, t = (m.ravel() for m in np.meshgrid(node, node, indexing="ij"))
    weight = np.outer(weight * node, weight).ravel()
    integral = _integral(
        jax.grad(jax.grad(f)), lambda s, t: a + s * (b - a) + s * t * (c - b), weight, s, t
    )
    return _better(integral, upper - lower, a - c, upper_rounding + lower_rounding)[0]


def _first(f, a, b):
    """f[a, b] and a bound on its rounding."""
    upper, lower = _each(f, a), _each(f, b)
    node, weight = _gauss(a)
    integral = _integral(jax.grad(f), lambda s: b + s * (a - b), weight, node)
    rounding = jnp.finfo(a.dtype).eps * (jnp.abs(upper) + jnp.abs(lower))
    return _better(integral, upper - lower, a - b, rounding)


def _better(integral, difference, width, rounding):
    equal = width == 0
    safe = jnp.where(equal, 1, width)
    quotient, error = difference / safe, _ROUNDINGS * rounding / jnp.abs(safe)
    taken = equal | (jnp.abs(integral - quotient) <= error)
    least = jnp.finfo(width.dtype).eps * jnp.abs(integral)
    return jnp.where(taken, integral, quotient), jnp.where(taken, least, error)


def _integral(g, point, weight, *nodes):
    total = 0
    for w, *place in zip(weight, *nodes, strict=True):
        total = total + w * _each(g, point(*place))
    return total


def _each(g, x):
    return jax.vmap(g)(x.ravel()).reshape(x.shape)


def _gauss(a):
    """Nodes and weights on [0, 1], as numbers of the dtype of ``a``."""
    node, weight = np.polynomial.legendre.leggauss(5)
    return ((node + 1) / 2).astype(a.dtype), (weight / 2).astype(a.dtype)
