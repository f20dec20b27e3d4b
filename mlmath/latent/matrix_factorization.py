"""Matrix factorisation: the known entries of a matrix by biases and products of few factors.

Entry (u, i), a rating of item i by user u say, is predicted by

    r̂ᵤᵢ = μ + bᵤ + cᵢ + pᵤᵀqᵢ,        pᵤ, qᵢ ∈ ℝʳ                              (1)

Fitting minimises over the entries e = (u, i) that are known

    L = ½ Σₑ sₑ (rₑ − r̂ₑ)² + λ/2 (Σᵤ ‖pᵤ‖² + bᵤ² + Σᵢ ‖qᵢ‖² + cᵢ²)              (2)

by sweeps of alternating least squares (:mod:`~mlmath.latent.alternating`): μ, then all (pᵤ, bᵤ),
then all (qᵢ, cᵢ) take the values that are best with the rest fixed. No step raises L, which is
not convex: another start may end elsewhere, and P = Q = 0 is always stationary. λ > 0 makes
every system regular; with λ = 0 a row or column with less than r + 1 entries gives NaN.
What counts is where entries are known and what they are; there is no X of features, and
``sample_weight`` is one number per entry: 2 is the entry twice, 0 is the entry absent, whatever and
wherever it is. One that counts and is NaN, or outside of the matrix, makes the answer and its gap
NaN.

The factors are not identified: P → PO, Q → QO with any orthogonal O changes nothing. Predictions
are, and any function that does not change with O has its derivatives in values, weights and λ, by
conjugate gradients on the singular but consistent system of ``calculus.implicit`` where the fit has
converged. The gradient of one factor alone does not exist and is NaN; forward, the tangent of least
norm stands for all. Second derivatives hold for the same functions.

A row without known entries has pᵤ = 0 and bᵤ = 0. For entries whose absence means something, as
that of clicks, see :mod:`~mlmath.latent.implicit_feedback`.

Time O(e r² + (m + n) r³) a sweep for an m × n matrix with e known entries, memory O((m + n) r²).

>>> import jax, jax.numpy as jnp, mlmath
>>> from mlmath.latent import matrix_factorization
>>> u, i = jnp.array([0, 0, 0, 1, 1, 2, 2]), jnp.array([0, 1, 2, 0, 1, 1, 2])
>>> ratings = jnp.array([5.0, 3.0, 1.0, 4.0, 2.0, 4.0, 2.0])
>>> start = matrix_factorization.init(jax.random.key(0), (3, 3), rank=1)
>>> fitted = matrix_factorization.fit(start, u, i, ratings, l2=0.1)
>>> bool(fitted.certificate.converged)
True
>>> print(mlmath.rows(matrix_factorization.predict)(fitted.params, u, i).round())
[5. 3. 1. 4. 2. 4. 2.]

References:
    Koren, Bell & Volinsky (2009), Matrix factorization techniques for recommender systems,
        IEEE Computer 42(8), eq. 4–5.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mlmath.arrays import Count, Key, Real, Scalar
from mlmath.calculus import implicit
from mlmath.certificate import Certificate, certify, superlinear_tolerance
from mlmath.compiled import compiled
from mlmath.latent import alternating

__all__ = ["Fit", "Params", "fit", "init", "loss", "objective", "predict"]


class Params(NamedTuple):
    """Factors and biases of rows and columns."""

    row_factors: Float[Array, "m r"]  # P
    column_factors: Float[Array, "n r"]  # Q
    row_biases: Float[Array, " m"]  # b, in the units of the values
    column_biases: Float[Array, " n"]  # c, in the units of the values
    mean: Float[Array, ""]  # μ, in the units of the values


class Fit(NamedTuple):
    """Outcome of :func:`fit`."""

    params: Params
    certificate: Certificate  # gap: what μ and P of the next sweep gain over L of μ alone


def init(key: Key, shape: tuple[int, int], *, rank: int = 10) -> Params:
    """Draw first factors N(0, 1/r), without biases.

    Args:
        key: of the draw.
        shape: (m, n), how many rows and columns the matrix has.
        rank: r, how many factors, from 1 to the smaller of these.
    """
    if min(shape) < 1:
        raise ValueError(f"shape must be at least one row and one column, got {shape}.")
    if not 1 <= rank <= min(shape):
        raise ValueError(f"rank must be from 1 to {min(shape)} for a matrix {shape}, got {rank}.")
    m, n = shape
    factors = jax.random.normal(key, (m + n, rank)) / rank**0.5
    biases = jnp.zeros_like(factors[:, 0])
    return Params(factors[:m], factors[m:], biases[:m], biases[m:], jnp.zeros_like(biases[0]))


def predict(params: Params, row: Count, column: Count) -> Float[Array, ""]:
    """Prediction r̂ of ONE entry, eq. (1); NaN outside of the matrix."""
    P, Q, b, c, mean = params
    m, n = P.shape[0], Q.shape[0]
    row, column = jnp.asarray(row), jnp.asarray(column)
    inside = (row >= 0) & (row < m) & (column >= 0) & (column < n)
    u, i = jnp.clip(row, 0, m - 1), jnp.clip(column, 0, n - 1)
    return jnp.where(inside, mean + b[u] + c[i] + jnp.sum(P[u] * Q[i]), jnp.nan)


def loss(params: Params, row: Count, column: Count, value: Scalar) -> Float[Array, ""]:
    """Squared error of ONE entry, halved, as in eq. (2)."""
    return jnp.square(value - predict(params, row, column)) / 2


def objective(
    params: Params,
    rows: Int[Real, " e"],
    columns: Int[Real, " e"],
    values: Float[Real, " e"],
    *,
    l2: Scalar = 1.0,
    sample_weight: Float[Real, " e"] | None = None,
) -> Float[Array, ""]:
    """Penalised objective L, eq. (2), that :func:`fit` lowers."""
    shape = params.row_factors.shape[0], params.column_factors.shape[0]
    data = alternating.present_entries(rows, columns, values, sample_weight, shape)
    return _objective(params, *data, l2)


@compiled()
def fit(
    params: Params,
    rows: Int[Real, " e"],
    columns: Int[Real, " e"],
    values: Float[Real, " e"],
    *,
    l2: Scalar = 1.0,
    sample_weight: Float[Real, " e"] | None = None,
    tolerance: Scalar | None = None,
    max_steps: Count = 1000,
) -> Fit:
    """Lower :func:`objective` by alternating least squares.

    Args:
        params: where it starts, as :func:`init` draws it; they fix the shape and the rank.
        rows: u of each known entry.
        columns: i of each known entry.
        values: r of each known entry.
        l2: λ, the penalty on squared factors and biases.
        sample_weight: s of each entry; 2 counts it twice, 0 leaves it out.
        tolerance: largest gap that counts as converged; 4ε of the dtype if None.
        max_steps: most sweeps.
    """
    values = jnp.asarray(values)
    start = jax.tree.map(lambda a: jnp.asarray(a, values.dtype), params)
    shape = start.row_factors.shape[0], start.column_factors.shape[0]
    rows, columns, values, weight = alternating.present_entries(
        rows, columns, values, sample_weight, shape
    )
    l2 = jnp.asarray(l2, values.dtype)
    if tolerance is None:
        tolerance = superlinear_tolerance(values)
    null = jnp.sum(weight * (values - jnp.sum(weight * values) / jnp.sum(weight)) ** 2) / 2
    found = alternating.minimize(
        _propose, _finish, start, null, tolerance, max_steps, rows, columns, values, weight, l2
    )  # fmt: skip

    def gradient(x, *numbers):
        return jax.grad(_objective)(x, rows, columns, *numbers)

    numbers = values, weight, l2
    answer = implicit.attach_symmetric(gradient, found.params, *numbers)
    lost = jax.lax.stop_gradient(0 * jnp.sum(weight))  # NaN if no answer exists
    answer = jax.tree.map(lambda a: a + lost, answer)
    value = alternating.stationary(_objective, answer, (rows, columns), numbers)
    sound = jnp.where((l2 >= 0) & (weight >= 0).all(), found.gain, jnp.nan)
    return Fit(answer, certify(value, sound, null, steps=found.steps, tolerance=tolerance))


@jax.default_matmul_precision("highest")
def _objective(params, rows, columns, values, weight, l2):
    P, Q, b, c, mean = params
    predicted = mean + b[rows] + c[columns] + jnp.sum(P[rows] * Q[columns], axis=1)
    penalty = jnp.sum(P**2) + jnp.sum(Q**2) + jnp.sum(b**2) + jnp.sum(c**2)
    return jnp.sum(weight * (values - predicted) ** 2) / 2 + l2 / 2 * penalty


def _propose(params, rows, columns, values, weight, l2):
    """Best μ, then the best of the rows; what both gain."""
    P, Q, b, c, mean = params
    predicted = b[rows] + c[columns] + jnp.sum(P[rows] * Q[columns], axis=1)
    total = jnp.sum(weight)
    best = jnp.sum(weight * (values - predicted)) / total
    half = params._replace(mean=best)
    target = values - best - c[columns]
    (P, b), gain = _half(rows, columns, weight, target, (P, b), Q, l2)
    return half._replace(row_factors=P, row_biases=b), gain + total * (best - mean) ** 2 / 2


def _finish(half, rows, columns, values, weight, l2):
    """The best of the columns."""
    _, Q, b, c, mean = half
    P, _ = alternating.balanced(half.row_factors, Q)
    target = values - mean - b[rows]
    (Q, c), _ = _half(columns, rows, weight, target, (Q, c), P, l2)
    return half._replace(row_factors=P, column_factors=Q, column_biases=c)


def _half(places, others, weight, target, sought, factors, l2):
    """Best (z, bias) of one side with the features (f, 1) of the other, and their gain."""
    z = jnp.concatenate([sought[0], sought[1][:, None]], axis=1)
    f = jnp.concatenate([factors, jnp.ones_like(factors[:, :1])], axis=1)
    A, h = alternating.normal_equations(places, others, weight, weight * target, f, z.shape[0])
    best, gain = alternating.solve(A + l2 * jnp.eye(z.shape[1], dtype=z.dtype)[None], h, z)
    return (best[:, :-1], best[:, -1]), gain
