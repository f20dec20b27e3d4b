"""Where non-negative factorisations begin.

Of rows xᵢ ≥ 0 with weights sᵢ, let x̄ be the mean and u, v the left and right singular vectors of
diag(√s) X, the leading first. :func:`init_svd` takes of each of k pairs the parts of one sign,

    hⱼ = v⁺ or −v⁻, whichever has the larger ‖u±‖‖v±‖,        v = v⁺ + v⁻            (1)

which are the best non-negative u vᵀ to their product; the same for the same data. With several
draws :func:`init_random` begins in several places,

    hⱼ = x_i / ‖x_i‖ + x̄ / ‖x̄‖        of k different rows i, drawn ∝ sᵢ             (2)

To (1), of unit length, a thousandth of x̄/‖x̄‖ is added, so that in neither an entry that counts is
0, where multiplicative updates would leave it. A NaN or a negative entry that counts makes all
components NaN. Nothing here has a derivative.

Time O(nd² + d³) for (1) and O(nd + nk) for (2), memory O(d² + nd).

>>> import jax, jax.numpy as jnp
>>> from mlmath.latent import nonnegative_starts
>>> X = jnp.array([[2.0, 2.0, 0.0], [4.0, 4.0, 0.0], [0.0, 0.0, 3.0]])
>>> print(nonnegative_starts.init_svd(X, k=2).round(2))
[[0.71 0.71 0.  ]
 [0.   0.   1.  ]]
>>> nonnegative_starts.init_random(jax.random.key(0), X, k=2).shape
(2, 3)

References:
    Boutsidis & Gallopoulos (2008), SVD based initialization: a head start for nonnegative matrix
        factorization, Pattern Recognition 41(4), §2.
    Langville et al. (2006), Initializations for the nonnegative matrix factorization, KDD '06, §3
        (components from rows).
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mlmath.arrays import Key, Real
from mlmath.compiled import compiled
from mlmath.latent import nonnegative_descent, seeding
from mlmath.latent.nonnegative_descent import normal
from mlmath.linalg import gram
from mlmath.statistics.weights import present_rows

__all__ = ["init_random", "init_svd"]


@compiled(static=("k",))
def init_random(
    key: Key, X: Float[Real, "n d"], *, k: int = 8, sample_weight: Float[Real, " n"] | None = None
) -> Float[Array, "k d"]:
    """Draw k components, eq. (2), each halfway between the directions of a row and of the mean.

    Args:
        key: of the draws.
        X: rows, without negative entries.
        k: how many; static.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.

    Raises:
        ValueError: if k is not from 1 to the smaller of n and d.
    """
    nonnegative_descent.refuse(k, X)
    drawn = seeding.init_random(key, X, k=k, sample_weight=sample_weight)
    X, weight, *_ = nonnegative_descent.frame(*present_rows(X, sample_weight))
    return lax.stop_gradient(normal(drawn) + normal((weight @ X)[None]))


@compiled(static=("k",))
def init_svd(
    X: Float[Real, "n d"], *, k: int = 8, sample_weight: Float[Real, " n"] | None = None
) -> Float[Array, "k d"]:
    """Components from singular vectors, eq. (1), without a draw.

    Args:
        X: rows, without negative entries.
        k: how many; static.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.

    Raises:
        ValueError: if k is not from 1 to the smaller of n and d.
    """
    nonnegative_descent.refuse(k, X)
    data = nonnegative_descent.frame(*present_rows(X, sample_weight))
    X, weight = lax.stop_gradient((data.X, data.weight))
    _, vectors = jnp.linalg.eigh(gram.gram(X, weight))
    V = vectors[:, ::-1][:, :k]
    squares, mean = gram.row_sum(_parts, (X, weight), V)
    parts = jnp.stack([jnp.maximum(V, 0), jnp.maximum(-V, 0)])
    sizes = squares * jnp.sum(parts**2, axis=1)
    found = jnp.where((sizes[0] >= sizes[1])[None], parts[0], parts[1])
    return normal(found.T) + 1e-3 * normal(mean[None])


def _parts(X, weight, V):
    """Squares ‖u±‖² of both parts of left vectors, and the sum of rows."""
    Z = X @ V
    squares = [weight @ jnp.maximum(sign * Z, 0) ** 2 for sign in (1, -1)]
    return jnp.stack(squares), weight @ X
