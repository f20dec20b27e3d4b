"""Orthogonal projections, and the orthonormal columns they are made of.

The point of a subspace nearest to x is P x with P² = P = Pᵀ. For the line of v, and for the span
of the columns of A with singular vectors uⱼ of its r singular values that are not 0,

    P x = v̂ (v̂ᵀx),  v̂ = v / ‖v‖;        P x = U Uᵀx,  U = (u₁ … u_r)              (1)

and the point of the affine set {z : A z = b} nearest to x is

    x − V Vᵀx + A⁺b,        V the right singular vectors                        (2)

Gram and Schmidt take from each column what the columns before it span, twice, because twice is
enough for orthogonality to rounding:

    v = (I − Q_<j Q_<jᵀ)² aⱼ,    qⱼ = v / ‖v‖,   so that A = QR with rⱼⱼ > 0       (3)

Any rank is welcome; a singular value counts as 0 up to ``tolerance`` times the largest, once the
columns (or, of an affine set, the equations) are brought to one size, so that their units do not
matter. The span of nothing but zeros is {0}, and so is the projection. Where A z = b has no
solution, its best one missing b by more than √ε ‖b‖, (2) is NaN.

Differentiable to any order as long as the rank stays as it is (Golub & Pereyra); singular values
that repeat do no harm. At a deficient rank P jumps, and its derivative in A is that along the
matrices of this rank.

Time O(nd min(n, d)), for (3) 4nd²; memory two copies of A.

>>> import jax.numpy as jnp
>>> from mlmath.linalg import projections
>>> x, A = jnp.array([1.0, 2.0, 3.0]), jnp.array([[1.0, 2.0], [1.0, 2.0], [0.0, 0.0]])
>>> print(projections.onto_columns(x, A))
[1.5 1.5 0. ]
>>> print(jnp.round(projections.onto_affine(x, jnp.ones((1, 3)), jnp.ones(1)), 4))
[-0.6667  0.3333  1.3333]

References:
    Golub & Van Loan (2013), Matrix Computations, §2.5 (projections), §5.2.7–5.2.9 (Gram–Schmidt).
    Giraud, Langou & Rozložník (2005), The loss of orthogonality in the Gram–Schmidt
        orthogonalization process, §3 (twice is enough).
    Golub & Pereyra (1973), The differentiation of pseudo-inverses and nonlinear least squares
        problems whose variables separate, §4.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mlmath.arrays import Real, Scalar
from mlmath.compiled import compiled
from mlmath.linalg import vectors

__all__ = ["gram_schmidt", "onto_affine", "onto_columns", "onto_vector"]


def onto_vector(x: Float[Real, " n"], v: Float[Real, " n"]) -> Float[Array, " n"]:
    """Project x onto the line of v, eq. (1); 0 if v is zero."""
    v = jnp.asarray(v) / vectors.magnitude(v)
    square = vectors.inner_product(v, v)
    return v * (vectors.inner_product(v, x) / jnp.where(square == 0, 1, square))


@compiled()
def onto_columns(
    x: Float[Real, " n"], A: Float[Real, "n d"], *, tolerance: Scalar | None = None
) -> Float[Array, " n"]:
    """Project x onto the span of the columns of A, eq. (1).

    Args:
        x: what is projected.
        A: columns, dependent ones among them if need be.
        tolerance: largest σ / σ₁ that counts as 0; max(n, d) ε if None.
    """
    A = _filled(A)
    units = jax.vmap(vectors.magnitude, 1)(A)
    return _project(A / units[None], jnp.asarray(x, A.dtype), _rank_tolerance(A, tolerance))


@compiled()
def onto_affine(
    x: Float[Real, " d"],
    A: Float[Real, "m d"],
    b: Float[Real, " m"],
    *,
    tolerance: Scalar | None = None,
) -> Float[Array, " d"]:
    """Project x onto {z : A z = b}, eq. (2); NaN if no z solves it.

    Args:
        x: what is projected.
        A: equations, dependent ones among them if need be.
        b: right-hand sides.
        tolerance: largest σ / σ₁ that counts as 0; max(m, d) ε if None.
    """
    A = _filled(A)
    units = jax.vmap(vectors.magnitude)(A)
    smallest = _rank_tolerance(A, tolerance)
    A, b = A / units[:, None], jnp.asarray(b, A.dtype) / units
    missed = vectors.norm(b - _project(A, b, smallest))
    empty = missed > jnp.sqrt(jnp.finfo(A.dtype).eps) * vectors.norm(b)
    x = jnp.asarray(x, A.dtype)
    found = x - _project(A.T, x, smallest) + _pseudo_inverse(A, smallest) @ b
    return jnp.where(empty, jnp.nan, 1).astype(A.dtype) * found


@compiled()
def gram_schmidt(A: Float[Real, "n d"], *, tolerance: Scalar | None = None) -> Float[Array, "n d"]:
    """Orthonormal columns qⱼ, eq. (3), the first k of which span what the first k of A span.

    Args:
        A: columns; one that depends on those before it comes back as zeros.
        tolerance: largest ‖v‖ / ‖aⱼ‖ that counts as dependent; 10 max(n, d) ε if None.
    """
    A = _filled(A)
    smallest = 10 * _rank_tolerance(A, None) if tolerance is None else tolerance
    A = A / jax.vmap(vectors.magnitude, 1)(A)[None]

    def add(j, Q):
        column = A[:, j]
        v = column
        for _ in range(2):
            v = v - Q @ (Q.T @ v)
        length = vectors.norm(v)
        dependent = length <= smallest * vectors.norm(column)  # false for NaN
        return Q.at[:, j].set(jnp.where(dependent, 0, v / jnp.where(dependent, 1, length)))

    return lax.fori_loop(0, A.shape[1], add, jnp.zeros_like(A))


def _filled(A):
    if 0 in A.shape:
        raise ValueError(f"A must have at least one row and one column, got shape {A.shape}.")
    return jnp.asarray(A)


def _rank_tolerance(A, tolerance):
    smallest = max(A.shape) * jnp.finfo(A.dtype).eps if tolerance is None else tolerance
    return jnp.asarray(smallest, A.dtype)


def _decompose(A, tolerance):
    """Singular vectors and values, and which of them count as 0; none if NaN."""
    left, values, right = jnp.linalg.svd(A, full_matrices=False)
    return left, values, right, values <= tolerance * values[0]


def _project(A, x, tolerance):
    U = _basis(A, tolerance)
    return U @ (U.T @ x)


@jax.custom_jvp
def _basis(A, tolerance):
    left, _, _, absent = _decompose(A, tolerance)
    return jnp.where(absent[None], 0, left)


@_basis.defjvp
@jax.default_matmul_precision("highest")  # a rule runs outside of the program
def _basis_jvp(primals, tangents):
    """U̇ = (I − UUᵀ)ȦA⁺U: of all bases that move with the span, the one that does not turn in it."""
    (A, tolerance), (dA, _) = primals, tangents
    U = _basis(A, tolerance)
    moved = dA @ (_pseudo_inverse(A, tolerance) @ U)
    return U, moved - U @ (U.T @ moved)


@jax.custom_jvp
def _pseudo_inverse(A, tolerance):
    left, values, right, absent = _decompose(A, tolerance)
    inverse = jnp.where(absent, 0, 1 / jnp.where(absent, 1, values))
    return (right.T * inverse[None]) @ left.T


@_pseudo_inverse.defjvp
@jax.default_matmul_precision("highest")  # a rule runs outside of the program
def _pseudo_inverse_jvp(primals, tangents):
    (A, tolerance), (dA, _) = primals, tangents
    G = _pseudo_inverse(A, tolerance)
    rows, columns = G @ (G.T @ dA.T), (dA.T @ G.T) @ G
    return G, -G @ dA @ G + (rows - rows @ A @ G) + (columns - G @ (A @ columns))
