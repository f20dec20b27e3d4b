"""Functions of a symmetric matrix, with two derivatives wherever its eigenvalues lie.

For A = V diag(λ) Vᵀ, λ₁ ≥ … ≥ λ_d, and a function f of one number

    f(A) = V diag(f(λ₁), …, f(λ_d)) Vᵀ                                         (1)

depends on no choice of V. With Ẽ = VᵀEV and the divided differences of f, which where eigenvalues
coincide are f′ and ½f″, Daleckii and Krein's theorem says that

    Df(A)[E] = V (f[λᵢ, λⱼ] Ẽᵢⱼ)ᵢⱼ Vᵀ                                           (2)
    D²f(A)[E, G] = V (Σₖ f[λᵢ, λₖ, λⱼ] (Ẽᵢₖ G̃ₖⱼ + G̃ᵢₖ Ẽₖⱼ))ᵢⱼ Vᵀ                  (3)

A spectrum whose r largest values are kept and whose others are discarded has functions of another
kind, f on a neighbourhood of the first and 0 on one of the rest, analytic on both, for which (2),
(3) hold with differences that divide by the gaps between kept and discarded values alone:

    P = Σ_{i ≤ k} vᵢvᵢᵀ,   f = 1;    A^½, f(λ) = λ^½;    (A⁺)^½, f(λ) = λ^−½       (4)

P does not see eigenvalues that repeat within either part. The derivatives of the roots at a
matrix of less than full rank are those along matrices of its rank. Of A the symmetric part counts.
A third derivative is refused.

Time O(d³) for (1) and (2), memory O(d²); for (3) memory O(d³).

>>> import jax, jax.numpy as jnp
>>> from mlmath.linalg import matrix_functions
>>> def entry(A):
...     return matrix_functions.spectral_function(jnp.exp, A)[0, 1]
>>> print(jax.grad(entry)(jnp.zeros((2, 2))))
[[0.  0.5]
 [0.5 0. ]]
>>> leading = matrix_functions.projector(jnp.diag(jnp.array([1.0, 3.0, 3.0])), 2)
>>> print(leading.gap, jnp.diagonal(leading.matrix))
2.0 [0. 1. 1.]

References:
    Daleckii & Krein (1965), Integration and differentiation of functions of Hermitian operators.
    Bhatia (1997), Matrix Analysis, theorem V.3.3 (first), §X.4 (second derivative).
    Kato (1995), Perturbation Theory for Linear Operators, §II.2 (projectors).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mlmath.arrays import Real, Scalar
from mlmath.linalg import divided_differences, spectra

__all__ = ["Projector", "inverse_square_root", "projector", "spectral_function", "square_root"]


class Projector(NamedTuple):
    """Projector on the span of the leading eigenvectors, eq. (4)."""

    matrix: Float[Array, "d d"]  # P
    gap: Float[Array, ""]  # λ_k − λ_{k+1}, ∞ for k = d; P is accurate to dε max|λ| / gap


class _Spectrum(NamedTuple):
    values: Any
    vectors: Any
    kept: Any  # which values are kept: the first r


def spectral_function(f: Callable[[Array], Array], A: Float[Real, "d d"]) -> Float[Array, "d d"]:
    """f(A), eq. (1), with the derivatives (2), (3) in A and in the numbers that f carries.

    Args:
        f: a function of one number, with two derivatives between the eigenvalues; where it has
            none, as the ReLU at 0, those of divided differences where eigenvalues differ.
        A: the matrix.
    """
    A = _symmetric(A)
    spectrum = spectra.decompose(A)
    return _function(f, A, _Spectrum(*spectrum, jnp.ones(len(A), bool)))


def projector(A: Float[Real, "d d"], k: int) -> Projector:
    """P of (4), the projector on the k leading eigenvectors.

    The derivatives of the gap are those of two simple eigenvalues. A gap of 0 makes those of P
    infinite or NaN.
    """
    A = _symmetric(A)
    d = len(A)
    if not 1 <= k <= d:
        raise ValueError(f"k must be from 1 to {d}, the order of the matrix, got {k}.")
    values, vectors = spectra.eigh(A)
    spectrum = _Spectrum(*lax.stop_gradient((values, vectors)), jnp.arange(d) < k)
    gap = values[k - 1] - values[k] if k < d else jnp.full_like(values[0], jnp.inf)
    return Projector(_function(jnp.ones_like, A, spectrum), gap)


def square_root(A: Float[Real, "d d"], *, tolerance: Scalar | None = None) -> Float[Array, "d d"]:
    """A^½ of (4), positive semidefinite; NaN where A is not.

    Args:
        A: the matrix.
        tolerance: eigenvalues up to it, relative to the largest, are 0, and one below minus it
            makes A indefinite; 10dε if None.
    """
    A, unit, spectrum = _positive(A, tolerance)
    return jnp.sqrt(unit) * _function(jnp.sqrt, A, spectrum)


def inverse_square_root(
    A: Float[Real, "d d"], *, tolerance: Scalar | None = None
) -> Float[Array, "d d"]:
    """(A⁺)^½ of (4), A^−½ where A is positive definite; NaN where A is indefinite.

    Args:
        A: the matrix.
        tolerance: as in :func:`square_root`.
    """
    A, unit, spectrum = _positive(A, tolerance)
    return _function(lax.rsqrt, A, spectrum) / jnp.sqrt(unit)


def _symmetric(A):
    A = jnp.asarray(A)
    return A / 2 + A.T / 2


def _positive(A, tolerance):
    """A in a unit of its own, that unit, and the spectrum with the values that count."""
    A = _symmetric(A)
    largest = lax.stop_gradient(jnp.max(jnp.abs(A)))
    unit = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1)
    A = A / unit
    values, vectors = spectra.decompose(A)
    if tolerance is None:
        tolerance = 10 * len(A) * jnp.finfo(A.dtype).eps
    least = lax.stop_gradient(tolerance) * jnp.max(jnp.abs(values))
    values = jnp.where(values[-1] < -least, jnp.nan, values)
    return A, unit, _Spectrum(values, vectors, ~(values <= least))  # NaN is kept


def _function(f, A, spectrum):
    """f on the kept part, 0 on the other; numbers that f closes over become arguments."""
    f, numbers = jax.closure_convert(f, spectrum.values[0])
    return _value(f, A, spectrum, tuple(numbers))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _value(f, A, spectrum, numbers):
    """Eq. (1)."""
    (values, V, kept), f = spectrum, _with(f, numbers)
    return _rotate(V, jnp.diag(jnp.where(kept, jax.vmap(f)(_only(kept, values, values)), 0)))


@_value.defjvp
def _(f, primals, tangents):
    A, spectrum, numbers = primals
    tangent = _linear(f, A, spectrum, numbers, tangents[0])
    change = _along_numbers(lambda f, n: _value(f, A, spectrum, n), f, numbers, tangents[2])
    return _value(f, *primals), tangent + change


def _linear(f, A, spectrum, numbers, E):
    """Eq. (2) as X in (Y, X − Df(A)[Y]) = (E, 0), a symmetric system of X and Y.

    What is linear in a tangent keeps no rule of its own when JAX transposes it. A linear solve
    does, so that (3) is found in reverse too.
    """

    def image(E):
        return _first(f, A, spectrum, numbers, E)

    return lax.custom_linear_solve(
        lambda v: jnp.stack([v[1], v[0] - image(v[1])]),
        jnp.stack([E, jnp.zeros_like(E)]),
        lambda _, b: jnp.stack([b[1] + image(b[0]), b[0]]),
        symmetric=True,
    )[0]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _first(f, A, spectrum, numbers, E):
    """Eq. (2)."""
    (values, V, kept), f = spectrum, _with(f, numbers)
    a, b = jnp.meshgrid(values, values, indexing="ij")
    differences = _first_differences(f, (a, b), jnp.meshgrid(kept, kept, indexing="ij"))
    return _rotate(V, differences * _rotate(V.T, E))


@_first.defjvp
def _(f, primals, tangents):
    A, spectrum, numbers, E = primals
    tangent = _first(f, A, spectrum, numbers, tangents[3])
    tangent = tangent + _second(f, _last(A), spectrum, numbers, E, tangents[0])
    change = _along_numbers(lambda f, n: _first(f, A, spectrum, n, E), f, numbers, tangents[2])
    return _first(f, *primals), tangent + change


def _second(f, _, spectrum, numbers, E, G):
    """Eq. (3)."""
    (values, V, kept), f = spectrum, _with(f, numbers)
    points = jnp.meshgrid(values, values, values, indexing="ij")
    differences = _second_differences(f, points, jnp.meshgrid(kept, kept, kept, indexing="ij"))
    E, G = _rotate(V.T, E), _rotate(V.T, G)
    pairs = E[:, :, None] * G[None] + G[:, :, None] * E[None]
    return _rotate(V, jnp.sum(differences * pairs, axis=1))


@jax.custom_jvp
def _last(A):
    """A, of which no further derivative is taken."""
    return A


@_last.defjvp
def _(primals, tangents):
    raise NotImplementedError("A function of a matrix has first and second derivatives, no third.")


def _along_numbers(value, f, numbers, changes):
    """Σ (∂ value / ∂ number) change over all entries of the numbers that f carries."""
    total: Any = 0

    def slope(x, *both):
        half = len(both) // 2
        return jax.jvp(lambda *numbers: f(x, *numbers), both[:half], both[half:])[1]

    for k, change in enumerate(changes):
        none = [jnp.zeros_like(n) for n in numbers]
        basis = jnp.eye(change.size, dtype=change.dtype).reshape(-1, *change.shape)
        one = jax.vmap(
            lambda e, k=k, none=none: value(slope, (*numbers, *none[:k], e, *none[k + 1 :]))
        )
        total = total + jnp.sum(change.ravel()[:, None, None] * one(basis), axis=0)
    return total


def _first_differences(f, points, kept):
    """f[a, b] of the function that is 0 around the points that are not kept."""
    (a, b), (a_kept, b_kept) = points, kept
    inside = divided_differences.first(f, _only(a_kept, a, b), _only(b_kept, b, a))
    apart = a_kept != b_kept
    top = jax.vmap(f)(jnp.where(a_kept, a, b).ravel()).reshape(a.shape)
    across = top / jnp.where(apart, jnp.where(a_kept, a - b, b - a), 1)
    return jnp.where(apart, across, jnp.where(a_kept, inside, 0))


def _second_differences(f, points, kept):
    """f[a, b, c] of the same function: what is kept are the largest points."""
    points, kept = jnp.sort(jnp.stack(points), axis=0)[::-1], sum(k.astype(int) for k in kept)
    a, b, c = points
    inside = divided_differences.second(f, *(_only(kept == 3, p, a) for p in points))
    upper = _first_differences(f, (a, b), (kept > 0, kept > 1))
    lower = _first_differences(f, (b, c), (kept > 1, kept > 2))
    apart = (kept > 0) & (kept < 3)
    across = (upper - lower) / jnp.where(apart, a - c, 1)
    return jnp.where(apart, across, jnp.where(kept == 3, inside, 0))


def _only(kept, points, others):
    """Points that are kept, others in place of the rest, whose image is not used."""
    return jnp.where(kept, points, others)


def _with(f, numbers):
    return lambda x: f(x, *numbers)


@jax.default_matmul_precision("highest")
def _rotate(V, M):
    return V @ M @ V.T
