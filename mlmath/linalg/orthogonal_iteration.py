"""Orthogonal iteration: leading eigenvectors of a large matrix by products with a few columns.

For symmetric positive semidefinite C ∈ ℝᵈˣᵈ, known through V ↦ C V, and V₀ ∈ ℝᵈˣˡ, l ≥ k,

    Q = orth(V),    QᵀCQ = U diag(θ) Uᵀ,    V ← C Q U                           (1)

The Ritz vectors QU belong to the Ritz values θ₁ ≥ … ≥ θ_l, and the k first of them to the answer.
Each step shrinks what V₀ has outside the k leading vectors by λ_{l+1}/λ_k beside what lies inside;
a Gaussian V₀ has some of everything. With the residual e = ‖C QU_k − QU_k diag(θ₁ … θ_k)‖_F what
they capture too little of tr C is about

    max_{0 ≤ t ≤ √k} 2et − δt²,    δ = θ_k − θ_{k+1} − 2e                        (2)

(``linalg.scatter``, eq. (5)), an estimate, for θ_{k+1} stands for the largest eigenvalue that is
left, which it may not have reached; with l = k it is θ_k, and nothing is known of the rest. Steps
end where (2) is at most a given number.

Nothing has a derivative here. One product with l columns and O(d l²) per step.

>>> import jax, jax.numpy as jnp
>>> from mlmath.linalg import orthogonal_iteration
>>> C = jnp.diag(jnp.array([4.0, 2.0, 1.0, 0.1]))
>>> start = jax.random.normal(jax.random.key(0), (4, 3))
>>> found = orthogonal_iteration.iterate(lambda V: C @ V, start, 2, enough=1e-5, max_steps=50)
>>> print(found.values.round(3))
[4. 2.]

References:
    Golub & Van Loan (2013), Matrix Computations, 4th ed., §8.2.4 and §8.3.7 (Ritz acceleration).
    Halko, Martinsson & Tropp (2011), Finding structure with randomness, SIAM Review 53, §4.5.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from mlmath.arrays import Count, Real, Scalar
from mlmath.linalg import scatter, spectra

__all__ = ["Leading", "iterate"]


class Leading(NamedTuple):
    """Outcome of :func:`iterate`."""

    values: Float[Array, " k"]  # θ, descending
    vectors: Float[Array, "d k"]  # QU, orthonormal, signed as in ``linalg.spectra``
    excess: Float[Array, ""]  # estimate (2), in the units of C
    steps: Int[Array, ""]  # products with l columns


def iterate(
    product: Callable[..., Any],
    start: Float[Real, "d l"],
    k: int,
    *args: Any,
    enough: Scalar,
    max_steps: Count,
    rounding: Scalar = 0.0,
) -> Leading:
    """Take steps (1) until (2) is at most ``enough``, one at least.

    Args:
        product: called as ``product(V, *args)`` with V of l columns.
        start: V₀.
        k: how many of the l directions are wanted.
        args: what the product takes besides.
        enough: estimate (2) at which steps end, in the units of C.
        max_steps: most steps.
        rounding: of the product, added to e.
    """
    start, args, rounding = lax.stop_gradient((jnp.asarray(start), args, rounding))

    def more(state):
        steps, *_, excess = state
        return (steps == 0) | ((steps < max_steps) & ~(excess <= enough))

    def advance(state):
        steps, image, *_ = state
        Q, _ = jnp.linalg.qr(image)
        image = product(Q, *args)
        values, U = spectra.decompose(jnp.matmul(Q.T, image, precision="highest"))
        vectors, image = (jnp.matmul(a, U, precision="highest") for a in (Q, image))
        left = image[:, :k] - vectors[:, :k] * values[None, :k]
        e = jnp.sqrt(jnp.sum(left**2)) + rounding
        rest = values[min(k, values.size - 1)] if k < start.shape[0] else 0
        return steps + 1, image, values, vectors, scatter.gain(e, values[k - 1] - rest - 2 * e, k)

    zeros = jnp.zeros_like(start[0])
    state = jnp.asarray(0, jnp.int32), start, zeros, start, jnp.sum(zeros)
    steps, _, values, vectors, excess = lax.while_loop(more, advance, state)
    vectors = vectors[:, :k] * spectra.signs(vectors[:, :k])[None]
    return lax.stop_gradient(Leading(values[:k], vectors, excess, steps))
