"""Learning and validation curves as data: scores on the rows learnt from and on held-out rows.

For folds k = 1…f with masks Tₖ of training rows and Vₖ of held-out rows, row weights s, the
score on both kinds of rows is followed along one thing that changes. Along the number of
examples learnt from,

    θ_kt = fit(X, y, c_kt),   c_kt ≤ s·Tₖ nested random subsets of t examples      (1)
    train_kt = score(θ_kt, X, y, c_kt),        test_kt = score(θ_kt, X, y, s·Vₖ)    (2)

and along the values λ_c of a hyperparameter,

    θ_kc = fit(X, y, s·Tₖ; λ_c)                                                  (3)
    train_kc = score(θ_kc, X, y, s·Tₖ),        test_kc = score(θ_kc, X, y, s·Vₖ)    (4)

A test score that still rises with t asks for more examples; a gap between the two that stays asks
for a simpler model, two that are low together for a richer one.

The subsets are ``statistics.resampling.nested_subsets`` of s·Tₖ with key k of
``jax.random.split(key, f)``: a row not drawn yet has weight 0, so that all sizes are one program.
Examples are counted by weight. A fold with less than t takes all it has; t = 0 and a score that
is not defined give NaN.

A method is ``fit(X, y, *, sample_weight, **hyperparameters) -> Fit`` and
``score(params, X, y, *, sample_weight) -> scalar``, greater is better; ``folds`` holds two boolean
masks ``train`` and ``test`` of shape (f, n). Folds are outside, one after the other; sizes and
values inside by ``vmap``, so that what does not depend on them is computed once per fold.
Functions are told apart by identity: a lambda written in a loop compiles anew each time; numbers
belong in a ``jax.tree_util.Partial``. A held-out row is absent from the fit, whatever it holds.

Time that of ft fits; memory that of ``batch_size`` fits.

>>> import jax, jax.numpy as jnp
>>> from mlmath.evaluate import curves, folds
>>> from mlmath.linear import ridge
>>> X = jax.random.normal(jax.random.key(0), (40, 2))
>>> y = X @ jnp.array([1.0, 2.0])
>>> def score(params, X, y, *, sample_weight):
...     return -jnp.average((y - X @ params.weights - params.bias) ** 2, weights=sample_weight)
>>> curve = curves.learning_curve(
...     jax.random.key(1), ridge.fit, score, X, y, folds.contiguous(40, folds=4),
...     jnp.array([5, 10, 20, 30]),
... )
>>> print(curve.sizes, curve.test_scores.shape, bool((curve.test_scores[:, -1] > -0.1).all()))
[ 5. 10. 20. 30.] (4, 4) True

References:
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §7.2, figure 7.1,
        and §7.10.1, figure 7.8.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from mlmath.arrays import Key, Labels, Real, rows
from mlmath.certificate import Certificate
from mlmath.compiled import as_argument, compiled
from mlmath.evaluate.folds import Folds
from mlmath.evaluate.grids import Grid
from mlmath.evaluate.validation import check_folds, checked_grid, data, scored
from mlmath.statistics.resampling import nested_subsets

__all__ = ["LearningCurve", "ValidationCurve", "learning_curve", "validation_curve"]


class LearningCurve(NamedTuple):
    """Eq. (1) and (2)."""

    sizes: Float[Array, " t"]  # examples learnt from, Σᵢ cᵢ, in the mean over folds
    train_scores: Float[Array, "f t"]  # on the subset learnt from, greater is better
    test_scores: Float[Array, "f t"]  # on the held-out rows
    certificate: Certificate  # of each fit, shape (f, t)


class ValidationCurve(NamedTuple):
    """Eq. (3) and (4)."""

    numbers: dict[str, Any]  # name of the hyperparameter -> its values λ
    train_scores: Float[Array, "f c"]  # on the training rows, greater is better
    test_scores: Float[Array, "f c"]  # on the held-out rows
    certificate: Certificate  # of each fit, shape (f, c)


def learning_curve(
    key: Key,
    fit: Callable[..., Any],
    score: Callable[..., Any],
    X: Float[Real, "n d"],
    y: Labels,
    folds: Folds,
    sizes: Float[Real, " t"] | Int[Real, " t"],
    *,
    sample_weight: Float[Real, " n"] | None = None,
    batch_size: int | None = None,
) -> LearningCurve:
    """Score fits to more and more of the training rows of each fold, eq. (1) and (2).

    Args:
        key: a typed key, for the order in which rows are learnt from.
        fit: the method, its hyperparameters at their defaults or bound in a ``Partial``.
        score: greater is better.
        X: features.
        y: targets.
        folds: masks of training and held-out rows.
        sizes: t, numbers of examples.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        batch_size: sizes at a time, which bounds the memory; all if None.

    Raises:
        ValueError: if there is no size or no fold, a mask does not fit the rows, or the score is
            not one number.
    """
    check_folds(folds)
    if len(sizes) == 0:
        raise ValueError("sizes must hold at least one number of examples, got none.")
    functions = as_argument(fit), as_argument(score)
    return _learn(key, *functions, (X, y, sample_weight), folds, sizes, batch_size)


def validation_curve(
    fit: Callable[..., Any],
    score: Callable[..., Any],
    X: Float[Real, "n d"],
    y: Labels,
    folds: Folds,
    grid: Grid,
    *,
    sample_weight: Float[Real, " n"] | None = None,
    batch_size: int | None = None,
) -> ValidationCurve:
    """Score fits along the values of a hyperparameter in each fold, eq. (3) and (4).

    Args:
        fit: the method; a fit that draws has its key bound in a ``Partial``.
        score: greater is better.
        X: features.
        y: targets.
        folds: masks of training and held-out rows.
        grid: name of the hyperparameter -> array of its values; of several names, the values
            change together.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        batch_size: values at a time, which bounds the memory; all if None.

    Raises:
        ValueError: if there is no value or no fold, the arrays of the grid differ in length, the
            fit takes no such hyperparameter, a mask does not fit the rows, or the score is not
            one number.
    """
    check_folds(folds)
    numbers = checked_grid(fit, grid)
    functions = as_argument(fit), as_argument(score)
    scores = _validate(*functions, (X, y, sample_weight), folds, numbers, batch_size)
    return ValidationCurve(numbers, *scores)


@compiled(static=("batch_size",))
def _learn(key, fit, score, given, folds, sizes, batch_size):
    X, y, weight = data(*given[:2], sample_weight=given[2])

    def fold(part):
        train, test, key = part
        subsets = nested_subsets(key, weight * train, sizes)

        def scores(held, subset):
            return _scores(fit, score, X, y, subset, held)

        found = rows(scores)(weight * test, subsets, batch_size=batch_size)
        return jnp.sum(subsets, axis=1), *found

    keys = jax.random.split(key, len(folds.train))
    learnt_from, *scores = lax.map(fold, (*folds, keys))
    return LearningCurve(jnp.mean(learnt_from, axis=0), *scores)


@compiled(static=("batch_size",))
def _validate(fit, score, given, folds, numbers, batch_size):
    X, y, weight = data(*given[:2], sample_weight=given[2])

    def fold(part):
        def scores(weights, numbers):
            return _scores(fit, score, X, y, *weights, **numbers)

        return rows(scores)(tuple(weight * mask for mask in part), numbers, batch_size=batch_size)

    return lax.map(fold, folds)


def _scores(fit, score, X, y, train, test, **numbers):
    """Score on the rows learnt from, score on the held-out rows, certificate."""
    fitted = fit(X, y, sample_weight=train, **numbers)
    values = [scored(score, fitted.params, X, y, weight) for weight in (train, test)]
    return *values, fitted.certificate
