"""Standard errors: how far the minimiser of a convex objective would scatter over new data.

Let θ̂ minimise L(θ) = Σᵢ sᵢ ℓ(θ; xᵢ, yᵢ), plus a penalty perhaps, and H = ∇²L(θ̂). If ℓ is the
negative log-likelihood of the true model, or φ times that, θ̂ scatters asymptotically with
the covariance

    C = φ H⁻¹                                                                  (1)

and if it is not, still with the sandwich ("robust", HC0), where gᵢ = ∇ℓ(θ̂; xᵢ, yᵢ):

    C = H⁻¹ (Σᵢ sᵢ gᵢgᵢᵀ) H⁻¹                                                   (2)

The standard error of θⱼ is √Cⱼⱼ. Weights count as repetition. Least squares with loss
½(y − ŷ)² has φ = σ², its residual variance. Parameters are a pytree; rows and columns of C run
over its leaves in the order of ``jax.flatten_util.ravel_pytree``. Where H is not positive
definite to rounding (θ̂ is not a strict minimum) C is NaN.

Time O(np² + p³) for p parameters where a product with the Hessian costs O(np); memory O(np).

>>> import jax.numpy as jnp
>>> from mlmath.linear import logistic_regression
>>> from mlmath.statistics import standard_errors
>>> X, y = jnp.array([[-2.0], [-1.0], [0.0], [1.0]]), jnp.array([0.0, 1.0, 0.0, 1.0])
>>> params = logistic_regression.fit(X, y, l2=0.0).params
>>> C = standard_errors.sandwich(logistic_regression.loss, params, X, y)
>>> print(standard_errors.deviations(C, params).weights)
[0.7203]

References:
    White (1982), Maximum likelihood estimation of misspecified models, theorem 3.2.
    White (1980), A heteroskedasticity-consistent covariance matrix estimator, theorem 1.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, Float

from mlmath.arrays import Labels, Real, Scalar
from mlmath.statistics.weights import present

__all__ = ["deviations", "model_based", "sandwich"]


def model_based(
    objective: Callable[..., Any], params: Any, *args: Any, dispersion: Scalar = 1.0
) -> Float[Array, "p p"]:
    """Covariance (1) of the minimiser ``params`` of ``objective(params, *args)``.

    Args:
        objective: L, as a sum over the examples, not a mean.
        params: θ̂, a pytree of floats.
        args: data and hyperparameters.
        dispersion: φ; for least squares the residual variance.
    """
    with jax.default_matmul_precision("highest"):
        flat, unravel = ravel_pytree(params)
        H = jax.hessian(lambda v: objective(unravel(v), *args))(flat)
        return dispersion * _solve(H, jnp.eye(flat.size, dtype=flat.dtype))


def sandwich(
    loss: Callable[..., Any],
    params: Any,
    X: Float[Real, "n d"],
    y: Labels,
    *,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[Array, "p p"]:
    """Covariance (2) of the minimiser ``params`` of Σᵢ sᵢ ``loss(params, xᵢ, yᵢ)``.

    Args:
        loss: ℓ of ONE example, without penalty.
        params: θ̂, a pytree of floats.
        X: features.
        y: targets.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
    """
    with jax.default_matmul_precision("highest"):
        X, y, weight = present(X, y, sample_weight)
        flat, unravel = ravel_pytree(params)

        def losses(v):
            return jax.vmap(lambda x, t: loss(unravel(v), x, t))(X, y)

        H = jax.hessian(lambda v: weight @ losses(v))(flat)
        G = jax.vmap(jax.grad(lambda v, x, t: loss(unravel(v), x, t)), (None, 0, 0))(flat, X, y)
        half = _solve(H, G.T @ (weight[:, None] * G))
        return _solve(H, half.T)


def deviations(covariance: Float[Real, "p p"], params: Any) -> Any:
    """Standard errors √Cⱼⱼ in the structure of ``params``."""
    return ravel_pytree(params)[1](jnp.sqrt(jnp.diagonal(covariance)))


def _solve(H, B):
    """H⁻¹B by Cholesky on H scaled to a unit diagonal; NaN where H is not positive definite."""
    scale = lax.rsqrt(jnp.diagonal(H))[:, None]
    factor = cho_factor(scale * H * scale.T)
    return scale * cho_solve(factor, scale * B)
