"""Leave-one-out: what a model fitted without row i makes of row i, from the one fit to all rows.

For a fit linear in its targets, ŷ = S y. If it minimises a sum of weighted squared errors and a
penalty that does not depend on the data, the fit without row i predicts there (with all the
weight of row i removed, as a fold does)

    ŷ₋ᵢ = (ŷᵢ − Sᵢᵢ yᵢ) / (1 − Sᵢᵢ),        yᵢ − ŷ₋ᵢ = (yᵢ − ŷᵢ) / (1 − Sᵢᵢ)      (1)

exactly. The leverage comes from the derivative of the fit by the p parameters θ,

    Sᵢᵢ = ∂ŷᵢ/∂yᵢ = ∂ŷᵢ/∂θ · ∂θ/∂yᵢ                                            (2)

in min(n, p) passes through its derivative and no other fit. A transformation learnt from X beside
the model (``compose``) has seen row i: (1) then differs from refitting both by O(1/n²) or so.

For any smooth fit, θ̂ with ∇L(θ̂) = 0 for an objective L whose part due to row i is sᵢ ℓᵢ, one step
of Newton's method from θ̂ on what is left gives

    θ₋ᵢ ≈ θ̂ + (H − sᵢ∇²ℓᵢ)⁻¹ sᵢ∇ℓᵢ,        H = ∇²L(θ̂)                          (3)

exact for a quadratic L, else in error by O(1/n²) where θ₋ᵢ − θ̂ is O(1/n). (3) is solved by
conjugate gradients preconditioned with H⁻¹, which need one step more than ∇²ℓᵢ has rank: two for
a model of one output. Where H is singular (softmax, along all biases) they stay in its range.

NaN comes back from (1) where the leverage is 1, so that nothing else determines the answer, and
everywhere if S y ≠ ŷ, so that the fit is not linear; from (3) where H − sᵢ∇²ℓᵢ is not positive on
the step, and everywhere if H has a negative eigenvalue. At an absent row that is not finite stand
the numbers of a row of zeros: no weighted sum sees them.

Differentiable as the fit is, in data and hyperparameters. Time for (1) of min(n, p) derivatives,
memory O(np); for (3) O(np² + p³), memory O(np) and that of a Hessian.

>>> import jax, jax.numpy as jnp
>>> from mlmath.evaluate import leave_one_out
>>> from mlmath.linear import ridge
>>> X, y = jnp.array([[0.0], [1.0], [2.0], [4.0]]), jnp.array([1.0, 3.0, 5.0, 10.0])
>>> left = leave_one_out.exact(ridge.fit, ridge.predict, X, y, l2=0.5)
>>> without = ridge.fit(X[:3], y[:3], l2=0.5).params
>>> print(left.residual[3].round(4), (y[3] - ridge.predict(without, X[3])).round(4))
2.2 2.2

References:
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §7.10.1, eq. 7.64.
    Pregibon (1981), Logistic regression diagnostics, §4 (one step, for logistic regression).
    Rad & Maleki (2020), A scalable estimate of the out-of-sample prediction error via approximate
        leave-one-out cross-validation, §2.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from mlmath.arrays import Labels, Real
from mlmath.compiled import as_argument, compiled
from mlmath.linalg import pseudo_inverse
from mlmath.linalg.krylov import conjugate_gradients
from mlmath.statistics.weights import present

__all__ = ["LeftOut", "approximate", "changes", "exact"]


class LeftOut(NamedTuple):
    """Each row as seen by the fit without it, eq. (1)."""

    prediction: Float[Array, " n"]  # ŷ₋ᵢ
    residual: Float[Array, " n"]  # yᵢ − ŷ₋ᵢ
    leverage: Float[Array, " n"]  # Sᵢᵢ; their sum is the degrees of freedom of the fit


def exact(
    fit: Callable[..., Any],
    predict: Callable[..., Any],
    X: Float[Real, "n d"],
    y: Float[Real, " n"],
    *,
    sample_weight: Float[Real, " n"] | None = None,
    batch_size: int | None = None,
    **numbers: Any,
) -> LeftOut:
    """Leave-one-out predictions of a linear smoother, eq. (1) and (2).

    Args:
        fit: the method, ``fit(X, y, *, sample_weight, **numbers) -> Fit``.
        predict: ``predict(params, x)`` of ONE example, a number.
        X: features.
        y: targets.
        sample_weight: sᵢ; 0 leaves a row out, and row i is removed with all its weight.
        batch_size: derivative passes at a time, which bounds the memory; all if None.
        numbers: hyperparameters of the fit.
    """
    return _exact(as_argument(fit), as_argument(predict), X, y, sample_weight, numbers, batch_size)


def approximate(
    loss: Callable[..., Any],
    objective: Callable[..., Any],
    params: Any,
    X: Float[Real, "n d"],
    y: Labels,
    *,
    sample_weight: Float[Real, " n"] | None = None,
    **numbers: Any,
) -> Any:
    """Parameters θ₋ᵢ without each row, eq. (3), as ``params`` with a leading axis of the rows.

    Args:
        loss: ℓ, ``loss(params, x, y)`` of ONE example.
        objective: L, ``objective(params, X, y, *, sample_weight, **numbers)``.
        params: θ̂, the minimiser of the objective.
        X: features.
        y: targets.
        sample_weight: sᵢ; 0 leaves a row out, and row i is removed with all its weight.
        numbers: hyperparameters of the objective.
    """
    steps = changes(loss, objective, params, X, y, sample_weight=sample_weight, **numbers)
    return jax.tree.map(lambda a, b: jnp.asarray(a)[None] + b, params, steps)


def changes(
    loss: Callable[..., Any],
    objective: Callable[..., Any],
    params: Any,
    X: Float[Real, "n d"],
    y: Labels,
    *,
    sample_weight: Float[Real, " n"] | None = None,
    **numbers: Any,
) -> Any:
    """What leaving out each row adds to the parameters, θ₋ᵢ − θ̂ of eq. (3).

    Takes what :func:`approximate` takes, and keeps the digits that its sum rounds away.
    """
    return _changes(as_argument(loss), as_argument(objective), params, X, y, sample_weight, numbers)


@compiled(static=("batch_size",))
def _exact(fit, predict, X, y, sample_weight, numbers, batch_size):
    X, y, weight = present(X, y, sample_weight)

    def params(y):
        return fit(X, y, sample_weight=weight, **numbers).params

    def predictions(params):
        return jax.vmap(predict, (None, 0))(params, X)

    learnt, pull = jax.vjp(params, y)
    prediction, push = jax.linearize(predictions, learnt)
    flat, unravel = ravel_pytree(learnt)
    change = jax.jvp(lambda y: predictions(params(y)), (y,), (y,))[1]  # Sy

    def by_parameter(e):
        slope = push(unravel(e))  # in the units of y over those of θ, whose squares may overflow
        size = jnp.max(jnp.abs(slope))
        size = jnp.where(size > 0, size, 1)
        return slope / size * pull(unravel(size * e))[0]

    def by_row(e):
        return e * jax.jvp(lambda y: predictions(params(y)), (y,), (e,))[1]

    one, size = (by_parameter, flat.size) if flat.size <= y.size else (by_row, y.size)
    leverage = _total(one, size, batch_size, y)
    precision = float(jnp.finfo(y.dtype).eps)
    off = jnp.max(jnp.abs(change - prediction))
    linear = off <= precision**0.5 * jnp.max(jnp.abs(y))
    rest = 1 - leverage
    rest = jnp.where(linear & (rest > 100 * precision), rest, jnp.nan)
    residual = (y - prediction) / rest
    return LeftOut(y - residual, residual, leverage)


def _total(function, size, batch_size, like):
    """Sum of ``function`` over the unit vectors, that many at a time."""
    batch = size if batch_size is None else min(batch_size, size)
    blocks = -(-size // batch)
    units = jnp.eye(blocks * batch, size, dtype=like.dtype).reshape(blocks, batch, size)

    def add(total, block):
        return total + jnp.sum(jax.vmap(function)(block), axis=0), None

    return lax.scan(add, jnp.zeros_like(like), units)[0]


@compiled()
def _changes(loss, objective, params, X, y, sample_weight, numbers):
    X, y, weight = present(X, y, sample_weight)
    flat, unravel = ravel_pytree(params)

    def total(v):
        return objective(unravel(v), X, y, sample_weight=weight, **numbers)

    H = jax.hessian(total)(flat)
    inverse = _pseudo_inverse(lax.stop_gradient(H))

    def without(x, t, s):
        gradient = jax.grad(lambda v: s * loss(unravel(v), x, t))
        own, product = jax.linearize(gradient, flat)

        def left(v):
            return H @ v - product(v)

        def solve(left, b):
            return conjugate_gradients(left, b, preconditioner=lambda r: inverse @ r)

        step = lax.custom_linear_solve(left, own, solve, symmetric=True)
        sound = _solves(*lax.stop_gradient((step, left(step), own, H @ step)), inverse)
        return unravel(jnp.where(sound, step, jnp.nan))

    return jax.vmap(without)(X, y, weight)


def _pseudo_inverse(H):
    """H⁺, decided on a unit diagonal; NaN where H has a negative eigenvalue."""
    diagonal = jnp.diagonal(H)
    scale = lax.rsqrt(jnp.where(diagonal > 0, diagonal, 1))
    values, vectors = jnp.linalg.eigh(H * jnp.outer(scale, scale))
    least = 10 * len(H) * float(jnp.finfo(H.dtype).eps) * values[-1]
    M = jnp.sqrt(jnp.where(values > least, values, 0))[:, None] * vectors.T
    root = pseudo_inverse.root(M, scale).root
    return root @ root.T + jnp.where(values[0] >= -least, 0, jnp.nan)  # NaN for NaN


def _solves(step, image, b, image_of_whole, inverse):
    """Whether (H − sᵢ∇²ℓᵢ) step = b, and is not down to the rounding of H along it."""
    precision = float(jnp.finfo(b.dtype).eps)
    rest = b - image
    solved = rest @ inverse @ rest <= precision * (b @ inverse @ b)
    return solved & (step @ image >= 100 * precision * (step @ image_of_whole))
