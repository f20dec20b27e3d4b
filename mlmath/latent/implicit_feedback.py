"""Matrix factorisation from implicit feedback: what is not in the matrix counts as a weak no.

How often user u took item i, rᵤᵢ ≥ 0, says that u prefers it, pᵤᵢ = [rᵤᵢ > 0], with the confidence
cᵤᵢ = 1 + α rᵤᵢ; most pairs are never seen and have p = 0 and c = 1. With one product of factors for
each pair,

    p̂ᵤᵢ = xᵤᵀyᵢ,        xᵤ, yᵢ ∈ ℝʳ                                             (1)
    L = ½ Σᵤᵢ cᵤᵢ (pᵤᵢ − p̂ᵤᵢ)² + λ/2 (Σᵤ ‖xᵤ‖² + Σᵢ ‖yᵢ‖²)                      (2)

over ALL pairs, which is a sum over those that were seen:

    Σᵤᵢ cᵤᵢ (pᵤᵢ − p̂ᵤᵢ)² = Σᵤᵢ p̂ᵤᵢ² + Σₑ sₑ [(1 + α rₑ)(pₑ − p̂ₑ)² − p̂ₑ²]         (3)
    Σᵤᵢ p̂ᵤᵢ² = tr (XᵀX)(YᵀY)                                                    (4)

with sₑ = 1. By (4) no pair that was not seen is ever touched: the systems of
:mod:`~mlmath.latent.alternating` are, for the users,

    Aᵤ = YᵀY + λI + Σᵢ sα r yᵢyᵢᵀ,        hᵤ = Σᵢ s(1 + αr)p yᵢ                  (5)

(3) with weights sₑ is what :func:`fit` lowers, by sweeps over users and items, none of which
raises it; it is not convex, and X = Y = 0 is stationary. There is no X of features, and
``sample_weight`` is one number per entry: 2 is the entry twice, which adds the bracket of (3)
twice, 0 is the entry absent, whatever and wherever it is. One that counts and is NaN, negative or
outside of the matrix makes the answer and its gap NaN. λ = 0 gives NaN where YᵀY is singular.

What the factors are is free up to one rotation of all; what has derivatives, and which, is said in
:mod:`~mlmath.latent.matrix_factorization`: here in values, weights, α and λ.

Time O(e r² + (m + n) r³) a sweep for an m × n matrix with e entries, memory O((m + n) r²).

>>> import jax, jax.numpy as jnp, mlmath
>>> from mlmath.latent import implicit_feedback
>>> user, item = jnp.array([0, 0, 1, 1, 2, 2]), jnp.array([0, 1, 0, 1, 2, 3])
>>> start = implicit_feedback.init(jax.random.key(0), (3, 4), rank=2)
>>> fitted = implicit_feedback.fit(start, user, item, jnp.ones(6), l2=0.1)
>>> bool(fitted.certificate.converged)
True
>>> preferences = fitted.params.row_factors @ fitted.params.column_factors.T
>>> print(abs(preferences).round(1))
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

from mlmath.arrays import Count, Key, Real, Scalar
from mlmath.calculus import implicit
from mlmath.certificate import Certificate, certify, superlinear_tolerance
from mlmath.compiled import compiled
from mlmath.latent import alternating, matrix_factorization
from mlmath.statistics.weights import known

__all__ = ["Fit", "Params", "fit", "init", "objective", "predict"]


class Params(NamedTuple):
    """Factors of rows and columns."""

    row_factors: Float[Array, "m r"]  # X, of users
    column_factors: Float[Array, "n r"]  # Y, of items


class Fit(NamedTuple):
    """Outcome of :func:`fit`."""

    params: Params
    certificate: Certificate  # gap: what X of the next sweep gains over L(0)


def init(key: Key, shape: tuple[int, int], *, rank: int = 10) -> Params:
    """Draw first factors N(0, 1/r).

    Args:
        key: of the draw.
        shape: (m, n), how many rows and columns the matrix has.
        rank: r, how many factors, from 1 to the smaller of these.
    """
    drawn = matrix_factorization.init(key, shape, rank=rank)
    return Params(drawn.row_factors, drawn.column_factors)


def predict(params: Params, row: Count, column: Count) -> Float[Array, ""]:
    """Preference p̂ of ONE pair, eq. (1): near 1 for what would be taken; NaN outside."""
    X, Y = params
    zeros = (jnp.zeros_like(X[:, 0]), jnp.zeros_like(Y[:, 0]), jnp.zeros_like(X[0, 0]))
    return matrix_factorization.predict(matrix_factorization.Params(X, Y, *zeros), row, column)


def objective(
    params: Params,
    rows: Int[Real, " e"],
    columns: Int[Real, " e"],
    values: Float[Real, " e"],
    *,
    confidence: Scalar = 40.0,
    l2: Scalar = 1.0,
    sample_weight: Float[Real, " e"] | None = None,
) -> Float[Array, ""]:
    """Penalised objective L, eq. (2) and (3), that :func:`fit` lowers."""
    shape = params.row_factors.shape[0], params.column_factors.shape[0]
    data = _seen(rows, columns, values, sample_weight, shape)
    return _objective(params, *data, confidence, l2)


@compiled()
def fit(
    params: Params,
    rows: Int[Real, " e"],
    columns: Int[Real, " e"],
    values: Float[Real, " e"],
    *,
    confidence: Scalar = 40.0,
    l2: Scalar = 1.0,
    sample_weight: Float[Real, " e"] | None = None,
    tolerance: Scalar | None = None,
    max_steps: Count = 1000,
) -> Fit:
    """Lower :func:`objective` by alternating least squares.

    Args:
        params: where it starts, as :func:`init` draws it; they fix the shape and the rank.
        rows: u of each pair that was seen.
        columns: i of each pair that was seen.
        values: r ≥ 0 of each pair, how often or how long.
        confidence: α, what one more unit of r adds to the confidence.
        l2: λ, the penalty on squared factors.
        sample_weight: s of each entry; 2 counts it twice, 0 leaves it out.
        tolerance: largest gap that counts as converged; 4ε of the dtype if None.
        max_steps: most sweeps.
    """
    values = jnp.asarray(values)
    start = jax.tree.map(lambda a: jnp.asarray(a, values.dtype), params)
    shape = start.row_factors.shape[0], start.column_factors.shape[0]
    rows, columns, values, weight = _seen(rows, columns, values, sample_weight, shape)
    confidence, l2 = (jnp.asarray(a, values.dtype) for a in (confidence, l2))
    if tolerance is None:
        tolerance = superlinear_tolerance(values)
    null = jnp.sum(_slope(values, weight, confidence)) / 2
    found = alternating.minimize(
        _propose, _finish, start, null, tolerance, max_steps,
        rows, columns, values, weight, confidence, l2,
    )  # fmt: skip

    def gradient(x, *numbers):
        return jax.grad(_objective)(x, rows, columns, *numbers)

    numbers = values, weight, confidence, l2
    answer = implicit.attach_symmetric(gradient, found.params, *numbers)
    lost = jax.lax.stop_gradient(0 * jnp.sum(weight))  # NaN if no answer exists
    answer = jax.tree.map(lambda a: a + lost, answer)
    value = alternating.stationary(_objective, answer, (rows, columns), numbers)
    sound = jnp.where((l2 >= 0) & (confidence >= 0) & (weight >= 0).all(), found.gain, jnp.nan)
    return Fit(answer, certify(value, sound, null, steps=found.steps, tolerance=tolerance))


def _seen(rows, columns, values, sample_weight, shape):
    """Entries that count; a negative value among them makes its weight NaN."""
    rows, columns, values, weight = alternating.present_entries(
        rows, columns, values, sample_weight, shape
    )
    return rows, columns, values, known(weight, values >= 0)


@jax.default_matmul_precision("highest")
def _objective(params, rows, columns, values, weight, confidence, l2):
    X, Y = params
    p = jnp.sum(X[rows] * Y[columns], axis=1)
    wanted = (values > 0).astype(p.dtype)
    seen = weight * ((1 + confidence * values) * (wanted - p) ** 2 - p**2)
    everywhere = jnp.sum((X.T @ X) * (Y.T @ Y))
    return (everywhere + jnp.sum(seen) + l2 * (jnp.sum(X**2) + jnp.sum(Y**2))) / 2


def _slope(values, weight, confidence):
    """s(1 + αr)p of each entry, as in (5)."""
    return jnp.where(values > 0, weight * (1 + confidence * values), 0 * weight)


def _propose(params, rows, columns, values, weight, confidence, l2):
    """The best of the rows, and what they gain."""
    X, Y = params
    X, gain = _half(rows, columns, values, weight, confidence, l2, X, Y)
    return params._replace(row_factors=X), gain


def _finish(half, rows, columns, values, weight, confidence, l2):
    """The best of the columns."""
    X, Y = alternating.balanced(*half)[0], half.column_factors
    Y, _ = _half(columns, rows, values, weight, confidence, l2, Y, X)
    return Params(X, Y)


def _half(places, others, values, weight, confidence, l2, sought, factors):
    """Best vectors of one side, eq. (5), and their gain."""
    A, h = alternating.normal_equations(
        places, others, weight * confidence * values, _slope(values, weight, confidence),
        factors, sought.shape[0],
    )  # fmt: skip
    everywhere = factors.T @ factors + l2 * jnp.eye(factors.shape[1], dtype=factors.dtype)
    return alternating.solve(A + everywhere[None], h, sought)
