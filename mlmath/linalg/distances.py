"""Distances of one point to many.

Of x ∈ ℝᵈ to each row y of Y ∈ ℝᵐˣᵈ,

    squared Euclidean   ‖x − y‖² = [−2y, ‖y‖²]·[x, 1] + ‖x‖²                   (1)
    Minkowski           (Σⱼ |xⱼ − yⱼ|ᵖ)^(1/p),  p ≥ 1                          (2)
    Euclidean           (2) with p = 2
    Manhattan           Σⱼ |xⱼ − yⱼ|, (2) with p = 1                           (3)
    Chebyshev           maxⱼ |xⱼ − yⱼ|, (2) with p → ∞                         (4)
    cosine              1 − xᵀy / (‖x‖ ‖y‖)                                    (5)
    Mahalanobis         √((x − y)ᵀ Σ⁻¹ (x − y)) = ‖L⁻¹(x − y)‖,  Σ = LLᵀ       (6)
    Hamming             (1/d) Σⱼ [xⱼ ≠ yⱼ]                                     (7)

``jax.vmap`` over x makes one product of matrices of (1) and of (5), whose errors are absolute:
(1) is taken of x − c and y − c with a point c amid the rows, :func:`center`, so that where the
origin lies does not matter. It is exact for whole numbers as long as their squares are, and off
by at most

    (d + 6) ε (‖x − c‖ + ‖y − c‖)²                                             (8)

and (5) by (d + 8) ε. The others go through the differences, d operations for each pair, and are
right to a few d ε of themselves, (6) to as many times the condition of L; :func:`euclidean` is
therefore the choice for points that nearly coincide, and √(1) the fast one.

NaN in a row shows in the distance of that row alone. Derivatives at x = y, and in a coordinate
that agrees, are 0 where the distance has none.

Time O(md), (6) O(md²) for all x together; memory that of the result and a copy of Y.

>>> import jax, jax.numpy as jnp
>>> from mlmath.linalg import distances
>>> x, Y = jnp.array([0.0, 0.0]), jnp.array([[3.0, 4.0], [6.0, 8.0]])
>>> print(distances.squared_euclidean(x, Y), distances.manhattan(x, Y))
[ 25. 100.] [ 7. 14.]
>>> print(jax.vmap(distances.euclidean, (0, None))(Y, Y))
[[0. 5.]
 [5. 0.]]

References:
    Deza & Deza (2016), Encyclopedia of Distances, §1.1 and §17.1.
    Higham (2002), Accuracy and Stability of Numerical Algorithms, §3.1 (inner products).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Bool, Float, Int

from mlmath.absence import filled
from mlmath.arrays import Real, Scalar, after
from mlmath.compiled import compiled
from mlmath.linalg import gram
from mlmath.linalg.bounding_box import bounding_box

__all__ = [
    "Frame",
    "center",
    "chebyshev",
    "cosine",
    "euclidean",
    "frame",
    "hamming",
    "mahalanobis",
    "manhattan",
    "minkowski",
    "squared_euclidean",
]


class Frame(NamedTuple):
    """Outcome of :func:`frame`."""

    center: Float[Array, " d"]  # c
    reach: Float[Array, ""]  # maxᵢⱼ |yᵢⱼ − cⱼ|


_GROUP = 64  # coordinates of one program; more go through it in turn


def squared_euclidean(x: Float[Real, " d"], Y: Float[Real, "m d"]) -> Float[Array, " m"]:
    """Squared Euclidean distances, eq. (1); never below 0, and within (8) of the truth."""
    x, Y = _given(x, Y)
    middle, reach = frame(Y)
    z, Z = x - middle, Y - middle[None]
    one, many = (_above(a) for a in (jnp.max(jnp.abs(z)), reach))
    unit = jnp.maximum(one, many)  # in which no square leaves the dtype
    z, Z, one, many = z / one, Z / many, one / unit, many / unit
    columns = jnp.concatenate([-2 * Z, jnp.sum(Z**2, axis=1, keepdims=True)], axis=1)
    row = jnp.concatenate([one * many * z, many[None] ** 2])
    found = jnp.matmul(columns, row, precision="highest") + jnp.sum((one * z) ** 2)
    return unit * (unit * _clamped(found, jnp.inf))


@compiled()
def euclidean(x: Float[Real, " d"], Y: Float[Real, "m d"]) -> Float[Array, " m"]:
    """Euclidean distances by the differences, eq. (2) with p = 2; derivative 0 at x = y."""
    return _euclidean(*_given(x, Y))


def manhattan(x: Float[Real, " d"], Y: Float[Real, "m d"]) -> Float[Array, " m"]:
    """Sums of absolute differences, eq. (3)."""
    return jnp.sum(_absolute(_differences(x, Y)), axis=1)


def minkowski(x: Float[Real, " d"], Y: Float[Real, "m d"], p: Scalar) -> Float[Array, " m"]:
    """Distances of order p, eq. (2); differentiable in p too. For p < 1 they are no metric."""
    apart = _absolute(_differences(x, Y))
    p = jnp.asarray(p, apart.dtype)
    unit = _largest(apart)
    return _root_of_sum(apart / unit[:, None], unit, lambda a: a**p, lambda a: a ** (1 / p))


def chebyshev(x: Float[Real, " d"], Y: Float[Real, "m d"]) -> Float[Array, " m"]:
    """Largest absolute differences, eq. (4); where several are, the derivative is their mean."""
    return jnp.max(_absolute(_differences(x, Y)), axis=1)


def cosine(x: Float[Real, " d"], Y: Float[Real, "m d"]) -> Float[Array, " m"]:
    """One minus the cosine of the angle, eq. (5), in [0, 2]; NaN where x or y is zero."""
    x, Y = _given(x, Y)
    return _clamped(1 - jnp.matmul(_unit(Y), _unit(x[None])[0], precision="highest"), 2)


def mahalanobis(
    x: Float[Real, " d"], Y: Float[Real, "m d"], factor: Float[Real, "d d"]
) -> Float[Array, " m"]:
    """Distances in units of a covariance, eq. (6); derivative 0 at x = y.

    Args:
        x: the point.
        Y: the points in its rows.
        factor: L, the lower Cholesky factor of the covariance Σ; its upper triangle is not
            read. Of a precision matrix P = Σ⁻¹ it is ``jnp.linalg.cholesky(inv(P))``.
    """
    x, Y = _given(x, Y)
    middle = center(Y)
    factor = jnp.asarray(factor, x.dtype)
    z = solve_triangular(factor, x - middle, lower=True)
    return euclidean(z, solve_triangular(factor, (Y - middle[None]).T, lower=True).T)


def hamming(
    x: Float[Real, " d"] | Int[Real, " d"] | Bool[Real, " d"],
    Y: Float[Real, "m d"] | Int[Real, "m d"] | Bool[Real, "m d"],
) -> Float[Array, " m"]:
    """Share of the coordinates that differ, eq. (7), of labels of any kind; NaN is no label."""
    x, Y = _nonempty(jnp.asarray(x), jnp.asarray(Y))
    known = jnp.all((x == x)[None] & (Y == Y), axis=1)
    return jnp.where(known, jnp.mean(x[None] != Y, axis=1), jnp.nan)


def center(Y: Float[Real, "m d"], *, present: Bool[Real, " m"] | None = None) -> Float[Array, " d"]:
    """Mean of the rows that are finite, rounded so that what differs by whole numbers still does.

    Each coordinate is a multiple of a quarter of the largest power of two in the range of the
    column: at most an eighth of the range from the mean. Its derivative is 0.

    Args:
        Y: points in its rows.
        present: which rows count; all if None.
    """
    return frame(Y, present=present).center


def frame(Y: Float[Real, "m d"], *, present: Bool[Real, " m"] | None = None) -> Frame:
    """The :func:`center` of the rows that are finite, and how far they lie from it."""
    Y = lax.stop_gradient(jnp.asarray(Y))
    finite = jnp.all(jnp.isfinite(Y), axis=1)
    finite = finite if present is None else finite & present
    low, high = bounding_box(Y, finite)
    share = finite.astype(Y.dtype) / jnp.maximum(jnp.sum(finite), 1).astype(Y.dtype)
    mean = gram.row_sum(_mean, (Y, after(share, low)))
    extent = high - low
    grain = jnp.ldexp(jnp.ones_like(mean), jnp.frexp(extent)[1] - 3)
    usable = (extent > 0) & jnp.isfinite(extent) & (grain > 0)
    rounded = jnp.round(mean / jnp.where(usable, grain, 1)) * grain
    middle = jnp.where(usable, rounded, jnp.where(extent == 0, low, mean))
    return Frame(middle, jnp.maximum(jnp.max(jnp.maximum(high - middle, middle - low)), 0))


@jax.default_matmul_precision("highest")
def _mean(Y, share):
    return share @ filled(Y)


def _given(x, Y):
    x = jnp.asarray(x)
    return _nonempty(x, jnp.asarray(Y, x.dtype))


def _nonempty(x, Y):
    if 0 in Y.shape:
        raise ValueError(f"Y must have at least one row and one column, got shape {Y.shape}.")
    return x, Y


def _differences(x, Y):
    x, Y = _given(x, Y)
    return x[None] - Y


def _absolute(apart):
    """|a|, whose derivative at 0 is 0; that of ``jnp.abs`` is 1."""
    return lax.stop_gradient(jnp.sign(apart)) * apart


def _above(size):
    """Power of two above a number, 1 for one that is 0 or not finite; without derivative."""
    size = lax.stop_gradient(size)
    exponent = jnp.clip(jnp.frexp(size)[1], None, jnp.finfo(size.dtype).maxexp - 2)
    return jnp.ldexp(jnp.ones_like(size), jnp.where(jnp.isfinite(size), exponent, 0))


def _clamped(value, most):
    """Value in [0, most], with the derivative of what rounding took out of it."""
    return value + lax.stop_gradient(jnp.clip(value, 0, most) - value)


def _largest(apart):
    """Largest |entry| of each row, to divide by: 1 where it is 0 or not finite."""
    largest = lax.stop_gradient(jnp.max(jnp.abs(apart), axis=1))
    return jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1)


@jax.custom_jvp
def _euclidean(x, Y):
    """Distances by plain sums of squares, and again in other units where any left the dtype."""
    plain = lax.optimization_barrier(jnp.sqrt(_sum_of_squares(x, Y.T, 1)))
    most = jnp.finfo(plain.dtype).maxexp
    least, far, near = (2.0 ** (part * most // 32) for part in (-9, 20, -20))

    def again(state):
        found, _ = state
        small, large = found < least, found == jnp.inf
        unit = jnp.where(small, near, jnp.where(large, far, 1))
        inverse = jnp.where(small, far, jnp.where(large, near, 1))
        z, _ = lax.optimization_barrier((x, found))  # else XLA makes the differences beforehand
        return unit * jnp.sqrt(_sum_of_squares(z, Y.T, inverse)), jnp.asarray(False)

    lost = ~((jnp.min(plain) >= least) & (jnp.max(plain) < jnp.inf))
    return lax.while_loop(lambda state: state[1], again, (plain, lost))[0]  # none or one


@_euclidean.defjvp
def _(primals, tangents):
    """Σⱼ (xⱼ − yⱼ)(ẋⱼ − ẏⱼ) / ‖x − y‖, in units in which no derivative of it leaves the dtype."""
    (x, Y), (dx, dY) = primals, tangents
    found = _euclidean(x, Y)
    exponent = jnp.frexp(lax.stop_gradient(found))[1] - 1
    unit = jnp.ldexp(jnp.ones_like(found), jnp.where(jnp.isfinite(found), exponent, 0))
    length = jnp.where(found == 0, jnp.inf, found / unit)
    along = (x[None] - Y) / unit[:, None] / length[:, None]
    return found, jnp.sum(along * (dx[None] - dY), axis=1)


def _sum_of_squares(x, columns, inverse):
    """Sum of squared differences from each column, coordinate by coordinate in one pass."""

    def added(total, x, columns):
        for j in range(len(x)):
            total = total + ((x[j] - columns[j]) * inverse) ** 2
        return total

    def group(i, total):
        return added(total, *(lax.dynamic_slice_in_dim(a, i * _GROUP, _GROUP) for a in both))

    both, whole = (x, columns), len(x) // _GROUP
    total = jnp.zeros_like(columns[0])
    total = lax.fori_loop(0, whole, group, total) if whole else total
    return added(total, *(a[whole * _GROUP :] for a in both))


def _root_of_sum(scaled, unit, power, root):
    """Root of the sum of powers of each row, of entries in units in which no power overflows."""
    total = jnp.sum(power(scaled), axis=1)
    zero = total == 0
    return jnp.where(zero, 0, unit * root(jnp.where(zero, 1, total)))


def _unit(Y):
    scaled = Y / _largest(Y)[:, None]
    return scaled / jnp.sqrt(jnp.sum(scaled**2, axis=1, keepdims=True))
