"""Multiplicative updates: a descent on non-negative numbers that never leaves them.

With rows xᵢ ≥ 0 and codes wᵢ ≥ 0 given, the components H ≥ 0 of ``latent.nonnegative_codes`` have

    F(H) = ½ tr HᵀAH − tr BᵀH,        A = Σᵢ sᵢ wᵢᵀwᵢ,   B = Σᵢ sᵢ wᵢᵀxᵢ            (1)

and Lee and Seung's update multiplies each entry by a ratio that is 1 where its slope is 0:

    H_ja ← H_ja · B_ja / (AH)_ja                                               (2)

It is the minimum of a function that lies above F and touches it at H, and so lowers F by at least

    ½ Σ_ja (AH)_ja / H_ja · (H⁺_ja − H_ja)²                                     (3)

An entry that is 0 stays 0, whatever its slope, and one whose best value is 0 only tends to it.
Where (AH)_ja = 0 the entry has no influence, and stays.

Time O(k² d).

>>> import jax.numpy as jnp
>>> from mlmath.latent import multiplicative_updates
>>> A, B = jnp.array([[2.0, 1.0], [1.0, 2.0]]), jnp.array([[4.0], [5.0]])
>>> H, gain = multiplicative_updates.multiply(A, B, jnp.array([[1.0], [1.0]]))
>>> print(H.ravel().round(3), gain.round(3))
[1.333 1.667] 0.833

References:
    Lee & Seung (2001), Algorithms for non-negative matrix factorization, NIPS 13, eq. 4 and
        theorem 1; lemma 2 (eq. 3).
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.arrays import Real

__all__ = ["multiply"]


def multiply(
    A: Float[Real, "k k"], B: Float[Real, "k d"], H: Float[Real, "k d"]
) -> tuple[Float[Array, "k d"], Float[Array, ""]]:
    """The update (2), and what it is sure to gain, eq. (3)."""
    A, B, H = jnp.asarray(A), jnp.asarray(B), jnp.asarray(H)
    image = A @ H
    new = jnp.where(image <= 0, H, H * B / jnp.where(image > 0, image, 1))
    curvature = image / jnp.where(H > 0, H, jnp.inf)
    return new, jnp.sum(curvature * (new - H) ** 2) / 2
