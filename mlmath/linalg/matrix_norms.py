"""Norms of matrices: Frobenius, spectral and nuclear, with derivatives at any rank.

With the singular values σ₁ ≥ σ₂ ≥ … of A = Σⱼ σⱼuⱼvⱼᵀ

    ‖A‖_F = √Σᵢⱼ aᵢⱼ²,    ‖A‖₂ = σ₁ = max ‖Ax‖ / ‖x‖,    ‖A‖⁎ = Σⱼ σⱼ            (1)

are the 2-norm, the max norm and the 1-norm of σ. Their gradients are

    A / ‖A‖_F,    u₁v₁ᵀ,    Q = Σ_{σⱼ > 0} uⱼvⱼᵀ                                (2)

and at A = 0 the matrix 0. Where σ₁ = σ₂, or where A has not full rank, a norm has a kink and (2)
is a subgradient; σⱼ counts as 0 up to max(n, d) ε σ₁. Second derivatives come from

    (σ₁I − [0 A; Aᵀ 0]) [u̇; v̇] = [Ȧv₁ − σ̇u₁; Ȧᵀu₁ − σ̇v₁]                        (3)
    Q̇ = QX + (I − QQᵀ)ȦH⁺ + QH⁺QᵀȦ(I − QᵀQ),   HX + XH = P(QᵀȦ − ȦᵀQ)P         (4)

with H = QᵀA and P = QᵀQ, which know no difference of singular values other than from σ₁: values
that repeat do no harm. Where σ₁ = σ₂ the second derivative of ‖A‖₂ does not exist and is not
finite; that of ‖A‖⁎ at a deficient rank is that along the matrices of this rank.

Time O(nd min(n, d)), and O((n + d)³) for second derivatives of the spectral norm.

>>> import jax, jax.numpy as jnp
>>> from mlmath.linalg import matrix_norms
>>> A = jnp.array([[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]])
>>> print(matrix_norms.frobenius(A), matrix_norms.spectral(A), matrix_norms.nuclear(A))
5.0 4.0 7.0
>>> print(jnp.abs(jax.grad(matrix_norms.spectral)(A)))
[[0. 0.]
 [0. 1.]
 [0. 0.]]

References:
    Golub & Van Loan (2013), Matrix Computations, §2.3 (norms), §2.4 (singular values).
    Watson (1992), Characterization of the subdifferential of some matrix norms, §2.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from mlmath.arrays import Real
from mlmath.compiled import compiled
from mlmath.linalg import vectors

__all__ = ["frobenius", "nuclear", "spectral"]


def frobenius(A: Float[Real, "n d"]) -> Float[Array, ""]:
    """Frobenius norm ‖A‖_F, eq. (1)."""
    return vectors.norm(jnp.ravel(A))


@compiled()
def spectral(A: Float[Real, "n d"]) -> Float[Array, ""]:
    """Spectral norm ‖A‖₂, eq. (1)."""
    A = _filled(A)
    unit = vectors.magnitude(A)
    absent = jnp.all(A == 0)
    corner = jnp.zeros_like(A).at[0, 0].set(1)  # whose derivatives are finite
    return jnp.where(absent, 0, unit * _spectral(jnp.where(absent, corner, A / unit)))


@compiled()
def nuclear(A: Float[Real, "n d"]) -> Float[Array, ""]:
    """Nuclear norm ‖A‖⁎, eq. (1)."""
    A = _filled(A)
    unit = vectors.magnitude(A)
    return unit * _nuclear((A if A.shape[0] >= A.shape[1] else A.T) / unit)


def _filled(A):
    if 0 in A.shape:
        raise ValueError(f"A must have at least one row and one column, got shape {A.shape}.")
    return jnp.asarray(A)


@jax.custom_jvp
def _spectral(A):
    return jnp.linalg.svd(A, compute_uv=False)[0]


@_spectral.defjvp
@jax.default_matmul_precision("highest")  # a rule runs outside of the program
def _spectral_jvp(primals, tangents):
    (A,), (dA,) = primals, tangents
    u, v = _leading(A)
    return _spectral(A), u @ dA @ v


@jax.custom_jvp
def _leading(A):
    """Singular vectors u₁, v₁."""
    left, _, right = jnp.linalg.svd(A, full_matrices=False)
    return left[:, 0], right[0]


@_leading.defjvp
@jax.default_matmul_precision("highest")  # a rule runs outside of the program
def _leading_jvp(primals, tangents):
    """Eq. (3), with the direction of its null space filled."""
    (A,), (dA,) = primals, tangents
    u, v = _leading(A)
    value, slope, n = _spectral(A), u @ dA @ v, len(u)
    null = jnp.concatenate([u, v])
    products = jnp.zeros((len(null), len(null)), A.dtype).at[:n, n:].set(A).at[n:, :n].set(A.T)
    identity = jnp.eye(len(null), dtype=A.dtype)
    system = value * (identity + jnp.outer(null, null) / 2) - products
    turned = jnp.linalg.solve(system, jnp.concatenate([dA @ v - slope * u, u @ dA - slope * v]))
    return (u, v), (turned[:n], turned[n:])


@jax.custom_jvp
def _nuclear(A):
    return jnp.linalg.svd(A, compute_uv=False).sum()


@_nuclear.defjvp
@jax.default_matmul_precision("highest")  # a rule runs outside of the program
def _nuclear_jvp(primals, tangents):
    (A,), (dA,) = primals, tangents
    return _nuclear(A), jnp.sum(_polar(A) * dA)


@jax.custom_jvp
def _polar(A):
    """The gradient Q, eq. (2), orthogonal factor of A = QH."""
    left, values, right = jnp.linalg.svd(A, full_matrices=False)
    absent = values <= max(A.shape) * jnp.finfo(A.dtype).eps * values[0]  # false for NaN
    return jnp.where(absent[None], 0, left) @ right


@_polar.defjvp
@jax.default_matmul_precision("highest")  # a rule runs outside of the program
def _polar_jvp(primals, tangents):
    """Eq. (4), with the null space of H filled."""
    (A,), (dA,) = primals, tangents
    Q = _polar(A)
    kept = Q.T @ Q
    null = jnp.eye(A.shape[1], dtype=A.dtype) - kept
    H = (Q.T @ A + A.T @ Q) / 2 + null
    image = Q.T @ dA
    within = Q @ _sylvester(H, image @ kept - kept @ image.T)
    below = jnp.linalg.solve(H, kept @ (dA - Q @ image).T).T
    return Q, within + below + Q @ jnp.linalg.solve(H, image @ null)


def _sylvester(H, R):
    """X of HX + XH = R for a positive definite H."""

    def solve(_, R):
        values, vectors = jnp.linalg.eigh(lax.stop_gradient(H))
        scaled = (vectors.T @ R @ vectors) / (values[:, None] + values[None])
        return vectors @ scaled @ vectors.T

    return lax.custom_linear_solve(lambda X: H @ X + X @ H, R, solve, symmetric=True)
