"""Eigenvalues of a symmetric matrix by its products with vectors: power iteration and Lanczos.

Of A, given as the map x ↦ A x, power iteration goes

    v⁺ = A v / ‖A v‖,    θ = vᵀA v,    ρ = ‖A v − θ v‖                          (1)

to the eigenvector whose eigenvalue has the largest modulus, by the ratio |λ₂/λ₁| per step;
Lanczos' method takes the best from all that k products span. From a unit q₁ it makes

    βⱼ qⱼ₊₁ = A qⱼ − αⱼ qⱼ − βⱼ₋₁ qⱼ₋₁,    αⱼ = qⱼᵀA qⱼ,    T = QᵀA Q tridiagonal   (2)

each qⱼ₊₁ orthogonalised twice against all before it, and from T = S diag(θ) Sᵀ

    yᵢ = Q sᵢ,    ρᵢ = ‖A yᵢ − θᵢ yᵢ‖ = βₖ |s_ki|                               (3)

Both are certified: for a symmetric A an eigenvalue of A lies within ρ of θ. That it is the
dominant one nothing finite can tell: a start orthogonal to an eigenvector does not see it.
Where a product lies in what is spanned already (βⱼ up to 10dε maxᵢ ‖A qᵢ‖) the span is invariant
and the Ritz pairs are exact but for rounding; the rest of Q, of θ and of ρ is 0, and ``size`` says
how many there are. Of a repeated eigenvalue Lanczos' method sees one vector. The derivatives that
come back are zero; those of a simple eigenvalue are vᵀȦ v. A product that is not finite gives NaN,
and so does a start of 0.

Time: one product per step, and O(dk²) for (2).

>>> import jax.numpy as jnp
>>> from mlmath.linalg import power
>>> A = jnp.array([[2.0, 1.0], [1.0, 2.0]])
>>> found = power.iterate(lambda x: A @ x, jnp.array([1.0, 0.0]))
>>> print(jnp.round(found.value, 3), bool(found.residual < 1e-3))
3.0 True
>>> print(power.lanczos(lambda x: A @ x, jnp.array([1.0, 0.0]), 2).values)
[3. 1.]

References:
    Golub & Van Loan (2013), Matrix Computations, 4th ed., §8.2.1 (power), §10.1, §10.3 (Lanczos).
    Parlett (1998), The Symmetric Eigenvalue Problem, theorem 4.5.1 (residual bound), §13.2.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from mlmath.arrays import Count, Real, Scalar
from mlmath.certificate import superlinear_tolerance
from mlmath.linalg import spectra

__all__ = ["Dominant", "Ritz", "iterate", "lanczos"]


class Dominant(NamedTuple):
    """An eigenpair and its certificate, eq. (1)."""

    value: Float[Array, ""]  # θ
    vector: Float[Array, " d"]  # v, of length 1, its entry of largest modulus positive
    residual: Float[Array, ""]  # ρ: an eigenvalue lies within it of θ
    steps: Int[Array, ""]  # products taken
    converged: Bool[Array, ""]  # ρ ≤ η |θ|


class Ritz(NamedTuple):
    """Ritz pairs, eq. (3), of descending values; 0 beyond ``size``."""

    values: Float[Array, " k"]  # θ
    vectors: Float[Array, "d k"]  # y, in columns
    residuals: Float[Array, " k"]  # ρ: an eigenvalue lies within each of its θ
    size: Int[Array, ""]  # how many there are


class _State(NamedTuple):
    vector: Any
    image: Any  # A v
    value: Any
    residual: Any
    steps: Any


def iterate(
    linear: Callable[[Array], Array],
    start: Float[Real, " d"],
    *,
    tolerance: Scalar | None = None,
    max_steps: Count = 1000,
) -> Dominant:
    """Power iteration (1) until ρ ≤ η |θ|.

    Where λ and −λ are both of the largest modulus it does not converge, and says so.

    Args:
        linear: the map, x ↦ A x, symmetric.
        start: a vector that is not orthogonal to the one sought, as a Gaussian one never is.
        tolerance: η; 2√ε if None: the error of θ is up to ρ² over the gap of its eigenvalue.
        max_steps: most products.
    """
    start = lax.stop_gradient(jnp.asarray(start))
    if tolerance is None:
        tolerance = superlinear_tolerance(start) ** 0.5
    vector = _first(start)

    def measured(vector, steps):
        image = lax.stop_gradient(linear(vector))
        direction, norm = _unit(image)
        along = vector @ direction  # θ / ‖A v‖
        residual = norm * _unit(direction - along * vector)[1]
        return _State(vector, direction, norm * along, residual, steps)

    found = lax.while_loop(
        lambda s: (s.residual > tolerance * jnp.abs(s.value)) & (s.steps < max_steps),
        lambda s: measured(s.image, s.steps + 1),
        measured(vector, jnp.asarray(1)),
    )
    return Dominant(
        found.value,
        found.vector * spectra.signs(found.vector[:, None])[0],
        found.residual,
        found.steps,
        found.residual <= tolerance * jnp.abs(found.value),
    )


def lanczos(linear: Callable[[Array], Array], start: Float[Real, " d"], k: int) -> Ritz:
    """Ritz pairs (3) of k steps of Lanczos' method (2) with full reorthogonalisation.

    Args:
        linear: the map, x ↦ A x, symmetric.
        start: a vector in whose direction the eigenvectors sought have a part.
        k: steps, at most d.
    """
    start = lax.stop_gradient(jnp.asarray(start))
    d = start.size
    if not 1 <= k <= d:
        raise ValueError(f"k must be from 1 to {d}, the order of the matrix, got {k}.")
    least = 10 * d * jnp.finfo(start.dtype).eps

    def step(carry, j):
        Q, q, scale = carry
        Q = jnp.where(jnp.arange(k)[None] == j, q[:, None], Q)
        image, norm = _unit(lax.stop_gradient(linear(q)))
        alpha = q @ image
        for _ in range(2):
            image = image - _product(Q, _product(Q.T, image))
        following, beta = _unit(image)
        scale = jnp.maximum(scale, norm)
        beta = beta * norm
        ends = beta <= least * scale
        return (
            (Q, jnp.where(ends, 0, following), scale),
            (norm * alpha, jnp.where(ends, 0, beta), jnp.any(q != 0)),
        )

    q = _first(start)
    zero = jnp.zeros_like(q[0])
    (Q, *_), (alpha, beta, present) = lax.scan(
        step, (jnp.zeros((d, k), q.dtype), q, zero), jnp.arange(k)
    )
    return _ritz(Q, alpha, beta, present)


_product = partial(jnp.matmul, precision="highest")


@jax.default_matmul_precision("highest")
def _ritz(Q, alpha, beta, present):
    """Eq. (3); what is not there is decoupled, and sorted to the end."""
    unit = jnp.max(jnp.abs(jnp.stack([alpha, beta])))
    unit = jnp.where(unit == 0, 1, unit)
    T = jnp.diag(alpha / unit)
    for offset in (1, -1):
        T = T + jnp.diag(beta[:-1] / unit, offset)
    below = jnp.where(present, 0, -4).astype(T.dtype)  # |θ| ≤ 3 in this unit
    values, S = spectra.decompose(T + jnp.diag(below))
    there = jnp.arange(len(alpha)) < jnp.sum(present)
    residuals = jnp.where(there, beta[-1] * jnp.abs(S[-1]), 0)
    vectors = jnp.where(there[None], Q @ S, 0)
    return Ritz(jnp.where(there, unit * values, 0), vectors, residuals, jnp.sum(present))


def _first(start):
    direction, length = _unit(start)
    return jnp.where(length == 0, jnp.nan, direction)


def _unit(x):
    """Direction of x, and its length whatever its scale; of 0 zeros."""
    largest = jnp.max(jnp.abs(x))
    scaled = x / jnp.where(largest == 0, 1, largest)
    norm = jnp.sqrt(scaled @ scaled)
    return scaled / jnp.where(norm == 0, 1, norm), largest * norm
