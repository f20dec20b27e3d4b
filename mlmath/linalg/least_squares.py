"""Least squares: the combination of columns that is nearest to a vector.

For A ∈ ℝⁿˣᵈ, y ∈ ℝⁿ and row weights sᵢ ≥ 0, S = diag(s), find the b of least norm that minimises

    L(b) = ½ Σᵢ sᵢ (yᵢ − aᵢᵀb)²                                                (1)

With H = AᵀSA the answer is b = H⁺AᵀSy. H⁺ = WWᵀ is kept as the root W, with which

    b ← b + WWᵀAᵀS(y − Ab),        ½‖WᵀAᵀS(y − Ab)‖² = L(b) − L*               (2)

are a step of refinement, taken until it gains no more, and the exact excess of any b, from
which the gap comes. On columns scaled to norm 1, Ã = √S A D, W is

- DR⁻¹ with the Cholesky factor RᵀR = ÃᵀÃ, where ε tr (ÃᵀÃ)⁻¹ ≤ 10⁻³: one product, and the
  rank is certain to be d;
- otherwise that of :mod:`mlmath.linalg.pseudo_inverse`, and WᵀAᵀ√S its orthonormal Qᵀ, so that
  the condition of A enters the errors once and not squared.

All that happens to rows is a product with a d × d matrix or a sum, so sharded rows stay where
they are; only for d > n is A gathered. Under ``vmap`` both ways are computed.

The derivatives in A, y and s are those of the system Hb = AᵀSy if d ≤ n: exact at full rank; at a
deficient rank exact in y and s, while in A the minimiser of least norm jumps and what comes back
is the derivative within the row space. If d > n they are those of b = Hu, (H² + N)u = AᵀSy with N
the projection on the null space: exact as long as the rank does not change (it does where a
weight becomes 0). A row of weight 0 is absent whatever it holds. With no weight at all, or a
value that is not finite in a row that counts, the answer is NaN and the certificate not converged.

Time 2nd² for a moderate condition, 10nd² otherwise; memory one copy of A, or three.

>>> import jax.numpy as jnp
>>> from mlmath.linalg import least_squares
>>> A, y = jnp.array([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]), jnp.array([1.0, 2.0, 6.0])
>>> solved = least_squares.solve(A, y)
>>> print(solved.solution, solved.rank)
[1.5 1.5] 1

References:
    Björck (1996), Numerical Methods for Least Squares Problems, §2.9.3 and §6.6.5 (corrected
        seminormal equations and their refinement).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float, Int

from mlmath.absence import cleared
from mlmath.arrays import Real, Scalar
from mlmath.certificate import Certificate, certify, superlinear_tolerance
from mlmath.compiled import compiled
from mlmath.linalg import pseudo_inverse

__all__ = ["Solution", "objective", "solve"]

_MODERATE = 1e-3  # largest ε tr (ÃᵀÃ)⁻¹ at which the Cholesky factor serves
_STEPS = 3  # of refinement, after the first, where three orthogonalisations were needed
_MOST_STEPS = 6


class Solution(NamedTuple):
    """Outcome of :func:`solve`."""

    solution: Float[Array, " d"]  # b
    certificate: Certificate  # gap: ½ ‖WᵀAᵀS(y − Ab)‖² / L(0), exact; steps of refinement
    rank: Int[Array, ""]  # of √S A on columns scaled to norm 1
    root: Float[Array, "d k"]  # W, H⁺ = WWᵀ; its derivative is zero


class _State(NamedTuple):
    b: Any
    residual: Any  # √S (y − Ab)
    descent: Any  # WᵀAᵀS(y − Ab); half its squared norm is the excess
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
    return _loss(jnp.asarray(solution), *cleared(A, y, weight))


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
    rows, target, sign = _weighted(*lax.stop_gradient((A, y, weight)))
    root, rank, state = _solved(rows, target, sign)
    finite = cleared(A, y, weight)
    excess = state.descent @ state.descent / 2
    known = jnp.where(jnp.isnan(excess), jnp.nan, 1)
    b = _attach(known * state.b, root, *finite)
    value = known * ((sign * state.residual) @ state.residual) / 2
    return Solution(
        b,
        certify(
            _implicit(lambda v: v - _loss(b, *finite), value, lambda v: v),
            excess,
            (sign * target) @ target / 2,
            steps=state.steps,
            tolerance=superlinear_tolerance(A) if tolerance is None else tolerance,
        ),
        rank,
        root,
    )


def _loss(b, A, y, weight):
    return weight @ (y - A @ b) ** 2 / 2


def _weighted(A, y, weight):
    """Rows multiplied with √|s|, and the sign of s.

    A weight below 0 flips the sign of its row's products: the answer is smooth at weight 0.
    """
    amplitude = jnp.sqrt(jnp.abs(weight))
    amplitude = jnp.where(amplitude.sum() == 0, jnp.nan, amplitude)
    rows = jnp.where((amplitude == 0)[:, None], 0, amplitude[:, None] * A)
    target = jnp.where(amplitude == 0, 0, amplitude * y)
    return rows, target, jnp.where(weight < 0, -1, 1).astype(A.dtype)


def _solved(rows, target, sign):
    """Root, rank and refined answer."""
    if rows.shape[0] < rows.shape[1]:
        return _severe(rows, target, sign)
    products = rows.T @ rows  # whole: beside the branch of _severe a loop over blocks can stall
    square = jnp.diagonal(products)
    scale = lax.rsqrt(square)
    factor = jnp.linalg.cholesky(scale[:, None] * products * scale[None])
    inverse = solve_triangular(factor, jnp.eye(len(scale), dtype=rows.dtype), lower=True).T
    number = jnp.finfo(rows.dtype)
    moderate = number.eps * jnp.sum(inverse**2) <= _MODERATE  # false for NaN
    moderate &= square.min() > number.tiny / number.eps**2  # no square has lost digits
    root, rank, state = lax.cond(
        moderate,
        lambda: _moderate(rows, target, sign, scale[:, None] * inverse),
        # Lanes make a select of this: the eigenvectors wait for the factor, because two LAPACK
        # calls at once can wait for each other's threads.
        lambda: _severe(jnp.where(moderate, 0, rows), target, sign),
    )
    return root, rank, _refine(state, rows, target, sign, root)


def _moderate(rows, target, sign, root):
    """Where refinement starts; its steps are taken outside of the ``cond``."""
    return root, jnp.asarray(root.shape[0]), _start(rows, target, (sign * target) @ rows @ root)


def _severe(rows, target, sign):
    """Root, rank and refined answer by orthogonalisation; no step is left to take."""
    largest = jnp.abs(rows).max(axis=0)  # divided out first, so that no square overflows
    largest = jnp.where(largest == 0, 1, largest)
    norm = largest * jnp.sqrt(jnp.sum((rows / largest[None]) ** 2, axis=0))
    scale = 1 / jnp.where(norm == 0, 1, norm)
    scaled = rows * scale[None]
    if rows.shape[0] < rows.shape[1]:
        Q, (root, transform, rank) = None, pseudo_inverse.root(scaled, scale)
    else:
        Q, T, M = pseudo_inverse.orthogonalise(scaled)
        root, left, rank = pseudo_inverse.root(M, scale)
        transform = T @ left

    root = jnp.where((norm == 0)[:, None], 0, root)

    def descend(r):
        return (sign * r if Q is None else (sign * r) @ Q) @ transform

    state = _start(rows, target, descend(target))
    for _ in range(1 + _STEPS):
        state = _step(state, rows, target, root, descend)
    return root, rank, state._replace(improved=jnp.zeros_like(state.improved))


def _start(rows, target, descent):
    zero = jnp.zeros_like(rows[0])
    return _State(zero, target, descent, jnp.asarray(True), jnp.zeros((), int))


def _step(state, rows, target, root, descend):
    """One step of refinement by eq. (2), kept if it reduces the excess."""
    b = state.b + root @ state.descent
    residual = target - rows @ b
    descent = descend(residual)
    before, after = state.descent @ state.descent, descent @ descent
    new = _State(b, residual, descent, after <= before / 4, state.steps + 1)
    better = after <= before  # false for NaN too
    return jax.tree.map(lambda a, b: jnp.where(better, a, b), new, state)._replace(
        improved=new.improved, steps=new.steps
    )


def _refine(state, rows, target, sign, root):
    """Step until the excess is at the rounding of y or shrinks no more."""
    floor = jnp.finfo(rows.dtype).eps ** 2 * (target @ target)

    def unfinished(state):
        excess = state.descent @ state.descent
        return (excess > floor) & state.improved & (state.steps < _MOST_STEPS)

    def step(state):
        return _step(state, rows, target, root, lambda r: (sign * r) @ rows @ root)

    return lax.while_loop(unfinished, step, state)


def _attach(b, root, A, y, weight):
    """Give b its derivative in the rows, by the system that the module names."""

    def hessian(v):
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

    u = _implicit(lambda u: stationarity(hessian(u)) + null(u), pseudo_inverse(b), inverse)
    return b + hessian(u) - lax.stop_gradient(hessian(u))


def _implicit(residual, solution, inverse):
    """Root of ``residual`` that is ``solution``, with symmetric ∂residual and its inverse."""

    def refined(matvec, v):
        x = inverse(v)
        for _ in range(2):
            x = x + inverse(v - matvec(x))
        return x

    def tangent_solve(linear, v):
        return lax.custom_linear_solve(linear, v, refined, symmetric=True)

    return lax.custom_root(residual, lax.stop_gradient(solution), lambda _, x: x, tangent_solve)
