"""Hypergradients: hyperparameters learnt by the derivative of the cross-validated loss.

With folds k = 1…f, masks Tₖ of their training rows and Vₖ of their held-out rows, and row weights
s, the loss of the hyperparameters λ (any number of them, numbers or arrays) is

    θₖ(λ) = fit(X, y, s·Tₖ; λ)                                                 (1)
    L(λ) = −(1/f) Σₖ score(θₖ(λ), X, y, s·Vₖ)                                  (2)

If θₖ is where ∇_θ Jₖ(θ, λ) = 0, the implicit function theorem gives its derivative and with it

    dL/dλ = (1/f) Σₖ ∂score/∂θ (∂²Jₖ/∂θ²)⁻¹ ∂²Jₖ/∂θ∂λ                          (3)

for the price of one linear system per fold however many λ there are: no grid. A fit by the
contract carries (3) with it, so that ``jax.grad`` of :func:`objective` is the hypergradient.
:func:`minimize` takes it down hill in ξ = log λ, as all λ are positive, by
:mod:`mlmath.optimize.bfgs`, and refits on all rows.

L is not convex: what is found is a stationary point near the start. The certificate says how
stationary: its gap is the relative gradient of ``optimize.descent`` in ξ. Where L falls on towards
λ = 0 or ∞ the steps end when the gap meets the tolerance. The learnt λ have met all held-out rows,
so L there is no estimate of the error on new rows: validate the learning itself. Its result has
``params`` and ``certificate`` like a fit, so that cross-validation of it is nested selection. Many
λ can overfit few folds: repeated folds, or few steps from a good single λ, hold them back.

A starting number that is not positive makes the result NaN. The learnt numbers have a derivative
in the data, where the Hessian of L is regular. Functions are told apart by identity: a lambda
written inside a loop compiles anew each time; numbers that they carry belong in a
``jax.tree_util.Partial``, and what fixes a shape is bound by ``functools.partial``.

Time per step f fits and their derivatives; memory that of one fit and what (3) keeps of each.

>>> import jax, jax.numpy as jnp, mlmath
>>> from mlmath.evaluate import folds, hyper
>>> from mlmath.linear import ridge
>>> X = jax.random.normal(jax.random.key(0), (40, 2))
>>> y = X[:, 0] + 0.5 * jax.random.normal(jax.random.key(1), (40,))
>>> def score(params, X, y, *, sample_weight):
...     return -sample_weight @ (y - mlmath.rows(ridge.predict)(params, X)) ** 2
>>> parts = folds.contiguous(40, folds=4)
>>> learnt = hyper.minimize(ridge.fit, score, X, y, parts, {"l2": jnp.ones(2)})
>>> bool(learnt.numbers["l2"][0] < learnt.numbers["l2"][1])  # the second column is noise
True

References:
    Larsen, Hansen, Svarer & Ohlsson (1996), Design and regularization of neural networks: the
        optimal use of a validation set, §3.
    Bengio (2000), Gradient-based optimization of hyperparameters, §3.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.arrays import Count, Labels, Real, Scalar
from mlmath.certificate import Certificate
from mlmath.compiled import as_argument, compiled
from mlmath.evaluate.folds import Folds
from mlmath.evaluate.validation import check_folds, check_names, scored
from mlmath.optimize import bfgs
from mlmath.statistics.weights import present

__all__ = ["Learnt", "minimize", "objective"]


class Learnt(NamedTuple):
    """Outcome of :func:`minimize`."""

    params: Any  # θ of the fit on all rows
    certificate: Certificate  # of L(λ): gap: relative gradient in ξ
    numbers: dict[str, Any]  # λ, in the units of the fit
    fit: Any  # the fit on all rows, with its own certificate


def objective(
    fit: Callable[..., Any],
    score: Callable[..., Any],
    X: Float[Real, "n d"],
    y: Labels,
    folds: Folds,
    numbers: dict[str, Any],
    *,
    sample_weight: Float[Real, " n"] | None = None,
) -> Float[Array, ""]:
    """Cross-validated loss L, eq. (2): minus the mean held-out score.

    Differentiable as often as the fit is, in ``numbers`` and in the data.

    Args:
        fit: the method, ``fit(X, y, *, sample_weight, **numbers) -> Fit``.
        score: ``score(params, X, y, *, sample_weight)``, greater is better.
        X: features.
        y: targets.
        folds: masks ``train`` and ``test``, of shape (f, n).
        numbers: hyperparameters λ by name.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.

    Raises:
        ValueError: if the masks do not fit the rows, ``numbers`` is empty or names what the fit
            does not take, or the score is not one number.
    """
    data, numbers = _checked(fit, X, y, folds, numbers, sample_weight)
    return _validate(as_argument(fit), as_argument(score), data, numbers)


def minimize(
    fit: Callable[..., Any],
    score: Callable[..., Any],
    X: Float[Real, "n d"],
    y: Labels,
    folds: Folds,
    numbers: dict[str, Any],
    *,
    sample_weight: Float[Real, " n"] | None = None,
    tolerance: Scalar | None = None,
    max_steps: Count = 200,
) -> Learnt:
    """Minimise :func:`objective` over positive ``numbers`` and refit to all rows.

    Args:
        fit: the method, differentiable in ``numbers``.
        score: greater is better, differentiable in the parameters.
        X: features.
        y: targets.
        folds: masks ``train`` and ``test``, of shape (f, n).
        numbers: where the search starts, λ > 0 by name; an array has one number per element.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        tolerance: largest gap that counts as converged; ε^⅔ of the dtype if None.
        max_steps: most evaluations of L and its gradient after the first.

    Raises:
        ValueError: as :func:`objective`.
    """
    data, numbers = _checked(fit, X, y, folds, numbers, sample_weight)
    return _minimize(as_argument(fit), as_argument(score), data, numbers, tolerance, max_steps)


@compiled()
def _validate(fit, score, data, numbers):
    X, y, weight, folds = data

    def fold(masks):
        train, test = masks
        params = fit(X, y, sample_weight=weight * train, **numbers).params
        return scored(score, params, X, y, weight * test)

    return -jnp.mean(jax.lax.map(fold, folds))


@compiled()
def _minimize(fit, score, data, numbers, tolerance, max_steps):
    def loss(logarithms, fit, score, data):
        return _validate(fit, score, data, jax.tree.map(jnp.exp, logarithms))

    start = jax.tree.map(lambda v: jnp.where(v > 0, jnp.log(v), jnp.nan), numbers)
    logarithms, certificate = bfgs.minimize(
        loss, start, fit, score, data, tolerance=tolerance, max_steps=max_steps
    )
    X, y, weight, _ = data
    learnt = jax.tree.map(jnp.exp, logarithms)
    fitted = fit(X, y, sample_weight=weight, **learnt)
    return Learnt(fitted.params, certificate, learnt, fitted)


def _checked(fit, X, y, folds, numbers, sample_weight):
    """Rows that count and numbers in their dtype, after what is wrong has been raised."""
    check_folds(folds)
    if not numbers:
        raise ValueError("numbers must name at least one hyperparameter, got none.")
    check_names(fit, numbers)
    X, y, weight = present(X, y, sample_weight)
    masks = (jnp.asarray(folds.train), jnp.asarray(folds.test))
    return (X, y, weight, masks), {k: jnp.asarray(v, X.dtype) for k, v in numbers.items()}
