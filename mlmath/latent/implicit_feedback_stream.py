"""Sweeps of factorisation from implicit feedback over a stream of blocks of entries.

The objective of ``latent.implicit_feedback`` counts all pairs, but those that were not seen by the
factors alone, eq. (4) there. For the entries e = (u, i) of a block, with weights sₑ, preferences
pₑ = [rₑ > 0] and p̂ₑ = xᵤᵀyᵢ of given factors X and Y, the sums

    Aᵤ = Σₑ sα rₑ yᵢyᵢᵀ,        gᵤ = Σₑ s [(1 + αrₑ) pₑ − αrₑ p̂ₑ] yᵢ                  (1)
    E = Σₑ s [(1 + αrₑ)(pₑ − p̂ₑ)² − p̂ₑ²],        N = Σₑ s (1 + αrₑ) pₑ              (2)

of two blocks add up to those of both. From those of all blocks follow L = ½ [tr (XᵀX)(YᵀY) + E]
+ λ/2 (‖X‖² + ‖Y‖²), L(null) = N/2 and the first half of a sweep, with R = YᵀY + λI,

    Δᵤ = (Aᵤ + R)⁻¹ (gᵤ − R xᵤ),        xᵤ ← xᵤ + Δᵤ                              (3)

which lowers L by exactly ½ Σᵤ Δᵤᵀ(Aᵤ + R)Δᵤ: over L(null) the gap, as that of a fit. Then X and Y
are balanced as there, which changes no prediction. The other half is (3) of the :func:`transposed`
factors, from the sums of a second pass: :func:`finish`. Two passes are one sweep of
``implicit_feedback.fit``, to rounding, and no pass raises L; a stream ends where the fit does.

An entry of weight 0 is absent, whatever and wherever it is; one that counts and is NaN, negative or
outside of the matrix, a negative weight, confidence or penalty, and a step that leaves the finite
numbers make the gap NaN. Everything is differentiable in values, weights and α with the factors
fixed, X and Y alone where no two singular values of XYᵀ, or of X, are alike.

Time O(e r²) for a block of e entries and O((m + n) r² + m r³) for the step, memory O(m r²) and
the block.

>>> import jax, jax.numpy as jnp
>>> from mlmath.latent import implicit_feedback, implicit_feedback_stream as stream
>>> user, item = jnp.array([0, 0, 1, 1, 2, 2]), jnp.array([0, 1, 0, 1, 2, 3])
>>> params = implicit_feedback.init(jax.random.key(0), (3, 4), rank=2)
>>> blocks, ones = [slice(0, 4), slice(4, 6)], jnp.ones(6)
>>> for _ in range(20):
...     sums = [stream.summarize(params, user[b], item[b], ones[b]) for b in blocks]
...     step = stream.solve(params, stream.merge(*sums), l2=0.1)
...     half = stream.transposed(step.ahead)
...     sums = [stream.summarize(half, item[b], user[b], ones[b]) for b in blocks]
...     params = stream.transposed(stream.finish(half, stream.merge(*sums), l2=0.1))
>>> print(step.certificate.converged)
True
>>> print(abs(params.row_factors @ params.column_factors.T).round(1))
[[1. 1. 0. 0.]
 [1. 1. 0. 0.]
 [0. 0. 1. 1.]]

References:
    Hu, Koren & Volinsky (2008), Collaborative filtering for implicit feedback datasets, ICDM,
        eq. 3–5.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mlmath.arrays import Real, Scalar
from mlmath.certificate import Certificate, certify, superlinear_tolerance
from mlmath.compiled import compiled
from mlmath.latent import alternating
from mlmath.latent.implicit_feedback import Params
from mlmath.statistics import weights

__all__ = ["Step", "Sums", "finish", "merge", "solve", "summarize", "transposed"]


class Sums(NamedTuple):
    """What blocks of entries say of the rows, eq. (1) and (2)."""

    curvature: Float[Array, "m r r"]  # Aᵤ
    slope: Float[Array, "m r"]  # gᵤ
    squares: Float[Array, ""]  # E
    null: Float[Array, ""]  # N
    weight: Float[Array, ""]  # Σ s


class Step(NamedTuple):
    """Outcome of :func:`solve`."""

    params: Params  # as given
    certificate: Certificate  # of these: gap, what the rows are to gain over L(0)
    ahead: Params  # after the first half of a sweep


@compiled()
def summarize(
    params: Params,
    rows: Int[Real, " e"],
    columns: Int[Real, " e"],
    values: Float[Real, " e"],
    *,
    confidence: Scalar = 40.0,
    sample_weight: Float[Real, " e"] | None = None,
) -> Sums:
    """Sums (1) and (2) of one block of entries; NaN with a negative weight.

    Args:
        params: X and Y, the same for all blocks of a pass.
        rows: u of each pair that was seen.
        columns: i of each pair that was seen.
        values: r ≥ 0 of each pair, how often or how long.
        confidence: α, what one more unit of r adds to the confidence.
        sample_weight: s of each entry; 2 counts it twice, 0 leaves it out.
    """
    values = jnp.asarray(values)
    X, Y = (jnp.asarray(a, values.dtype) for a in params)
    shape = X.shape[0], Y.shape[0]
    rows, columns, values, weight = alternating.present_in_block(
        rows, columns, values, sample_weight, shape
    )
    alpha = jnp.asarray(confidence, values.dtype)
    lost = ((weight < 0) | ((values < 0) & (weight != 0))).any() | (alpha < 0)
    weight = weight + jnp.where(lost, jnp.nan, 0)
    values = jnp.where((weight == 0) & jnp.isinf(alpha * values), 0, values)
    p = jnp.sum(X[rows] * Y[columns], axis=1)
    wanted = (values > 0).astype(p.dtype)
    more, sure = weight * alpha * values, (1 + alpha * values) * wanted
    A, g = alternating.normal_equations(rows, columns, more, weight * sure - more * p, Y, shape[0])
    seen = (1 + alpha * values) * (wanted - p) ** 2 - p**2
    squares, null = weights.total(seen, weight), weights.total(sure, weight)
    return Sums(A, g, squares, null, jnp.sum(weight))


def merge(first: Sums, second: Sums) -> Sums:
    """Sums of two blocks, or sets of blocks, together."""
    return jax.tree.map(jnp.add, first, second)


def transposed(params: Params) -> Params:
    """Factors of the transposed matrix: rows and columns change places."""
    X, Y = params
    return Params(Y, X)


@compiled()
def solve(params: Params, sums: Sums, *, l2: Scalar = 1.0, tolerance: Scalar | None = None) -> Step:
    """First half (3) of a sweep, balanced, and what it is worth.

    Args:
        params: what the sums are about.
        sums: of all entries.
        l2: λ, the penalty on squared factors.
        tolerance: largest gap that counts as converged; 4ε of the dtype if None.
    """
    _, slope, squares, null, weight = map(jnp.asarray, sums)
    params = Params(*(jnp.asarray(a, slope.dtype) for a in params))
    l2 = jnp.asarray(l2, slope.dtype)
    half, gain = _rows(params, sums, l2)
    lost = jnp.where(weight == 0, jnp.nan, 0 * null)  # NaN if no answer exists
    ahead = Params(*(a + lost for a in alternating.balanced(*half)))
    X, Y = params
    everywhere = jnp.sum((X.T @ X) * (Y.T @ Y))
    value = (everywhere + squares + l2 * (jnp.sum(X**2) + jnp.sum(Y**2))) / 2
    gain = jnp.where(l2 >= 0, gain, jnp.nan) + lost
    tolerance = superlinear_tolerance(slope) if tolerance is None else tolerance
    return Step(params, certify(value + lost, gain, null / 2, tolerance=tolerance), ahead)


@compiled()
def finish(params: Params, sums: Sums, *, l2: Scalar = 1.0) -> Params:
    """The best rows (3): of what is transposed, the other half of a sweep.

    Args:
        params: what the sums are about.
        sums: of all entries.
        l2: λ, the penalty on squared factors.
    """
    slope = jnp.asarray(sums.slope)
    params = Params(*(jnp.asarray(a, slope.dtype) for a in params))
    return _rows(params, sums, jnp.asarray(l2, slope.dtype))[0]


def _rows(params, sums, l2):
    """The step (3), and what it gains."""
    X, Y = params
    everywhere = Y.T @ Y + l2 * jnp.eye(Y.shape[1], dtype=Y.dtype)
    slope = sums.slope - X @ everywhere
    step, gain = alternating.solve(sums.curvature + everywhere[None], slope, jnp.zeros_like(X))
    return params._replace(row_factors=X + step), gain
