"""Validation: fits on the training rows of each fold, scored on its held-out rows.

With folds k = 1…f, masks Tₖ of their training rows and Vₖ of their held-out rows, row weights s
and candidates λ_c (the c-th rows of a grid of hyperparameters), each fit and each score is

    θ_kc = fit(X, y, s·Tₖ; λ_c),        a_kc = score(θ_kc, X, y, s·Vₖ)           (1)

A method is ``fit(X, y, *, sample_weight, **hyperparameters) -> Fit`` and
``score(params, X, y, *, sample_weight) -> scalar``, greater is better (``evaluate.scorer``).
A fit that draws takes its key first, one key per fold and seed, the same for all candidates.

Folds are outside, one after the other; candidates inside by ``vmap``: what does not depend on
the candidate (a Gram matrix) is computed once per fold. Masks multiply ``sample_weight``, so a
held-out row is absent from the fit, whatever it holds.

Functions are told apart by identity: the same ``fit`` and ``score`` compile once, a lambda
written inside a loop compiles anew each time. Numbers that they carry belong in a
``jax.tree_util.Partial``; what fixes a shape is bound by ``functools.partial``.

>>> import jax, jax.numpy as jnp
>>> from mlmath.evaluate import folds, metrics, scorer, validation
>>> from mlmath.linear import ridge
>>> X = jax.random.normal(jax.random.key(0), (60, 3))
>>> y = X @ jnp.array([1.0, 2.0, 3.0])
>>> score = scorer.scorer(ridge.predict, metrics.r_squared)
>>> parts = folds.k_fold(jax.random.key(1), 60, folds=5)
>>> validation.cross_validate(ridge.fit, score, X, y, parts).scores.shape
(5,)

References:
    Hastie, Tibshirani & Friedman (2009), The Elements of Statistical Learning, §7.10.1.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mlmath.arrays import Labels, Real
from mlmath.certificate import Certificate
from mlmath.compiled import as_argument, compiled
from mlmath.evaluate.folds import Folds
from mlmath.evaluate.grids import Grid
from mlmath.nearest import hint

__all__ = [
    "Scored", "Validation", "check_folds", "check_grid", "check_names", "cross_validate",
    "cross_validate_seeds", "score_all",
]  # fmt: skip


class Validation(NamedTuple):
    """One method over the folds; with seeds every field has them as second axis."""

    params: Any  # θₖ, leading axis the folds
    certificate: Certificate  # of each fit
    scores: Float[Array, "f ..."]  # aₖ, greater is better


class Scored(NamedTuple):
    """Many candidates over the folds; with seeds they are the third axis."""

    scores: Float[Array, "f c ..."]  # a_kc, greater is better
    certificates: Certificate  # of each fit


def cross_validate(
    fit: Callable[..., Any],
    score: Callable[..., Any],
    X: Float[Real, "n d"],
    y: Labels,
    folds: Folds,
    *,
    sample_weight: Float[Real, " n"] | None = None,
) -> Validation:
    """Fit and score once per fold, eq. (1). Differentiable as the fit and the score are.

    Args:
        fit: the method, its hyperparameters at their defaults or bound in a ``Partial``.
        score: greater is better.
        X: features.
        y: targets.
        folds: masks of training and held-out rows.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
    """
    check_folds(folds)
    return _validate(as_argument(fit), as_argument(score), X, y, sample_weight, folds, ())


def cross_validate_seeds(
    key: Array,
    fit: Callable[..., Any],
    score: Callable[..., Any],
    X: Float[Real, "n d"],
    y: Labels,
    folds: Folds,
    *,
    seeds: int = 3,
    sample_weight: Float[Real, " n"] | None = None,
) -> Validation:
    """:func:`cross_validate` of a fit that draws: ``fit(key, X, y, …)`` per fold and seed."""
    check_folds(folds)
    keys = jax.random.split(key, (len(folds.train), seeds))
    return _validate(as_argument(fit), as_argument(score), X, y, sample_weight, folds, (keys,))


def score_all(
    fit: Callable[..., Any],
    score: Callable[..., Any],
    X: Float[Real, "n d"],
    y: Labels,
    folds: Folds,
    grid: Grid,
    *,
    sample_weight: Float[Real, " n"] | None = None,
    keys: Array | None = None,
    batch_size: int | None = None,
) -> Scored:
    """Fit and score every candidate in every fold, eq. (1).

    Args:
        fit: the method; it takes a key first where ``keys`` are given.
        score: greater is better.
        X: features.
        y: targets.
        folds: masks of training and held-out rows.
        grid: name of a hyperparameter -> its value in each candidate, as ``grids.product`` makes.
        sample_weight: sᵢ; 2 counts the row twice, 0 leaves it out.
        keys: typed keys of shape (folds, seeds) for a fit that draws.
        batch_size: candidates at a time, which bounds the memory; all if None.

    Raises:
        ValueError: if there is no fold or no candidate, the arrays of the grid differ in length,
            the fit takes no such hyperparameter, or the score is not one number.
    """
    check_folds(folds)
    check_grid(fit, grid)
    given = () if keys is None else (keys,)
    return _score_all(
        as_argument(fit),
        as_argument(score),
        X,
        y,
        sample_weight,
        folds,
        dict(grid),
        given,
        batch_size,
    )


@compiled()
def _validate(fit, score, X, y, sample_weight, folds, keys):
    X, y, weight = _data(X, y, sample_weight)

    def fold(part):
        train, test, *keys = part

        def one(*key):
            fitted = fit(*key, X, y, sample_weight=weight * train)
            value = _score(score, fitted, X, y, weight * test)
            return Validation(fitted.params, fitted.certificate, value)

        return jax.vmap(one)(*keys) if keys else one()

    return jax.lax.map(fold, (folds.train, folds.test, *keys))


@compiled(static=("batch_size",))
def _score_all(fit, score, X, y, sample_weight, folds, grid, keys, batch_size):
    X, y, weight = _data(X, y, sample_weight)

    def fold(part):
        train, test, *keys = part

        def candidate(numbers):
            def one(*key):
                fitted = fit(*key, X, y, sample_weight=weight * train, **numbers)
                return Scored(_score(score, fitted, X, y, weight * test), fitted.certificate)

            return jax.vmap(one)(*keys) if keys else one()

        if batch_size is None:
            return jax.vmap(candidate)(grid)
        return jax.lax.map(candidate, grid, batch_size=batch_size)

    return jax.lax.map(fold, (folds.train, folds.test, *keys))


def _data(X, y, sample_weight):
    X, y = jnp.asarray(X), jnp.asarray(y)
    weight = jnp.ones(X.shape[0]) if sample_weight is None else jnp.asarray(sample_weight)
    return X, y, weight.astype(X.dtype)


def _score(score, fitted, X, y, weight):
    value = jnp.asarray(score(fitted.params, X, y, sample_weight=weight))
    if value.shape != ():
        raise ValueError(f"score must return one number, got an array of shape {value.shape}.")
    return value


def check_folds(folds: Folds) -> None:
    """Raise a ValueError if there is no fold."""
    if not len(folds.train):
        raise ValueError("folds must hold at least one fold, got none.")


def check_grid(fit: Callable[..., Any], grid: Grid) -> None:
    """Raise what is wrong with a grid for this fit before anything runs.

    Raises:
        ValueError: if it holds no candidate, its arrays differ in length, or the fit takes no such
            hyperparameter.
    """
    for name, values in grid.items():
        if jnp.shape(values) == ():
            raise ValueError(f"grid['{name}'] must be an array of candidates, got one number.")
    lengths = {name: len(values) for name, values in grid.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"the arrays of grid must have one length, got {listed}.")
    if not lengths or 0 in lengths.values():
        raise ValueError("grid must hold at least one candidate, got none.")
    check_names(fit, grid)


def check_names(fit: Callable[..., Any], names: Iterable[str]) -> None:
    """Raise a ValueError if the fit takes no hyperparameter of such a name."""
    parameters = inspect.signature(fit).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    taken = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "sample_weight"]
    listed = f"it takes {', '.join(taken)}." if taken else "it takes no hyperparameter."
    for name in names:
        if name not in taken:
            raise ValueError(f"the fit takes no '{name}'; {hint(name, taken, listed)}")
