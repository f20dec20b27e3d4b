"""Conjugate gradients: a symmetric positive definite system by products with its matrix alone.

Of A x = b with A given as the map x ↦ A x, the k-th iterate is the best that k products allow,

    xₖ = argmin ½ xᵀA x − bᵀx  over  span{M⁻¹b, M⁻¹A M⁻¹b, …, (M⁻¹A)ᵏ⁻¹ M⁻¹b}      (1)

with a preconditioner M, positive definite, that resembles A. From x₀ = 0, r₀ = b, p₀ = M⁻¹b,

    a = rᵀM⁻¹r / pᵀA p,    x⁺ = x + a p,    r⁺ = r − a A p,
    p⁺ = M⁻¹r⁺ + (r⁺ᵀM⁻¹r⁺ / rᵀM⁻¹r) p                                        (2)

until rᵀM⁻¹r ≤ η² bᵀM⁻¹b. Exact arithmetic ends after as many steps as M⁻¹A has distinct
eigenvalues. A direction in which A is flat is not entered, and where A is not positive the
iteration ends: of many solutions of a singular system whose b is in the range of A one comes back.
Where a product is not finite the answer is NaN. The unit of b does not matter.

Time: one product per step. Memory: four x.

>>> import jax.numpy as jnp
>>> from mlmath.linalg import krylov
>>> A = jnp.array([[2.0, 1.0], [1.0, 3.0]])
>>> print(krylov.conjugate_gradients(lambda v: A @ v, jnp.array([3.0, 4.0])))
[1. 1.]

References:
    Golub & Van Loan (2013), Matrix Computations, §11.3 (algorithm 11.3.3), §11.5 (preconditioned).
    Nocedal & Wright (2006), Numerical Optimization, §5.1 (algorithm 5.3).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mlmath.arrays import Count, Real, Scalar
from mlmath.certificate import superlinear_tolerance
from mlmath.linalg.vectors import magnitude

__all__ = ["conjugate_gradients"]


class _State(NamedTuple):
    x: Any
    residual: Any  # r
    direction: Any  # p
    product: Any  # rᵀM⁻¹r
    steps: Any


def conjugate_gradients(
    linear: Callable[[Array], Array],
    b: Float[Real, " p"],
    *,
    preconditioner: Callable[[Array], Array] | None = None,
    tolerance: Scalar | None = None,
    max_steps: Count | None = None,
) -> Float[Array, " p"]:
    """Solve ``linear(x) = b`` for a symmetric positive (semi)definite map.

    Args:
        linear: the map, x ↦ A x.
        b: right-hand side; in the range of A if A is singular.
        preconditioner: r ↦ M⁻¹r for a positive definite M that resembles A; M = I if None.
        tolerance: η, the residual relative to b in the norm of M⁻¹; 4ε if None.
        max_steps: most products; 10p if None.
    """
    b = jnp.asarray(b)
    unit = magnitude(b)
    b = b / unit  # so that no square of it leaves the range of the dtype
    inverse = preconditioner or (lambda r: r)
    if tolerance is None:
        tolerance = superlinear_tolerance(b)
    most = 10 * b.size if max_steps is None else max_steps

    def step(s):
        image = linear(s.direction)
        curvature = s.direction @ image
        along = s.product / jnp.where(curvature <= 0, jnp.inf, curvature)  # flat: stay
        residual = s.residual - along * image
        preconditioned = inverse(residual)
        product = residual @ preconditioned
        return _State(
            s.x + along * s.direction,
            residual,
            preconditioned + product / s.product * s.direction,
            jnp.where(curvature <= 0, 0, product),
            s.steps + 1,
        )

    direction = inverse(b)
    first = b @ direction
    start = _State(jnp.zeros_like(b), b, direction, first, jnp.asarray(0))
    last = lax.while_loop(
        lambda s: (s.product > tolerance**2 * first) & (s.steps < most), step, start
    )
    return jnp.where(jnp.isfinite(first + last.product), unit * last.x, jnp.nan)
