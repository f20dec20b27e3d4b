"""Alternating least squares over a stream of blocks of entries that are never together in memory.

For the entries e = (u, i) of a block, with weights sₑ, residuals eₑ = rₑ − r̂ₑ at given parameters,
eq. (1) of ``latent.matrix_factorization``, and the features fᵢ = (qᵢ, 1) of the columns, the sums

    Aᵤ = Σₑ sₑ fᵢfᵢᵀ,        gᵤ = Σₑ sₑ eₑ fᵢ,        E = Σₑ sₑ eₑ²                    (1)

and the moments of the values (``statistics.moments``) of two blocks add up to those of both. From
those of all blocks follow the objective L = E/2 + λ/2 (…) of the parameters and the first half
of a sweep, with zᵤ = (pᵤ, bᵤ) and n the place of the 1 in f,

    δ = Σᵤ gᵤₙ / Σᵤ Aᵤₙₙ,        μ ← μ + δ                                        (2)
    Δᵤ = (Aᵤ + λI)⁻¹ (gᵤ − δ Aᵤₙ − λzᵤ),        zᵤ ← zᵤ + Δᵤ                        (3)

which lowers L by exactly

    ½ δ² Σᵤ Aᵤₙₙ + ½ Σᵤ Δᵤᵀ(Aᵤ + λI)Δᵤ                                            (4)

so that the gap is (4) / L(null), as that of a fit. Then P and Q are balanced as there, which
changes no prediction. The other half is (3) of the :func:`transposed` parameters, without (2), from
the sums of a second pass: :func:`finish`. Two passes are one sweep of ``matrix_factorization.fit``,
to rounding, and no pass raises L; a stream ends where the fit does.

Sums about the parameters lose nothing where steps are small. An entry of weight 0 is absent,
whatever and wherever it is; one that counts and is NaN or outside of the matrix, and a negative
weight, make the gap NaN. So does a step that leaves the finite numbers.
Everything is differentiable in values and weights with the parameters fixed, P and Q alone where
no two singular values of PQᵀ, or of P, are alike.

Time O(e r²) for a block of e entries and O(m r³) for the step, memory O(m r²) and the block.

>>> import jax, jax.numpy as jnp
>>> from mlmath.latent import matrix_factorization, matrix_factorization_stream as stream
>>> u, i = jnp.array([0, 0, 0, 1, 1, 2, 2]), jnp.array([0, 1, 2, 0, 1, 1, 2])
>>> r = jnp.array([5.0, 3.0, 1.0, 4.0, 2.0, 4.0, 2.0])
>>> params = matrix_factorization.init(jax.random.key(0), (3, 3), rank=1)
>>> blocks = [slice(0, 4), slice(4, 7)]
>>> for _ in range(40):
...     sums = [stream.summarize(params, u[b], i[b], r[b]) for b in blocks]
...     step = stream.solve(params, stream.merge(*sums), l2=0.1)
...     half = stream.transposed(step.ahead)
...     sums = [stream.summarize(half, i[b], u[b], r[b]) for b in blocks]
...     params = stream.transposed(stream.finish(half, stream.merge(*sums), l2=0.1))
>>> fitted = matrix_factorization.fit(params, u, i, r, l2=0.1)
>>> print(step.certificate.objective.round(3), fitted.certificate.objective.round(3))
0.377 0.377

References:
    Koren, Bell & Volinsky (2009), Matrix factorization techniques for recommender systems,
        IEEE Computer 42(8), p. 45 (alternating least squares).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mlmath.arrays import Real, Scalar
from mlmath.certificate import Certificate, certify, superlinear_tolerance
from mlmath.compiled import compiled
from mlmath.latent import alternating
from mlmath.latent.matrix_factorization import Params
from mlmath.statistics import moments, weights

__all__ = ["Step", "Sums", "finish", "merge", "solve", "summarize", "transposed"]


class Sums(NamedTuple):
    """What blocks of entries say of the rows, eq. (1)."""

    curvature: Float[Array, "m p p"]  # Aᵤ, p = r + 1
    slope: Float[Array, "m p"]  # gᵤ
    squares: Float[Array, ""]  # E
    values: moments.Moments  # of the values, for L(null)


class Step(NamedTuple):
    """Outcome of :func:`solve`."""

    params: Params  # as given
    certificate: Certificate  # of these: gap, what μ and the rows are to gain over L of μ alone
    ahead: Params  # after the first half of a sweep


@compiled()
def summarize(
    params: Params,
    rows: Int[Real, " e"],
    columns: Int[Real, " e"],
    values: Float[Real, " e"],
    *,
    sample_weight: Float[Real, " e"] | None = None,
) -> Sums:
    """Sums (1) of one block of entries; NaN with a negative weight.

    Args:
        params: the same for all blocks of a pass.
        rows: u of each entry.
        columns: i of each entry.
        values: r of each entry.
        sample_weight: s of each entry; 2 counts it twice, 0 leaves it out.
    """
    values = jnp.asarray(values)
    P, Q, b, c, mean = (jnp.asarray(a, values.dtype) for a in params)
    shape = P.shape[0], Q.shape[0]
    rows, columns, values, weight = alternating.present_in_block(
        rows, columns, values, sample_weight, shape
    )
    weight = weight + jnp.where((weight < 0).any(), jnp.nan, 0)
    predicted = mean + b[rows] + c[columns] + jnp.sum(P[rows] * Q[columns], axis=1)
    residual = values - predicted
    features = jnp.concatenate([Q, jnp.ones_like(Q[:, :1])], axis=1)
    A, g = alternating.normal_equations(
        rows, columns, weight, weight * residual, features, shape[0]
    )
    spread = moments.summarize(values[:, None], sample_weight=weight)
    return Sums(A, g, weights.total(residual**2, weight), spread)


def merge(first: Sums, second: Sums) -> Sums:
    """Sums of two blocks, or sets of blocks, together."""
    added = jax.tree.map(jnp.add, first, second)
    return added._replace(values=moments.merge(first.values, second.values))


def transposed(params: Params) -> Params:
    """Parameters of the transposed matrix: rows and columns change places."""
    P, Q, b, c, mean = params
    return Params(Q, P, c, b, mean)


@compiled()
def solve(params: Params, sums: Sums, *, l2: Scalar = 1.0, tolerance: Scalar | None = None) -> Step:
    """First half (2) and (3) of a sweep, balanced, and what it is worth.

    Args:
        params: what the sums are about.
        sums: of all entries.
        l2: λ, the penalty on squared factors and biases.
        tolerance: largest gap that counts as converged; 4ε of the dtype if None.
    """
    A, g, squares, values = jax.tree.map(jnp.asarray, sums)
    params = Params(*(jnp.asarray(a, g.dtype) for a in params))
    l2 = jnp.asarray(l2, g.dtype)
    total = jnp.sum(A[:, -1, -1])
    shift = jnp.sum(g[:, -1]) / total
    half, gain = _rows(params, A, g - shift * A[:, -1], l2)
    P, Q = alternating.balanced(half.row_factors, half.column_factors)
    ahead = half._replace(row_factors=P, column_factors=Q, mean=params.mean + shift)
    penalty = sum(jnp.sum(a**2) for a in params[:-1])
    gain = jnp.where(l2 >= 0, gain + total * shift**2 / 2, jnp.nan)
    tolerance = superlinear_tolerance(g) if tolerance is None else tolerance
    null = values.scatter[0, 0] / 2
    certificate = certify((squares + l2 * penalty) / 2, gain, null, tolerance=tolerance)
    return Step(params, certificate, ahead)


@compiled()
def finish(params: Params, sums: Sums, *, l2: Scalar = 1.0) -> Params:
    """The best rows (3) with all else as it is: of what is transposed, the other half of a sweep.

    Args:
        params: what the sums are about.
        sums: of all entries.
        l2: λ, the penalty on squared factors and biases.
    """
    A, g = jnp.asarray(sums.curvature), jnp.asarray(sums.slope)
    params = Params(*(jnp.asarray(a, g.dtype) for a in params))
    return _rows(params, A, g, jnp.asarray(l2, g.dtype))[0]


def _rows(params, A, slope, l2):
    """The step (3) for the slopes of the entries, and what it gains."""
    z = jnp.concatenate([params.row_factors, params.row_biases[:, None]], axis=1)
    curved = A + l2 * jnp.eye(z.shape[1], dtype=z.dtype)[None]
    step, gain = alternating.solve(curved, slope - l2 * z, jnp.zeros_like(z))
    z = z + step
    return params._replace(row_factors=z[:, :-1], row_biases=z[:, -1]), gain
