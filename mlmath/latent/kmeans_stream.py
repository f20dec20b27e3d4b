"""Lloyd's steps over a stream of blocks of rows that are never together in memory.

For centroids cⱼ and the rows Aⱼ of a block that lie nearest to cⱼ, with weights sᵢ, the sums

    Nⱼ = Σ_{i∈Aⱼ} sᵢ,    Dⱼ = Σ_{i∈Aⱼ} sᵢ (xᵢ − cⱼ),    Qⱼ = Σ_{i∈Aⱼ} sᵢ ‖xᵢ − cⱼ‖²      (1)

of two blocks add up to those of both. From the sums of all blocks, with mⱼ = cⱼ + Dⱼ/Nⱼ and the
mean x̄ = Σⱼ Nⱼmⱼ / Σⱼ Nⱼ of all rows,

    L(C) = Σⱼ Qⱼ,    L(null) = Σⱼ [Qⱼ − ‖Dⱼ‖²/Nⱼ + Nⱼ ‖mⱼ − x̄‖²]                    (2)

and the step cⱼ ← mⱼ lowers the inertia by at least

    Σⱼ ‖Dⱼ‖²/Nⱼ                                                                 (3)

so that the gap is (3)/L(null) at C, as in ``latent.kmeans``. A centroid without rows stays where
it is: the farthest row of a stream is gone when the others are known. C with a gap of 0 is where
``kmeans.fit`` ends too if every centroid has rows.

Sums about C lose nothing to where the origin lies. Those of one array in blocks are those of the
array to rounding. Nearest ones are piecewise constant; with these fixed everything here is
differentiable in the rows and the weights.

Time O(nkd) for the rows of a block, memory a block as in ``linalg.nearest`` and O(kd).

>>> import jax.numpy as jnp
>>> from mlmath.latent import kmeans, kmeans_stream
>>> blocks = [jnp.array([[0.0], [1.0], [9.0]]), jnp.array([[10.0], [0.5]])]
>>> params = kmeans.Params(jnp.array([[0.0], [5.0]]))
>>> for _ in range(2):
...     sums = [kmeans_stream.summarize(params, X) for X in blocks]
...     fitted = kmeans_stream.solve(params, kmeans_stream.merge(*sums))
...     print(params.centroids.T, fitted.certificate.converged)
...     params = fitted.ahead
[[0. 5.]] False
[[0.5 9.5]] True

References:
    Lloyd (1982), Least squares quantization in PCM, IEEE Transactions on Information Theory
        28(2), §II, method I.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.arrays import Real, Scalar
from mlmath.certificate import Certificate, certify, superlinear_tolerance
from mlmath.compiled import compiled
from mlmath.latent.centroids import Params
from mlmath.linalg import gram
from mlmath.linalg.nearest import nearest
from mlmath.statistics.weights import present_rows

__all__ = ["Step", "Sums", "merge", "solve", "summarize"]


class Sums(NamedTuple):
    """What blocks of rows say of centroids, eq. (1)."""

    totals: Float[Array, " k"]  # Nⱼ
    shifts: Float[Array, "k d"]  # Dⱼ
    squares: Float[Array, " k"]  # Qⱼ


class Step(NamedTuple):
    """Outcome of :func:`solve`."""

    params: Params  # cⱼ, as given
    certificate: Certificate  # of these: gap (3) / L(null), what the step to mⱼ is sure to gain
    ahead: Params  # mⱼ, where the next step begins


@compiled()
def summarize(
    params: Params, X: Float[Real, "n d"], *, sample_weight: Float[Real, " n"] | None = None
) -> Sums:
    """Sums (1) of one block of rows; NaN with a negative weight.

    Args:
        params: cⱼ, the same for all blocks of a step.
        X: rows of the block.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
    """
    X, weight = present_rows(X, sample_weight)
    C = jnp.asarray(params.centroids, X.dtype)
    weight = weight + jnp.where((weight < 0).any(), jnp.nan, 0)
    sums = gram.row_sum(_sums, (X, weight, nearest(X, C).indices), C)
    return Sums(sums[:, 0], sums[:, 1:-1], sums[:, -1])


def merge(first: Sums, second: Sums) -> Sums:
    """Sums of two blocks, or sets of blocks, together."""
    return jax.tree.map(jnp.add, first, second)


@compiled()
def solve(params: Params, sums: Sums, *, tolerance: Scalar | None = None) -> Step:
    """Step from the centroids that the sums are about, and what it is worth.

    Args:
        params: cⱼ.
        sums: of all rows.
        tolerance: largest gap that counts as converged; 4ε of the dtype if None.
    """
    totals, shifts, squares = map(jnp.asarray, sums)
    C = jnp.asarray(params.centroids, shifts.dtype)
    some = totals != 0
    many = jnp.where(some, totals, 1)
    means = C + shifts / many[:, None]
    gains = jnp.sum(shifts**2, axis=1) / many
    within = jnp.maximum(squares - gains, 0)
    first = means[jnp.argmax(totals)][None]
    moved = jnp.where(some[:, None], means - first, 0)
    center = totals @ moved / jnp.sum(totals)
    null = jnp.sum(within + totals * jnp.sum((moved - center[None]) ** 2, axis=1))
    tolerance = superlinear_tolerance(C) if tolerance is None else tolerance
    lost = 0 * (null + jnp.sum(C))  # NaN if no answer exists
    certificate = certify(jnp.sum(squares), jnp.sum(gains) + lost, null, tolerance=tolerance)
    ahead = jnp.where(some[:, None], means, C) + lost
    return Step(Params(C), certificate, Params(ahead))


def _sums(X, weight, labels, C):
    apart = X - C.at[labels].get(mode="clip")
    found = jnp.concatenate([jnp.ones_like(apart[:, :1]), apart], axis=1)
    found = jnp.concatenate([found, jnp.sum(apart**2, axis=1, keepdims=True)], axis=1)
    found = jnp.where((weight[:, None] == 0) & jnp.isinf(found), 0, found)
    return jax.ops.segment_sum(weight[:, None] * found, labels, num_segments=C.shape[0])
