"""Least squares: the combination of columns that is nearest to a vector.

For A ∈ ℝⁿˣᵈ, y ∈ ℝⁿ and row weights sᵢ ≥ 0, S = diag(s), find the b of least norm that minimises

    L(b) = ½ Σᵢ sᵢ (yᵢ − aᵢᵀb)²                                                (1)

With H = AᵀSA and g = AᵀSy the answer is b = H⁺g. H⁺ is kept as a root, a matrix W with

    H⁺ = WWᵀ,        b ← b + WWᵀAᵀS(y − Ab),        ½‖WᵀAᵀS(y − Ab)‖² = L(b) − L*      (2)

The second is the step of refinement, the third the exact excess of any b, from which the gap
comes. The root is found on columns scaled to norm 1, Ã = √S A D:

- from the Cholesky factor of ÃᵀÃ, W = R⁻¹, where ε tr (ÃᵀÃ)⁻¹ ≤ 10⁻³: one product, and full
  rank is certain;
- otherwise from three orthogonalisations Q ← QVΛ^−½ with QᵀQ = VΛVᵀ, which leave Ã = QM with
  Q orthonormal on all directions above rounding (what shifted Cholesky QR does with Cholesky
  factors; eigenvectors keep M to rounding when Ã is singular). The rank is the number of
  singular values of M, or of Ã if d > n, above 10 dε times the largest; M = UΣVᵀ and W = VΣ⁻¹
  on these, turned so that WWᵀ is the pseudo-inverse of H itself.

All that happens to rows is a product with a d × d matrix or a sum, so sharded rows stay where
they are; only for d > n is Ã gathered.

The derivatives in A, y and s are those of the system Hb = g if d ≤ n: exact at full rank; at a
deficient rank exact in y and s, while in A the minimiser of least norm jumps and what comes back
is the derivative within the row space. If d > n they are those of b = Hu, (H² + N)u = g with N
the projection on the null space: exact as long as the rank does not change. A row of weight 0 is
absent whatever it holds. With no weight at all, or a value that is not finite in a row that
counts, the answer is NaN and the certificate not converged.

Time 2nd² for a moderate condition, 15nd² otherwise; memory one copy of A, or three.

>>> import jax.numpy as jnp
>>> from mlmath.linalg import least_squares
>>> A, y = jnp.array([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]), jnp.array([1.0, 2.0, 6.0])
>>> solved = least_squares.solve(A, y)
>>> print(solved.solution, solved.rank)
[1.5 1.5] 1

References:
    Björck (1996), Numerical Methods for Least Squares Problems, §2.9.5 (refinement), §2.7 (rank).
    Stathopoulos & Wu (2002), A block orthogonalization procedure with constant synchronization
        requirements, §2.
    Fukaya, Kannan, Nakatsukasa, Yamamoto & Yanagisawa (2020), Shifted Cholesky QR for computing
        the QR factorization of ill-conditioned matrices, §3.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float, Int

from mlmath.arrays import Real, Scalar
from mlmath.certificate import Certificate, certify, superlinear_tolerance
from mlmath.compiled import compiled

__all__ = ["Solution", "objective", "solve"]

_MODERATE = 1e-3  # largest ε tr (ÃᵀÃ)⁻¹ at which the Cholesky factor serves
_SEVERE = 3  # steps where three orthogonalisations were needed
_REFINEMENTS = 5  # most steps after the first


class Solution(NamedTuple):
    """Outcome of :func:`solve`."""

    solution: Float[Array, " d"]  # b
    certificate: Certificate  # gap: ½ ‖WᵀAᵀS(y − Ab)‖² / L(0), exact; steps of refinement
    rank: Int[Array, ""]  # of √S A on columns scaled to norm 1
    root: Float[Array, "d k"]  # W, H⁺ = WWᵀ; its derivative is zero


class _State(NamedTuple):
    c: Any  # D⁻¹b
    residual: Any  # √S (y − Ab)
    descent: Any  # WᵀAᵀS(y − Ab), whose squared norm is twice the excess
    improved: Any  # the last step reduced the excess at least fourfold
    steps: Any


def objective(
    solution: Float[Real, " d"],
    A: Float[Real, "n d"],
    y: Float[Real, " n"],
    *,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[Array, ""]:
    """Half the weighted sum of squares L, eq. (1), that :func:`solve` minimises."""
    weight = jnp.ones_like(y) if sample_weight is None else sample_weight
    return _loss(jnp.asarray(solution), *_finite(A, y, weight))


@compiled()
def solve(
    A: Float[Real, "n d"],
    y: Float[Real, " n"],
    *,
    sample_weight: Float[Real, " n"] | None = None,
    tolerance: Scalar | None = None,
) -> Solution:
    """Minimise :func:`objective`; of several minimisers the one of least norm.

    Differentiable to any order in every array argument, as the module says.

    Args:
        A: columns to combine; there is no intercept.
        y: targets.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        tolerance: largest gap that counts as converged; 4ε of the dtype if None.
    """
    if 0 in A.shape:
        raise ValueError(f"A must have at least one row and one column, got shape {A.shape}.")
    A, y = jnp.asarray(A), jnp.asarray(y, A.dtype)
    weight = jnp.ones_like(y) if sample_weight is None else jnp.asarray(sample_weight, A.dtype)
    amplitude = jnp.sqrt(lax.stop_gradient(weight))
    amplitude = jnp.where(amplitude.sum() == 0, jnp.nan, amplitude)
    scale, matrix = _scaled(lax.stop_gradient(A), amplitude)
    target = jnp.where(amplitude == 0, 0, amplitude * lax.stop_gradient(y))
    root, rank, state = _solved(matrix, target, scale)
    root = scale[:, None] * root
    finite = _finite(A, y, weight)
    b = _attach(scale * state.c, root, *finite)
    excess = state.descent @ state.descent / 2
    value = jnp.where(jnp.isnan(excess), jnp.nan, state.residual @ state.residual / 2)
    return Solution(
        b,
        certify(
            _implicit(lambda v: v - _loss(b, *finite), value, lambda v: v),
            excess,
            target @ target / 2,
            steps=state.steps,
            tolerance=superlinear_tolerance(A) if tolerance is None else tolerance,
        ),
        rank,
        root,
    )


def _finite(A, y, weight):
    """Rows as finite numbers, so that what a row of weight 0 holds has no derivative."""
    finite = jnp.isfinite(A).all(axis=1) & jnp.isfinite(y)
    return (
        jnp.where(finite[:, None], A, 0),
        jnp.where(finite, y, 0),
        jnp.where(finite, weight, jnp.where(weight == 0, 0, jnp.nan)),
    )


def _loss(b, A, y, weight):
    return weight @ (y - A @ b) ** 2 / 2


def _scaled(A, amplitude):
    """Scales D of the columns, and √S A D with columns of norm 1, or 0."""
    rows = jnp.where((amplitude == 0)[:, None], 0, A * amplitude[:, None])
    largest = jnp.abs(rows).max(axis=0)  # divided out first, so that no square overflows
    largest = jnp.where(largest == 0, 1, largest)
    norm = largest * jnp.sqrt(jnp.sum((rows / largest[None]) ** 2, axis=0))
    scale = 1 / jnp.where(norm == 0, 1, norm)
    return scale, rows * scale[None]


def _solved(matrix, target, scale):
    """D⁻¹W with W of eq. (2), the rank, and the refined answer."""
    n, d = matrix.shape
    if n < d:
        root, left, rank = _wide_root(matrix, scale)
        return root, rank, _refine(_first(matrix, target, target @ left), matrix, target, root)
    gram = matrix.T @ matrix
    factor = jnp.linalg.cholesky(gram)
    inverse = solve_triangular(factor, jnp.eye(d, dtype=gram.dtype), lower=True).T

    def moderate():
        return inverse, jnp.asarray(d), _first(matrix, target, target @ matrix @ inverse)

    def severe():
        Q, T, M = _orthogonalise(matrix, gram)
        root, left, rank = _tall_root(M, scale)
        transform = T @ left
        state = _first(matrix, target, target @ Q @ transform)
        for _ in range(_SEVERE):
            state = _step(state, matrix, target, root, lambda r: r @ Q @ transform)
        return root, rank, state._replace(improved=jnp.zeros_like(state.improved))

    spread = jnp.finfo(gram.dtype).eps * jnp.sum(inverse**2)
    root, rank, state = lax.cond(spread <= _MODERATE, moderate, severe)
    return root, rank, _refine(state, matrix, target, root)


def _orthogonalise(matrix, gram):
    """Q, T and M with Ã = QTM to the rounding of Ã, not of its square, and QT orthonormal."""
    d = gram.shape[0]
    M, floor = jnp.eye(d, dtype=gram.dtype), 4 * d * jnp.finfo(gram.dtype).eps
    for last in (False, False, True):
        values, vectors = jnp.linalg.eigh(gram)
        values = jnp.sqrt(jnp.maximum(values, floor))
        M = values[:, None] * (vectors.T @ M)
        if not last:
            matrix = matrix @ (vectors / values[None])
            gram = matrix.T @ matrix
    return matrix, vectors / values[None], M


def _singular(M):
    """U, V, 1/σ with 0 for what is below rounding, and which are above."""
    left, values, right = jnp.linalg.svd(M, full_matrices=False)
    smallest = 10 * M.shape[1] * jnp.finfo(M.dtype).eps * jnp.maximum(values[0], 1)
    kept = values > smallest
    inverse = jnp.where(kept, 1 / jnp.where(kept, values, 1), 0)
    return jnp.where(kept[None], left, 0), right.T, inverse, kept


def _tall_root(M, scale):
    """Take from D V_r Σ_r⁻¹ what lies in the null space, spanned by D V₀."""
    left, vectors, inverse, kept = _singular(M)
    null, root = jnp.where(kept[None], 0, vectors), vectors * inverse[None]
    surplus = jnp.linalg.lstsq(scale[:, None] * null, scale[:, None] * root)[0]
    return root - null @ surplus, left, kept.sum()


def _wide_root(M, scale):
    """Solve V_rᵀD⁻¹ W = Σ_r⁻¹ within the row space, spanned by D⁻¹V_r."""
    left, vectors, inverse, kept = _singular(M)
    basis, R = jnp.linalg.qr(jnp.where(kept[None], vectors / scale[:, None], 0))
    R = R + jnp.diag(jnp.where(kept, 0, 1).astype(R.dtype))
    root = basis @ solve_triangular(R, jnp.diag(inverse), trans="T") / scale[:, None]
    return root, left, kept.sum()


def _first(matrix, target, descent):
    return _State(jnp.zeros_like(matrix[0]), target, descent, jnp.asarray(True), jnp.zeros((), int))


def _step(state, matrix, target, root, descend):
    """One step of refinement by eq. (2), kept if it reduces the excess."""
    c = state.c + root @ state.descent
    residual = target - matrix @ c
    descent = descend(residual)
    before, after = state.descent @ state.descent, descent @ descent
    new = _State(c, residual, descent, after <= before / 4, state.steps + 1)
    better = after <= before  # false for NaN too
    return jax.tree.map(lambda a, b: jnp.where(better, a, b), new, state)._replace(
        improved=new.improved, steps=new.steps
    )


def _refine(state, matrix, target, root):
    """Step until the excess is at the rounding of y or shrinks no more."""
    floor = jnp.finfo(matrix.dtype).eps ** 2 * (target @ target)

    def unfinished(state):
        excess = state.descent @ state.descent
        return (excess > floor) & state.improved & (state.steps <= _REFINEMENTS)

    return lax.while_loop(
        unfinished,
        lambda state: _step(state, matrix, target, root, lambda r: r @ matrix @ root),
        state,
    )


def _attach(b, root, A, y, weight):
    """Give b its derivative in the rows, by the system that the module names."""

    def H(v):
        return (weight * (A @ v)) @ A

    def pseudo_inverse(v):
        return root @ (v @ root)

    def stationarity(v):
        return (weight * (A @ v - y)) @ A

    if A.shape[0] >= A.shape[1]:
        return _implicit(stationarity, b, pseudo_inverse)
    fixed, positive = lax.stop_gradient((A, weight))

    def null(v):
        return v - pseudo_inverse((positive * (fixed @ v)) @ fixed)

    def inverse(v):
        return pseudo_inverse(pseudo_inverse(v)) + null(v)

    u = _implicit(lambda u: stationarity(H(u)) + null(u), pseudo_inverse(b), inverse)
    return b + H(u) - lax.stop_gradient(H(u))


def _implicit(residual, solution, inverse):
    """Root of ``residual`` that is ``solution``, with symmetric ∂residual and its inverse."""

    def refined(matvec, v):
        x = inverse(v)
        return x + inverse(v - matvec(x))

    def tangent_solve(linear, v):
        return lax.custom_linear_solve(linear, v, refined, symmetric=True)

    return lax.custom_root(residual, lax.stop_gradient(solution), lambda _, x: x, tangent_solve)
